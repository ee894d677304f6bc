"""What is wrong with stored versions: damaged parts, broken histories, leftovers and unfinished work."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from synth_platform.digest import digest_blocks
from synth_platform.errors import SnapshotError
from synth_platform.progress import track
from synth_platform.snapshots.healing import put_back
from synth_platform.snapshots.identity import partition_of, version_folder
from synth_platform.snapshots.listing import VersionFolder, version_folders
from synth_platform.snapshots.manifest import Manifest
from synth_platform.snapshots.repository import MANIFEST_FILE, Snapshots
from synth_platform.snapshots.store import Entry

_IN_HISTORY = re.compile(r"(?P<asset>[^.][^/]*(?:/[^/]+)*?)/(?P<partition>[^/]+)/refs/\d{8}\.json")


class NamedFile(NamedTuple):
    """What a manifest says of a file; the manifests of all versions at once would take too much memory."""

    path: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Damage:
    """A file that is not what its manifest says.

    Args:
        folder: of the version.
        entry: what the manifest says of it.
        problem: in a few words.
    """

    folder: VersionFolder
    entry: NamedFile
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
        entries = self._store.entries("")
        self.folders = list(version_folders(entries).values())
        self.broken_manifests: list[BrokenManifest] = []
        self._histories = _histories(entries)
        self._named: list[tuple[VersionFolder, tuple[NamedFile, ...]]] = []
        self._unnamed: dict[str, list[str]] = {}
        self._read_manifests()

    def unnamed(self, folder: VersionFolder) -> list[str]:
        """Files of a committed version that its manifest does not name, by path below the root."""
        return self._unnamed.get(folder.path, [])

    def damages(self, *, deep: bool) -> Iterator[Damage]:
        """Files that are missing or have another size; with ``deep``, another digest."""
        with track("versions", len(self._named), "versions") as task:
            for folder, entries in self._named:
                for entry in entries:
                    if problem := self._problem(folder, entry, deep=deep):
                        yield Damage(folder, entry, problem)
                task.advance(note=folder.path)

    def broken_heads(self) -> Iterator[BrokenHead]:
        """Assets whose history ends at something that is not there."""
        known = {folder.path for folder in self.folders if folder.committed or folder.removed}
        for asset, partition in self._histories:
            try:
                last = self._snapshots.history(asset, partition)[-1]
            except (SnapshotError, FileNotFoundError) as error:
                yield BrokenHead(asset, partition, str(error).splitlines()[0])
                continue
            if version_folder(asset, partition, last.snapshot_id) not in known:
                yield BrokenHead(asset, partition, f"its current version {last.snapshot_id} is not there")

    def twin(self, damage: Damage) -> str | None:
        """Path of a whole file with the content that a damaged one should have, if another version has it."""
        for folder, entries in self._named:
            for entry in entries:
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

    def _read_manifests(self) -> None:
        for folder in self.folders:
            if not folder.committed:
                continue
            try:
                snapshot = self._snapshots.open(*folder.key)
            except SnapshotError:
                self.broken_manifests.append(BrokenManifest(folder, self._newer_format(folder)))
            else:
                if snapshot is not None:
                    self._note(folder, snapshot.manifest)

    def _note(self, folder: VersionFolder, manifest: Manifest) -> None:
        entries = tuple(NamedFile(entry.path, entry.bytes, entry.digest) for entry in manifest.entries)
        self._named.append((folder, entries))
        if unnamed := folder.unnamed(manifest):
            self._unnamed[folder.path] = [entry.path for entry in unnamed]

    def _newer_format(self, folder: VersionFolder) -> int | None:
        try:
            content: Any = json.loads(self._store.read(f"{folder.path}/{MANIFEST_FILE}"))
        except (ValueError, FileNotFoundError):
            return None
        known = Manifest.model_fields["format"].default
        written = content.get("format") if isinstance(content, dict) else None
        return written if isinstance(written, int) and written != known else None

    def _problem(self, folder: VersionFolder, entry: NamedFile, *, deep: bool) -> str | None:
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


def _histories(entries: Iterable[Entry]) -> list[tuple[str, str | None]]:
    """Assets and partitions that have a history."""
    found = {
        (match["asset"], partition_of(match["partition"]))
        for entry in entries
        if (match := _IN_HISTORY.fullmatch(entry.path))
    }
    return sorted(found, key=lambda pair: (pair[0], pair[1] or ""))
