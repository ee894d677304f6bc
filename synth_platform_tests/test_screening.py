"""Accepted means something: limits changed without an engine, expectations that stop a run, a review to read."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.jobs import screen_job_name
from synth_platform.dataset.spec import load_spec
from synth_platform.dataset.what_if import with_changes
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops.instance import open_instance
from synth_platform.ops.launch import Launched, run_dataset
from synth_platform.ops.resources import WorkspaceResource, resources
from synth_platform.pilot.corpus import RECIPES
from synth_platform.prompts.templates import Template
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.replay import Replay, replay
from synth_platform.review.page import REPORT
from synth_platform.snapshots import Snapshot
from synth_platform.summary import Summary, summarise
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.pipeline import (
    copied,
    dataset,
    mock_engine,
    opened,
    perfect_answers,
    recipes_of,
    synth,
    write_spec,
)

pytestmark = pytest.mark.xdist_group("screening")  # what they start from is made once


class Made:
    """A dataset that was made once, by an engine that is gone; from then on it is only screened anew."""

    job: str | None = screen_job_name("small")

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance, folder: Path, attributes: dict[str, Any]):
        self.workspace, self.instance, self.folder, self.attributes = workspace, instance, folder, attributes

    def run(self, **changes: Any) -> Launched:
        path = write_spec(self.folder, {**self.attributes, **changes})
        return run_dataset(load_spec(path), self.folder, self.workspace, self.instance, job=self.job)

    def head(self, asset: str) -> Snapshot:
        found = self.workspace.snapshots.head(f"small/{asset}", None)
        assert found is not None, asset
        return found

    def evaluations(self, ended: Launched) -> list[dg.AssetCheckEvaluation]:
        events = [log.dagster_event for log in self.instance.all_logs(ended.run_id) if log.dagster_event]
        found = [one.event_specific_data for one in events if one.event_type_value == "ASSET_CHECK_EVALUATION"]
        return [one for one in found if isinstance(one, dg.AssetCheckEvaluation)]

    def digests(self) -> dict[str, str]:
        pairs = self.workspace.snapshots.assets("small")
        heads = [self.workspace.snapshots.head(asset, part) for asset, part in pairs]
        return {one.manifest.asset.removeprefix("small/"): one.manifest.digest for one in heads if one is not None}


@pytest.fixture(scope="module")
def first(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A home with a dataset that was made, and the dataset's attributes; tests work on copies."""
    folder = tmp_path_factory.mktemp("first")
    workspace = Workspace(folder / "home")
    with mock_engine(folder, perfect_answers(24, planted=2)) as engine, opened(workspace) as instance:
        attributes = dataset(engine.url, tokenizer_folder, recipes=recipes_of(*RECIPES))
        whole = Made(workspace, instance, folder / "spec", attributes)
        whole.job = None
        ended = whole.run()
        assert ended.success, ended.problems
    return folder, attributes


@pytest.fixture
def made(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Made]:
    folder, attributes = first
    with copied(folder, tmp_path) as (workspace, instance):
        yield Made(workspace, instance, tmp_path / "spec", attributes)


def test_limits_are_tried_and_changed_without_an_engine(made: Made) -> None:
    spec = load_spec(made.folder / "defs.yaml")
    snapshots, before = made.workspace.snapshots, made.digests()
    limit = int(made.head("quality/faq").scan().collect()["words"].median())  # type: ignore[arg-type]
    changed = with_changes(spec, [f"quality.faq.min_words={limit}"])
    by_recipe = {
        recipe.name: replay(
            snapshots,
            "small",
            None,
            recipe,
            changed.quality.get(recipe.name, QualitySpec()),
            changed.privacy,
            made.workspace.encoders,
        )
        for recipe in changed.recipes
    }
    tried = by_recipe["faq"]
    accepted = set(made.head("accepted/faq").scan("accepted").collect()["generation_id"])
    short = made.head("quality/faq").scan().filter(pl.col("words") < limit).collect()["generation_id"]
    assert 0 < len(short) < 24
    assert tried.measured and tried.rows == 24 and tried.accepted == [22, 22 - len(accepted & set(short))]
    assert tried.changed_reasons() == {"too_short": (0, len(short))}
    assert set(tried.lost) <= accepted and tried.gained == []
    assert all(by_recipe[name].changed_reasons() == {} for name in RECIPES if name != "faq")
    assert made.digests() == before, "trying changes nothing"

    assert made.run(quality={"faq": {"min_words": limit}}).success, "no engine is needed"
    after = made.digests()
    same = {asset for asset in before if before[asset] == after[asset]}
    assert {f"{stage}/{name}" for name in RECIPES for stage in ("prompts", "generations", "contamination")} <= same
    assert {f"{stage}/{name}" for name in RECIPES if name != "faq" for stage in ("quality", "accepted")} <= same
    assert not same & {"quality/faq", "accepted/faq", "mixture", "release"}
    kept = set(made.head("accepted/faq").scan("accepted").collect()["generation_id"])
    assert kept == accepted - set(short)
    drift = made.head("review").manifest.details["sections"]
    assert "drift_from_release" in drift, "the second release is compared with the first"
    assert made.run(quality={"faq": {"min_words": limit}}).success
    assert made.digests() == after, "the same again makes nothing new"


