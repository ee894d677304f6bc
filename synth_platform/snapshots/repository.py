"""All versions of all assets: find them, tell which is current, and make another one so."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from synth_platform.config import check_name
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.identity import UNPARTITIONED, asset_folder, partition_of, version_folder
from synth_platform.snapshots.local_copies import LocalCopies
from synth_platform.snapshots.manifest import FileEntry, InputRef, Manifest, PartEntry, RefRecord, Removal
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import AlreadyExists, Store

MANIFEST_FILE = "manifest.json"
REMOVAL_FILE = "removed.json"
_SHORTEST_PATH = 4
"""Parts of a manifest's path, at least: asset, partition, snapshot, name."""
_Record = TypeVar("_Record", Manifest, Removal)


class Snapshots:
    """All versions of all assets below one root.

    Args:
        store: where they lie.
        cache: local folder for verified copies of remote parts.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        self.store = store
        self._copies = LocalCopies(store, cache)

    def open(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        """The snapshot, or None while it has no manifest, or no more.

        Raises:
            SpecError: a part of the name could leave the root.
        """
        folder = version_folder(asset, partition, snapshot_id)
        text = self._read(f"{folder}/{MANIFEST_FILE}")
        if text is None:
            return None
        return Snapshot(
            parse_record(Manifest, text, f"{self.store.url}/{folder}/{MANIFEST_FILE}"), folder, self._copies
        )

    def recall(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        """The snapshot, even if all that is left of it is what its manifest said."""
        if (found := self.open(asset, partition, snapshot_id)) is not None:
            return found
        folder = version_folder(asset, partition, snapshot_id)
        text = self._read(f"{folder}/{REMOVAL_FILE}")
        if text is None:
            return None
        removal = parse_record(Removal, text, f"{self.store.url}/{folder}/{REMOVAL_FILE}")
        return Snapshot(removal.manifest, folder, self._copies, removal)

    def all(self, prefix: str = "") -> Iterator[Snapshot]:
        """Every snapshot with its files, whether it was ever current or not, in the order of their paths."""
        for key in self.keys(prefix):
            found = self.open(*key)
            if found is not None:
                yield found

    def keys(self, prefix: str = "") -> Iterator[tuple[str, str | None, str]]:
        """Asset, partition and id of each of them; no manifest is read."""
        for path in self.store.files(prefix):
            parts = path.split("/")
            if parts[-1] == MANIFEST_FILE and len(parts) >= _SHORTEST_PATH:
                *asset, partition, snapshot_id, _ = parts
                yield "/".join(asset), partition_of(partition), snapshot_id

    def require(self, ref: InputRef) -> Snapshot:
        """The snapshot that ``ref`` names, even if its files were removed.

        Raises:
            SnapshotError: it is gone or holds something else by now.
        """
        snapshot = self.recall(ref.asset, ref.partition, ref.snapshot_id)
        if snapshot is None or snapshot.manifest.digest != ref.digest:
            raise SnapshotError(
                f"{ref.asset} {ref.snapshot_id} is {'missing' if snapshot is None else 'not what it was'}",
                where=f"{self.store.url}/{asset_folder(ref.asset, ref.partition)}",
                fix="materialize it again, or restore it from a backup",
            )
        return snapshot

    def head(self, asset: str, partition: str | None) -> Snapshot | None:
        """The current version, even if its files were removed, or None if there is none yet."""
        ref = self.current_ref(asset, partition)
        if ref is None:
            return None
        snapshot = self.recall(asset, partition, ref.snapshot_id)
        if snapshot is None:
            raise self._without_manifest(ref)
        return snapshot

    def current_ref(self, asset: str, partition: str | None) -> InputRef | None:
        """How another version names the current one as its input; its manifest is not read."""
        sequence = self._last_sequence(asset, partition)
        if not sequence:
            return None
        record = self._ref(asset, partition, sequence)
        return InputRef(asset=asset, partition=partition, snapshot_id=record.snapshot_id, digest=record.digest)

    def current(self, asset: str, partition: str | None) -> Snapshot | None:
        """The current version, or None if there is none with its files."""
        found = self.head(asset, partition)
        return found if found is not None and found.removal is None else None

    def inputs(self, asset: str, partition: str | None, snapshot_id: str) -> Sequence[InputRef] | None:
        """What a version was made from, even if its files were removed; None while it has no manifest, or no more."""
        found = self.recall(asset, partition, snapshot_id)
        return found.manifest.inputs if found is not None else None

    def inputs_of_current(self, asset: str, partition: str | None) -> Sequence[InputRef]:
        """What the current version was made from; nothing where there is none.

        Raises:
            SnapshotError: it has no manifest.
        """
        ref = self.current_ref(asset, partition)
        if ref is None:
            return ()
        inputs = self.inputs(asset, partition, ref.snapshot_id)
        if inputs is None:
            raise self._without_manifest(ref)
        return inputs

    def _without_manifest(self, ref: InputRef) -> SnapshotError:
        return SnapshotError(
            f"the current version of {ref.asset} has no manifest: {ref.snapshot_id}",
            where=f"{self.store.url}/{asset_folder(ref.asset, ref.partition)}",
            fix="materialize it again, or restore it from a backup",
        )

    def history(self, asset: str, partition: str | None) -> list[RefRecord]:
        """Which version was current from when on, oldest first; without damaged records that somebody has removed."""
        found: list[RefRecord] = []
        for sequence in range(1, self._last_sequence(asset, partition) + 1):
            with suppress(FileNotFoundError):
                found.append(self._ref(asset, partition, sequence))
        return found

    def set_head(self, snapshot: Snapshot, run_id: str) -> RefRecord:
        """Make a snapshot the current one. Appends; of two at once, both get a place."""
        m = snapshot.manifest
        while True:
            last = self._last_sequence(m.asset, m.partition)
            if last and _names(record := self._ref(m.asset, m.partition, last), m):
                return record
            record = RefRecord(
                sequence=last + 1,
                snapshot_id=m.snapshot_id,
                digest=m.digest,
                run_id=run_id,
                at=datetime.now(UTC),
            )
            path = f"{asset_folder(m.asset, m.partition)}/refs/{record.sequence:08d}.json"
            if self.create_once(path, record.model_dump_json().encode()):
                return record

    def assets(self, prefix: str = "") -> list[tuple[str, str | None]]:
        """Every (asset, partition) with at least one current version.

        Args:
            prefix: of the asset keys, in whole parts; all if empty.

        Raises:
            SpecError: a part of the prefix could leave the root.
        """
        for part in filter(None, prefix.split("/")):
            check_name(part, "asset name")
        found = set()
        for path in self.store.files(prefix):
            parts = path.split("/")
            if len(parts) > 3 and parts[-2] == "refs":
                found.add(("/".join(parts[:-3]), parts[-3]))
        return [(asset, partition_of(part)) for asset, part in sorted(found)]

    def partitions(self, asset: str) -> list[str]:
        """The partitions of an asset with a current version, sorted."""
        names = self.store.folders(asset_folder(asset, None).rsplit("/", 1)[0])
        return [n for n in names if n != UNPARTITIONED and self._last_sequence(asset, n)]

    def newest(self, asset: str) -> Snapshot | None:
        """The current version of an asset without partitions, or of its last partition that has one."""
        cycles = self.partitions(asset)
        return self.head(asset, cycles[-1] if cycles else None)

    def below(self, prefix: str) -> list[str]:
        """Assets whose key path is one name longer than ``prefix``."""
        return [f"{prefix}/{name}" for name in self.store.folders(prefix)]

    def forget(self, snapshot: Snapshot) -> None:
        """Delete the local copies of a remote snapshot's parts and files."""
        self._copies.forget(snapshot.folder, snapshot.manifest)

    def create_once(self, path: str, data: bytes) -> bool:
        """Create a file; False if somebody else's stands there.

        A put whose answer was lost reports a conflict with itself: what stands there decides.
        """
        try:
            self.store.create(path, data)
        except AlreadyExists:
            try:
                return self.store.read(path) == data
            except FileNotFoundError:  # it stood there, and was swept by a writer that committed
                return False
        return True

    def verified(self, folder: str, part: PartEntry | FileEntry) -> Path:
        """Local path of a part whose bytes match the manifest.

        Raises:
            SnapshotError: it is missing, cut short or changed.
        """
        return self._copies.verified(folder, part)

    def _read(self, path: str) -> bytes | None:
        try:
            return self.store.read(path)
        except FileNotFoundError:
            return None

    def _last_sequence(self, asset: str, partition: str | None) -> int:
        names = self.store.files(f"{asset_folder(asset, partition)}/refs")
        return max(map(sequence_of, names), default=0)

    def _ref(self, asset: str, partition: str | None, sequence: int) -> RefRecord:
        path = f"{asset_folder(asset, partition)}/refs/{sequence:08d}.json"
        try:
            return RefRecord.model_validate_json(self.store.read(path))
        except ValidationError as error:
            raise SnapshotError(
                f"a record in the history of {asset} is damaged",
                where=f"{self.store.url}/{path}",
                fix="restore it from a backup, or remove it: the one before is current then",
            ) from error


def parse_record(kind: type[_Record], text: bytes, where: str) -> _Record:
    """A manifest, or the record that took its place.

    Raises:
        SnapshotError: it cannot be read.
    """
    try:
        return kind.model_validate_json(text)
    except (ValueError, ValidationError) as error:
        raise SnapshotError(
            "a manifest is damaged, or written by a newer version",
            where=where,
            fix="restore it from a backup, or upgrade synth-platform",
        ) from error


def _names(record: RefRecord, manifest: Manifest) -> bool:
    """Whether it is this version that is current, and not another of the same id that it takes the place of."""
    return (record.snapshot_id, record.digest) == (manifest.snapshot_id, manifest.digest)


def sequence_of(path: str) -> int:
    """The place in a history that a file holds; 0 if it is none of a history's files."""
    return int(path[-13:-5]) if path.endswith(".json") and path[-13:-5].isdigit() else 0
