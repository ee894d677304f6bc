"""Remove the files of a version and keep its manifest, so that what was made of it can still be explained.

The record of the removal is written first, then the manifest goes, then the parts. A version is therefore whole or
not there at all, whenever the process dies, and what is left over is found by its record.
"""

from datetime import UTC, datetime
from typing import Literal

from synth_platform.snapshots.manifest import Manifest, Removal
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE, Snapshots
from synth_platform.snapshots.snapshot import Snapshot

_QUOTES_ROWS = "sections"
"""Detail of a review that shows examples; it must not outlive them."""


def remove(
    snapshots: Snapshots, snapshot: Snapshot, why: Literal["taken_down", "collected"], takedown: str = ""
) -> int:
    """Remove a version's files.

    Args:
        snapshots: all versions.
        snapshot: the version, with its files.
        why: what for.
        takedown: id of the takedown, if it is one.

    Returns:
        Bytes that its manifest counted.
    """
    store, files = snapshots.store, snapshots.store.files(snapshot.folder)
    path = hide(snapshots, snapshot, why, takedown)
    for file in files:  # and nothing that comes meanwhile: somebody may make the version anew
        if file != path:
            store.delete(file)
    snapshots.forget(snapshot)
    return snapshot.manifest.bytes


def hide(snapshots: Snapshots, snapshot: Snapshot, why: Literal["taken_down", "collected"], takedown: str = "") -> str:
    """Put the record of a removal in the place of a version's manifest, and leave its files; path of the record."""
    store, path = snapshots.store, f"{snapshot.folder}/{REMOVAL_FILE}"
    removal = Removal(at=datetime.now(UTC), why=why, takedown=takedown, manifest=_without_quotes(snapshot.manifest))
    store.delete(path)  # of the same version, made again since: the manifest still says that it is there
    store.create(path, removal.model_dump_json(indent=1).encode())
    store.delete(f"{snapshot.folder}/{MANIFEST_FILE}")
    return path


def _without_quotes(manifest: Manifest) -> Manifest:
    details = {name: value for name, value in manifest.details.items() if name != _QUOTES_ROWS}
    return manifest.model_copy(update={"details": details})
