"""Gates on the release: it is the mixture, whole and unchanged."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.quality.gates import Gate
from synth_platform.release.build import TABLE
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.findings import taken_down_rows
from synth_platform.snapshots.tombstones import read_tombstones
from synth_platform.workspace import Workspace

GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Rows of the mixture that are not in the release, and strays"),
    Gate("nothing_taken_down", "taken_down", 0, 0, "critical", "Rows of documents that were taken down"),
    Gate("no_empty_text", "empty_texts", 0, 0, "critical", "Released rows without text"),
    Gate("licenses_known", "unknown_licenses", None, 0, "warning", "Released rows whose source names no license"),
)


def release_checks(dataset: DatasetContext, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/release`."""
    return gate_checks(dataset, dataset.asset("release"), gates, _profile)


def _profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    empty, unlicensed = (
        snapshot.scan(TABLE)
        .select((pl.col("text").str.strip_chars() == "").sum(), pl.col("license").is_null().sum().alias("none"))
        .collect()
        .row(0)
    )
    return Judged(
        {
            "unaccounted": matched.unaccounted,
            "taken_down": taken_down_rows(snapshot, read_tombstones(workspace.snapshots)).height,
            "empty_texts": empty,
            "unknown_licenses": unlicensed,
        },
        {"accounting": matched.describe()},
    )
