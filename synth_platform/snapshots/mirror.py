"""A second copy of all versions: a backup, or a move from a folder to a bucket."""

import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from synth_platform.errors import StorageError
from synth_platform.snapshots.listing import version_of
from synth_platform.snapshots.manifest import Manifest, Removal
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE, parse_record
from synth_platform.snapshots.store import AlreadyExists, Store

_LAST = (f"/{MANIFEST_FILE}", "/refs/")
"""What makes a version visible, and then current."""


@dataclass(frozen=True)
class Mirrored:
    """What a copy did."""

    copied: int
    bytes: int
    present: int
    """Files that were there already."""


def mirror(source: Store, target: Store) -> Mirrored:
    """Copy the files that the target does not have; runs may go on meanwhile.

    Files never change once they have their name, so a name that is there is a file that is there. Manifests come after
    the parts they name, and what says which version is current comes last: a copy that is broken off shows nothing
    half. They are listed the other way round, so that what a listed file needs was there before it was looked for.
    Of a version that was taken down, on either side, only the record of that is copied.

    Raises:
        StorageError: either side refused, or a version was removed while it was copied.
        SnapshotError: a record of a removal is damaged.
    """
    names = [
        name
        for turn in (2, 1, 0)
        for name in source.files("")
        if _turn(name) == turn and not name.endswith(".partial")  # still being written
    ]
    there = set(target.files(""))
    missing = sorted((name for name in names if name not in there), key=_turn)
    with tempfile.TemporaryDirectory(prefix="synth-mirror-") as folder:
        copier = _Copier(source, target, {*names, *there}, Path(folder) / "file")
        sizes = [size for name in missing if (size := copier.copy(name)) is not None]
    return Mirrored(len(sizes), sum(sizes), len(names) - len(missing))


def _turn(name: str) -> int:
    """Parts first, then manifests, then what points to them."""
    return next((turn for turn, mark in enumerate(_LAST, 1) if mark in name), 0)


class _Copier:
    """Copies one file after the other.

    Args:
        source: from where.
        target: to where.
        known: names of all files on either side.
        aside: local file for what is on its way.
    """

    def __init__(self, source: Store, target: Store, known: set[str], aside: Path) -> None:
        self._source, self._target, self._known, self._aside = source, target, known, aside
        self._vanished: set[str] = set()
        self._is_erased = lru_cache(maxsize=1)(self._look_for_takedown)  # the files of a version come one by one

    def copy(self, name: str) -> int | None:
        """Copy a file; its bytes. None: it must not come back, or has gone since it was listed.

        What a writer leaves beside its version goes when that is committed.

        Raises:
            StorageError: what has gone is needed.
        """
        version = version_of(name)
        if version is not None and not name.endswith(f"/{REMOVAL_FILE}") and self._is_erased(version):
            return None
        try:
            self._source.fetch(name, self._aside)
        except FileNotFoundError:
            self._vanished.add(name)
            if _turn(name):
                raise self._removed(name) from None
            return None
        if version is not None and name.endswith(_LAST[0]):
            self._check_parts(version)
        size = self._aside.stat().st_size
        try:
            self._target.move_in(name, self._aside)
        except AlreadyExists:
            self._aside.unlink()  # another copy was faster
        return size

    def _check_parts(self, version: str) -> None:
        """Look whether all that a manifest names was copied before it."""
        vanished = [name for name in self._vanished if name.startswith(f"{version}/")]
        if vanished:
            manifest = parse_record(Manifest, self._aside.read_bytes(), f"{self._source.url}/{version}{_LAST[0]}")
            for name in {f"{version}/{entry.path}" for entry in manifest.entries}.intersection(vanished):
                raise self._removed(name)

    def _look_for_takedown(self, version: str) -> bool:
        record = f"{version}/{REMOVAL_FILE}"
        for store in (self._target, self._source) if record in self._known else ():
            try:
                text = store.read(record)
            except FileNotFoundError:
                continue
            if parse_record(Removal, text, f"{store.url}/{record}").why == "taken_down":
                return True
        return False

    def _removed(self, name: str) -> StorageError:
        return StorageError(
            "a version was removed while it was copied",
            where=f"{self._source.url}/{name}",
            fix="run it again: what was copied is not copied again",
        )
