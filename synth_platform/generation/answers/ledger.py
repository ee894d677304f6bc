"""The ledger: every answer is on disk before its slot is given to another request.

One folder per shard holds a log per process that works on it; a record is an Arrow IPC stream of some rows, framed
with its length and digest. A row is in the hands of the operating system within milliseconds, so that the death of
this process costs only what was in flight, and on disk (or in the object store) within seconds. When the shard is
committed its folder is dropped.
"""

import io
import threading
from collections.abc import Sequence

import polars as pl

from synth_platform.generation.answers.outcome import Outcome, outcome_frame
from synth_platform.snapshots.framed_log import frame, frames
from synth_platform.snapshots.store import Log, Store

_KEY = "request"


class Ledger:
    """Outcomes by request, of the shards that are not committed yet.

    Args:
        store: where it lies.
        folder: its place in the store; made for one identity, so other settings never meet here.
        writer: name of this process, unlike that of any other.
    """

    def __init__(self, store: Store, folder: str, writer: str) -> None:
        self._store, self._folder, self._writer = store, folder, writer
        self._logs: dict[int, Log] = {}
        self._closing = threading.Lock()

    def shards(self) -> list[int]:
        """Shards with anything recorded."""
        return [int(name) for name in self._store.folders(self._folder)]

    def read(self, shard: int) -> dict[str, Outcome]:
        """What any process recorded for a shard, by request key."""
        found: dict[str, Outcome] = {}
        for path in self._store.files(self._shard_folder(shard)):
            try:
                log = self._store.read(path)
            except FileNotFoundError:
                continue  # dropped since it was listed, by a writer that committed the shard
            for payload in frames(log):
                for key, *values in pl.read_ipc_stream(io.BytesIO(payload)).iter_rows():
                    found[key] = Outcome(*values)
        return found

    def append(self, shard: int, rows: Sequence[tuple[str, Outcome]]) -> None:
        """Record outcomes.

        Raises:
            StorageError: the disk is full, or refuses for another reason.
        """
        log = self._logs.get(shard)
        if log is None:
            log = self._logs[shard] = self._store.open_log(f"{self._shard_folder(shard)}/{self._writer}.log")
        log.append(frame(_encode(rows)))

    def sync(self) -> None:
        """Make everything durable that was appended before; may be called from another thread."""
        with self._closing:
            for log in list(self._logs.values()):
                log.sync()

    def drop(self, shard: int) -> None:
        """Forget a shard that is committed."""
        with self._closing:
            if (log := self._logs.pop(shard, None)) is not None:
                log.close()
        for path in self._store.files(self._shard_folder(shard)):
            self._store.delete(path)

    def close(self) -> None:
        """Sync and release what is open."""
        with self._closing:
            while self._logs:
                self._logs.popitem()[1].close()

    def _shard_folder(self, shard: int) -> str:
        return f"{self._folder}/{shard:06d}"


def _encode(rows: Sequence[tuple[str, Outcome]]) -> bytes:
    keys = pl.Series(_KEY, [key for key, _ in rows], dtype=pl.String())
    table = pl.DataFrame([keys]).hstack(outcome_frame([outcome for _, outcome in rows]))
    buffer = io.BytesIO()
    table.write_ipc_stream(buffer)
    return buffer.getvalue()
