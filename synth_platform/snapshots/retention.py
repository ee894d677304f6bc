"""What may be deleted: versions that nothing needs, what dead writers left, and files that no manifest names."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from synth_platform.config import StrictModel
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.identity import dataset_of, version_folder
from synth_platform.snapshots.listing import Key, VersionFolder, version_folders
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE, Snapshots
from synth_platform.snapshots.store import Entry

Place = tuple[str, str | None]
"""Asset and partition."""


class RetentionSpec(StrictModel):
    """Which versions stay. A version stays if either rule says so, or something that stays was made from it."""

    keep_versions: int | None = Field(default=None, ge=1)
    """The newest so many of every asset and cycle, the current one among them."""
    keep_days: float | None = Field(default=None, ge=0)
    """All that were current within so many days."""
    unfinished_days: float = Field(default=14, ge=1)
    """How long work that was begun and not finished can be gone on with."""

    @property
    def keeps_all(self) -> bool:
        """Whether no version is ever too old."""
        return self.keep_versions is None and self.keep_days is None


@dataclass(frozen=True)
class Waste:
    """Something that may go.

    Args:
        kind: what it is.
        key: asset, partition and id of the version that it is, or belongs to.
        why: reason, for people.
        files: what was found of it.
    """

    kind: Literal["version", "unfinished", "half removed", "leftovers"]
    key: Key
    why: str
    files: tuple[Entry, ...]

    @property
    def folder(self) -> str:
        """Path of the version's folder below the root."""
        return version_folder(*self.key)

    @property
    def bytes(self) -> int:
        """What deleting it frees."""
        return sum(entry.bytes for entry in self.files)

    @property
    def changed(self) -> datetime:
        """When a file of it was last written."""
        return max(entry.modified for entry in self.files)


@dataclass(frozen=True, slots=True)
class _Version:
    """What is kept of a manifest: there may be hundreds of thousands.

    Args:
        inputs: what it was made from.
        committed_at: since when it is there.
        unnamed: files beside it that its manifest does not name.
    """

    inputs: tuple[Key, ...]
    committed_at: datetime
    unnamed: tuple[Entry, ...]


def find_waste(
    snapshots: Snapshots,
    retention: Mapping[str, RetentionSpec],
    *,
    now: datetime,
    pinned: Collection[Key] = (),
    dataset: str = "",
) -> list[Waste]:
    """All that may go.

    Args:
        snapshots: all versions.
        retention: by dataset; the others keep every version.
        now: the time.
        pinned: versions that stay whatever their age, such as published ones.
        dataset: only look there; all versions still count as reasons to keep one.
    """
    folders = version_folders(snapshots.store.entries(""))
    places: dict[Place, dict[Key, _Version]] = defaultdict(dict)
    for folder in folders.values():
        if (version := _version(snapshots, folder)) is not None:
            places[folder.key[:2]][folder.key] = version
    kept = set(pinned)
    for place, versions in places.items():
        kept |= _kept_by_rule(snapshots, place, versions, retention.get(dataset_of(place[0]), RetentionSpec()), now)
    needed = reachable(kept, {key: one.inputs for versions in places.values() for key, one in versions.items()})
    found: list[Waste] = []
    for folder in sorted(folders.values(), key=lambda one: (one.asset, one.partition or "", one.snapshot_id)):
        if not dataset or folder.dataset == dataset:
            grace = timedelta(days=retention.get(folder.dataset, RetentionSpec()).unfinished_days)
            version = places.get(folder.key[:2], {}).get(folder.key)
            found += _waste_of(folder, version, folder.key in needed, grace, now)
    return found


def find_leftovers(snapshots: Snapshots) -> Iterator[Waste]:
    """What there is beside finished versions: work that was begun, and strays; however young.

    Of a version whose manifest is damaged nobody knows what is beside it: it is left alone.
    """
    now = datetime.now(UTC)
    for folder in version_folders(snapshots.store.entries("")).values():
        try:
            version = _version(snapshots, folder)
        except SnapshotError:
            continue
        yield from _waste_of(folder, version, True, timedelta(0), now)


