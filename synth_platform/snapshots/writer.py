"""Write a snapshot: rows into fixed-size parts, shards that survive a crash, the manifest last."""

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.digest import digest_file
from synth_platform.errors import SnapshotError, StorageError
from synth_platform.snapshots.identity import Identity
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry, TableEntry, content_digest, file_entry
from synth_platform.snapshots.repository import MANIFEST_FILE, Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import AlreadyExists, Store
from synth_platform.snapshots.unfinished import IDENTITY_FILE, identity_record

ROWS_PER_PART = 20_000
_ROW_GROUP_ROWS = 4096


class SnapshotWriter:
    """Writes one snapshot of the given identity; readers see nothing before `commit`.

    Rows given to `write` are cut into parts of a fixed size, so the bytes do not depend on how they
    arrived. Rows given to `commit_shard` are durable at once and found again by a later writer of the
    same identity.

    Args:
        snapshots: the repository.
        identity: what determines the content.
        tables: table name to the columns it must have; the first is the main table. More columns may
            be written, always the same ones.
        scratch: local folder for parts on their way.
        run_id: who asked for it.
        folder: where the parts of a table lie, relative to the snapshot's folder.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        identity: Identity,
        tables: Mapping[str, pl.Schema],
        *,
        scratch: Path,
        run_id: str = "",
        folder: str = "",
        rows_per_part: int = ROWS_PER_PART,
    ) -> None:
        self._snapshots, self.identity, self._contract = snapshots, identity, dict(tables)
        self._scratch, self._run_id, self._folder = scratch, run_id, folder
        self._rows_per_part = rows_per_part
        self._writer = uuid.uuid4().hex[:8]
        self._started = datetime.now(UTC)
        self._buffers: dict[str, list[pl.DataFrame]] = {name: [] for name in tables}
        self._parts: dict[str, list[PartEntry]] = {name: [] for name in tables}
        self._columns: dict[str, pl.Schema] = {}
        self._files: list[FileEntry] = []
        self._counts: dict[str, int] = {}
        self._details: dict[str, Any] = {}

    def write(self, table: str, rows: pl.DataFrame) -> None:
        """Append rows to a table."""
        if rows.is_empty():
            return
        buffer = self._buffers[table]
        buffer.append(self._conform(table, rows))
        while sum(frame.height for frame in buffer) >= self._rows_per_part:
            whole = pl.concat(buffer)
            self._write_part(table, whole.head(self._rows_per_part))
            rest = whole.slice(self._rows_per_part)
            buffer[:] = [rest] if rest.height else []  # no part without rows at the end

    def end_part(self, table: str) -> None:
        """Begin a new part with the next rows of a table, however few the last one has."""
        buffer = self._buffers[table]
        if any(frame.height for frame in buffer):
            self._write_part(table, pl.concat(buffer))
        buffer.clear()

    def count(self, **counts: int) -> None:
        """Add to the counts kept in the manifest."""
        for name, count in counts.items():
            self._counts[name] = self._counts.get(name, 0) + count

    def detail(self, **details: Any) -> None:
        """Set facts kept in the manifest, JSON-able."""
        self._details.update(details)

    def add_file(self, path: str, data: bytes) -> None:
        """Put a file beside the tables.

        Raises:
            SnapshotError: another writer has finished the version, with other bytes in that file.
        """
        place = f"{self.identity.folder}/{path}"
        with contextlib.suppress(AlreadyExists):  # an earlier, unfinished writer's: judged by its bytes
            self.store.create(place, data)
        if self.store.read(place) != data:
            if self._committed() is not None:
                raise self._finished_elsewhere()
            self.store.replace(place, data)
        self._files.append(file_entry(path, data))

    @property
    def store(self) -> Store:
        """Where the snapshot is written."""
        return self._snapshots.store

    @property
    def name(self) -> str:
        """Name of this writer, unlike that of any other."""
        return self._writer

    def has_shard(self, table: str, number: int) -> bool:
        """Whether some writer of this identity has committed a shard."""
        try:
            self.store.read(f"{self._shard_folder(table)}/{number:06d}.json")
        except FileNotFoundError:
            return False
        return True

    def shards(self, table: str) -> dict[int, PartEntry]:
        """Shards of this identity that are committed and whole, by number."""
        found: dict[int, PartEntry] = {}
        for path in self._snapshots.store.files(self._shard_folder(table)):
            if not path.endswith(".json"):
                continue
            try:
                entry = PartEntry.model_validate_json(self._snapshots.store.read(path))
                self._snapshots.verified(self.identity.folder, entry)
            except FileNotFoundError:
                continue  # swept since it was listed, by a writer that committed
            except SnapshotError:
                self._snapshots.store.delete(path)  # damaged: this shard has to be made again
                continue
            found[int(Path(path).stem)] = entry
        return found

    def shard_rows(self, table: str) -> int:
        """Rows of the shards of this identity that are committed, damaged ones too: nothing is looked into."""
        paths = [one for one in self._snapshots.store.files(self._shard_folder(table)) if one.endswith(".json")]
        return sum(PartEntry.model_validate_json(self._snapshots.store.read(path)).rows for path in paths)

    def announce(self) -> None:
        """Leave word in the folder of what is being made, for those who begin something else later."""
        with contextlib.suppress(AlreadyExists):
            self.store.create(f"{self.identity.folder}/{IDENTITY_FILE}", identity_record(self.identity))

    def shard_files(self, table: str) -> list[Path]:
        """Local, verified files of the committed shards, in their order."""
        shards = self.shards(table)
        return [self._snapshots.verified(self.identity.folder, shards[number]) for number in sorted(shards)]

    def commit_shard(self, table: str, number: int, rows: pl.DataFrame) -> PartEntry:
        """Make the rows of a shard durable. Of two writers of the same shard the first wins."""
        part = self._save(table, number, self._conform(table, rows))
        path = f"{self._shard_folder(table)}/{number:06d}.json"
        if self._snapshots.create_once(path, part.model_dump_json().encode()):
            return part
        self._snapshots.store.delete(f"{self.identity.folder}/{part.path}")
        try:
            return PartEntry.model_validate_json(self._snapshots.store.read(path))
        except FileNotFoundError:
            raise self._finished_elsewhere() from None

    def use_shards(self, table: str, expected: int) -> None:
        """Make the committed shards, in order, the parts of the table.

        Raises:
            SnapshotError: a shard below ``expected`` is missing, or another writer has finished the version.
        """
        shards = self.shards(table)
        missing = [number for number in range(expected) if number not in shards]
        if missing and self._committed() is not None:
            raise self._finished_elsewhere()
        if missing:
            raise SnapshotError(
                f"{len(missing)} of {expected} shards are not done (first: {missing[0]})",
                where=self.identity.asset,
                fix="run it again: it goes on where it stopped",
            )
        self._parts[table] = [shards[number] for number in range(expected)]

    def commit(self) -> Snapshot:
        """Write what is buffered and then the manifest; from now on the snapshot exists.

        If another writer of the same identity was faster its snapshot is returned, and what it does not
        hold of this one's parts is removed.

        Raises:
            SnapshotError: files of it were removed meanwhile.
        """
        for table, buffer in self._buffers.items():
            if buffer or not self._parts[table]:
                rows = pl.concat(buffer) if buffer else pl.DataFrame(schema=self._contract[table])
                self._write_part(table, rows)
                buffer.clear()
        manifest = self._manifest()
        self._check_files(manifest)
        path = f"{self.identity.folder}/{MANIFEST_FILE}"
        data = json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()
        self._snapshots.create_once(path, data)
        snapshot = self._committed()
        assert snapshot is not None
        self._sweep(snapshot)
        return snapshot

    def _check_files(self, manifest: Manifest) -> None:
        """Refuse to name files that are not there: on another machine they may have been taken for a dead writer's."""
        there = {entry.path: entry.bytes for entry in self.store.entries(self.identity.folder)}
        folder = self.identity.folder
        gone = [entry.path for entry in manifest.entries if there.get(f"{folder}/{entry.path}") != entry.bytes]
        if gone and self._committed() is None:
            raise SnapshotError(
                f"{len(gone)} of {len(manifest.entries)} files were removed or replaced while others were written"
                f" (first: {gone[0]})",
                where=folder,
                fix="run it again: what is there is not made again",
            )

    def _manifest(self) -> Manifest:
        tables = {
            name: TableEntry(
                columns={c: str(t) for c, t in self._columns.get(name, self._contract[name]).items()},
                parts=parts,
            )
            for name, parts in self._parts.items()
        }
        return Manifest(
            asset=self.identity.asset,
            partition=self.identity.partition,
            snapshot_id=self.identity.snapshot_id,
            fingerprint=self.identity.fingerprint,
            code_version=self.identity.code_version,
            settings=json.loads(json.dumps(dict(self.identity.settings))),
            inputs=list(self.identity.inputs),
            tables=tables,
            files=self._files,
            counts=self._counts,
            details=self._details,
            digest=content_digest(tables, self._files),
            writer=self._writer,
            run_id=self._run_id,
            started_at=self._started,
            committed_at=datetime.now(UTC),
        )

    def _conform(self, table: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Order and check the columns; the first rows of a table settle its extra columns."""
        contract = self._contract[table]
        if missing := [column for column in contract if column not in rows.columns]:
            raise SnapshotError(f"rows of {table!r} lack the columns {missing}", where=self.identity.asset)
        extra = {c: t for c, t in rows.schema.items() if c not in contract}
        schema = self._columns.setdefault(table, pl.Schema({**contract, **extra}))
        if set(schema) != set(rows.columns):
            raise SnapshotError(f"columns of {table!r} changed between batches", where=self.identity.asset)
        return rows.select(schema.names()).cast(dict(schema))  # type: ignore[arg-type]

    def _write_part(self, table: str, rows: pl.DataFrame) -> None:
        self._parts[table].append(self._save(table, len(self._parts[table]), rows))

    def _save(self, table: str, number: int, rows: pl.DataFrame) -> PartEntry:
        """Write one Parquet file under a name that no other writer uses."""
        prefix = f"{self._folder}/" if self._folder else "part-"
        path = f"{prefix}{table}-{number:05d}-{self._writer}.parquet"
        self._scratch.mkdir(parents=True, exist_ok=True)
        local = self._scratch / f"{uuid.uuid4().hex}.parquet"
        try:
            rows.rechunk().write_parquet(local, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
            entry = PartEntry(path=path, rows=rows.height, bytes=local.stat().st_size, digest=digest_file(local))
            self._snapshots.store.move_in(f"{self.identity.folder}/{path}", local)
        except OSError as error:
            raise StorageError(
                f"cannot write: {error.strerror or error}",
                where=os.fspath(self._scratch),
                fix="free some space or choose another SYNTH_HOME; what was committed before is intact",
            ) from error
        finally:
            local.unlink(missing_ok=True)
        return entry

    def _committed(self) -> Snapshot | None:
        """The version, once some writer has committed it."""
        return self._snapshots.open(self.identity.asset, self.identity.partition, self.identity.snapshot_id)

    def _finished_elsewhere(self) -> SnapshotError:
        return SnapshotError(
            "another writer has finished this version meanwhile",
            where=self.identity.folder,
            fix="run it again: it is found",
        )

    def _shard_folder(self, table: str) -> str:
        return f"{self.identity.folder}/shards/{table}"

    def _sweep(self, snapshot: Snapshot) -> None:
        """Remove what the manifest does not name: shard records and leftovers of killed writers."""
        named = {f"{snapshot.folder}/{name}" for name in (MANIFEST_FILE, *(e.path for e in snapshot.manifest.entries))}
        for path in self._snapshots.store.files(snapshot.folder):
            if path not in named:
                self._snapshots.store.delete(path)
