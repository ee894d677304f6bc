"""Digests of files that stay as they are, kept on disk: gigabytes of sources and models are read once."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from synth_platform.digest import digest_file
from synth_platform.snapshots.cache_file import CacheFile

DigestFile = Callable[[Path], str]
"""Gives the digest of a file's content."""

_SETTLED_NS = 2_000_000_000
"""A file that was changed a moment ago may be changed again without a sign of it."""
_BYTES_LIKE_A_ROW = 1 << 20
"""As much of a file is read in the time in which one row of other caches is found out."""
_COLUMNS: dict[str, type[pl.DataType]] = {
    "path": pl.String,
    "size": pl.Int64,
    "mtime_ns": pl.Int64,
    "ctime_ns": pl.Int64,
    "inode": pl.UInt64,
    "digest": pl.String,
}


class _Stamp(NamedTuple):
    """What changes when a file does, as far as can be seen without reading it."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "_Stamp":
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    @property
    def is_settled(self) -> bool:
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) > _SETTLED_NS


class FileDigests:
    """Digests of files, for as long as a file bears the same size, times and inode.

    Args:
        folder: for what is kept of them.
    """

    def __init__(self, folder: Path) -> None:
        self._file = CacheFile(folder / "files", "", _COLUMNS)
        self._known = {path: (_Stamp(*stamp), found) for path, *stamp, found in self._file.rows()}
        self._new = 0

    def digest(self, path: Path) -> str:
        """Digest of a file's content; the file is read unless it is known."""
        stamp, key = _Stamp.of(path), str(path.absolute())
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        settled = stamp.is_settled
        found = digest_file(path)
        if settled and stamp == _Stamp.of(path):
            self._keep(key, stamp, found)
        return found

    def _keep(self, key: str, stamp: _Stamp, found: str) -> None:
        """Remember a digest; what took long to find out is written at once, lest who is stopped has read in vain."""
        self._known[key] = (stamp, found)
        self._new += 1 + stamp.size // _BYTES_LIKE_A_ROW
        if self._file.keep(((path, *known, one) for path, (known, one) in self._known.items()), new=self._new):
            self._new = 0
