"""A second copy of all versions: a backup, or a move from a folder to a bucket."""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from synth_platform.errors import SnapshotError
from synth_platform.snapshots.carrier import Carrier
from synth_platform.snapshots.listing import VersionFolder, version_folders, version_of
from synth_platform.snapshots.store import Store
from synth_platform.snapshots.version_copy import VersionCopier, gone

_REFS = "/refs/"


@dataclass(frozen=True)
class Mirrored:
    """What a copy did."""

    copied: int
    bytes: int
    present: int
    """Files that were there already."""


def mirror(source: Store, target: Store) -> Mirrored:
    """Copy what the target does not have, or has otherwise; runs may go on meanwhile.

    Every file of a version is checked against its manifest, which comes last. What says which version is current comes
    after all versions: a copy that is broken off shows nothing half. It is listed before them, so that what it names
    was there when it was looked for. Of a version that was taken down, on either side, only the record of that is
    copied.

    Raises:
        StorageError: either side refused.
        SnapshotError: the source has no versions; or one cannot be copied whole, and all the others are.
    """
    refs = [name for name in source.files("") if _REFS in name and not _is_on_its_way(name)]
    ours = [entry for entry in source.entries("") if _REFS not in entry.path and not _is_on_its_way(entry.path)]
    if not (versions := version_folders(ours)):
        raise SnapshotError(
            "there are no versions to copy", where=source.url, fix="name the root that the versions lie in"
        )
    theirs = target.entries("")
    there = {entry.path for entry in theirs}
    with tempfile.TemporaryDirectory(prefix="synth-mirror-") as folder:
        carrier = Carrier(source, target, Path(folder))
        loose = [entry.path for entry in ours if version_of(entry.path) is None]
        _copy_loose(carrier, [name for name in loose if name not in there])
        problems = _copy_versions(carrier, versions, version_folders(theirs))
        _copy_refs(carrier, [name for name in refs if name not in there], problems)
    if problems:
        raise _summary(list(problems.values()))
    present = there.intersection([*refs, *(entry.path for entry in ours)]).difference(carrier.carried)
    return Mirrored(len(carrier.carried), sum(carrier.carried.values()), len(present))


def _copy_loose(carrier: Carrier, names: Iterable[str]) -> None:
    """Copy files of no version, such as records of takedowns."""
    for name in names:
        with suppress(FileNotFoundError):
            carrier.carry(name)


def _copy_versions(
    carrier: Carrier, ours: dict[str, VersionFolder], theirs: dict[str, VersionFolder]
) -> dict[str, SnapshotError]:
    """Copy the versions; why some could not be, by folder."""
    copier = VersionCopier(carrier)
    problems: dict[str, SnapshotError] = {}
    for path, folder in ours.items():
        try:
            copier.copy(folder, theirs.get(path) or replace(folder, files={}))
        except SnapshotError as error:
            problems[path] = error
    return problems


def _copy_refs(carrier: Carrier, names: Iterable[str], folders: Iterable[str]) -> None:
    """Copy what says which versions are current, but not of assets that lack a version: these are the folders."""
    lacking = {path.rsplit("/", 1)[0] for path in folders}
    for name in names:
        if name.split(_REFS)[0] not in lacking:
            try:
                carrier.carry(name)
            except FileNotFoundError:
                raise gone(carrier.source, name) from None


def _summary(problems: Sequence[SnapshotError]) -> SnapshotError:
    first, more = problems[0], len(problems) - 1
    if not more:
        return first
    return SnapshotError(f"{first.what}; {more} more could not be copied", where=first.where, fix=first.fix)


def _is_on_its_way(name: str) -> bool:
    """Whether a file is still being written, or was when its writer died."""
    return name.endswith(".partial")
