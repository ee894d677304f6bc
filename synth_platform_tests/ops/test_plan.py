"""The plan: what a run would make, and why; nothing after a run, exactly what a change concerns afterwards."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test

from synth_platform import file_digests
from synth_platform.dataset.definitions import benchmark_definitions, dataset_definitions
from synth_platform.dataset.graph import dataset_stages
from synth_platform.dataset.jobs import prompts_job_name, screen_job_name
from synth_platform.dataset.spec import load_spec
from synth_platform.errors import SynthError
from synth_platform.ops import long_look
from synth_platform.ops.forecast import bill_of
from synth_platform.ops.instance import open_instance
from synth_platform.ops.launch import run_dataset
from synth_platform.ops.plan import CyclePlan, Planner
from synth_platform.ops.plan_job import plan_job_name
from synth_platform.ops.regenerate import regenerate_sensor_name
from synth_platform.ops.rescan import rescan_job_name
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import DATASET_TAG, WHY_TAG
from synth_platform.prompts.templates import Template
from synth_platform.snapshots import Snapshot, cache_file, head_cache
from synth_platform.snapshots.verify import verify
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.generation.mock_server import Fault
from synth_platform_tests.pipeline import (
    Engine,
    copied,
    dataset,
    mock_engine,
    opened,
    perfect_answers,
    synth,
    write_spec,
)

pytestmark = pytest.mark.xdist_group("plan")  # what they start from is made once

RECIPES = ("mine", "faq")
DOCUMENTS = 24


class Deployment:
    """A dataset whose spec, template and files may change between runs."""

    def __init__(
        self, workspace: Workspace, instance: dg.DagsterInstance, folder: Path, attributes: dict[str, Any]
    ) -> None:
        self.workspace, self.instance, self.folder, self.attributes = workspace, instance, folder, attributes
        self.cursor: str | None = None

    @property
    def spec(self):
        return load_spec(write_spec(self.folder, self.attributes))

    def run(self, partition: str | None = None, **options: Any) -> str:
        ended = run_dataset(self.spec, self.folder, self.workspace, self.instance, partition=partition, **options)
        assert ended.success, ended.problems
        return ended.run_id

    def plan(self, partition: str | None = None) -> CyclePlan:
        return Planner(dataset_stages(self.spec, self.folder), self.workspace.at_rest()).plan(partition)

    def work(self, partition: str | None = None) -> dict[str, str]:
        """What a run would do, by asset, where it is anything."""
        steps = self.plan(partition).steps
        return {one.asset.removeprefix("small/"): one.work for one in steps if one.work != "none"}

    def settings(self) -> dict[str, Any]:
        """What determines each asset, beside its inputs."""
        stages, workspace = dataset_stages(self.spec, self.folder), self.workspace.at_rest()
        return {
            asset.removeprefix("small/"): build(workspace, None).settings
            for stage in stages
            for asset, build in stage.builds.items()
        }

    def head(self, asset: str) -> Snapshot:
        found = self.workspace.snapshots.head(f"small/{asset}", None)
        assert found is not None, asset
        return found

    def write_template(self, text: str) -> None:
        (self.folder / "mine.jinja").write_text(text, "utf-8")

    def definitions(self) -> tuple[dg.Definitions, dict[str, Any]]:
        spec = self.spec
        resources = {"workspace": WorkspaceResource(home=str(self.workspace.home), data=self.workspace.data)}
        made = dg.Definitions.merge(
            dataset_definitions(spec, self.folder),
            benchmark_definitions([(spec, self.folder)]),
            dg.Definitions(resources=resources),
        )
        return made, resources

    def tick(
        self,
        sensor_name: str = regenerate_sensor_name("small"),
        loaded: tuple[dg.Definitions, dict[str, Any]] | None = None,
    ) -> Any:
        """One tick of a sensor, by default of that which notices changes, with the cursor of the tick before.

        Args:
            sensor_name: which.
            loaded: the definitions; None: as they would be loaded now.
        """
        definitions, resources = loaded or self.definitions()
        sensor = definitions.resolve_sensor_def(sensor_name)
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=definitions, resources=resources
        )
        ticked = sensor.evaluate_tick(context)
        self.cursor = ticked.cursor
        return ticked


def attributes_of(engine: Engine, tokenizer: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Two recipes over made and written documents, one with a template of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.jinja").write_text(Template.load("table", Path()).text, "utf-8")
    write_jsonl(folder / "pages" / "a.jsonl", [{"text": f"A page about lamp number {n}."} for n in range(3)])
    attributes = dataset(engine.url, tokenizer, **changes)
    attributes["sources"].append({"name": "pages", "type": "files", "path": "pages", "roles": ["mix_in"]})
    attributes["recipes"] = [
        {"name": "mine", "template": "mine.jinja", "sampling": {"max_tokens": 400}},
        {"name": "faq", "sampling": {"max_tokens": 400}},
    ]
    return attributes


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with mock_engine(tmp_path_factory.mktemp("engine"), perfect_answers(DOCUMENTS, planted=2)) as running:
        yield running


@pytest.fixture(scope="module")
def first(engine: Engine, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A dataset that was made once; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("first")
    workspace = Workspace(folder / "home")
    attributes = attributes_of(engine, tokenizer_folder, folder / "spec")
    with opened(workspace) as instance:
        Deployment(workspace, instance, folder / "spec", attributes).run()
    return folder, attributes


@pytest.fixture
def made(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Deployment]:
    folder, attributes = first
    with copied(folder, tmp_path) as (workspace, instance):
        yield Deployment(workspace, instance, tmp_path / "spec", json.loads(json.dumps(attributes)))


def test_nothing_is_to_be_made_after_a_run(made: Deployment, engine: Engine) -> None:
    plan = made.plan()
    assert plan.is_current, plan.describe()
    assert {step.state for step in plan.steps} == {"current"} and plan.asked == ()
    order = [step.asset for step in plan.steps]
    assert order.index("evals/playground") < order.index("small/documents") < order.index("small/prompts/faq")
    assert order.index("small/mixture") < order.index("small/review") < order.index("small/release")


def test_a_plan_reads_no_manifest_that_was_read_for_another(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of cycles each would be a request: most are known to be current by their identities."""
    monkeypatch.setattr(cache_file, "_WORTH_WRITING", 1)
    monkeypatch.setattr(head_cache, "_SETTLED_NS", -1)
    read: list[list[str]] = []
    for _ in range(2):
        workspace = made.workspace.at_rest()
        paths, store = [], workspace.snapshots.store
        monkeypatch.setattr(store, "read", lambda path, paths=paths, read=store.read: paths.append(path) or read(path))
        (plan,) = Planner(dataset_stages(made.spec, made.folder), workspace).plans([None])
        assert plan.is_current, plan.describe()
        read.append([path for path in paths if path.endswith("manifest.json")])
    first, again = read
    assert [path.rsplit("/", 3)[0] for path in first] == ["small/release"] and again == []


