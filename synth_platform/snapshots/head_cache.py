"""Which versions were current when last looked, kept on disk: the histories of thousands of cycles are read once."""

import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from synth_platform.snapshots.cache_file import CacheFile
from synth_platform.snapshots.manifest import InputRef, RefRecord

_SETTLED_NS = 2_000_000_000
"""A history younger than this may get another record with the same time stamp: it is looked at again."""

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "asset": pl.String,
    "partition": pl.String,
    "stamp": pl.Int64,
    "sequence": pl.Int64,
    "snapshot_id": pl.String,
    "digest": pl.String,
    "run_id": pl.String,
    "at": pl.Datetime("us", "UTC"),
}


class _Known(NamedTuple):
    stamp: int
    sequence: int
    snapshot_id: str
    digest: str
    run_id: str
    at: datetime


class HeadCache:
    """The last record of each history, for as long as the history bears the same time stamp.

    Args:
        folder: for files of this kind.
        url: of the store whose histories they are.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._file = CacheFile(folder / "heads", url, _COLUMNS)
        self._known = {(asset, partition): _Known(*known) for asset, partition, *known in self._file.rows()}
        self._new = 0

    def sequence(self, asset: str, partition: str | None, stamp: int) -> int | None:
        """Place of the last record of a history that bears a time stamp; None if it is not known."""
        known = self._known.get((asset, partition))
        return known.sequence if known is not None and known.stamp == stamp else None

    def record(self, asset: str, partition: str | None, stamp: int, sequence: int) -> RefRecord | None:
        """The record itself."""
        known = self._known.get((asset, partition))
        if known is None or (known.stamp, known.sequence) != (stamp, sequence):
            return None
        return RefRecord(
            sequence=sequence,
            snapshot_id=known.snapshot_id,
            digest=known.digest,
            run_id=known.run_id,
            at=known.at,
        )

    def ref(self, asset: str, partition: str | None, stamp: int, sequence: int) -> InputRef | None:
        """How another version names the one of that record as its input."""
        known = self._known.get((asset, partition))
        if known is None or (known.stamp, known.sequence) != (stamp, sequence):
            return None
        return InputRef(asset=asset, partition=partition, snapshot_id=known.snapshot_id, digest=known.digest)

    def keep(self, asset: str, partition: str | None, stamp: int, record: RefRecord) -> None:
        """Remember the last record of a history."""
        if time.time_ns() - stamp > _SETTLED_NS:
            r = record
            self._known[asset, partition] = _Known(stamp, r.sequence, r.snapshot_id, r.digest, r.run_id, r.at)
            self._new += 1

    def save(self) -> None:
        """Write what is known, if much of it is new."""
        if self._file.keep(((*key, *known) for key, known in self._known.items()), new=self._new):
            self._new = 0
