"""Versions that are only looked at: each listing and each manifest is read once, whoever asks how often."""

import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from synth_platform.snapshots.head_cache import HeadCache
from synth_platform.snapshots.identity import asset_folder, partition_of
from synth_platform.snapshots.input_cache import InputCache
from synth_platform.snapshots.manifest import InputRef, RefRecord
from synth_platform.snapshots.repository import Snapshots, sequence_of
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import Store

_FEW = 4
"""Partitions of an asset whose histories are listed one by one; where more are asked for, all are with one listing."""
_MANIFESTS_KEPT = 256
"""As many as one cycle has, several times: what was looked at for one cycle is not needed for the next."""


class SnapshotsAtRest(Snapshots):
    """All versions of all assets as they were when they were first asked for.

    Args:
        store: where they lie.
        cache: local folder for verified copies of remote parts.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        super().__init__(store, cache)
        self._heads, self._inputs = HeadCache(cache, store.url), InputCache(cache, store.url)
        self._sequences: dict[tuple[str, str | None], int] = {}
        self._stamps: dict[tuple[str, str | None], int] = {}
        self._partitions: dict[str, list[str]] = {}
        self._listed: defaultdict[str, set[str | None]] = defaultdict(set)
        self._listing: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._refs: dict[tuple[str, str | None, int], RefRecord] = {}
        self._current: dict[tuple[str, str | None], InputRef | None] = {}
        self._supposed: dict[tuple[str, str | None], Snapshot] = {}
        self._open_once = lru_cache(maxsize=_MANIFESTS_KEPT)(super().open)

    def suppose(self, snapshot: Snapshot) -> None:
        """From now on, answer as if a version were the current one."""
        key = (snapshot.manifest.asset, snapshot.manifest.partition)
        self._supposed[key], self._current[key] = snapshot, snapshot.ref

    def keep_found(self) -> None:
        """Keep which versions are current, and what they were made from, for those who look next."""
        self._heads.save()
        self._inputs.save()

    def inputs(self, asset: str, partition: str | None, snapshot_id: str) -> Sequence[InputRef] | None:
        key = (asset, partition, snapshot_id)
        found = self._inputs.inputs(key)
        if found is None and (found := super().inputs(*key)) is not None:
            self._inputs.keep(key, found)
        return found

    def current_ref(self, asset: str, partition: str | None) -> InputRef | None:
        key = (asset, partition)
        if key not in self._current:
            found = self._known_ref(asset, partition) or super().current_ref(asset, partition)
            return self._current.setdefault(key, found)  # another reader may have supposed something meanwhile
        return self._current[key]

    def _known_ref(self, asset: str, partition: str | None) -> InputRef | None:
        """The current version as it was when last looked, if its history bears the same time stamp."""
        sequence = self._last_sequence(asset, partition)
        stamp = self._stamps.get((asset, partition))
        return self._heads.ref(asset, partition, stamp, sequence) if stamp is not None else None

    def head(self, asset: str, partition: str | None) -> Snapshot | None:
        return self._supposed.get((asset, partition)) or super().head(asset, partition)

    def open(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        return self._open_once(asset, partition, snapshot_id)

    def partitions(self, asset: str) -> list[str]:
        if asset not in self._partitions:
            self._partitions[asset] = super().partitions(asset)
        return self._partitions[asset]

    def _list(self, asset: str, partition: str | None) -> None:
        """Read which histories there are, where looking is a request: of one partition, or of all.

        A listing of all goes through every object of the asset, so one or two cycles are looked at by themselves.
        """
        folder, listed = asset_folder(asset, partition), self._listed[asset]
        with self._listing[asset]:
            if len(listed) <= _FEW and partition not in listed:
                listed.add(partition)
                self._note(folder.rsplit("/", 1)[0] if len(listed) > _FEW else f"{folder}/refs")

    def _note(self, prefix: str) -> None:
        """Note the last record of each history below a prefix, unless it is known."""
        last: dict[tuple[str, str | None], tuple[int, int]] = {}
        for entry in self.store.entries(prefix):
            parts = entry.path.split("/")
            if len(parts) > 3 and parts[-2] == "refs":
                key = ("/".join(parts[:-3]), partition_of(parts[-3]))
                record = (sequence_of(entry.path), int(entry.modified.timestamp() * 1e9))
                last[key] = max(record, last.get(key, (0, 0)))
        for key, (sequence, stamp) in last.items():
            if key not in self._sequences:
                self._sequences[key], self._stamps[key] = sequence, stamp

    def _last_sequence(self, asset: str, partition: str | None) -> int:
        key = (asset, partition)
        if key not in self._sequences:
            self._sequences[key] = self._find_sequence(asset, partition)
        return self._sequences[key]

    def _find_sequence(self, asset: str, partition: str | None) -> int:
        if self.store.local is None:
            self._list(asset, partition)
            return self._sequences.get((asset, partition), 0)
        # By text, as the store reads: a path object for each of ten thousand cycles would cost as much as looking.
        folder = f"{self.store.url}/{asset_folder(asset, partition)}/refs"
        try:
            stamp = os.stat(folder).st_mtime_ns  # noqa: PTH116
            found = self._heads.sequence(asset, partition, stamp)
            if found is None:
                found = max(map(sequence_of, os.listdir(folder)), default=0)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return 0
        self._stamps[asset, partition] = stamp
        return found

    def _ref(self, asset: str, partition: str | None, sequence: int) -> RefRecord:
        key = (asset, partition, sequence)
        if key not in self._refs:
            self._refs[key] = self._find_ref(*key)
        return self._refs[key]

    def _find_ref(self, asset: str, partition: str | None, sequence: int) -> RefRecord:
        stamp = self._stamps.get((asset, partition))
        if stamp is None or sequence != self._last_sequence(asset, partition):
            return super()._ref(asset, partition, sequence)
        record = self._heads.record(asset, partition, stamp, sequence)
        if record is None:
            record = super()._ref(asset, partition, sequence)
            self._heads.keep(asset, partition, stamp, record)
        return record
