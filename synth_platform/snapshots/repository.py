"""Find and read snapshots: the history of each asset, its current version, verified parts."""

import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pyarrow.parquet as pq
from pydantic import ValidationError

from synth_platform.config import check_name
from synth_platform.digest import digest, digest_bytes, digest_file
from synth_platform.errors import RemovedError, SnapshotError
from synth_platform.snapshots.manifest import FileEntry, InputRef, Manifest, PartEntry, RefRecord, Removal
from synth_platform.snapshots.store import AlreadyExists, Store

UNPARTITIONED = "unpartitioned"
MANIFEST_FILE = "manifest.json"
REMOVAL_FILE = "removed.json"
_BATCH_ROWS = 4096
_SHORTEST_PATH = 4
"""Parts of a manifest's path, at least: asset, partition, snapshot, name."""
_Record = TypeVar("_Record", Manifest, Removal)


@dataclass(frozen=True)
class Identity:
    """All that determines a snapshot's content; equal identities may share work, different ones never.

    Args:
        asset: asset key path, such as ``quickstart/prompts/table``.
        partition: the cycle, or None.
        code_version: version of the stage's code.
        settings: the part of the spec that the stage reads, JSON-able.
        inputs: the snapshots it reads.
        attempt: raised to make the same thing anew.
    """

    asset: str
    partition: str | None
    code_version: str
    settings: Mapping[str, Any]
    inputs: tuple[InputRef, ...] = ()
    attempt: int = 0

    @property
    def fingerprint(self) -> str:
        """Digest of the identity; inputs count by content, not by where they lie."""
        inputs = sorted((ref.asset, ref.partition or "", ref.digest) for ref in self.inputs)
        return digest(self.asset, self.partition, self.code_version, dict(self.settings), inputs, self.attempt)

    @property
    def snapshot_id(self) -> str:
        """Folder name of the snapshot."""
        return self.fingerprint[:16]

    @property
    def folder(self) -> str:
        """Path of the snapshot's folder below the root."""
        return f"{asset_folder(self.asset, self.partition)}/{self.snapshot_id}"


@lru_cache(maxsize=1024)
def _checked(name: str, kind: str) -> str:
    return check_name(name, kind)


def asset_folder(asset: str, partition: str | None) -> str:
    """Path of one partition of an asset below the root.

    Raises:
        SpecError: a part of the name could leave the root.
    """
    for part in asset.split("/"):
        _checked(part, "asset name")
    return f"{asset}/{_checked(partition, 'partition') if partition else UNPARTITIONED}"


