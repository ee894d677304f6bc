"""Dagster's record of a stage's result: counts, schema, a preview, lineage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.ops.columns import meaning_of
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
        "dagster/column_schema": _schema(table.columns),
        **metadata,
        **{name: count for name, count in manifest.counts.items() if name not in metadata},
        "made": "found unchanged" if result.reused else "anew",
        "seconds": round(result.seconds, 2),
        "bytes": sum(entry.bytes for entry in manifest.tables.values()),
        "snapshot": manifest.snapshot_id,
        "location": dg.MetadataValue.path(snapshot.location),
        "lineage": dg.MetadataValue.md(_lineage(snapshot)),
        "preview": metadata.get("preview", dg.MetadataValue.md(preview(snapshot.scan(main)))),
    }
    return dg.MaterializeResult(
        asset_key=asset.split("/") if asset else None,
        metadata=described,
        data_version=dg.DataVersion(manifest.digest),
    )


def shown_counts(counts: Mapping[str, int]) -> dg.MetadataValue:
    """Counts by name in one line, the largest first."""
    largest = sorted(counts.items(), key=lambda item: -item[1])
    return dg.MetadataValue.text(", ".join(f"{name} {count:,}" for name, count in largest) or "none")


def _schema(columns: Mapping[str, str]) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, kind, description=meaning_of(name)) for name, kind in columns.items()])


def preview(rows: pl.LazyFrame, most: int = _PREVIEW_ROWS) -> str:
    """The first rows as a Markdown table, long values cut."""
    frame = rows.head(most).collect()
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
