"""A judge in a dataset: it may reject only once it is known to agree with people."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from synth_platform.dataset.graph import dataset_stages
from synth_platform.dataset.spec import DatasetSpec, load_spec
from synth_platform.errors import SpecError
from synth_platform.ops.forecast import bill_of
from synth_platform.ops.launch import Launched, run_dataset
from synth_platform.ops.plan import Planner
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.catalog import Catalog, ancestors
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.pipeline import Engine, dataset, mock_engine, opened, perfect_answers, write_spec

RUBRIC = "Every sentence must follow from the document."
NONSENSE = "The moon is made of cheese."


class Judged:
    """A dataset of one recipe with a judge who dislikes some documents, and nonsense."""

    def __init__(self, folder: Path, engine: Engine, workspace: Workspace, instance: dg.DagsterInstance, model: Path):
        self.folder, self.engine, self.workspace, self.instance, self.model = folder, engine, workspace, instance, model

    def spec(self, judge: dict[str, Any], **changes: Any) -> DatasetSpec:
        recipe = {"name": "faq", "sampling": {"max_tokens": 400}, "judge": {"rubric": RUBRIC, **judge}}
        return load_spec(write_spec(self.folder, dataset(self.engine.url, self.model, recipes=[recipe], **changes)))

    def run(self, judge: dict[str, Any], **changes: Any) -> Launched:
        return run_dataset(self.spec(judge, **changes), self.folder, self.workspace, self.instance)

    def asks(self, judge: dict[str, Any], **changes: Any) -> list[tuple[str, int | None, bool]]:
        """What the plan of a run says that engines would be asked; its bill counts the same."""
        spec, at_rest = self.spec(judge, **changes), self.workspace.at_rest()
        plan = Planner(dataset_stages(spec, self.folder), at_rest).plan(None)
        bill = bill_of([plan], spec, self.folder, at_rest)
        prompts = sum(one.prompts or 0 for one in plan.asked)
        assert prompts == (bill.at_most.prompts if bill.at_most else 0), bill
        return [(one.recipe, one.prompts, one.certain) for one in plan.asked]

    def head(self, asset: str) -> Snapshot:
        found = self.workspace.snapshots.head(f"small/{asset}", None)
        assert found is not None, asset
        return found

    def closed(self, ended: Launched) -> list[tuple[str, str]]:
        events = [log.dagster_event for log in self.instance.all_logs(ended.run_id) if log.dagster_event]
        found = [one.event_specific_data for one in events if one.event_type_value == "ASSET_CHECK_EVALUATION"]
        failed = [one for one in found if isinstance(one, dg.AssetCheckEvaluation) and not one.passed and one.blocking]
        return [("/".join(one.asset_key.path), one.check_name) for one in failed]

    def label(self, bad: str) -> str:
        good = [{"source": "It rains.", "answer": f"Rain falls, {n}.", "good": True} for n in range(30)]
        others = [{"source": "It rains.", "answer": f"{bad} {n}", "good": False} for n in range(30)]
        write_jsonl(self.folder / "labels.jsonl", [*good, *others])
        return "labels.jsonl"


@pytest.fixture
def judged(tokenizer_folder: Path, tmp_path: Path) -> Iterator[Judged]:
    workspace = Workspace(tmp_path / "home")
    answers = perfect_answers(24, planted=2)
    disliked = next(iter(answers)).split()[-1]
    grades = {NONSENSE: 1, disliked: 2}
    with mock_engine(tmp_path, answers, grades=grades) as engine, opened(workspace) as instance:
        yield Judged(tmp_path / "spec", engine, workspace, instance, tokenizer_folder)


def test_a_judge_that_agrees_with_people_rejects(judged: Judged) -> None:
    limits = {"faq": {"min_judge_score": 3}}
    ended = judged.run({"labels": judged.label(NONSENSE)}, quality=limits)
    assert ended.success, ended.problems
    quality = judged.head("quality/faq").scan().collect()
    low = quality.filter(pl.col("judge_score") == 2)
    assert 0 < low.height < 24 and all("judge" in reasons for reasons in low["reasons"])
    assert quality["judge_score"].null_count() == 0 and set(low["judge_reason"]) == {"It was asked to."}
    assert not set(low["generation_id"]) & set(judged.head("accepted/faq").scan("accepted").collect()["generation_id"])
    for asset in ("judge_prompts/faq", "judgements/faq"):
        books = account(judged.workspace.snapshots, judged.head(asset))
        assert books is not None and books.closes
    trace = Catalog(ancestors(judged.workspace.snapshots, [judged.head("release")])).trace(low["generation_id"][0])
    assert any(verdict.get("judge_score") == 2 for verdict in trace.verdicts)

    asked, before = len(judged.engine.requests()), judged.head("generations/faq").manifest.digest
    labels, other = {"labels": judged.label(NONSENSE)}, {"quality": {"faq": {"min_judge_score": 2}}}
    assert judged.asks(labels, **other) == []
    assert judged.run(labels, **other).success
    assert len(judged.engine.requests()) == asked, "another limit asks nobody anything"
    assert judged.asks({"rubric": "It must be short.", **labels}, quality=limits) == [("faq, judged", 24 + 60, True)]
    assert judged.run({"rubric": "It must be short.", **labels}, quality=limits).success
    assert len(judged.engine.requests()) == asked + 24 + 60, "another rubric has only the grades made anew"
    assert judged.head("generations/faq").manifest.digest == before


def test_a_judge_that_disagrees_with_people_lets_nothing_through(judged: Judged) -> None:
    labels = judged.label("Nobody can tell that this is wrong.")
    ended = judged.run({"labels": labels}, quality={"faq": {"min_judge_score": 3}})
    assert not ended.success
    assert judged.closed(ended) == [("small/judgements/faq", "agreement")]
    assert judged.workspace.snapshots.head("small/quality/faq", None) is None
    watched = judged.run({"labels": labels})
    assert watched.success, "a judge that only watches stops nothing"
    assert judged.head("quality/faq").scan().select(pl.col("judge_score").is_not_null().all()).collect().item()


@pytest.mark.parametrize(
    ("judge", "said"),
    [
        ({"labels": None}, "needs labels"),
        ({"labels": "labels.jsonl", "share": 0.5}, "needs grades of all answers"),
        ({"labels": "labels.jsonl", "scale": 2}, "above the scale"),
        (None, "needs a judge"),
    ],
)
def test_a_judge_may_not_reject_unmeasured(
    judge: dict[str, Any] | None, said: str, tokenizer_folder: Path, tmp_path: Path
) -> None:
    recipe: dict[str, Any] = {"name": "faq", "sampling": {"max_tokens": 400}}
    if judge is not None:
        recipe["judge"] = {"rubric": RUBRIC, **judge}
    changes = {"recipes": [recipe], "quality": {"faq": {"min_judge_score": 3}}}
    path = write_spec(tmp_path, dataset("http://127.0.0.1:1/v1", tokenizer_folder, **changes))
    with pytest.raises(SpecError, match=said):
        load_spec(path)