def test_the_command_says_what_would_change(made: Made) -> None:
    path = str(made.folder / "defs.yaml")
    home = made.workspace.home
    shown = synth("screen", path, "--what-if", "quality.*.min_words=90", "--json", home=home)
    found = json.loads(shown.out)
    assert [one["recipe"] for one in found] == list(RECIPES) and found[1]["reasons"]["too_short"][1] > 0
    table = synth("screen", path, "--what-if", "quality.math.min_words=90", home=home)
    assert "too_short" in table.out and table.returncode == 0
    assert "no verdict would change" in synth("screen", path, home=home).out
    for wrong, said in (
        ("quality.maths.min_words=1", "there is no recipe 'maths'"),
        ("privacy.output.emial=reject", "unknown entity or kind: emial"),
        ("privacy.source.email=reject", "is no change of a limit"),
        ("quality.math.min_wrods=1", "Extra inputs are not permitted"),
        ("gates=1", "is no change of a limit"),
    ):
        refused = synth("screen", path, "--what-if", wrong, home=home)
        assert refused.returncode == 2 and said in refused.err, refused.err


def test_a_release_shows_what_came_through(made: Made) -> None:
    event = made.instance.get_latest_materialization_event(dg.AssetKey(["small", "release"]))
    assert event is not None and event.asset_materialization is not None
    metadata = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    shown = str(metadata["overview"])
    release = made.head("release").manifest
    for row in ("rows read | ", "documents | 36 | ", "prompts | 96 | ", "generations | 96 | ", "accepted | 88 | "):
        assert f"| {row}" in shown
    assert f"| release | {release.rows:,} | {release.counts['tokens']:,} |" in shown
    assert "engine hours: 0.0" in shown and "data:image/png;base64," in str(metadata["funnel"])
    assert len(shown) < 1000, "Dagster shows longer texts only after a click"
    gates = release.details["gates"]
    assert gates["passed"] > 50
    assert f"- gates: {gates['passed']} passed, {len(gates['warned'])} warned (Accounting " in shown
    assert Path(str(metadata["report"])).read_text("utf-8").lower().startswith("<!doctype html>")
    spec = load_spec(made.folder / "defs.yaml")
    given = dg.Definitions(resources=resources(WorkspaceResource(home=str(made.workspace.home))))
    graph = dg.Definitions.merge(dataset_definitions(spec, made.folder), given).resolve_asset_graph()
    asset = graph.get(dg.AssetKey(["small", "generations", "table"]))
    assert (
        asset.tags.items() >= {"synth/dataset": "small", "synth/stage": "generations", "synth/recipe": "table"}.items()
    )
    assert "[small/prompts/table](/assets/small/prompts/table)" in (asset.description or "")
    (reference,) = asset.metadata["dagster/code_references"].code_references
    assert Path(reference.file_path).samefile(made.folder / "defs.yaml")


def test_what_was_never_made_cannot_be_tried(workspace: Workspace, tmp_path: Path, tokenizer_folder: Path) -> None:
    spec = load_spec(write_spec(tmp_path, dataset("http://127.0.0.1:9/v1", tokenizer_folder)))
    with pytest.raises(SynthError, match="has not been materialized yet"):
        replay(workspace.snapshots, "small", None, spec.recipes[0], QualitySpec(), spec.privacy, workspace.encoders)