AFTER_ALL = {"mixture": "make", "review": "make", "release": "make"}


def test_a_changed_template_concerns_its_recipe_and_what_follows(made: Deployment, engine: Engine) -> None:
    made.write_template(Template.load("table", Path()).text + "\nWrite in English.")
    assert made.work() == AFTER_ALL | {
        f"{stage}/mine": "make" for stage in ("prompts", "generations", "quality", "contamination", "accepted")
    }
    plan = made.plan()
    steps = {step.asset: step for step in plan.steps}
    assert steps["small/prompts/mine"].state == "stale" and "template has changed" in steps["small/prompts/mine"].why
    assert steps["small/mixture"].state == "follows"
    assert [(one.recipe, one.prompts, one.certain) for one in plan.asked] == [("mine", DOCUMENTS, True)]
    bill = bill_of([plan], made.spec, made.folder, made.workspace)
    assert bill.certain is not None and bill.certain.prompts == DOCUMENTS and bill.certain.output_tokens > 0

    asked = len(engine.requests())
    before = {asset: made.workspace.snapshots.head(f"small/{asset}", None) for asset in ("generations/faq", "mixture")}
    made.run()
    assert len(engine.requests()) - asked == DOCUMENTS, "another recipe's prompts were asked"
    after = {asset: made.workspace.snapshots.head(f"small/{asset}", None) for asset in before}
    assert before["generations/faq"] == after["generations/faq"] and before["mixture"] != after["mixture"]
    assert made.plan().is_current

    made.write_template(Template.load("table", Path()).text)
    back = made.work()
    assert {back.pop(asset) for asset in ("review", "release")} == {"make"}, "they compare with the release before"
    assert set(back.values()) == {"reuse"}, "what was made of the old template is there"
    made.run()
    assert len(engine.requests()) - asked == DOCUMENTS and made.plan().is_current


