"""Immutable, content-addressed dataset versions: write, commit, read, verify, trace, diff."""

from synth_platform.snapshots.identity import Identity
from synth_platform.snapshots.manifest import InputRef, Manifest, PartEntry, TableEntry
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
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
