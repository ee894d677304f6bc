"""What speaks against rows of a release after it was made: scans that found test items, and takedowns."""

from pathlib import Path

import polars as pl

from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.identity import Identity, dataset_of
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.tombstones import TakenDown, Tombstone
from synth_platform.snapshots.writer import SnapshotWriter

TAKEDOWN = "{}/takedown"
"""Asset of the released rows of a dataset that were taken down."""
FINDINGS = ("contamination", "takedown")
"""Kinds of assets that may speak against rows of a release."""
TAKEN_DOWN = pl.Schema({"row_id": pl.String(), "takedown": pl.String()})
_TABLE = "taken_down"
_LOOKED_AT = ("id", "document_id", "url", "text", "origin")
_CODE_VERSION = "1"
_RUN = "takedown"


def rows_against(finding: Snapshot) -> pl.LazyFrame:
    """Ids (column ``id``) of the released rows that a finding speaks against, each once."""
    if kind_of(finding.manifest.asset) == "takedown":
        rows = finding.scan(_TABLE)
    else:
        rows = finding.scan("contamination").filter(pl.col("verdict") == "contaminated")
    return rows.select(pl.col("row_id").alias("id")).unique().sort("id")


def taken_down_rows(release: Snapshot, tombstones: list[Tombstone]) -> pl.DataFrame:
    """`TAKEN_DOWN` for the rows of a release that are, or were made of, documents that were taken down."""
    found = [pl.DataFrame(schema=TAKEN_DOWN)]
    dataset = dataset_of(release.manifest.asset)
    wanted = TakenDown.of(tombstones, dataset)  # all at once: a release is read once, however many takedowns there are
    hits = release.scan().filter(wanted.matches("document_id")).select(_LOOKED_AT).collect()
    for one in tombstones if hits.height else ():
        rows = hits.filter(TakenDown.of([one], dataset).matches("document_id")).select(pl.col("id").alias("row_id"))
        found.append(rows.with_columns(pl.lit(one.id).alias("takedown")))
    return pl.concat(found).unique("row_id", keep="first", maintain_order=True)


def write_finding(snapshots: Snapshots, release: Snapshot, rows: pl.DataFrame, scratch: Path) -> Snapshot:
    """Have a takedown speak against rows of a release: the next patch leaves them out.

    Args:
        snapshots: all versions.
        release: the release.
        rows: `TAKEN_DOWN`.
        scratch: local folder for files on their way.
    """
    m = release.manifest
    identity = Identity(
        asset=TAKEDOWN.format(dataset_of(m.asset)),
        partition=m.partition,
        code_version=_CODE_VERSION,
        settings={"takedowns": rows["takedown"].unique().sort().to_list()},
        inputs=(release.ref,),
    )
    writer = SnapshotWriter(snapshots, identity, {_TABLE: TAKEN_DOWN}, scratch=scratch, run_id=_RUN)
    writer.write(_TABLE, rows)
    writer.count(rows=rows.height)
    finding = writer.commit()
    snapshots.set_head(finding, _RUN)
    return finding