def test_changed_limits_concern_no_generation(made: Deployment) -> None:
    made.attributes["quality"] = {"faq": {"min_words": 3}}
    plan = made.plan()
    assert made.work() == {"quality/faq": "make", "accepted/faq": "check"} | dict.fromkeys(AFTER_ALL, "check")
    assert plan.asked == () and "nothing for the engine" in plan.describe()
    (quality,) = (step for step in plan.steps if step.asset == "small/quality/faq")
    assert quality.why == ("quality.min_words 5 -> 3",) or "quality.min_words" in quality.why[0]


def test_a_new_source_file_is_read_and_the_rest_is_checked(made: Deployment, engine: Engine) -> None:
    write_jsonl(made.folder / "pages" / "b.jsonl", [{"text": "A page that came later."}])
    work = made.work()
    assert work.pop("documents") == "make" and set(work.values()) == {"check"}
    plan = made.plan()
    assert any("content.pages has changed" in step.why for step in plan.steps)
    assert {one.certain for one in plan.asked} == {False}
    asked = len(engine.requests())
    made.run()
    assert made.plan().is_current and len(engine.requests()) == asked, "pages are mixed in, not rewritten"


def test_of_more_documents_only_the_new_prompts_are_asked(made: Deployment, engine: Engine) -> None:
    """Answers to the same requests are taken from the version before; those made under other settings never are."""
    asked, before = len(engine.requests()), made.head("generations/faq")
    source = made.attributes["sources"][1]
    source["roles"] = ["rewrite", "mix_in"]
    source["select"] = {"sample": {"documents": 12}, "max_tokens": 400}
    assert made.work()["documents"] == "make"
    made.run(job=prompts_job_name("small"))
    left = [(one.recipe, one.prompts, one.certain) for one in made.plan().asked]
    made.run()
    after = made.head("generations/faq")
    new = after.manifest.rows - before.manifest.rows
    assert new > 0 and len(engine.requests()) - asked == 2 * new
    assert left == [("mine", new, True), ("faq", new, True)], "with the prompts rendered the plan is exact"
    old, rows = before.scan().collect(), after.scan().collect()
    assert rows.filter(pl.col("id").is_in(old["id"].to_list())).sort("id").equals(old.sort("id"))
    assert after.manifest.details["answers_from"] == before.manifest.snapshot_id
    assert verify(made.workspace.snapshots, [after]).problems == []

    asked = len(engine.requests())
    made.attributes["recipes"][1]["sampling"]["temperature"] = 0.5
    made.run()
    assert len(engine.requests()) - asked == after.manifest.rows
    made.run(fresh=True)
    assert len(engine.requests()) - asked == 2 * after.manifest.rows + made.head("generations/mine").manifest.rows


