"""Damaged files get their content back from equal ones: other versions still name them."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from synth_platform.digest import digest_blocks
from synth_platform.errors import SnapshotError, StorageError
from synth_platform.snapshots.identity import Identity
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import Store


def put_back(store: Store, damaged: str, whole: str, expected: str) -> None:
    """Put an equal file in the place of a damaged one, at once.

    Args:
        store: has both.
        damaged: path of a file that no reader could use; it may be missing.
        whole: path of the equal one.
        expected: digest of what both should hold.

    Raises:
        StorageError: it cannot be written, or the other file is damaged or gone as well.
    """
    try:
        found = digest_blocks(store.blocks(whole))
    except FileNotFoundError:
        found = None
    if found != expected:
        raise StorageError("the file to restore from is not what it was", where=f"{store.url}/{whole}")
    store.copy(whole, damaged)


def heal_equals(snapshots: Snapshots, identity: Identity, made: Snapshot) -> None:
    """Put files of a new version in the place of damaged equal ones in the attempts before it.

    Args:
        snapshots: all versions.
        identity: what the new version was made of, and at which attempt.
        made: the new version.
    """
    for attempt in range(identity.attempt):
        with contextlib.suppress(SnapshotError):  # nothing is left of it, or its manifest is damaged, too
            before = snapshots.open(identity.asset, identity.partition, replace(identity, attempt=attempt).snapshot_id)
            if before is not None and before.manifest.digest == made.manifest.digest:
                _heal(snapshots, before, made)


def _heal(snapshots: Snapshots, damaged: Snapshot, whole: Snapshot) -> None:
    for entry, equal in _pairs(damaged.manifest, whole.manifest):
        try:
            snapshots.verified(damaged.folder, entry)
        except SnapshotError:
            paths = f"{damaged.folder}/{entry.path}", f"{whole.folder}/{equal.path}"
            with contextlib.suppress(StorageError):  # the new version stands; doctor names the damage
                put_back(snapshots.store, *paths, entry.digest)


def _pairs(one: Manifest, other: Manifest) -> Iterator[tuple[PartEntry | FileEntry, PartEntry | FileEntry]]:
    """Equal files of two manifests of the same digest: parts by their place, whose names differ, the others by name."""
    for table, entries in one.tables.items():
        yield from zip(entries.parts, other.tables[table].parts, strict=True)
    files = {file.path: file for file in other.files}
    yield from ((file, files[file.path]) for file in one.files)
