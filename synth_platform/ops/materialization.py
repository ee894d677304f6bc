"""Dagster's record of a stage's result: counts, schema, a preview, lineage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.snapshots import Snapshot

_PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 160


@dataclass(frozen=True)
class StageResult:
    """A stage's snapshot, and whether it was there before."""

    snapshot: Snapshot
    reused: bool
    seconds: float


def materialize_result(
    result: StageResult, metadata: Mapping[str, Any], asset: str | None = None
) -> dg.MaterializeResult[Any]:
    """Dagster's record of a result: data version, counts, schema, preview and the given metadata."""
    snapshot = result.snapshot
    manifest = snapshot.manifest
    main = next(iter(manifest.tables))
    table = manifest.tables[main]
    described = {
        "dagster/row_count": table.rows,
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name, kind) for name, kind in table.columns.items()]),
        "snapshot": manifest.snapshot_id,
        "location": dg.MetadataValue.path(snapshot.location),
        "bytes": sum(entry.bytes for entry in manifest.tables.values()),
        "seconds": round(result.seconds, 2),
        "made": "found unchanged" if result.reused else "anew",
        "preview": dg.MetadataValue.md(preview(snapshot.scan(main))),
        "lineage": dg.MetadataValue.md(_lineage(snapshot)),
        **{name: count for name, count in manifest.counts.items() if name not in metadata},
        **metadata,
    }
    return dg.MaterializeResult(
        asset_key=asset.split("/") if asset else None,
        metadata=described,
        data_version=dg.DataVersion(manifest.digest),
    )


def preview(rows: pl.LazyFrame) -> str:
    """The first rows as a Markdown table, long values cut."""
    frame = rows.head(_PREVIEW_ROWS).collect()
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(shown_cell(value) for value in row) + " |" for row in frame.iter_rows()]
    return "\n".join(lines) if frame.height else "*no rows*"


def shown_cell(value: Any) -> str:
    """A value on one line of a Markdown table, cut short."""
    text = " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= _PREVIEW_CHARACTERS else text[:_PREVIEW_CHARACTERS] + "…"


def _lineage(snapshot: Snapshot) -> str:
    lines = ["| input | partition | snapshot | digest |", "|---|---|---|---|"]
    for ref in snapshot.manifest.inputs:
        lines.append(f"| {ref.asset} | {ref.partition or ''} | {ref.snapshot_id} | {ref.digest[:12]} |")
    return "\n".join(lines) if snapshot.manifest.inputs else "*no inputs*"
