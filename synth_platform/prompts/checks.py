"""Gates on the prompts: every document accounted for, every prompt inside the context."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks, skipped_examples
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Documents that are neither prompts nor skipped, and strays"),
    Gate("unique_ids", "doubled_ids", 0, 0, "critical", "Prompts that share an id with another"),
    Gate("fits_context", "over_context", 0, 0, "critical", "Prompts that leave too little room for the answer"),
    Gate("not_empty", "prompts", 1, None, "critical", "Prompts rendered"),
    Gate("prompted_share", "prompted_share", 0.5, None, "warning", "Share of the documents with at least one prompt"),
)


def prompts_checks(
    dataset: DatasetContext, recipe: RecipeSpec, gates: Sequence[Gate], *, context_length: int
) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/prompts/<recipe>`."""
    limit = context_length - recipe.sampling.max_tokens

    def profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
        matched = books(workspace, snapshot)
        left_out = skipped_examples(snapshot)
        rows = (
            snapshot.scan("prompts")
            .select(
                pl.len().alias("rows"),
                pl.col("id").n_unique().alias("ids"),
                (pl.col("prompt_tokens") > limit).sum().alias("over"),
                pl.col("document_id").n_unique().alias("documents"),
            )
            .collect()
            .row(0, named=True)
        )
        return Judged(
            {
                "unaccounted": matched.unaccounted,
                "doubled_ids": rows["rows"] - rows["ids"],
                "over_context": rows["over"],
                "prompts": rows["rows"],
                "prompted_share": rows["documents"] / matched.parents if matched.parents else 0.0,
            },
            {"accounting": matched.describe(), "not_empty": left_out, "prompted_share": left_out},
        )

    return gate_checks(dataset, dataset.asset("prompts", recipe.name), gates, profile)
