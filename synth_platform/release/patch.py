"""A patch of a release: the same rows without those in which a later scan found test items."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import input_of, kind_of
from synth_platform.snapshots.manifest import InputRef


@dataclass(frozen=True)
class Patch:
    """What a patch is made of.

    Args:
        replaced: the release whose rows were found contaminated.
        rescan: the scan that found them.
        removed: ids of the rows that the patch leaves out.
    """

    replaced: Snapshot
    rescan: Snapshot
    removed: tuple[str, ...]

    def parts(self, table: str) -> Iterator[pl.DataFrame]:
        """The rows that stay, one frame per file of the release: files without a hit keep their bytes."""
        for file in self.replaced.files(table):
            yield pl.read_parquet(file).filter(~pl.col("id").is_in(list(self.removed)))

    def describe(self) -> str:
        """One sentence for the card."""
        hits = self.rescan.scan("contamination").filter(pl.col("verdict") == "contaminated")
        named = hits.select(pl.col("eval").unique().sort()).collect()["eval"].to_list()
        return (
            f"This version replaces {self.replaced.manifest.snapshot_id}: {len(self.removed):,} rows were taken out"
            f" in which items of {', '.join(named)} were found after it was released."
        )


def contaminated_rows(rescan: Snapshot) -> tuple[str, ...]:
    """Ids of the released rows that a rescan speaks against."""
    bad = rescan.scan("contamination").filter(pl.col("verdict") == "contaminated")
    return tuple(bad.select(pl.col("row_id").unique().sort()).collect()["row_id"])


def find_patch(snapshots: Snapshots, rescan_asset: str, partition: str | None, mixture: InputRef) -> Patch | None:
    """The patch that the newest scan of a release of this mixture asks for; None: the mixture is right as it is.

    A patch that was scanned again and found clean stays what it is.
    """
    rescan = snapshots.head(rescan_asset, partition)
    while rescan is not None:
        release = snapshots.require(input_of(rescan, "release"))
        if input_of(release, "mixture") != mixture:
            return None
        removed = contaminated_rows(rescan)
        if removed:
            return Patch(release, rescan, removed)
        before = [ref for ref in release.manifest.inputs if kind_of(ref.asset) == "contamination"]
        rescan = snapshots.require(before[0]) if before else None
    return None
