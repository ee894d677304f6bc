"""Immutable, content-addressed dataset versions: write, commit, read, verify, trace, diff."""

from synth_platform.snapshots.manifest import InputRef, Manifest, PartEntry, TableEntry
from synth_platform.snapshots.repository import Identity, Snapshot, Snapshots
from synth_platform.snapshots.writer import SnapshotWriter

__all__ = [
    "Identity",
    "InputRef",
    "Manifest",
    "PartEntry",
    "Snapshot",
    "SnapshotWriter",
    "Snapshots",
    "TableEntry",
]
