"""Gates on the judge: one reply per question, grades that can be read, agreement with people."""

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
import polars as pl

from synth_platform.judging.agreement import Agreement
from synth_platform.judging.config import JudgeSpec
from synth_platform.judging.grades import read_grades
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.plots import bars
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of
from synth_platform.workspace import Workspace

PROMPT_GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Generations neither asked about nor skipped, and strays"),
    Gate("too_long_share", "too_long_share", None, 0.05, "warning", "Share of answers that do not fit the judge"),
)
GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Questions without exactly one reply, and strays"),
    Gate("graded_share", "graded_share", 0.95, None, "warning", "Share of replies with a grade that can be read"),
    Gate("agreement", "kappa", 0.6, None, "warning", "Agreement with labels beyond chance (Cohen's kappa)"),
)
"""`agreement` is there only with labels, and blocks where the judge rejects."""


def gates_of(gates: Sequence[Gate], judge: JudgeSpec, lowest: float | None) -> tuple[Gate, ...]:
    """The gates of one recipe's judge: agreement blocks where grades below ``lowest`` are rejected."""
    found: list[Gate] = []
    for gate in gates:
        if gate.metric != "kappa":
            found.append(gate)
        elif judge.labels is not None:
            found.append(gate if lowest is None else replace(gate, severity="critical"))
    return tuple(found)


def judge_prompts_checks(dataset: DatasetContext, recipe: str, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/judge_prompts/<recipe>`."""
    return gate_checks(dataset, dataset.asset("judge_prompts", recipe), gates, _profile_prompts)


def judgements_checks(
    dataset: DatasetContext, recipe: str, judge: JudgeSpec, lowest: float | None, gates: Sequence[Gate]
) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/judgements/<recipe>`.

    Args:
        dataset: the dataset.
        recipe: whose answers are graded.
        judge: its settings.
        lowest: the lowest grade that is accepted; None: all are.
        gates: see `gates_of`.
    """

    def profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
        matched = books(workspace, snapshot)
        asked = workspace.snapshots.require(input_of(snapshot, "judge_prompts"))
        grades = pl.concat(list(read_grades(asked, snapshot))).select("good", "judge_score")
        scores = grades.filter(pl.col("good").is_null())["judge_score"]
        counts = {f"{grade:g}": int((scores == grade).sum()) for grade in range(1, judge.scale + 1)}
        metrics = {
            "unaccounted": float(matched.unaccounted),
            "graded_share": 1 - grades["judge_score"].null_count() / max(grades.height, 1),
        }
        notes = {"accounting": matched.describe(), "graded_share": bars(counts, title="Grades", x="generations")}
        labelled = grades.drop_nulls("good")
        if labelled.height:
            agreement = Agreement(labelled["judge_score"].to_list(), labelled["good"].to_list(), judge.scale)
            metrics["kappa"] = (agreement.best if lowest is None else agreement.cut(lowest)).kappa
            notes["agreement"] = agreement.describe(lowest)
        return Judged(metrics, notes)

    return gate_checks(dataset, dataset.asset("judgements", recipe), gates, profile)


def _profile_prompts(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    reasons: dict[str, int] = dict(snapshot.scan("skipped").group_by("reason").len().sort("reason").collect().rows())
    return Judged(
        {
            "unaccounted": matched.unaccounted,
            "too_long_share": reasons.get("too_long", 0) / max(matched.parents, 1),
        },
        {"accounting": matched.describe(), "too_long_share": bars(reasons, title="Not graded", x="answers")},
    )
