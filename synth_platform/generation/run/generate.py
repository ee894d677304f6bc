"""Run all prompts of some recipes through the engine: every answer durable at once, every shard committed whole.

Which shards and answers of an earlier run count is decided by the snapshot's identity (prompts, engine, sampling,
shard size) and, answer by answer, by the request's key: nothing made under other settings can be mixed in.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_platform.generation.answers.outcome import OUTCOME_COLUMNS, Outcome, outcomes_of
from synth_platform.generation.budget import Budget
from synth_platform.generation.config import EngineSpec
from synth_platform.generation.run.jobs import Job, Shard, cut, sampled_rows, spread
from synth_platform.generation.run.meter import Meter, Reading, StatusSink
from synth_platform.generation.run.shard_generator import Begun, Counts, Generator
from synth_platform.generation.run.watch import Watch
from synth_platform.generation.servers.hosts import Host
from synth_platform.progress import Task, track
from synth_platform.snapshots import Snapshot

_COLLECT_AFTER = 20_000
"""New objects between collections of the youngest generation."""


@dataclass(frozen=True)
class Plan:
    """What is to be generated, and how.

    Args:
        jobs: recipes; they share the engine, so the next one starts while the last one's tail runs.
        settings: of the engine.
        engine: the engine's digest, part of each request's key.
        shard_size: prompts per shard.
        budget: what may be spent.
        reading: facts of the run, for the status file.
        status: where to write what is going on.
    """

    jobs: Sequence[Job]
    settings: EngineSpec
    engine: str
    shard_size: int
    budget: Budget
    reading: Reading
    status: StatusSink


def generate(plan: Plan, hosts: Sequence[Host]) -> None:
    """Generate every row of every job that is not there yet.

    Raises:
        EngineError: the engine is gone.
        BudgetSpent: the budget is used up.
        StorageError: the disk is full, or refuses.
        In each case what was answered stays, and the next run goes on from there.
    """
    with track("generations", plan.reading.total, "prompts") as task, _rare_collections():
        asyncio.run(_generate(plan, hosts, task))


@dataclass(frozen=True)
class Sampled:
    """What some prompts of a recipe gave.

    Args:
        outcomes: of the prompts, whenever they were asked.
        seconds: that the engine worked for the sample.
        output_tokens: that it wrote in them.
    """

    outcomes: list[Outcome]
    seconds: float = 0.0
    output_tokens: int = 0

    @classmethod
    def of_version(cls, made: Snapshot, rows: int) -> "Sampled":
        """Of a version that is there: nothing is asked."""
        numbered = made.scan().select(OUTCOME_COLUMNS.names()).with_row_index("row")
        some = numbered.filter(pl.col("row").is_in(spread(made.manifest.rows, rows)))
        return cls(outcomes_of(some.collect(engine="streaming")))


def sample(plan: Plan, hosts: Sequence[Host], rows: int) -> dict[str, Sampled]:
    """Generate some rows of each job, spread evenly over it. They wait in the ledger: the run that follows has them.

    What is there already is not asked for again. The seconds are those of all recipes together.
    """
    with track("sample", plan.reading.total, "prompts") as task:
        return asyncio.run(_sample(plan, hosts, rows, task))


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Keep the garbage collector from walking, hundreds of times a minute, what is here to stay.

    Requests make many short-lived objects, and each full collection visits every object of every library: that cost
    a third of the client's speed.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@dataclass(frozen=True)
class Running:
    """An engine at work."""

    generator: Generator
    meter: Meter
    watch: Watch


@asynccontextmanager
async def running(plan: Plan, hosts: Sequence[Host], task: Task | None) -> AsyncIterator[Running]:
    """Have the engine at work, and watched."""
    meter = Meter(plan.reading)
    stores = [job.shards for job in plan.jobs]
    async with Generator(hosts, plan.settings, plan.engine, plan.budget, meter, stores) as generator:
        watch = Watch(generator, meter, plan.status, task, plan.budget)
        async with watch.running():
            yield Running(generator, meter, watch)


async def _generate(plan: Plan, hosts: Sequence[Host], task: Task) -> None:
    """Keep as many requests waiting as are in flight, so that no server idles, but no more: memory stays bounded."""
    room = plan.settings.concurrency * len(hosts)
    async with running(plan, hosts, task) as now, _Committing(now.generator) as committing:
        generator = now.generator
        for shard in _shards(plan, now.meter):
            await generator.dispatcher.until_fewer_wait(room)
            await committing.room_for(shard.prompts.height, max(8 * plan.shard_size, 4 * room))
            committing.start(await generator.begin(shard))
        await committing.all()


class _Committing:
    """Shards whose requests are on their way, each of which is committed when it is whole."""

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._open: dict[asyncio.Task[Any], int] = {}

    async def __aenter__(self) -> "_Committing":
        return self

    async def __aexit__(self, *_: object) -> None:
        for work in self._open:
            work.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def start(self, begun: Begun) -> None:
        work = asyncio.create_task(self._generator.finish(begun))
        self._open[work] = begun.shard.prompts.height
        work.add_done_callback(self._done)

    async def room_for(self, rows: int, most: int) -> None:
        """Wait until so many more rows may be open: rows that are slow must not pile up whole shards behind them."""
        while self._open and sum(self._open.values()) + rows > most:
            await self._next()

    async def all(self) -> None:
        """Wait until all are committed."""
        while self._open:
            await self._next()

    async def _next(self) -> None:
        done, _ = await asyncio.wait(self._open, return_when=asyncio.FIRST_COMPLETED)
        for work in done:
            self._open.pop(work, None)
        for work in done:
            work.result()

    def _done(self, work: asyncio.Task[Any]) -> None:
        """A shard that cannot be committed ends everything at once."""
        if work.cancelled():
            return
        if (error := work.exception()) is not None:
            self._generator.dispatcher.fail(error)
        else:
            self._open.pop(work, None)


def _shards(plan: Plan, meter: Meter) -> Iterator[Shard]:
    for job in plan.jobs:
        committed = job.shards.committed()
        for shard in cut(job, plan.shard_size):
            if shard.number in committed:
                meter.keep(shard.prompts.height)
            else:
                yield shard


async def _sample(plan: Plan, hosts: Sequence[Host], rows: int, task: Task) -> dict[str, Sampled]:
    async with running(plan, hosts, task) as now:
        work = [_sample_job(now.generator, job, plan.shard_size, rows) for job in plan.jobs]
        outcomes, counts = await asyncio.gather(*work), now.generator.counts
        return {
            job.recipe: Sampled(found, now.meter.seconds, counts.get(job.shards, Counts()).output_tokens)
            for job, found in zip(plan.jobs, outcomes, strict=True)
        }


async def _sample_job(generator: Generator, job: Job, shard_size: int, rows: int) -> list[Outcome]:
    wanted, committed = sampled_rows(job, rows, shard_size), job.shards.committed()
    found = job.shards.outcomes(wanted)
    for shard in cut(job, shard_size):
        if shard.number in wanted and shard.number not in committed:
            found += await generator.run(shard, only=wanted[shard.number])
    return found
