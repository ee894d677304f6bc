"""Gates on the mixture: nothing contaminated, nothing from nowhere, the weights kept."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.plots import bars
from synth_platform.quality.accept import contaminated_among_ancestors
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

GATES = (
    Gate("no_contaminated_row", "contaminated_rows", 0, 0, "critical", "Rows that are, or come from, test questions"),
    Gate("accounting", "unaccounted", 0, 0, "critical", "Rows at hand that are neither mixed nor excluded"),
    Gate("unique_ids", "doubled_ids", 0, 0, "critical", "Rows that share an id with another"),
    Gate("not_empty", "rows", 1, None, "critical", "Rows mixed"),
    Gate("weights_kept", "largest_share_error", None, 0.05, "warning", "Largest distance of a share from its weight"),
)


def mixture_checks(dataset: DatasetContext, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/mixture`."""
    return gate_checks(dataset, dataset.asset("mixture"), gates, _profile)


def _profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
    rows = snapshot.scan("mixture")
    totals = (
        rows.select(
            pl.len().alias("rows"),
            pl.col("id").n_unique().alias("ids"),
        )
        .collect()
        .row(0, named=True)
    )
    matched = books(workspace, snapshot)
    shares = _shares(rows)
    return Judged(
        {
            "contaminated_rows": _contaminated_rows(workspace, snapshot),
            "unaccounted": matched.unaccounted,
            "doubled_ids": totals["rows"] - totals["ids"],
            "rows": totals["rows"],
            "largest_share_error": _share_error(snapshot, shares),
        },
        {
            "accounting": matched.describe(),
            "weights_kept": bars(shares, title="Share of tokens by component", x="share"),
        },
    )


def _contaminated_rows(workspace: Workspace, snapshot: Snapshot) -> int:
    """Rows of the mixture that any contamination verdict among its ancestors speaks against.

    Counted anew from the verdicts, not taken from what earlier stages left out.
    """
    bad = contaminated_among_ancestors(workspace.snapshots, snapshot)
    found = 0
    for batch in snapshot.batches("mixture", columns=["generation_id", "document_id"]):
        # Original rows have no generation: null must not hide a hit through the document.
        generation = pl.col("generation_id").fill_null("").is_in(bad)
        found += batch.filter(generation | pl.col("document_id").is_in(bad)).height
    return found


def _shares(rows: pl.LazyFrame) -> dict[str, float]:
    tokens = (
        rows.group_by(pl.coalesce("recipe", "source").alias("component"))
        .agg(pl.col("tokens").sum())
        .sort("component")
        .collect()
    )
    total = max(int(tokens["tokens"].sum()), 1)
    return {name: count / total for name, count in tokens.iter_rows()}


def _share_error(snapshot: Snapshot, shares: dict[str, float]) -> float:
    plan = snapshot.manifest.details.get("plan", [])
    weights = {entry["component"]: float(entry["weight"]) for entry in plan}
    total = sum(weights.values()) or 1.0
    return max((abs(shares.get(name, 0.0) - weight / total) for name, weight in weights.items()), default=0.0)