def reachable(roots: Iterable[Key], inputs: Mapping[Key, Iterable[Key]]) -> set[Key]:
    """The roots and everything that they were made from."""
    found: set[Key] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += inputs.get(key, ())
    return found


def clear(snapshots: Snapshots, waste: Waste) -> bool:
    """Delete what was found, unless it has come into use since; whether it is gone."""
    if waste.kind == "version":
        snapshot, current = snapshots.open(*waste.key), snapshots.head(*waste.key[:2])
        if snapshot is None or (current is not None and current.ref == snapshot.ref):
            return False
        remove(snapshots, snapshot, "collected")
        return True
    if waste.kind == "unfinished" and _gone_on_with(snapshots, waste):
        return False
    if waste.kind == "half removed" and snapshots.open(*waste.key) is not None:  # made anew
        return False
    for entry in waste.files:
        snapshots.store.delete(entry.path)
    return True


def _gone_on_with(snapshots: Snapshots, waste: Waste) -> bool:
    """Whether somebody wrote to unfinished work since it was found, or finished it."""
    there = set(snapshots.store.entries(waste.folder))
    return any(entry.path != f"{waste.folder}/{REMOVAL_FILE}" for entry in there.difference(waste.files))


def _version(snapshots: Snapshots, folder: VersionFolder) -> _Version | None:
    """What its manifest says, or the record of its removal; None of a version that is in the making."""
    snapshot = snapshots.recall(*folder.key) if {MANIFEST_FILE, REMOVAL_FILE} & folder.files.keys() else None
    if snapshot is None:
        return None
    m = snapshot.manifest
    inputs = tuple((ref.asset, ref.partition, ref.snapshot_id) for ref in m.inputs)
    return _Version(inputs, m.committed_at, tuple(folder.unnamed(m)))


def _kept_by_rule(
    snapshots: Snapshots, place: Place, versions: Mapping[Key, _Version], rule: RetentionSpec, now: datetime
) -> set[Key]:
    """Versions of an asset's partition that its dataset's retention keeps."""
    if rule.keeps_all:
        return set(versions)
    history = snapshots.history(*place)
    ends = [*(record.at for record in history[1:]), now]
    last_current = {record.snapshot_id: end for record, end in zip(history, ends, strict=False)}
    newest = list(dict.fromkeys(record.snapshot_id for record in reversed(history)))
    kept = set(newest[: rule.keep_versions or 1])
    if rule.keep_days is not None:
        kept |= {one for one, end in last_current.items() if now - end <= timedelta(days=rule.keep_days)}
    # One that was never current may be about to be: its maker is given as long as for unfinished work.
    grace = timedelta(days=rule.unfinished_days)
    fresh = {key[2] for key, one in versions.items() if key[2] not in last_current and now - one.committed_at <= grace}
    return {key for key in versions if key[2] in kept | fresh}


def _waste_of(
    folder: VersionFolder, version: _Version | None, needed: bool, grace: timedelta, now: datetime
) -> Iterator[Waste]:
    if folder.committed and version is not None:
        if not needed:
            why = "past the retention, and nothing that is kept was made from it"
            yield Waste("version", folder.key, why, tuple(folder.files.values()))
        elif old := tuple(entry for entry in version.unnamed if now - entry.modified > grace):
            yield Waste("leftovers", folder.key, f"{len(old):,} files that the manifest does not name", old)
        return
    remains, begun = _around_removal(folder)
    if remains:
        yield Waste("half removed", folder.key, "whoever removed it did not finish", remains)
    if begun and (age := now - max(entry.modified for entry in begun)) > grace:
        yield Waste("unfinished", folder.key, f"begun, and not gone on with for {age.days} days", begun)


def _around_removal(folder: VersionFolder) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """What is left of a version that was removed, and what was begun since, or was never finished."""
    removed = folder.files.get(REMOVAL_FILE)
    if removed is None:
        return (), tuple(folder.begun)
    remains = tuple(entry for entry in folder.begun if entry.modified <= removed.modified)
    return remains, tuple(entry for entry in folder.begun if entry.modified > removed.modified)
