"""A second copy of all versions: a backup, or a move from a folder to a bucket."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from synth_platform.snapshots.store import AlreadyExists, Store

_LAST = ("/manifest.json", "/refs/")
"""What makes a version visible, and then current."""


@dataclass(frozen=True)
class Mirrored:
    """What a copy did."""

    copied: int
    bytes: int
    present: int
    """Files that were there already."""


def mirror(source: Store, target: Store) -> Mirrored:
    """Copy the files that the target does not have.

    Files never change once they have their name, so a name that is there is a file that is there. Manifests come after
    the parts they name, and what says which version is current comes last: a copy that is broken off shows nothing
    half.

    Raises:
        StorageError: either side refused.
    """
    names = source.files("")
    there = set(target.files(""))
    missing = sorted((name for name in names if name not in there), key=_turn)
    total = 0
    with tempfile.TemporaryDirectory(prefix="synth-mirror-") as folder:
        for name in missing:
            total += _copy(source, target, name, Path(folder) / "file")
    return Mirrored(len(missing), total, len(names) - len(missing))


def _turn(name: str) -> int:
    """Parts first, then manifests, then what points to them."""
    return next((turn for turn, mark in enumerate(_LAST, 1) if mark in name), 0)


def _copy(source: Store, target: Store, name: str, aside: Path) -> int:
    """Copy one file; its bytes."""
    source.fetch(name, aside)
    size = aside.stat().st_size
    try:
        target.move_in(name, aside)
    except AlreadyExists:
        aside.unlink()  # another copy was faster
    return size
