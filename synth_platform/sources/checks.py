"""Gates on the documents: nothing lost, nothing empty, nothing twice."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks, skipped_examples
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Rows read that are neither documents nor skipped"),
    Gate("not_empty", "documents", 1, None, "critical", "Documents selected"),
    Gate("unique_ids", "doubled_ids", 0, 0, "critical", "Documents that share an id with another"),
    Gate("no_empty_text", "empty_texts", 0, 0, "critical", "Documents without text"),
    Gate("selected_share", "selected_share", 0.01, None, "warning", "Share of the rows read that were selected"),
)


def documents_checks(dataset: DatasetContext, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/documents`."""
    return gate_checks(dataset, dataset.asset("documents"), gates, _profile)


def _profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
    documents = (
        snapshot.scan("documents")
        .select(
            pl.len().alias("rows"),
            pl.col("id").n_unique().alias("ids"),
            (pl.col("text").str.strip_chars() == "").sum().alias("empty"),
        )
        .collect()
        .row(0, named=True)
    )
    matched = books(workspace, snapshot)
    left_out = skipped_examples(snapshot)
    return Judged(
        {
            "unaccounted": matched.missing + matched.strays,
            "documents": documents["rows"],
            "doubled_ids": documents["rows"] - documents["ids"],
            "empty_texts": documents["empty"],
            "selected_share": documents["rows"] / max(matched.parents, 1),
        },
        {"accounting": matched.describe(), "not_empty": left_out, "selected_share": left_out},
    )
