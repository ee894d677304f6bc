"""Gates on the generations: one outcome per prompt, few failures, few cut answers."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.generation.answers.outcome import STATUSES
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.plots import bars
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Prompts without exactly one outcome, and strays"),
    Gate("known_outcomes", "unknown_outcomes", 0, 0, "critical", "Rows with an outcome that does not exist"),
    Gate("failed_share", "failed_share", None, 0.05, "critical", "Share of prompts the engine never answered"),
    Gate("truncated_share", "truncated_share", None, 0.5, "warning", "Share of answers cut at max_tokens"),
    Gate("empty_share", "empty_share", None, 0.1, "warning", "Share of answers without text"),
)


def generations_checks(dataset: DatasetContext, recipe: str, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/generations/<recipe>`."""
    return gate_checks(dataset, dataset.asset("generations", recipe), gates, _profile)


def _profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    statuses: dict[str, int] = dict(snapshot.scan().group_by("status").agg(pl.len()).collect().iter_rows())
    rows = max(matched.children, 1)
    failed = statuses.get("failed", 0) + statuses.get("refused_by_engine", 0)
    return Judged(
        {
            "unaccounted": matched.unaccounted,
            "unknown_outcomes": sum(count for name, count in statuses.items() if name not in STATUSES),
            "failed_share": failed / rows,
            "truncated_share": statuses.get("truncated", 0) / rows,
            "empty_share": statuses.get("empty", 0) / rows,
        },
        {"accounting": matched.describe(), "failed_share": bars(statuses, title="Outcomes", x="generations")},
    )
