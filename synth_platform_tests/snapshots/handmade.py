"""Versions made by hand, for tests of what is done with them."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace


def version(
    workspace: Workspace,
    asset: str,
    tables: Mapping[str, pl.DataFrame],
    *inputs: InputRef,
    partition: str | None = None,
    folder: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Snapshot:
    """A version that becomes the current one."""
    identity = Identity(asset, partition, "1", settings or {}, inputs)
    schemas = {name: rows.schema for name, rows in tables.items()}
    writer = SnapshotWriter(workspace.snapshots, identity, schemas, scratch=workspace.scratch, folder=folder)
    for name, rows in tables.items():
        writer.write(name, rows)
    made = writer.commit()
    workspace.snapshots.set_head(made, "by hand")
    return made


def table(schema: pl.Schema, **columns: Sequence[object]) -> pl.DataFrame:
    """Rows of a schema; columns that are not given are null."""
    rows = len(next(iter(columns.values())))
    return pl.DataFrame({name: columns.get(name, [None] * rows) for name in schema}, schema=schema)
