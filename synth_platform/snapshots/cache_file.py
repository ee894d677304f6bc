"""A table of what was found out about the versions of a store, kept on disk for those who look next."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.digest import digest

_WORTH_WRITING = 1000
"""New rows; fewer are found out again in less time than all of them are written."""


class CacheFile:
    """A cache only: where the file is missing, unreadable or cannot be written, everything is found out again.

    Args:
        folder: for files of its kind.
        url: of the store.
        columns: of the table.
    """

    def __init__(self, folder: Path, url: str, columns: Mapping[str, pl.DataType | type[pl.DataType]]) -> None:
        self._file, self._columns = folder / f"{digest(url)[:16]}.parquet", dict(columns)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """What was kept."""
        try:
            frame = pl.read_parquet(self._file, schema=self._columns, glob=False)
        except (OSError, pl.exceptions.PolarsError):
            return iter(())
        return frame.iter_rows()

    def keep(self, rows: Iterable[tuple[Any, ...]], *, new: int) -> bool:
        """Put these in the place of what was kept, all at once, if enough of them are new; whether it was done."""
        if new < _WORTH_WRITING:
            return False
        aside = self._file.with_name(f".{self._file.name}.{uuid.uuid4().hex[:8]}.partial")
        with suppress(OSError):
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                pl.DataFrame(list(rows), schema=self._columns, orient="row").write_parquet(aside)
                aside.replace(self._file)
                return True
            finally:
                aside.unlink(missing_ok=True)
        return False
