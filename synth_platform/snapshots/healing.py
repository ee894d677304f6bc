"""Damaged versions that were made anew, byte for byte the same, get their parts back: others still name them."""

import contextlib
from dataclasses import replace

from synth_platform.errors import SnapshotError, StorageError
from synth_platform.snapshots.identity import Identity
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import AlreadyExists


def heal_equals(snapshots: Snapshots, identity: Identity, made: Snapshot) -> None:
    """Put parts of a new version in the place of damaged equal ones in the attempts before it.

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
    for table, entries in damaged.manifest.tables.items():
        for entry, copy in zip(entries.parts, whole.manifest.tables[table].parts, strict=True):
            try:
                snapshots.verified(damaged.folder, entry)
            except SnapshotError:
                path = f"{damaged.folder}/{entry.path}"
                data = snapshots.verified(whole.folder, copy).read_bytes()
                snapshots.store.delete(path)
                with contextlib.suppress(AlreadyExists, StorageError):  # somebody else heals it, or nobody can
                    snapshots.store.create(path, data)
