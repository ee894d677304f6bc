"""One committed version: its manifest, its tables and what lies beside them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from synth_platform.errors import RemovedError, SnapshotError
from synth_platform.snapshots.local_copies import LocalCopies
from synth_platform.snapshots.manifest import FileEntry, InputRef, Manifest, PartEntry, Removal

_BATCH_ROWS = 4096


@dataclass(frozen=True)
class Snapshot:
    """One committed version, read through verified files."""

    manifest: Manifest
    folder: str
    _copies: LocalCopies = field(repr=False, compare=False)
    removal: Removal | None = None
    """Why only the manifest is left, if so; reading files raises `RemovedError` then."""

    @cached_property
    def ref(self) -> InputRef:
        """How another snapshot names this one as its input."""
        m = self.manifest
        return InputRef(asset=m.asset, partition=m.partition, snapshot_id=m.snapshot_id, digest=m.digest)

    @property
    def location(self) -> str:
        """Folder or URL for people."""
        return f"{self._copies.store.url}/{self.folder}"

    def files(self, table: str | None = None) -> list[Path]:
        """Local, verified Parquet files of a table (the main one by default), in row order."""
        self._check_there()
        name = table or next(iter(self.manifest.tables))
        if name not in self.manifest.tables:
            raise SnapshotError(f"no table {name!r}", where=self.location, fix=f"it has {list(self.manifest.tables)}")
        return [self._copies.verified(self.folder, part) for part in self.manifest.tables[name].parts]

    def is_whole(self) -> bool:
        """Whether all files are there and hold what was committed."""
        try:
            for _ in self.local_files():
                pass
        except SnapshotError:
            return False
        return True

    def scan(self, table: str | None = None) -> pl.LazyFrame:
        """A lazy frame over a table."""
        return pl.scan_parquet(self.files(table), glob=False)

    def batches(self, table: str | None = None, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """The table's rows in order, a few thousand at a time; of an empty table, one batch without rows."""
        files = self.files(table)
        for file in files:
            yield from _batches(file, columns, even_if_empty=len(files) == 1)

    def part_batches(self, part: PartEntry, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of one part in order, a few thousand at a time."""
        self._check_there()
        return _batches(self._copies.verified(self.folder, part), columns, even_if_empty=True)

    def local_files(self) -> Iterator[tuple[PartEntry | FileEntry, Path]]:
        """Every file of the version, its tables' parts and what lies beside them, with a verified local copy."""
        self._check_there()
        for entry in self.manifest.entries:
            yield entry, self._copies.verified(self.folder, entry)

    def read_file(self, path: str) -> bytes:
        """Bytes of a file beside the tables."""
        self._check_there()
        return self._copies.store.read(f"{self.folder}/{path}")

    def _check_there(self) -> None:
        if self.removal is not None:
            raise RemovedError(
                f"{self.manifest.asset} {self.manifest.snapshot_id} {self.removal.describe()}",
                where=self.location,
                fix="materialize it again",
            )


def _batches(file: Path, columns: list[str] | None, *, even_if_empty: bool) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(file) as parquet:
        if not parquet.metadata.num_rows and even_if_empty:
            yield pl.read_parquet(file, columns=columns, glob=False)
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame
