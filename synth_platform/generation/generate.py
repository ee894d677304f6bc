"""Run all prompts of some recipes through the engine: every answer durable at once, every shard committed whole.

Which shards and answers of an earlier run count is decided by the snapshot's identity (prompts, engine, sampling,
shard size) and, answer by answer, by the request's key: nothing made under other settings can be mixed in.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_texts
from synth_platform.errors import SynthError
from synth_platform.generation.budget import Budget
from synth_platform.generation.client import Client
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.dispatch import Dispatcher
from synth_platform.generation.hosts import Host, server_of
from synth_platform.generation.identity import request_keys
from synth_platform.generation.ledger import Ledger
from synth_platform.generation.meter import Meter, Reading, StatusFile
from synth_platform.generation.outcome import Outcome, outcome_frame
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.shards import Session, ShardStore
from synth_platform.progress import Task, track
from synth_platform.snapshots.frames import rebatch

_COALESCE_SECONDS = 0.01
_TICK_SECONDS = 1.0
_SYNC_SECONDS = 2.0
_NOTE_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """One recipe's prompts and where their generations go.

    Args:
        recipe: its name.
        prompts: batches with the columns id, messages and seed.
        rows: prompts in all.
        fields: what each request says beside its messages, ``max_tokens`` among it.
        shards: where the results go.
    """

    recipe: str
    prompts: Iterable[pl.DataFrame]
    rows: int
    fields: Mapping[str, Any]
    shards: ShardStore


@dataclass(frozen=True)
class Shard:
    """Some consecutive prompts of a job; what is committed as one."""

    job: Job
    number: int
    prompts: pl.DataFrame


def generate(
    jobs: Sequence[Job],
    hosts: Sequence[Host],
    settings: ClientSettings,
    *,
    engine: str,
    shard_size: int,
    budget: Budget,
    reading: Reading,
    status: StatusFile,
) -> None:
    """Generate every row of every job that is not there yet.

    Args:
        jobs: recipes; they share the engine, so the next one starts while the last one's tail runs.
        hosts: the engine's servers.
        settings: of the client.
        engine: the engine's digest, part of each request's key.
        shard_size: prompts per shard.
        budget: what may be spent.
        reading: facts of the run, for the status file.
        status: where to write what is going on.

    Raises:
        EngineError: the engine is gone.
        BudgetSpent: the budget is used up.
        StorageError: the disk is full, or refuses.
        In each case what was answered stays, and the next run goes on from there.
    """
    meter = Meter(reading)
    with track("generations", reading.total, "prompts") as task:
        asyncio.run(_generate(jobs, hosts, settings, engine, shard_size, budget, meter, status, task))


def shard_count(rows: int, shard_size: int) -> int:
    """Shards that hold this many rows."""
    return -(-rows // shard_size)


async def _generate(
    jobs: Sequence[Job],
    hosts: Sequence[Host],
    settings: ClientSettings,
    engine: str,
    shard_size: int,
    budget: Budget,
    meter: Meter,
    status: StatusFile,
    task: Task,
) -> None:
    """Keep enough shards under way that the engine stays full, but no more: memory stays bounded."""
    async with Generator(hosts, settings, engine, budget, meter, [job.shards for job in jobs]) as generator:
        watch = _Watch(generator, meter, status, task, budget)
        async with watch.running():
            room = 2 * settings.concurrency * len(hosts)
            under_way: dict[asyncio.Task[None], int] = {}
            try:
                for shard in _shards(jobs, shard_size, meter):
                    work = asyncio.create_task(generator.run(shard))
                    under_way[work] = shard.prompts.height
                    while sum(under_way.values()) >= room and under_way:
                        await _next_done(under_way)
                    await asyncio.sleep(0)
                while under_way:
                    await _next_done(under_way)
            finally:
                for work in under_way:
                    work.cancel()
                await asyncio.gather(*under_way, return_exceptions=True)


def _shards(jobs: Sequence[Job], shard_size: int, meter: Meter) -> Iterator[Shard]:
    for job in jobs:
        committed = job.shards.committed()
        for number, prompts in enumerate(rebatch(job.prompts, shard_size)):
            if number in committed:
                meter.keep(prompts.height)
            elif prompts.height:
                yield Shard(job, number, prompts)


async def _next_done(under_way: dict[asyncio.Task[None], int]) -> None:
    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    for work in done:
        del under_way[work]
    for work in done:
        work.result()


class Generator:
    """Runs shards through the engine, several at a time.

    Args:
        hosts: the engine's servers.
        settings: of the client.
        engine: the engine's digest.
        budget: what may be spent.
        meter: counts what happens.
        stores: where results go; their ledgers are kept in step.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        settings: ClientSettings,
        engine: str,
        budget: Budget,
        meter: Meter,
        stores: Sequence[ShardStore],
    ) -> None:
        self._hosts, self._settings, self._engine = hosts, settings, engine
        self.budget, self.meter, self.stores = budget, meter, list(stores)
        self._recorder = _Recorder()
        self.counts: dict[ShardStore, Session] = {}

    async def __aenter__(self) -> "Generator":
        self._stack = contextlib.AsyncExitStack()
        client = await self._stack.enter_async_context(Client(self._settings.request_seconds))
        servers = [server_of(host, self._settings) for host in self._hosts]
        self.dispatcher = Dispatcher(client, servers, self._settings, self.budget)
        await self._stack.enter_async_context(self.dispatcher)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for store in self.stores:
            store.ledger.close()

    async def run(self, shard: Shard) -> None:
        """Generate what a shard lacks, and commit it.

        Raises:
            SynthError: see `generate`.
        """
        store = shard.job.shards
        if store not in self.stores:
            self.stores.append(store)
        messages = shard.prompts["messages"].to_list()
        seeds = shard.prompts["seed"].to_list()
        keys = request_keys(messages, seeds, shard.job.fields, self._engine)
        known = await asyncio.to_thread(store.ledger.read, shard.number)
        outcomes = [known.get(key) for key in keys]
        self.meter.keep(sum(outcome is not None for outcome in outcomes))
        await self._fill(shard, outcomes, keys, messages, seeds)
        rows = _frame(shard, [one for one in outcomes if one is not None], keys, self._engine)
        # In a thread: syncing to disk must not keep the answers of other shards waiting.
        await asyncio.to_thread(store.commit, shard.number, rows)

    async def _fill(
        self, shard: Shard, outcomes: list[Outcome | None], keys: list[str], messages: list[str], seeds: list[int]
    ) -> None:
        """Ask for each row without an outcome. Neighbours share as long a prefix as possible."""
        job, shared = shard.job, json.dumps(dict(shard.job.fields), ensure_ascii=False)
        most_tokens = int(job.fields["max_tokens"])

        async def one(row: int) -> None:
            fields = f'{shared[:-1]},"seed":{seeds[row] & 0x7FFFFFFF}}}' if self._settings.seeds else shared

            async def record(outcome: Outcome) -> None:
                await self._recorder.record(job.shards.ledger, shard.number, keys[row], outcome)
                self._count(job.shards, outcome)

            outcomes[row] = await self.dispatcher.ask(messages[row], fields, most_tokens, record)

        missing = [row for row, outcome in enumerate(outcomes) if outcome is None]
        missing.sort(key=messages.__getitem__)
        rows = [asyncio.create_task(one(row)) for row in missing]
        try:
            await asyncio.gather(*rows)
        finally:
            for row in rows:
                row.cancel()

    def _count(self, store: ShardStore, outcome: Outcome) -> None:
        self.meter.add(outcome)
        before = self.counts.get(store) or Session("")
        self.counts[store] = replace(
            before,
            rows=before.rows + 1,
            output_tokens=before.output_tokens + (outcome.completion_tokens or 0),
            prompt_tokens=before.prompt_tokens + (outcome.prompt_tokens or 0),
        )


class _Recorder:
    """Group commit: outcomes that come within some milliseconds are written together, a lone one at once."""

    def __init__(self) -> None:
        self._rows: dict[tuple[Ledger, int], list[tuple[str, Outcome]]] = {}
        self._written: asyncio.Future[None] | None = None
        self._last = 0.0

    async def record(self, ledger: Ledger, shard: int, key: str, outcome: Outcome) -> None:
        """Wait until the outcome is written.

        Raises:
            StorageError: the disk is full, or refuses.
        """
        self._rows.setdefault((ledger, shard), []).append((key, outcome))
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_at(max(loop.time(), self._last + _COALESCE_SECONDS), self._write)
        await asyncio.shield(self._written)

    def _write(self) -> None:
        rows, written = self._rows, self._written
        assert written is not None
        self._rows, self._written, self._last = {}, None, asyncio.get_running_loop().time()
        try:
            for (ledger, shard), outcomes in rows.items():
                ledger.append(shard, outcomes)
        except SynthError as error:
            written.set_exception(error)
        else:
            written.set_result(None)


class _Watch:
    """What happens once a second beside the work: reading, status file, sync, notes on what was spent."""

    def __init__(
        self, generator: Generator, meter: Meter, status: StatusFile, task: Task | None, budget: Budget
    ) -> None:
        self._generator, self._meter, self._status, self._task = generator, meter, status, task
        self._budget = budget
        self._synced = self._noted = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the block runs; the last reading says how it ended."""
        beat = asyncio.create_task(self._beat())
        state = "stopped"
        try:
            yield
            state = "finished"
        except SynthError as error:
            state = f"stopped: {error.what}"
            raise
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            self._read(state)
            with contextlib.suppress(SynthError):  # the reason of the end is what counts
                await asyncio.to_thread(self._note)

    async def _beat(self) -> None:
        while True:
            self._read("running")
            await asyncio.sleep(_TICK_SECONDS)
            now = self._meter.seconds
            try:
                if now - self._synced >= _SYNC_SECONDS:
                    self._synced = now
                    await asyncio.to_thread(self._sync)
                if now - self._noted >= _NOTE_SECONDS:
                    self._noted = now
                    await asyncio.to_thread(self._note)
            except SynthError as error:
                self._generator.dispatcher.fail(error)
                return

    def _read(self, state: str) -> None:
        dispatcher, reading = self._generator.dispatcher, self._meter.reading
        servers = dispatcher.pool.servers
        reading.state = state
        reading.in_flight, reading.waiting = dispatcher.in_flight, dispatcher.waiting
        reading.limit = sum(server.limit.limit for server in servers if server.up)
        reading.faults = dict(dispatcher.faults)
        reading.servers, reading.servers_up = len(servers), sum(server.up for server in servers)
        queues = [
            server.metrics["num_requests_waiting"] for server in servers if "num_requests_waiting" in server.metrics
        ]
        reading.server_queue = int(sum(queues)) if queues else None
        asked = sum(server.metrics.get("prefix_cache_queries", 0.0) for server in servers)
        hits = sum(server.metrics.get("prefix_cache_hits", 0.0) for server in servers)
        reading.cache_hits = round(hits / asked, 4) if asked else None
        hours = self._budget.spent.engine_seconds / 3600
        reading.engine_hours = round(hours, 5)
        price = self._budget.price_per_hour
        reading.cost = round(hours * price, 4) if price is not None else None
        self._meter.tick()
        self._status.write(reading)
        if self._task is not None:
            self._task.set(reading.done, kept=reading.kept, tokens=reading.output_tokens, note=_note_of(reading))

    def _sync(self) -> None:
        for store in list(self._generator.stores):
            store.ledger.sync()

    def _note(self) -> None:
        """Each recipe's share of the engine's time, by the tokens that were made for it."""
        counts = dict(self._generator.counts)
        made = sum(session.output_tokens for session in counts.values())
        seconds = self._budget.session_seconds * self._budget.units
        points = [asdict(point) for point in self._meter.points]
        for store, session in counts.items():
            share = session.output_tokens / made if made else 1 / len(counts)
            store.note(
                replace(
                    session,
                    engine_seconds=round(seconds * share, 3),
                    faults=dict(self._generator.dispatcher.faults),
                    points=points,
                )
            )


def _note_of(reading: Reading) -> str:
    parts = [f"{reading.in_flight} in flight"]
    if reading.cache_hits is not None:
        parts.append(f"{reading.cache_hits:.0%} cached")
    if reading.kept:
        parts.append(f"{reading.kept:,} kept from before")
    if reading.servers_up < reading.servers:
        parts.append(f"{reading.servers - reading.servers_up} of {reading.servers} servers out")
    troubled = {name: count for name, count in reading.outcomes.items() if name not in ("ok", "truncated")}
    parts += [f"{count:,} {name}" for name, count in sorted(troubled.items())]
    parts += [f"{count:,} tries {kind}" for kind, count in sorted(reading.faults.items())]
    return ", ".join(parts)


def _frame(shard: Shard, outcomes: Sequence[Outcome], keys: Sequence[str], engine: str) -> pl.DataFrame:
    prompt_ids = shard.prompts["id"].to_list()
    count = len(prompt_ids)
    ids = digest_texts(prompt_ids, [engine] * count, [digest(dict(shard.job.fields))] * count)
    known = pl.DataFrame({"id": ids, "prompt_id": prompt_ids, "requests": [[key] for key in keys]})
    rows = known.hstack(outcome_frame(list(outcomes)))
    return rows.with_columns(model=pl.lit(None, pl.String()), engine_digest=pl.lit(engine, pl.String())).select(
        GENERATIONS.names()
    )
