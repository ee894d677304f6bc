"""The folders of versions, committed or not, as a listing of the store shows them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from synth_platform.config import NAME_PATTERN
from synth_platform.snapshots.identity import dataset_of, partition_of
from synth_platform.snapshots.manifest import Manifest
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE
from synth_platform.snapshots.store import Entry

_NAME = NAME_PATTERN.pattern
_IN_VERSION = re.compile(
    rf"(?P<path>(?P<asset>{_NAME}(?:/{_NAME})+?)/(?P<partition>{_NAME})/(?P<id>[0-9a-f]{{16}}))/(?P<file>.+)"
)
SILENT_ELSEWHERE = timedelta(hours=24)
"""After which nobody writes any more, where other installations may write too."""
_KEPT = ("shards/", "ledger/")
"""Folders of what a later writer of the same version goes on with."""

Key = tuple[str, str | None, str]
"""Asset, partition and id of a version."""


@dataclass
class VersionFolder:
    """The folder of one version, committed or not.

    Args:
        asset: key path.
        partition: the cycle, or None.
        snapshot_id: of the version.
        path: of the folder below the root.
        files: everything in it, by path relative to it.
    """

    asset: str
    partition: str | None
    snapshot_id: str
    path: str
    files: dict[str, Entry] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """Asset, partition and id of the version."""
        return self.asset, self.partition, self.snapshot_id

    @property
    def dataset(self) -> str:
        """The first part of the asset's key."""
        return dataset_of(self.asset)

    @property
    def committed(self) -> bool:
        """Whether readers see it."""
        return MANIFEST_FILE in self.files

    @property
    def removed(self) -> bool:
        """Whether its files were removed on purpose: a record says so."""
        return REMOVAL_FILE in self.files

    @property
    def begun(self) -> list[Entry]:
        """The files of a version that is not committed."""
        return [entry for name, entry in self.files.items() if name != REMOVAL_FILE]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(entry.bytes for entry in self.files.values())

    @property
    def changed(self) -> datetime:
        """When a file was last written."""
        return max(entry.modified for entry in self.files.values())

    @property
    def resumable(self) -> bool:
        """Whether a later run finds work in it that it need not do again."""
        return any(name.startswith(_KEPT) for name in self.files)

    def unnamed(self, manifest: Manifest) -> list[Entry]:
        """Files that the version's manifest does not name."""
        named = {MANIFEST_FILE, *(entry.path for entry in manifest.entries)}
        return [entry for name, entry in self.files.items() if name not in named]


def version_folders(entries: Iterable[Entry]) -> dict[str, VersionFolder]:
    """The folders of versions among some files, by path."""
    found: dict[str, VersionFolder] = {}
    for entry in entries:
        if match := _IN_VERSION.fullmatch(entry.path):
            path = match["path"]
            if path not in found:
                found[path] = VersionFolder(match["asset"], partition_of(match["partition"]), match["id"], path)
            found[path].files[match["file"]] = entry
    return found


def version_of(path: str) -> str | None:
    """Path of the folder of the version that a file belongs to, if it belongs to one."""
    match = _IN_VERSION.fullmatch(path)
    return match["path"] if match else None
