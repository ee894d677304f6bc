"""What may be deleted: versions that nothing needs, what dead writers left, and files that no manifest names."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import Field

from synth_platform.config import StrictModel
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.identity import UNPARTITIONED
from synth_platform.snapshots.manifest import InputRef, Manifest
from synth_platform.snapshots.removal import finish_removal, remove
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE, Snapshots
from synth_platform.snapshots.store import Entry

_ID = re.compile(r"[0-9a-f]{16}")

Place = tuple[str, str | None]
"""Asset and partition."""
Key = tuple[str, str | None, str]
"""Asset, partition and id of a version."""


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
        bytes: what deleting it frees.
        files: paths of single files; of whole versions and folders, none.
    """

    kind: Literal["version", "unfinished", "half removed", "leftovers"]
    key: Key
    why: str
    bytes: int
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """Path of the version's folder below the root."""
        return folder_of(self.key)


@dataclass
class _Folder:
    """Files of a version, by name inside its folder."""

    files: dict[str, Entry] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())

    @property
    def touched(self) -> datetime:
        return max(entry.modified for entry in self.files.values())


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
    folders = _folders(snapshots)
    manifests = {key: manifest for key in folders if (manifest := _manifest(snapshots, key)) is not None}
    kept = set(pinned)
    for place in {key[:2] for key in manifests}:
        rule = retention.get(_dataset(place), RetentionSpec())
        kept |= _kept_by_rule(snapshots, place, [key for key in manifests if key[:2] == place], manifests, rule, now)
    needed = reachable(kept, {key: manifest.inputs for key, manifest in manifests.items()})
    found: list[Waste] = []
    for key, folder in sorted(folders.items(), key=lambda one: (one[0][0], one[0][1] or "", one[0][2])):
        rule = retention.get(_dataset(key[:2]), RetentionSpec())
        if not dataset or _dataset(key[:2]) == dataset:
            grace = timedelta(days=rule.unfinished_days)
            found += _waste_of(key, folder, manifests.get(key), key in needed, grace, now)
    return found


def find_leftovers(snapshots: Snapshots) -> Iterator[Waste]:
    """What there is beside finished versions: work that was begun, and strays; however young.

    Of a version whose manifest is damaged nobody knows what is beside it: it is left alone.
    """
    now = datetime.now(UTC)
    for key, folder in _folders(snapshots).items():
        try:
            manifest = _manifest(snapshots, key)
        except SnapshotError:
            continue
        yield from _waste_of(key, folder, manifest, True, timedelta(0), now)


def reachable(roots: Iterable[Key], inputs: Mapping[Key, Sequence[InputRef]]) -> set[Key]:
    """The roots and everything that they were made from."""
    found: set[Key] = set()
    waiting = list(roots)
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += [(ref.asset, ref.partition, ref.snapshot_id) for ref in inputs.get(key, ())]
    return found


def clear(snapshots: Snapshots, waste: Waste) -> bool:
    """Delete it, unless it has become somebody's current version since; whether it is gone."""
    if waste.kind == "version":
        snapshot, current = snapshots.open(*waste.key), snapshots.head(*waste.key[:2])
        if snapshot is None or (current is not None and current.ref == snapshot.ref):
            return False
        remove(snapshots, snapshot, "collected")
    elif waste.kind == "half removed":
        finish_removal(snapshots, waste.folder)
    elif waste.kind == "leftovers":
        for path in waste.files:
            snapshots.store.delete(path)
    else:
        if snapshots.open(*waste.key) is not None:  # finished since
            return False
        for path in snapshots.store.files(waste.folder):
            snapshots.store.delete(path)
    return True


def folder_of(key: Key) -> str:
    """Path of a version's folder below the root."""
    asset, partition, snapshot_id = key
    return f"{asset}/{partition or UNPARTITIONED}/{snapshot_id}"


def _folders(snapshots: Snapshots, prefix: str = "") -> dict[Key, _Folder]:
    found: dict[Key, _Folder] = {}
    for entry in snapshots.store.entries(prefix):
        parts = entry.path.split("/")
        at = next((n for n, part in enumerate(parts) if n > 2 and _ID.fullmatch(part)), None)
        if at is not None and at < len(parts) - 1:
            partition = None if parts[at - 1] == UNPARTITIONED else parts[at - 1]
            key = ("/".join(parts[: at - 1]), partition, parts[at])
            found.setdefault(key, _Folder()).files["/".join(parts[at + 1 :])] = entry
    return found


def _manifest(snapshots: Snapshots, key: Key) -> Manifest | None:
    snapshot = snapshots.recall(*key)
    return snapshot.manifest if snapshot is not None else None


def _dataset(place: Place) -> str:
    return place[0].split("/")[0]


def _kept_by_rule(
    snapshots: Snapshots,
    place: Place,
    keys: Sequence[Key],
    manifests: Mapping[Key, Manifest],
    rule: RetentionSpec,
    now: datetime,
) -> set[Key]:
    """Versions of an asset's partition that its dataset's retention keeps."""
    if rule.keeps_all:
        return set(keys)
    history = snapshots.history(*place)
    ends = [*(record.at for record in history[1:]), now]
    last_current = {record.snapshot_id: end for record, end in zip(history, ends, strict=False)}
    newest = list(dict.fromkeys(record.snapshot_id for record in reversed(history)))
    kept = set(newest[: rule.keep_versions or 1])
    if rule.keep_days is not None:
        kept |= {one for one, end in last_current.items() if now - end <= timedelta(days=rule.keep_days)}
    # One that was never current may be about to be: its maker is given as long as for unfinished work.
    grace = timedelta(days=rule.unfinished_days)
    fresh = {key[2] for key in keys if key[2] not in last_current and now - manifests[key].committed_at <= grace}
    return {key for key in keys if key[2] in kept | fresh}


def _waste_of(
    key: Key, folder: _Folder, manifest: Manifest | None, needed: bool, grace: timedelta, now: datetime
) -> Iterator[Waste]:
    if MANIFEST_FILE in folder.files and manifest is not None:
        if not needed:
            yield Waste("version", key, "past the retention, and nothing that is kept was made from it", folder.bytes)
            return
        strays = [folder.files[name] for name in sorted(set(folder.files) - _named(manifest))]
        old = [entry for entry in strays if now - entry.modified > grace]
        if old:
            why = f"{len(old):,} files that the manifest does not name"
            yield Waste("leftovers", key, why, sum(one.bytes for one in old), tuple(one.path for one in old))
    elif REMOVAL_FILE in folder.files:
        if len(folder.files) > 1:
            yield Waste("half removed", key, "whoever removed it did not finish", folder.bytes)
    elif now - folder.touched > grace:
        days = (now - folder.touched).days
        yield Waste("unfinished", key, f"begun, and not gone on with for {days} days", folder.bytes)


def _named(manifest: Manifest) -> set[str]:
    parts = {part.path for table in manifest.tables.values() for part in table.parts}
    return {MANIFEST_FILE, *parts, *(file.path for file in manifest.files)}
