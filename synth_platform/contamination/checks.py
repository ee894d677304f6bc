"""Gates of the contamination stage: nothing goes unscanned, and the index can see what it is to find."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from synth_platform.contamination.assets import benchmark_context
from synth_platform.contamination.config import ExactSpec
from synth_platform.contamination.report import describe_hits, worst_verdicts
from synth_platform.contamination.search import load_index
from synth_platform.contamination.word_index import Index
from synth_platform.naming import EVALS_GROUP
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of
from synth_platform.snapshots.reconcile import reconcile
from synth_platform.workspace import Workspace

BENCHMARK_GATES = (
    Gate("not_empty", "items", 1, None, "critical", "Items of the test set"),
    Gate("unique_ids", "doubled_ids", 0, 0, "critical", "Items that share an id with another"),
)
INDEX_GATES = (
    Gate("benchmarks_named", "benchmarks", 1, None, "warning", "Test sets that the dataset is checked against"),
    Gate("findable", "unfindable_share", None, 0.05, "warning", "Share of items that say too little to be found"),
)
SCAN_GATES = (
    Gate("nothing_unscanned", "unscanned", 0, 0, "critical", "Texts without a verdict, and strays"),
    Gate("contaminated_share", "contaminated_share", None, 0.1, "warning", "Share of texts that contain a test item"),
    Gate("suspect_share", "suspect_share", None, 0.05, "warning", "Share of texts that may contain one"),
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
    index = load_index(snapshot)
    questions = index.parts.filter(pl.col("part") == "question")
    masses = Index(index.parts).masses[: questions.height]
    unfindable = int((masses < ExactSpec().least_information).sum())
    share = unfindable / questions.height if questions.height else 0.0
    return Judged({"benchmarks": questions["eval"].n_unique(), "unfindable_share": share})


def _profile_scan(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    rows = snapshot.scan("contamination")
    verdicts, hits = worst_verdicts(rows), describe_hits(rows)
    texts = max(sum(verdicts.values()), 1)
    return Judged(
        {
            "unscanned": matched.unaccounted + _unscanned_prompts(workspace, snapshot),
            "contaminated_share": verdicts["contaminated"] / texts,
            "suspect_share": verdicts["suspect"] / texts,
        },
        {"nothing_unscanned": matched.describe(), "contaminated_share": hits, "suspect_share": hits},
    )


def _unscanned_prompts(workspace: Workspace, snapshot: Snapshot) -> int:
    """Prompts without a verdict, and strays."""
    if "prompts" not in snapshot.manifest.tables:
        return 0
    asked = workspace.snapshots.require(input_of(snapshot, "prompts")).scan("prompts")
    scanned = snapshot.scan("prompts").select("row_id").unique()
    return reconcile(asked, scanned, parent="id", child="row_id").unaccounted