def test_a_changed_test_set_is_searched_for(made: Deployment) -> None:
    write_jsonl(
        made.folder / "late.jsonl", [{"id": "1", "question": "Who sold the nine bridges of Grimsdal, and why?"}]
    )
    made.attributes["benchmarks"].append({"name": "late", "path": "late.jsonl"})
    work = made.work()
    assert work["evals/late"] == "make" and work["contamination/index"] == "make"
    assert not {"documents", "prompts/faq", "generations/faq", "quality/faq"} & set(work)
    assert work["contamination/faq"] in ("make", "check") and work["release"] in ("make", "check")
    made.run()
    assert made.plan().is_current
    write_jsonl(
        made.folder / "late.jsonl", [{"id": "1", "question": "Who bought the seven towers of Orrery, and when?"}]
    )
    assert made.work()["evals/late"] == "make"


def test_an_engine_that_is_away_is_taken_to_be_the_one_of_the_last_version(made: Deployment) -> None:
    made.attributes["engine"]["urls"] = ["http://127.0.0.1:9/v1"]
    plan = made.plan()
    assert plan.is_current
    (step,) = (one for one in plan.steps if one.asset == "small/generations/faq")
    assert "cannot be reached" in step.why[0]
    made.attributes["engine"]["model"] = "another"
    steps = {one.asset: one for one in made.plan().steps}
    assert steps["small/generations/faq"].state == "unknown" and steps["small/generations/faq"].work == "check"
    assert [(one.prompts, one.certain) for one in made.plan().asked] == [(DOCUMENTS, False)] * 2