def test_where_a_gate_let_nothing_be_accepted_the_verdicts_are_told_and_compared_with(made: Made) -> None:
    (recipe,) = (one for one in load_spec(made.folder / "defs.yaml").recipes if one.name == "faq")

    def tried(**limits: Any) -> Replay:
        workspace, spec = made.workspace, load_spec(made.folder / "defs.yaml")
        quality = QualitySpec(**limits)
        return replay(workspace.snapshots, "small", None, recipe, quality, spec.privacy, workspace.encoders)

    def told() -> Summary:
        heads = [made.head(asset) for asset in made.digests()]
        return summarise("small", None, heads, [], [], seconds=0, success=False)

    before, rejected = tried(min_words=90), told().rejected
    assert before.reasons["too_short"][1] > 0 and before.reasons["contaminated_prompt:playground"] == [2, 2]
    shutil.rmtree(made.workspace.home / "data" / "small" / "accepted" / "faq")
    assert tried(min_words=90) == before, "as if the rows had been split by the verdicts"
    assert rejected == {f"contaminated_{what}:playground": 8 for what in ("prompt", "source")}
    assert set(told().rejected.values()) == {6}, "the verdicts do not know of test questions"

    closed = {"quality": {"acceptance": {"min": 1, "severity": "critical"}}}
    assert not made.run(quality={name: {"min_words": 90} for name in RECIPES}, gates=closed).success
    short = made.head("quality/faq").manifest.counts["rejected"]
    assert told().rejected["too_short"] > short > 0 and told().rejected_rows == told().rejected["too_short"]
    assert tried().reasons["too_short"] == [short, 0] and tried().accepted == [before.accepted[1], 22]
    shown = synth(
        "screen", str(made.folder / "defs.yaml"), "--what-if", "quality.*.min_words=1", home=made.workspace.home
    )
    assert shown.returncode == 0 and "too_short" in shown.out and "not scanned" not in shown.out


