"""Gates of the contamination stage: nothing goes unscanned, and the index can see what it is to find."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from synth_platform.contamination.assets import EVALS_GROUP, benchmark_context
from synth_platform.contamination.report import describe_hits
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.ops.stage import DatasetContext
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

BENCHMARK_GATES = (
    Gate("not_empty", "items", 1, None, "critical", "Items of the test set"),
    Gate("unique_ids", "doubled_ids", 0, 0, "critical", "Items that share an id with another"),
)
INDEX_GATES = (
    Gate("benchmarks_named", "benchmarks", 1, None, "warning", "Test sets that the dataset is checked against"),
    Gate("findable", "too_short_share", None, 0.2, "warning", "Share of items too short to be found"),
)
SCAN_GATES = (
    Gate("nothing_unscanned", "unscanned", 0, 0, "critical", "Texts without a verdict, and strays"),
    Gate("contaminated_share", "contaminated_share", None, 0.1, "warning", "Share of texts that contain a test item"),
)


def benchmark_checks(name: str, gates: Sequence[Gate] = BENCHMARK_GATES) -> dg.AssetChecksDefinition:
    """The gates of `evals/<benchmark>`."""
    context = benchmark_context(Path())
    return gate_checks(context, f"{EVALS_GROUP}/{name}", gates, _profile_benchmark, partitioned=False)


def index_checks(dataset: DatasetContext, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/contamination/index`."""
    return gate_checks(dataset, dataset.asset("contamination", "index"), gates, _profile_index)


def contamination_checks(dataset: DatasetContext, what: str, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/contamination/<documents or recipe>`."""
    return gate_checks(dataset, dataset.asset("contamination", what), gates, _profile_scan)


def _profile_benchmark(workspace: Workspace, snapshot: Snapshot) -> Judged:
    items, ids = snapshot.scan().select(pl.len(), pl.col("id").n_unique().alias("ids")).collect().row(0)
    return Judged({"items": items, "doubled_ids": items - ids})


def _profile_index(workspace: Workspace, snapshot: Snapshot) -> Judged:
    items = snapshot.scan("items")
    benchmarks, short, total = (
        items.select(pl.col("eval").n_unique(), (pl.col("indexed_words") == 0).sum().alias("short"), pl.len())
        .collect()
        .row(0)
    )
    return Judged({"benchmarks": benchmarks, "too_short_share": short / total if total else 0.0})


def _profile_scan(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    rows = snapshot.scan("contamination")
    bad = rows.filter(pl.col("verdict") == "contaminated").select(pl.col("row_id").n_unique()).collect().item()
    return Judged(
        {
            "unscanned": matched.unaccounted,
            "contaminated_share": bad / max(matched.parents, 1),
        },
        {"nothing_unscanned": matched.describe(), "contaminated_share": describe_hits(rows)},
    )
