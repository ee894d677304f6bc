"""What is wrong with stored versions: damaged parts, broken histories, leftovers and unfinished work."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from synth_platform.digest import digest_blocks
from synth_platform.errors import SnapshotError
from synth_platform.progress import track
from synth_platform.snapshots.healing import put_back
from synth_platform.snapshots.identity import UNPARTITIONED
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.store import Entry

_IN_VERSION = re.compile(r"(?P<asset>[^.][^/]*(?:/[^/]+)*?)/(?P<partition>[^/]+)/(?P<id>[0-9a-f]{16})/(?P<file>.+)")
_IN_HISTORY = re.compile(r"(?P<asset>[^.][^/]*(?:/[^/]+)*?)/(?P<partition>[^/]+)/refs/\d{8}\.json")
_MANIFEST = "manifest.json"
_KEPT = ("shards/", "ledger/")
"""Folders of what a later writer of the same version goes on with."""


@dataclass
class VersionFolder:
    """The folder of one version, committed or not.

    Args:
        asset: key path.
        partition: the cycle, or None.
        snapshot_id: of the version.
        path: of the folder below the root.
        files: everything in it, by path relative to it.
        manifest: once it is committed and can be read.
    """

    asset: str
    partition: str | None
    snapshot_id: str
    path: str
    files: dict[str, Entry] = field(default_factory=dict)
    manifest: Manifest | None = None

    @property
    def committed(self) -> bool:
        """Whether readers see it."""
        return _MANIFEST in self.files

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

    @property
    def dataset(self) -> str:
        """The first part of the asset's key."""
        return self.asset.split("/")[0]

    def unnamed(self) -> list[str]:
        """Files of a committed version that its manifest does not name, by path below the root."""
        if self.manifest is None:
            return []
        named = {_MANIFEST, *(entry.path for entry in _named(self.manifest))}
        return [entry.path for name, entry in self.files.items() if name not in named]


@dataclass(frozen=True)
class Damage:
    """A file that is not what its manifest says.

    Args:
        folder: of the version.
        entry: what the manifest says of it.
        problem: in a few words.
    """

    folder: VersionFolder
    entry: PartEntry | FileEntry
    problem: str

    @property
    def path(self) -> str:
        """Of the file below the root."""
        return f"{self.folder.path}/{self.entry.path}"


@dataclass(frozen=True)
class BrokenManifest:
    """A manifest that this code cannot read; ``format`` if that is because a newer one wrote it."""

    folder: VersionFolder
    format: int | None


@dataclass(frozen=True)
class BrokenHead:
    """An asset whose current version cannot be opened."""

    asset: str
    partition: str | None
    problem: str


class Survey:
    """One look at everything that is stored.

    Args:
        snapshots: the repository.

    Raises:
        StorageError: it cannot be listed.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots, self._store = snapshots, snapshots.store
        self.folders: list[VersionFolder] = []
        self.broken_manifests: list[BrokenManifest] = []
        self._histories: list[tuple[str, str | None]] = []
        self._arrange(self._store.entries(""))
        self._read_manifests()

    def damages(self, *, deep: bool) -> Iterator[Damage]:
        """Files that are missing or have another size; with ``deep``, another digest."""
        committed = [folder for folder in self.folders if folder.manifest is not None]
        with track("versions", len(committed), "versions") as task:
            for folder in committed:
                assert folder.manifest is not None
                for entry in _named(folder.manifest):
                    if problem := self._problem(folder, entry, deep=deep):
                        yield Damage(folder, entry, problem)
                task.advance(note=folder.path)

    def broken_heads(self) -> Iterator[BrokenHead]:
        """Assets whose history ends at something that is not there."""
        unreadable = {broken.folder.path for broken in self.broken_manifests}
        for asset, partition in self._histories:
            try:
                last = self._snapshots.history(asset, partition)[-1]
            except (SnapshotError, FileNotFoundError) as error:
                yield BrokenHead(asset, partition, str(error).splitlines()[0])
                continue
            path = f"{asset}/{partition or UNPARTITIONED}/{last.snapshot_id}"
            if path not in unreadable and not any(folder.path == path and folder.committed for folder in self.folders):
                yield BrokenHead(asset, partition, f"its current version {last.snapshot_id} is not there")

    def twin(self, damage: Damage) -> str | None:
        """Path of a whole file with the content that a damaged one should have, if another version has it."""
        for folder in self.folders:
            for entry in _named(folder.manifest) if folder.manifest else ():
                path = f"{folder.path}/{entry.path}"
                equal = (entry.digest, entry.bytes) == (damage.entry.digest, damage.entry.bytes)
                if equal and path != damage.path and self._problem(folder, entry, deep=True) is None:
                    return path
        return None

    def restore(self, damage: Damage, twin: str) -> None:
        """Put a copy of a whole file in the place of a damaged one, which no reader could use.

        Raises:
            StorageError: the copy cannot be written, or is not what it should be.
        """
        put_back(self._store, damage.path, twin, damage.entry.digest)

    def discard(self, paths: Iterable[str]) -> None:
        """Remove files that no reader sees."""
        for path in paths:
            self._store.delete(path)

    def _arrange(self, entries: Iterable[Entry]) -> None:
        folders: dict[str, VersionFolder] = {}
        histories: set[tuple[str, str | None]] = set()
        for entry in entries:
            if found := _IN_VERSION.fullmatch(entry.path):
                path = f"{found['asset']}/{found['partition']}/{found['id']}"
                folder = folders.setdefault(
                    path, VersionFolder(found["asset"], _partition(found["partition"]), found["id"], path)
                )
                folder.files[found["file"]] = entry
            elif found := _IN_HISTORY.fullmatch(entry.path):
                histories.add((found["asset"], _partition(found["partition"])))
        self.folders = list(folders.values())
        self._histories = sorted(histories, key=lambda pair: (pair[0], pair[1] or ""))

    def _read_manifests(self) -> None:
        for folder in self.folders:
            if not folder.committed:
                continue
            try:
                snapshot = self._snapshots.open(folder.asset, folder.partition, folder.snapshot_id)
            except SnapshotError:
                self.broken_manifests.append(BrokenManifest(folder, self._newer_format(folder)))
            else:
                folder.manifest = snapshot.manifest if snapshot else None

    def _newer_format(self, folder: VersionFolder) -> int | None:
        try:
            content: Any = json.loads(self._store.read(f"{folder.path}/{_MANIFEST}"))
        except (ValueError, FileNotFoundError):
            return None
        known = Manifest.model_fields["format"].default
        written = content.get("format") if isinstance(content, dict) else None
        return written if isinstance(written, int) and written != known else None

    def _problem(self, folder: VersionFolder, entry: PartEntry | FileEntry, *, deep: bool) -> str | None:
        found = folder.files.get(entry.path)
        if found is None:
            return "is missing"
        if found.bytes != entry.bytes:
            return f"has {found.bytes:,} bytes instead of {entry.bytes:,}"
        try:
            if deep and digest_blocks(self._store.blocks(found.path)) != entry.digest:
                return "holds other bytes than were committed"
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        return None


def _named(manifest: Manifest) -> Iterator[PartEntry | FileEntry]:
    for table in manifest.tables.values():
        yield from table.parts
    yield from manifest.files


def _partition(name: str) -> str | None:
    return None if name == UNPARTITIONED else name
