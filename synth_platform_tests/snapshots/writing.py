"""Writers that race, die at a chosen step, and go on: what the proofs of the storage and its soak test share."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, cast

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.snapshots import Identity, Snapshots, SnapshotWriter
from synth_platform.snapshots.health import Survey
from synth_platform.snapshots.store import Log, Store, open_store

SCHEMA = pl.Schema({"id": pl.String(), "n": pl.Int64()})
SHARDS = 3
DIED = 9
_LONGEST_ROUND = 120.0
_CLOUD = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
_OPERATIONS = ("create", "move_in", "read", "fetch", "files", "entries", "folders", "delete", "open_log")
_LOG_OPERATIONS = ("append", "sync", "close")
_CHANGES = ("open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir")


def identity_of(asset: str, seed: int = 0) -> Identity:
    """Of the version that `make` writes."""
    return Identity(asset, None, "1", {"seed": seed})


def make(store: Store, folder: Path, asset: str = "ds/generations", seed: int = 0) -> str:
    """Make a version as the stages do, with shards, ledgers, a table and a file, or go on with one; its digest.

    Raises:
        SynthError: another writer was faster, and swept what this one was writing.
    """
    snapshots, identity = Snapshots(store, folder / "cache"), identity_of(asset, seed)
    found = snapshots.open(asset, None, identity.snapshot_id)
    if found is None:
        writer = SnapshotWriter(
            snapshots, identity, {"rows": SCHEMA, "skipped": SCHEMA}, scratch=folder / "scratch", rows_per_part=10
        )
        writer.announce()
        _write_shards(writer, seed)
        writer.write("skipped", _rows(seed, 15))
        writer.add_file("README.md", f"Made of {seed}.\n".encode() * 20)
        found = writer.commit()
    snapshots.set_head(found, "run")
    return found.manifest.digest


def _write_shards(writer: SnapshotWriter, seed: int) -> None:
    ledger = Ledger(writer.store, f"{writer.identity.folder}/ledger", writer.name)
    for number in range(SHARDS):
        if not writer.has_shard("rows", number):
            ledger.read(number)
            ledger.append(number, [(f"request-{number}", Outcome(text="x" * 50, status="ok"))])
            ledger.sync()
            writer.commit_shard("rows", number, _rows(seed + number, 8))
        ledger.drop(number)
    ledger.close()
    writer.use_shards("rows", SHARDS)


def _rows(seed: int, count: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"id": [f"{seed}-{n}" for n in range(count)], "n": [seed * n for n in range(count)]}, schema=SCHEMA
    )


def problems(store: Store, folder: Path) -> list[str]:
    """All that a reader could stumble over: torn versions, histories that point at nothing."""
    survey = Survey(Snapshots(store, folder / "cache"))
    damaged = [f"{damage.path} {damage.problem}" for damage in survey.damages(deep=True)]
    heads = [f"{head.asset}: {head.problem}" for head in survey.broken_heads()]
    return [*damaged, *heads, *(broken.folder.path for broken in survey.broken_manifests)]


class Dying:
    """A store that ends the process at its k-th operation, logs included.

    Args:
        store: does the work.
        at: number of the operation, from 0.
        after: whether the operation is done first.
    """

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store, self._at, self._after = store, at, after
        self._count = 0

    def __getattr__(self, name: str) -> Any:
        return self._watched(getattr(self._store, name), name in _OPERATIONS)

    def _watched(self, real: Any, counts: bool) -> Any:
        if not counts:
            return real

        def operation(*arguments: Any) -> Any:
            mine, self._count = self._count == self._at, self._count + 1
            if mine and not self._after:
                os._exit(DIED)
            try:
                answer = real(*arguments)
            finally:
                if mine:
                    os._exit(DIED)
            return _DyingLog(answer, self._watched) if real.__name__ == "open_log" else answer

        return operation


class _DyingLog:
    def __init__(self, log: Log, watched: Callable[[Any, bool], Any]) -> None:
        self._log, self._watched = log, watched

    def __getattr__(self, name: str) -> Any:
        return self._watched(getattr(self._log, name), name in _LOG_OPERATIONS)


def dies_at_operation(url: str, folder: Path, at: int, after: bool, variables: Mapping[str, str]) -> bool:
    """Make a version in a process that ends at its k-th store operation; False if there are fewer."""
    return _dies(_make_dying, url, folder, at, after, variables)


def dies_before_change(root: Path, folder: Path, at: int) -> bool:
    """The same with a process that ends before its k-th change of the file system below the root."""
    return _dies(_make_watched, str(root), folder, at)


def start_making(url: str, folder: Path, asset: str) -> BaseProcess:
    """Begin to make a version in a process of its own."""
    process = _processes().Process(target=_make_undisturbed, args=(url, folder, asset, cloud_variables()))
    process.start()
    return process


def _make_undisturbed(url: str, folder: Path, asset: str, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    make(open_store(url), folder, asset)


def _dies(target: Callable[..., None], *arguments: Any) -> bool:
    process = _processes().Process(target=target, args=arguments)
    process.start()
    process.join()
    assert process.exitcode in (0, DIED), f"the writer ended with {process.exitcode}"
    return process.exitcode == DIED


def _make_dying(url: str, folder: Path, at: int, after: bool, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    make(cast("Store", Dying(open_store(url), at, after=after)), folder)


def _make_watched(root: str, folder: Path, at: int) -> None:
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in _CHANGES and str(arguments[0]).startswith(str(folder)) and not _only_reads(event, arguments):
            if count == at:
                os._exit(DIED)
            count += 1

    store = open_store(root)
    sys.addaudithook(hook)
    make(store, folder)


def _only_reads(event: str, arguments: tuple[Any, ...]) -> bool:
    return event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)


@dataclass(frozen=True)
class Written:
    """What one racer got.

    Args:
        seed: of its version.
        digest: of what it made or was given; empty if it failed.
        error: kind and text of the error.
    """

    seed: int
    digest: str
    error: str


class Race:
    """Processes that write at the same instant, round after round.

    Args:
        url: root of the versions.
        folder: of the local files of all.
        writers: how many.
    """

    def __init__(self, url: str, folder: Path, writers: int = 8) -> None:
        context = _processes()
        self._start = context.Barrier(writers)
        self._pipes: list[Connection] = []
        self._racers = []
        for number in range(writers):
            mine, theirs = context.Pipe()
            arguments = (url, folder / f"racer-{number}", theirs, self._start, cloud_variables())
            self._racers.append(context.Process(target=_race, args=arguments, daemon=True))
            self._pipes.append(mine)

    def __enter__(self) -> "Race":
        for racer in self._racers:
            racer.start()
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for racer in self._racers:
            racer.join(30)

    def run(self, asset: str) -> list[Written]:
        """All write a version of an asset; the first two the same one."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((asset, max(number, 1)))
        return [_answer(pipe) for pipe in self._pipes]


