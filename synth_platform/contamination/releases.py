"""Released versions, the current one and those it replaced, against test sets that are newer than they."""

from collections.abc import Iterator, Mapping

import polars as pl

from synth_platform.contamination.scan import Scanner, scan
from synth_platform.contamination.schema import CONTAMINATION
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import ancestors
from synth_platform.snapshots.manifest import PartEntry

RELEASE_TABLE = "train"
REPLACED = pl.Schema({"release": pl.String(), **CONTAMINATION})
"""Texts with test items in releases that others have replaced."""


def replaced_releases(snapshots: Snapshots, asset: str, partition: str | None) -> list[str]:
    """Ids of the versions that the current one has replaced, newest first."""
    ids = [record.snapshot_id for record in reversed(snapshots.history(asset, partition))]
    return [one for one in dict.fromkeys(ids) if one != ids[0]]


def newer_test_sets(snapshots: Snapshots, release: Snapshot, benchmarks: Mapping[str, str | None]) -> list[str]:
    """Test sets whose current version played no part in making a release.

    Args:
        snapshots: all versions.
        release: the release.
        benchmarks: digest of the current version by asset; None: it is not materialized yet.
    """
    known = {(one.manifest.asset, one.manifest.digest) for one in ancestors(snapshots, [release])}
    return [asset for asset, current in benchmarks.items() if current is None or (asset, current) not in known]


class ReleaseScanner:
    """Scans one release after another; files that several of them share are read once.

    Args:
        scanner: over the items of all test sets that are newer than any of the releases.
    """

    def __init__(self, scanner: Scanner) -> None:
        self._scanner = scanner
        self._hits: dict[str, pl.DataFrame] = {}

    def scan(self, release: Snapshot, what: str) -> Iterator[pl.DataFrame]:
        """`CONTAMINATION` for a release, some rows at a time."""
        for part in release.manifest.tables[RELEASE_TABLE].parts:
            hits = []
            for found in self._scan_part(release, part, what):
                hits.append(found.filter(pl.col("verdict") != "clean"))
                yield found
            self._hits[part.digest] = pl.concat(hits)

    def hits(self, release: Snapshot, what: str) -> Iterator[pl.DataFrame]:
        """Rows of `REPLACED` for what was found in a release."""
        for part in release.manifest.tables[RELEASE_TABLE].parts:
            if part.digest not in self._hits:
                found = self._scan_part(release, part, what)
                self._hits[part.digest] = pl.concat(rows.filter(pl.col("verdict") != "clean") for rows in found)
            yield self._hits[part.digest].select(pl.lit(release.manifest.snapshot_id).alias("release"), pl.all())

    def _scan_part(self, release: Snapshot, part: PartEntry, what: str) -> Iterator[pl.DataFrame]:
        batches = release.part_batches(part, columns=["id", "text"])
        named = (batch.rename({"id": "row_id"}) for batch in batches)
        for _, found in scan(self._scanner, named, what=f"{what} {part.path}", total=part.rows):
            yield found
