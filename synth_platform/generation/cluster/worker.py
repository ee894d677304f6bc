"""Generation away from the process that plans it: a worker gets an order, and is told shard by shard what to make.

Shards are read from and committed to the snapshots themselves, so all workers need the same storage, and one that is
lost leaves behind what it had recorded.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from synth_platform.errors import EngineError, SynthError
from synth_platform.generation.answers.earlier import EarlierAnswers
from synth_platform.generation.answers.shards import ShardStore
from synth_platform.generation.budget import Budget, Share
from synth_platform.generation.config import RayEngine
from synth_platform.generation.identity import vllm_digest
from synth_platform.generation.run.generate import Plan, Running, running
from synth_platform.generation.run.jobs import Job, Shard, SnapshotPrompts
from synth_platform.generation.run.meter import Reading, new_reading
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.servers.environment import require
from synth_platform.generation.servers.fleet import run_fleet, units
from synth_platform.snapshots import Identity, SnapshotWriter
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace


class OrderedJob(BaseModel):
    """A job, as far as another machine can know it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str
    rows: int
    fields: dict[str, Any]
    identity: Identity
    prompts: InputRef
    earlier: InputRef | None = None


class Order(BaseModel):
    """What a worker is to make, and with what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    home: str
    data: str
    dataset: str
    partition: str | None
    run_id: str
    engine: RayEngine
    digest: str
    """Of the engine, as the plan knows it; each worker compares it with its own."""
    shard_size: int
    jobs: list[OrderedJob]
    share: Share


class Task(BaseModel):
    """One shard that a worker is to make."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: int
    """Which of the order's jobs."""
    number: int
    only: list[int] | None = None
    """Rows that are wanted; None: all, and the shard is committed."""


class Office(Protocol):
    """Whom all workers report to."""

    async def borrow(self, worker: str, wanted: int, least: int) -> int:
        """See `TokenLoans.borrow`."""
        ...

    async def give_back(self, worker: str, unused: int, used: int) -> None:
        """See `TokenLoans.give_back`."""
        ...

    def report(self, worker: str, reading: dict[str, Any]) -> None:
        """Take the newest reading of a worker."""
        ...


class Worker:
    """A server of its own, and the shards that it is given.

    Args:
        order: what all workers make.
        office: whom it reports to.
    """

    def __init__(self, order: Order, office: Office) -> None:
        self._order, self._office = order, office
        self.name = f"{socket.gethostname()}-{os.getpid()}"
        workspace = Workspace(Path(order.home), order.data)
        self._workspace = workspace
        self._jobs = [_job(workspace, one, order) for one in order.jobs]
        self._loop = asyncio.new_event_loop()
        self._started: Future[Running] = Future()
        self._open = 0
        """Tokens that the open shards may need at most."""
        self._settled = 0
        # The server ends with the thread that started it, so that thread must stay.
        threading.Thread(target=self._live, daemon=True, name="engine").start()

    def make(self, task: Task) -> None:
        """Make a shard, unless it is there. Several threads may call at once.

        Raises:
            SynthError: see `generate.generate`; of a server that does not start, too.
        """
        self._started.result()
        asyncio.run_coroutine_threadsafe(self._make(task), self._loop).result()

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        # Whatever ends the thread is raised where it is waited for; else that would wait for ever.
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)

    async def _serve(self) -> None:
        spec = self._order.engine.model_copy(update={"replicas": 1})
        environment = require(self._workspace.engine)
        if vllm_digest(spec, environment.described, self._workspace.file_digests.digest) != self._order.digest:
            raise EngineError(
                f"{self.name} has another engine ({environment.described}) or model than the plan",
                where=str(environment.folder),
                fix="install the same engine, and put the same model, on every machine",
            )
        logs = self._workspace.engine_logs(self._order.dataset) / socket.gethostname()
        with run_fleet(spec, environment, logs, lambda _: None, name=f"vllm-{os.getpid()}") as hosts:
            budget = Budget.of_share(
                self._order.share, units=units(spec, environment), price_per_hour=spec.price_per_hour
            )
            reading = new_reading(self._order.dataset, self._order.partition, self._order.run_id, 0)
            plan = Plan(self._jobs, spec, self._order.digest, self._order.shard_size, budget, reading, self)
            async with running(plan, hosts, None) as now:
                self._started.set_result(now)
                await asyncio.Event().wait()  # until the process ends

    def write(self, reading: Reading) -> None:
        """Pass on a reading."""
        self._office.report(self.name, asdict(reading))

    async def _make(self, task: Task) -> None:
        now, job = self._started.result(), self._jobs[task.job]
        if await asyncio.to_thread(job.shards.is_committed, task.number):
            return
        size = self._order.shard_size
        assert isinstance(job.prompts, SnapshotPrompts)
        prompts = await asyncio.to_thread(job.prompts.part, task.number * size, size)
        shard = Shard(job, task.number, prompts)
        answer = int(job.fields["max_tokens"])
        borrowed = await self._borrow((len(task.only) if task.only else prompts.height) * answer, answer)
        self._open += borrowed
        try:
            await now.generator.run(shard, only=task.only)
            await asyncio.to_thread(now.watch.note)
        finally:
            self._open -= borrowed
            await self._give_back()

    async def _borrow(self, wanted: int, least: int) -> int:
        if not self._order.share.tokens_are_lent:
            return 0
        budget = self._started.result().generator.budget
        borrowed = await self._office.borrow(self.name, wanted, least)
        if not borrowed:
            raise budget.refuses(least) or EngineError("the budget is used up")
        budget.allow(borrowed)
        return borrowed

    async def _give_back(self) -> None:
        """Return what no open shard can need."""
        budget = self._started.result().generator.budget
        if (left := budget.tokens_left) is None:
            return
        unused = max(left - self._open, 0)
        used = budget.spent.output_tokens - self._settled
        self._settled += used
        budget.allow(-unused)
        await self._office.give_back(self.name, unused, used)


def _job(workspace: Workspace, ordered: OrderedJob, order: Order) -> Job:
    prompts = SnapshotPrompts(workspace.snapshots.require(ordered.prompts))
    writer = SnapshotWriter(
        workspace.snapshots,
        ordered.identity,
        {"generations": GENERATIONS},
        scratch=workspace.scratch,
        run_id=order.run_id,
    )
    earlier = EarlierAnswers(workspace.snapshots.require(ordered.earlier)) if ordered.earlier is not None else None
    shards = ShardStore(writer, order.engine.model)
    return Job(ordered.recipe, prompts, ordered.rows, ordered.fields, shards, earlier)


@dataclass(frozen=True)
class Failure:
    """A problem for people, as text that travels."""

    kind: str
    what: str
    where: str
    fix: str

    @classmethod
    def of(cls, error: SynthError) -> "Failure":
        """What an error says."""
        return cls(type(error).__name__, error.what, error.where, error.fix)

    def error(self, kinds: Sequence[type[SynthError]]) -> SynthError:
        """The error again, as one of some kinds."""
        kind = next((one for one in kinds if one.__name__ == self.kind), EngineError)
        return kind(self.what, where=self.where, fix=self.fix)