def _answer(pipe: Connection) -> Written:
    assert pipe.poll(_LONGEST_ROUND), "a writer does not end"
    return pipe.recv()


def _race(url: str, folder: Path, pipe: Connection, barrier: Barrier, variables: Mapping[str, str]) -> None:
    os.environ.update(variables)
    store = open_store(url)
    for asset, seed in _orders(pipe):
        barrier.wait()
        try:
            pipe.send(Written(seed, make(store, folder, asset, seed), ""))
        except SynthError as error:
            pipe.send(Written(seed, "", f"named: {error.what}"))
        except Exception as error:
            pipe.send(Written(seed, "", f"{type(error).__name__}: {error}"))


def _orders(pipe: Connection) -> Iterator[tuple[str, int]]:
    while (order := pipe.recv()) is not None:
        yield order


def check_round(snapshots: Snapshots, asset: str, written: list[Written]) -> None:
    """Seven versions of eight writers; the two of the same one got the same, or one of them a clear error."""
    unclear = [one for one in written if one.error and not one.error.startswith("named")]
    assert not unclear, unclear
    failed = [one for one in written if one.error]
    assert len(failed) <= 1 and all(one.seed == 1 for one in failed), failed
    digests = {one.seed: one.digest for one in written if one.digest}
    assert all(one.digest == digests[one.seed] for one in written if one.digest)
    for seed, digest in digests.items():
        snapshot = snapshots.open(asset, None, identity_of(asset, seed).snapshot_id)
        assert snapshot is not None and snapshot.manifest.digest == digest and snapshot.is_whole()
    history = snapshots.history(asset, None)
    assert [record.sequence for record in history] == list(range(1, len(history) + 1))
    assert {record.digest for record in history} == set(digests.values()), "a version was lost from the history"


def cloud_variables() -> dict[str, str]:
    """What a process needs to reach the object store of this one."""
    return {name: os.environ[name] for name in _CLOUD if name in os.environ}


def _processes() -> ForkServerContext:
    """Processes of a server that has the imports ready but no threads: those of this process would not live on."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