def test_expectations_beside_the_spec_are_checks_that_stop(made: Made) -> None:
    suite = {
        "quality": [
            {
                "name": "long_enough",
                "expect": "expect_column_values_to_be_between",
                "column": "words",
                "min_value": 50,
                "severity": "critical",
            },
            {"name": "bare", "expect": "expect_column_values_to_match_regex", "column": "reasons", "regex": "^$"},
            {"name": "enough", "on": "profile", "expect": "expect_column_min_to_be_between", "column": "acceptance",
             "min_value": 0.5},
        ]
    }  # fmt: skip
    (made.folder / "suites.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    release = made.head("release").manifest.snapshot_id
    ended = made.run(quality={"table": {"min_words": 2}}, mixture={"weights": {"table": 2}})
    assert not ended.success and made.head("release").manifest.snapshot_id == release
    evaluations = {(one.asset_key.path[-1], one.check_name): one for one in made.evaluations(ended)}
    failed = evaluations["table", "long_enough"]
    words = made.head("quality/table").scan().select("words").collect()["words"]
    assert not failed.passed and failed.blocking
    assert failed.metadata["unexpected_count"].value == (words < 50).sum() > 0
    assert "generation_id" in str(failed.metadata["failing_rows"].value)
    assert evaluations["table", "enough"].passed and evaluations["faq", "long_enough"].passed


@pytest.mark.parametrize(
    ("suite", "said"),
    [
        ({"qualty": []}, "there is no stage 'qualty'"),
        ({"quality": [{"name": "x", "expect": "expect_nothing_at_all"}]}, "has no 'expect_nothing_at_all'"),
        (
            {"quality": [{"name": "x", "expect": "expect_column_values_to_not_be_null"}]},
            "does not take these arguments",
        ),
        ({"quality": [{"expect": "expect_column_to_exist", "column": "words"}]}, "Field required"),
        (
            {"quality": [{"name": "acceptance", "expect": "expect_column_to_exist", "column": "words"}]},
            "has a gate 'acceptance' already",
        ),
    ],
)
def test_wrong_suites_are_refused_when_they_are_loaded(
    suite: dict[str, Any], said: str, tmp_path: Path, tokenizer_folder: Path
) -> None:
    path = write_spec(tmp_path, dataset("http://127.0.0.1:9/v1", tokenizer_folder))
    (tmp_path / "suites.yaml").write_text(yaml.safe_dump(suite), "utf-8")
    with pytest.raises(SpecError, match=said):
        dataset_definitions(load_spec(path), tmp_path)


def test_an_expectation_that_crashes_stays_closed(made: Made) -> None:
    suite = [{"name": "gone", "expect": "expect_column_values_to_be_unique", "column": "no_such_column"}]
    (made.folder / "suites.yaml").write_text(yaml.safe_dump({"mixture": suite}), "utf-8")
    ended = made.run(mixture={"weights": {"table": 3}})
    gone = next(one for one in made.evaluations(ended) if one.check_name == "gone")
    assert not gone.passed and gone.severity == dg.AssetCheckSeverity.ERROR and gone.metadata["error"].value


@pytest.mark.ui
def test_the_report_reads_in_a_browser(made: Made, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed")
    page_file = tmp_path / "report.html"
    page_file.write_bytes(made.head("review").read_file(REPORT))
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_file.as_uri())
        titles = page.locator("h2").all_inner_texts()
        broken = page.evaluate("[...document.images].filter(image => !image.naturalWidth).length")
        wide = page.evaluate("document.documentElement.scrollWidth")
        figures, drawn = page.locator(".figure").count(), page.locator("img").count()
        rejected = page.get_by_text("contaminated_source:playground").count()
        browser.close()
    wanted = {"Funnel", "Yield", "Near duplicates", "Diversity", "Template collapse", "Drift from the sources"}
    assert wanted | {"Bias and toxicity", "Contamination", "Privacy", "Examples", "Lineage"} <= set(titles)
    assert figures == 6 and drawn > 8 and broken == 0 and wide <= 1200 and rejected
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == [], "nothing is fetched"


def test_the_release_shows_how_the_review_went(made: Made) -> None:
    card = made.head("release").read_file("README.md").decode()
    assert "template_collapse" in card and "near_duplicates" in card
    event = made.instance.get_latest_materialization_event(dg.AssetKey(["small", "review"]))
    assert event is not None and event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert str(shown["report"].value).endswith(REPORT) and {"yield", "openings", "bias"} <= set(shown)


def test_personal_data_is_kept_out_and_what_is_disclosed_is_measured(
    workspace: Workspace, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_HOME", str(workspace.home))
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    story = (
        "The mill of village {n} was built by its people in the year 18{n:02} and has stood at the river ever since."
    )
    rows = [{"id": f"d{n}", "text": story.format(n=n) + f" Ask miller{n}@mill-{n}.org for a visit."} for n in range(40)]
    rows.append({"id": "key", "text": story.format(n=77) + " The key is AKIA" + "Q3EXKFOZ7TWNBLYD" + "."})
    write_jsonl(tmp_path / "spec" / "mills.jsonl", rows)
    answer = (
        "Q: What is it?\nA: A mill that has stood at the river.\n\nQ: Who built it?\nA: Its people did, in their time."
        " Call +1 212 555 0187 to see it."
    )
    template = Template.load("faq", Path()).text
    shown = [row["text"].split(" Ask ")[0] + " Ask [EMAIL_1] for a visit." for row in rows]
    answers = {template.replace("{{ document }}", text).strip(): answer for text in shown}
    with open_instance(workspace) as instance, mock_engine(tmp_path, answers) as engine:
        attributes = dataset(
            engine.url,
            tokenizer_folder,
            sources=[{"name": "mills", "type": "files", "path": "mills.jsonl", "columns": {"id": "id"}}],
            recipes=[{"name": "faq", "conformance": "none", "sampling": {"max_tokens": 200}}],
            privacy={"held_out": 0.3},
            quality={"faq": dict.fromkeys(LOOSE)},
        )
        made = Made(workspace, instance, tmp_path / "spec", attributes)
        made.job = None
        ended = made.run()
    assert ended.success, ended.problems
    documents = made.head("documents")
    texts = documents.scan("documents").collect()
    assert texts.height == 40 and set(texts["redacted"]) == {1}
    assert texts["text"].str.contains("[EMAIL_1]", literal=True).all() and not texts["text"].str.contains("@").any()
    assert documents.scan("skipped").collect().select("document_id", "reason", "detail").row(0) == (
        "mills/key",
        "privacy",
        "aws_access_key",
    )
    accepted = made.head("accepted/faq").scan("accepted").collect()
    assert set(accepted["redacted"]) == {1} and accepted["text"].str.contains("[PHONE_1]", literal=True).all()
    skipped = made.head("prompts/faq").scan("skipped").collect()
    assert set(skipped["reason"]) == {"held_out"} and 4 <= skipped.height <= 20
    measures = made.head("review").scan("measures").filter(pl.col("section") == "privacy").collect()
    assert "disclosure_excess" in set(measures["metric"])

    spec = with_changes(load_spec(tmp_path / "spec" / "defs.yaml"), ["privacy.output.phone=reject"])
    (recipe,) = spec.recipes
    tried = replay(workspace.snapshots, "small", None, recipe, spec.quality["faq"], spec.privacy, workspace.encoders)
    assert tried.measured and tried.accepted == [accepted.height, 0]
    assert tried.changed_reasons() == {"privacy:phone": (0, accepted.height)}


LOOSE = (
    "max_invented_numbers",
    "max_invented_names",
    "max_copied_share",
    "max_duplicate_ngrams",
    "max_duplicate_lines",
    "max_top_ngrams",
    "min_compression_ratio",
)