def test_of_work_that_was_begun_only_the_rest_is_asked(
    workspace: Workspace, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    answers = perfect_answers(DOCUMENTS, planted=2)
    with mock_engine(tmp_path, answers, Fault("die", after=30)) as dying, open_instance(workspace) as instance:
        begun = Deployment(
            workspace, instance, tmp_path / "spec", attributes_of(dying, tokenizer_folder, tmp_path / "spec")
        )
        ended = run_dataset(begun.spec, begun.folder, workspace, instance)
        assert not ended.success
        without = begun.plan()
        assert [(one.prompts, one.certain) for one in without.asked] == [(DOCUMENTS, True)] * 2, "the engine is away"
        with mock_engine(tmp_path, answers) as engine:
            begun.attributes["engine"]["urls"] = [engine.url]
            left = sum(one.prompts or 0 for one in begun.plan().asked)
            assert 2 * DOCUMENTS - 30 <= left < 2 * DOCUMENTS
            assert {step.state for step in begun.plan().steps} == {"current", "missing"}
            said = begun.tick().skip_message
            assert said.endswith("Begun and never released, which is for people to go on with: small."), said


def test_a_version_made_afresh_stays_the_current_one(made: Deployment, engine: Engine) -> None:
    made.run(fresh=True)
    fresh = made.workspace.snapshots.head("small/generations/faq", None)
    assert made.plan().is_current
    made.run()
    assert made.workspace.snapshots.head("small/generations/faq", None) == fresh


def test_the_command_and_the_interface_show_the_same_plan(made: Deployment) -> None:
    made.attributes["quality"] = {"faq": {"min_words": 3}}
    path = str(write_spec(made.folder, made.attributes))
    shown: Any = synth("plan", path, home=made.workspace.home)
    assert shown.returncode == 0 and "a run would" in shown.out and "│ check " in shown.out, shown.err
    as_json = json.loads(synth("plan", path, "--json", home=made.workspace.home).out)
    (plan,) = as_json["plans"]
    assert [step["asset"] for step in plan["steps"] if step["work"] == "make"] == ["small/quality/faq"]

    definitions, _ = made.definitions()
    ended = definitions.resolve_job_def(plan_job_name("small")).execute_in_process(instance=made.instance)
    observed = made.instance.fetch_observations(dg.AssetKey(["small", "release"]), limit=1).records
    assert ended.success and len(observed) == 1 and observed[0].asset_observation is not None
    table = observed[0].asset_observation.metadata["plan"]
    rows = {record.data["asset"]: record.data["work"] for record in table.value.records}  # type: ignore[union-attr]
    assert rows["small/quality/faq"] == "make" and rows["small/accepted/faq"] == "check"


def test_the_sensor_proposes_and_spends_nothing(made: Deployment) -> None:
    assert "current" in str(made.tick().skip_message)
    made.write_template(Template.load("table", Path()).text + "\nWrite in English.")
    said = made.tick()
    assert not said.run_requests and "small/prompts/mine: template has changed" in said.skip_message
    assert f"{DOCUMENTS} prompts for the engine" in said.skip_message
    assert made.tick().skip_message == said.skip_message, "the proposal stays until it is taken"
    made.run()
    assert "current" in made.tick().skip_message


def test_the_sensor_requests_a_run_once_where_the_spec_says_so(made: Deployment) -> None:
    made.attributes["regenerate"] = {"on_change": "automatic"}
    assert not made.tick().run_requests
    write_jsonl(made.folder / "pages" / "b.jsonl", [{"text": "A page that came later."}])
    (request,) = made.tick().run_requests
    assert request.partition_key is None
    assert request.tags[DATASET_TAG] == "small" and request.tags[WHY_TAG] == "changed: files of pages"
    assert not made.tick().run_requests, "a run is requested once for a change"

    running = made.instance.create_run_for_job(
        made.definitions()[0].resolve_job_def("small"), tags=request.tags, status=dg.DagsterRunStatus.STARTED
    )
    write_jsonl(made.folder / "pages" / "c.jsonl", [{"text": "And one more."}])
    assert "under way" in made.tick().skip_message
    made.instance.report_run_canceled(running)
    chosen = create_run_for_test(
        made.instance,
        "__ASSET_JOB",
        status=dg.DagsterRunStatus.NOT_STARTED,
        asset_selection=frozenset([dg.AssetKey(["small", "documents"])]),
    )
    assert "under way" in made.tick().skip_message, "a backfill that waits has no tags"
    made.instance.report_run_canceled(chosen)
    (again,) = made.tick().run_requests
    assert again.tags[WHY_TAG] == "changed: files of pages"
    made.run()
    assert "current" in made.tick().skip_message


def test_a_change_that_comes_again_is_requested_again(made: Deployment) -> None:
    made.attributes["regenerate"] = {"on_change": "automatic"}
    made.tick()
    before = Template.load("table", Path()).text
    for _ in range(2):
        made.write_template(before + "\nWrite in English.")
        (request,) = made.tick().run_requests
        assert request.tags[WHY_TAG] == "changed: the template of mine"
        assert request.run_key is None, "Dagster would drop a second one with the same key"
        made.write_template(before)
        assert not made.tick().run_requests


def test_what_a_run_left_undone_is_not_requested_again(made: Deployment) -> None:
    """Nothing but versions has changed since: the run was ended, or failed, or somebody wanted no more than prompts."""
    made.write_template(Template.load("table", Path()).text + "\nWrite in English.")
    assert "1 to be made" not in made.tick().skip_message
    made.attributes["regenerate"] = {"on_change": "automatic"}
    made.run(job=prompts_job_name("small"))
    ticked = made.tick()
    assert not ticked.run_requests and "small/generations/mine" in ticked.skip_message
    assert set(json.loads(ticked.cursor)) == {"seen", "made", "said"}
    made.cursor = json.dumps({**json.loads(ticked.cursor), "requested": {"": "as older versions wrote it"}})
    assert made.tick().skip_message == ticked.skip_message


def test_a_change_of_which_nothing_can_be_told_is_looked_at_again(
    made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.attributes["regenerate"] = {"on_change": "automatic"}
    assert not made.tick().run_requests
    write_jsonl(made.folder / "pages" / "b.jsonl", [{"text": "A page that came later."}])

    def away(*given: object) -> str:
        raise SynthError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr("synth_platform.sources.assets.source_fingerprint", away)
        ticked = made.tick()
        assert not ticked.run_requests and "cannot be told: the store is away" in made.plan().steps[1].why[0]
    (request,) = made.tick().run_requests
    assert request.tags[WHY_TAG] == "changed: files of pages"


def test_a_spec_that_is_not_loaded_yet_is_said_and_nothing_is_requested(made: Deployment) -> None:
    """A run would read the spec as it is on disk, whatever the sensor had planned."""
    made.attributes["regenerate"] = {"on_change": "automatic"}
    loaded = made.definitions()
    assert "current" in made.tick(loaded=loaded).skip_message
    made.attributes["quality"] = {"faq": {"min_words": 3}}
    path = write_spec(made.folder, made.attributes)
    write_jsonl(made.folder / "pages" / "b.jsonl", [{"text": "A page that came later."}])
    ticked = made.tick(loaded=loaded)
    assert not ticked.run_requests and "changed on disk: the spec. Reload the code location" in ticked.skip_message
    path.write_text("type: [")
    assert "cannot be looked at" in made.tick(loaded=loaded).skip_message
    (request,) = made.tick().run_requests
    assert request.tags[WHY_TAG] == "changed: files of pages, the spec"

    loaded = made.definitions()
    (made.folder / "suites.yaml").write_text(
        "mixture:\n- {name: texts, expect: expect_column_values_to_not_be_null, column: text, severity: critical}\n"
    )
    assert "changed on disk: the suites." in made.tick(loaded=loaded).skip_message


def test_new_code_of_a_stage_concerns_it_and_what_follows(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    made.attributes["regenerate"] = {"on_change": "automatic"}
    assert not made.tick().run_requests
    monkeypatch.setattr("synth_platform.prompts.assets.CODE_VERSION", "of another release")
    work = made.work()
    stages = ("generations", "quality", "contamination", "accepted")
    assert work == {
        **{f"prompts/{recipe}": "make" for recipe in RECIPES},
        **{f"{stage}/{recipe}": "check" for stage in stages for recipe in RECIPES},
        **dict.fromkeys(AFTER_ALL, "check"),
    }
    (why,) = {step.why for step in made.plan().steps if step.work == "make"}
    assert why[0].startswith("code version ") and why[0].endswith('-> "of another release"')
    (request,) = made.tick().run_requests
    assert request.tags[WHY_TAG] == "changed: the code"
    made.attributes["regenerate"] = {"on_change": "propose"}
    assert "2 to be made, 11 to be checked; first small/prompts/mine: code version" in made.tick().skip_message


def own_rule(folder: Path, body: str) -> None:
    """A conformance rule of the user's."""
    folder.mkdir(exist_ok=True)
    (folder / "own_rules.py").write_text(f"def check(text):\n    return {body}\n")


def test_a_changed_function_of_the_users_has_judged_nothing_yet(
    made: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    own_rule(tmp_path / "code", "[]")
    made.attributes["recipes"][1]["conformance"] = "own_rules:check"
    made.attributes["regenerate"] = {"on_change": "automatic"}
    made.run(job=screen_job_name("small"))
    assert made.plan().is_current and not made.tick().run_requests

    own_rule(tmp_path / "code", "['impolite'] if 'please' not in text else []")
    (request,) = made.tick().run_requests
    assert request.tags[WHY_TAG] == "changed: the conformance rule of faq"
    assert made.work() == {"quality/faq": "make", "accepted/faq": "check", **dict.fromkeys(AFTER_ALL, "check")}
    (quality,) = (step for step in made.plan().steps if step.asset == "small/quality/faq")
    assert quality.why == ("conformance_code has changed",)


def test_another_model_that_finds_persons_concerns_all_that_use_it(
    made: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "persons"
    model.mkdir()
    monkeypatch.setattr("synth_platform.privacy.persons.importlib.metadata.version", lambda package: "1")
    made.attributes["privacy"] = {"ner": str(model)}
    found: list[dict[str, Any]] = []
    for weights in ("one", "another"):
        (model / "meta.json").write_text(weights)
        seen = json.loads(made.tick().cursor)["seen"]["the model that finds persons"]
        found.append({**made.settings(), "seen": seen})
    assert {name for name in found[0] if found[0][name] != found[1][name]} == {
        "seen",
        "documents",
        "review",
        *(f"{stage}/{recipe}" for stage in ("quality", "accepted") for recipe in RECIPES),
    }


def test_files_that_stay_as_they_are_are_read_for_one_plan_only(
    made: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    digested = file_digests.digest_file
    monkeypatch.setattr(file_digests, "digest_file", lambda path: read.append(path.name) or digested(path))
    monkeypatch.setattr(cache_file, "_WORTH_WRITING", 1)
    monkeypatch.setattr(file_digests, "_SETTLED_NS", 3600 * 10**9)
    for _ in range(2):
        assert made.plan().is_current
    assert read == ["a.jsonl"] * 2, "a file of this moment may be changed again without a sign of it"
    monkeypatch.setattr(file_digests, "_SETTLED_NS", -1)
    for _ in range(3):
        assert made.plan().is_current
    assert read == ["a.jsonl"] * 3
    write_jsonl(made.folder / "pages" / "a.jsonl", [{"text": f"A page about hats, {n}."} for n in range(3)])
    assert made.work()["documents"] == "make" and read == ["a.jsonl"] * 4


def test_a_look_that_takes_longer_than_a_tick_goes_on_beside(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster would cut the tick off, and the next one would begin from nothing."""
    made.attributes["regenerate"] = {"on_change": "automatic"}
    assert not made.tick().run_requests
    go_on, asked = threading.Event(), []
    digested = file_digests.digest_file
    monkeypatch.setattr(
        file_digests, "digest_file", lambda path: asked.append(path) or (go_on.wait(60) and digested(path))
    )
    monkeypatch.setattr(long_look, "_SECONDS", 0.3)
    write_jsonl(made.folder / "pages" / "b.jsonl", [{"text": "A page that came later."}])
    loaded, before = made.definitions(), made.cursor
    for _ in range(2):
        ticked = made.tick(loaded=loaded)
        assert "still being looked at" in ticked.skip_message and made.cursor == before
    go_on.set()
    monkeypatch.setattr(long_look, "_SECONDS", 60)
    (request,) = made.tick(loaded=loaded).run_requests
    assert request.tags[WHY_TAG] == "changed: files of pages"
    assert len(asked) == 2, "each file once"


def test_suites_are_watched(made: Deployment) -> None:
    made.attributes["regenerate"] = {"on_change": "automatic"}
    made.tick()
    (made.folder / "suites.yaml").write_text(
        "mixture:\n- {name: texts, expect: expect_column_values_to_not_be_null, column: text, severity: critical}\n"
    )
    (request,) = made.tick().run_requests
    assert request.tags[WHY_TAG] == "changed: the suites"


def test_a_dataset_that_was_never_made_is_not_begun_by_the_sensor(
    workspace: Workspace, tokenizer_folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    attributes = attributes_of(engine, tokenizer_folder, tmp_path / "spec", regenerate={"on_change": "automatic"})
    with open_instance(workspace) as instance:
        new = Deployment(workspace, instance, tmp_path / "spec", attributes)
        assert new.plan().is_new
        ticked = new.tick()
        assert not ticked.run_requests and "never made" in ticked.skip_message
        new.run(job=prompts_job_name("small"))
        assert new.plan().is_new and not new.tick().run_requests, "who wants prompts does not want all of it"
        new.attributes["regenerate"] = {"on_change": "never"}
        names = [sensor.name for sensor in new.definitions()[0].sensors or ()]
        assert names == ["small_rescan"]


def test_where_nothing_was_made_no_sensor_looks_at_sources_or_test_sets(
    workspace: Workspace, tokenizer_folder: Path, tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look is a request to a bucket or the hub, which may be out of reach."""
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    attributes = attributes_of(
        engine, tokenizer_folder, tmp_path / "spec", benchmarks=[{"name": "x", "preset": "gsm8k"}]
    )
    attributes["sources"].append({"name": "far", "type": "files", "path": "hf://datasets/a/b/c.parquet"})
    for stage in ("sources.rows", "contamination.evals"):
        monkeypatch.setattr(f"synth_platform.{stage}.find_files", lambda *given: pytest.fail(f"looked at {given}"))
    with open_instance(workspace) as instance:
        new = Deployment(workspace, instance, tmp_path / "spec", attributes)
        assert "never made" in new.tick().skip_message
        new.cursor = None
        assert "no release" in new.tick(rescan_job_name("small")).skip_message


OBSTACLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "template": (
        {"recipes": [{"name": "mine", "template": "gone.jinja"}]},
        "the template cannot be read",
        "gone.jinja",
    ),
    "source": (
        {"sources": [{"name": "book", "type": "files", "path": "gone.jsonl"}]},
        "no such file",
        "gone.jsonl",
    ),
    "context": (
        {"recipes": [{"name": "faq", "sampling": {"max_tokens": 2000}}]},
        "for the document: the context has 2048, the answer may take 2000",
        "recipes.faq.sampling.max_tokens",
    ),
    "rubric": (
        {"recipes": [{"name": "faq", "sampling": {"max_tokens": 64}, "judge": {"rubric": "Is it right? " * 600}}]},
        "for document and answer together",
        "recipes.judge",
    ),
}


def test_a_source_that_is_not_there_is_said_though_the_tokenizer_is_not_there_either(tmp_path: Path) -> None:
    source = {"name": "book", "type": "files", "path": "gone.jsonl"}
    path = write_spec(tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tmp_path / "nowhere", sources=[source]))
    shown: Any = synth("plan", str(path), "--json", home=tmp_path / "home")
    said = json.loads(shown.out)["problems"]
    assert any("gone.jsonl" in one for one in said) and any("nowhere" in one for one in said), said


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_is_in_the_way_of_a_first_run_is_said_by_its_plan(
    name: str, tokenizer_folder: Path, tmp_path: Path
) -> None:
    change, problem, where = OBSTACLES[name]
    path = write_spec(tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tokenizer_folder, **change))
    shown: Any = synth("plan", str(path), "--json", home=tmp_path / "home")
    (said,) = json.loads(shown.out)["problems"]
    assert shown.returncode == 1 and problem in said and where in said, said


def test_an_engine_that_does_not_run_yet_is_in_the_way_of_nothing(tokenizer_folder: Path, tmp_path: Path) -> None:
    path = write_spec(tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tokenizer_folder))
    shown: Any = synth("plan", str(path), "--json", home=tmp_path / "home")
    assert shown.returncode == 0 and json.loads(shown.out)["problems"] == [], shown.err


def test_no_engine_is_installed_for_a_run_that_would_not_come_to_it(tokenizer_folder: Path, tmp_path: Path) -> None:
    attributes = dataset("unused", tokenizer_folder, **OBSTACLES["context"][0])
    attributes["engine"] = {"type": "vllm", "model": "synth-tiny", "context_length": 2048}
    home = tmp_path / "home"
    path = write_spec(tmp_path / "spec", attributes)
    shown: Any = synth("materialize", str(path), home=home, environment={"SYNTH_ENGINE": str(tmp_path / "engine")})
    assert shown.returncode == 2 and "recipes.faq.sampling.max_tokens" in shown.err, shown.out + shown.err
    assert not (tmp_path / "engine").exists()