@dataclass(frozen=True)
class Snapshot:
    """One committed version, read through verified files."""

    manifest: Manifest
    folder: str
    _repository: "Snapshots" = field(repr=False, compare=False)
    removal: Removal | None = None
    """Why only the manifest is left, if so; reading files raises `RemovedError` then."""

    @cached_property
    def ref(self) -> InputRef:
        """How another snapshot names this one as its input."""
        m = self.manifest
        return InputRef(asset=m.asset, partition=m.partition, snapshot_id=m.snapshot_id, digest=m.digest)

    @property
    def location(self) -> str:
        """Folder or URL for people."""
        return f"{self._repository.store.url}/{self.folder}"

    def files(self, table: str | None = None) -> list[Path]:
        """Local, verified Parquet files of a table (the main one by default), in row order."""
        self._check_there()
        name = table or next(iter(self.manifest.tables))
        if name not in self.manifest.tables:
            raise SnapshotError(f"no table {name!r}", where=self.location, fix=f"it has {list(self.manifest.tables)}")
        return [self._repository.verified(self.folder, part) for part in self.manifest.tables[name].parts]

    def is_whole(self) -> bool:
        """Whether all parts are there and hold what was committed."""
        try:
            for table in self.manifest.tables:
                self.files(table)
        except SnapshotError:
            return False
        return True

    def scan(self, table: str | None = None) -> pl.LazyFrame:
        """A lazy frame over a table."""
        return pl.scan_parquet(self.files(table), glob=False)

    def batches(self, table: str | None = None, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """The table's rows in order, a few thousand at a time; of an empty table, one batch without rows."""
        files = self.files(table)
        for file in files:
            yield from _batches(file, columns, even_if_empty=len(files) == 1)

    def part_batches(self, part: PartEntry, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows of one part in order, a few thousand at a time."""
        self._check_there()
        return _batches(self._repository.verified(self.folder, part), columns, even_if_empty=True)

    def local_files(self) -> Iterator[tuple[PartEntry | FileEntry, Path]]:
        """Every file of the version, its tables' parts and what lies beside them, with a verified local copy."""
        self._check_there()
        parts = [part for table in self.manifest.tables.values() for part in table.parts]
        for entry in (*parts, *self.manifest.files):
            yield entry, self._repository.verified(self.folder, entry)

    def read_file(self, path: str) -> bytes:
        """Bytes of a file beside the tables."""
        self._check_there()
        return self._repository.store.read(f"{self.folder}/{path}")

    def _check_there(self) -> None:
        if self.removal is not None:
            raise RemovedError(
                f"{self.manifest.asset} {self.manifest.snapshot_id} {self.removal.describe()}",
                where=self.location,
                fix="materialize it again",
            )


class Snapshots:
    """All versions of all assets below one root.

    Args:
        store: where they lie.
        cache: local folder for verified copies of remote parts.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        self.store, self._cache = store, cache
        self._verified: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def open(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        """The snapshot, or None while it has no manifest, or no more.

        Raises:
            SpecError: a part of the name could leave the root.
        """
        folder = f"{asset_folder(asset, partition)}/{check_name(snapshot_id, 'snapshot id')}"
        text = self._read(f"{folder}/{MANIFEST_FILE}")
        if text is None:
            return None
        return Snapshot(_parse(Manifest, text, f"{self.store.url}/{folder}/{MANIFEST_FILE}"), folder, self)

    def recall(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        """The snapshot, even if all that is left of it is what its manifest said."""
        if (found := self.open(asset, partition, snapshot_id)) is not None:
            return found
        folder = f"{asset_folder(asset, partition)}/{snapshot_id}"
        text = self._read(f"{folder}/{REMOVAL_FILE}")
        if text is None:
            return None
        removal = _parse(Removal, text, f"{self.store.url}/{folder}/{REMOVAL_FILE}")
        return Snapshot(removal.manifest, folder, self, removal)

    def all(self, prefix: str = "") -> Iterator[Snapshot]:
        """Every snapshot with its files, whether it was ever current or not, in the order of their paths."""
        for path in self.store.files(prefix):
            parts = path.split("/")
            if parts[-1] == MANIFEST_FILE and len(parts) >= _SHORTEST_PATH:
                *asset, partition, snapshot_id, _ = parts
                found = self.open("/".join(asset), None if partition == UNPARTITIONED else partition, snapshot_id)
                if found is not None:
                    yield found

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
            raise SnapshotError(
                f"the current version of {asset} has no manifest: {ref.snapshot_id}",
                where=f"{self.store.url}/{asset_folder(asset, partition)}",
                fix="materialize it again, or restore it from a backup",
            )
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

    def history(self, asset: str, partition: str | None) -> list[RefRecord]:
        """Which version was current from when on, oldest first."""
        return [self._ref(asset, partition, n) for n in range(1, self._last_sequence(asset, partition) + 1)]

    def set_head(self, snapshot: Snapshot, run_id: str) -> RefRecord:
        """Make a snapshot the current one. Appends; of two at once, both get a place."""
        m = snapshot.manifest
        while True:
            last = self._last_sequence(m.asset, m.partition)
            if last and (record := self._ref(m.asset, m.partition, last)).snapshot_id == m.snapshot_id:
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
        return [(asset, None if part == UNPARTITIONED else part) for asset, part in sorted(found)]

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
        """Delete the local copies of a remote snapshot's parts."""
        if self.store.local is None:
            for table in snapshot.manifest.tables.values():
                for part in table.parts:
                    self._local(f"{snapshot.folder}/{part.path}", part.digest).unlink(missing_ok=True)

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
        path = f"{folder}/{part.path}"
        local = self._local(path, part.digest)
        with self._lock:
            if (path, part.digest) in self._verified and local.exists():
                return local
        if not local.exists():
            self._fetch(path, local)
        if local.stat().st_size != part.bytes or digest_file(local) != part.digest:
            if self.store.local is None:
                local.unlink()
            raise SnapshotError(
                "a part does not match its manifest: it was damaged or changed after the commit",
                where=f"{self.store.url}/{path}",
                fix="restore the file from a backup, or materialize the asset anew with --fresh",
            )
        with self._lock:
            self._verified.add((path, part.digest))
        return local

    def _read(self, path: str) -> bytes | None:
        try:
            return self.store.read(path)
        except FileNotFoundError:
            return None

    def _local(self, path: str, part_digest: str) -> Path:
        if self.store.local is not None:
            return self.store.local / path
        return self._cache / f"{part_digest}.parquet"

    def _fetch(self, path: str, local: Path) -> None:
        missing = SnapshotError(
            "a part named by the manifest is missing",
            where=f"{self.store.url}/{path}",
            fix="restore the file from a backup, or materialize the asset anew with --fresh",
        )
        if self.store.local is not None:
            raise missing
        self._cache.mkdir(parents=True, exist_ok=True)
        aside = local.with_name(f"{local.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            self.store.fetch(path, aside)
            aside.replace(local)
        except FileNotFoundError:
            raise missing from None
        finally:
            aside.unlink(missing_ok=True)

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


def _batches(file: Path, columns: list[str] | None, *, even_if_empty: bool) -> Iterator[pl.DataFrame]:
    with pq.ParquetFile(file) as parquet:
        if not parquet.metadata.num_rows and even_if_empty:
            yield pl.read_parquet(file, columns=columns)
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame


def _parse(kind: type[_Record], text: bytes, where: str) -> _Record:
    try:
        return kind.model_validate_json(text)
    except (ValueError, ValidationError) as error:
        raise SnapshotError(
            "a manifest is damaged, or written by a newer version",
            where=where,
            fix="restore it from a backup, or upgrade synth-platform",
        ) from error


def sequence_of(path: str) -> int:
    """The place in a history that a file holds; 0 if it is none of a history's files."""
    return int(path[-13:-5]) if path.endswith(".json") and path[-13:-5].isdigit() else 0


def file_entry(path: str, data: bytes) -> FileEntry:
    """Manifest entry of a file beside the tables."""
    return FileEntry(path=path, bytes=len(data), digest=digest_bytes(data))
