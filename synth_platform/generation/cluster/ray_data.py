"""Generation on a Ray cluster: Ray Data maps shards over a pool of actors, each with a server of its own.

Ray carries shard numbers and messages only. Prompts, ledger and shards are read and written by the workers where all
machines reach them, so a lost node costs the requests that it had in flight.
"""

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from synth_platform.errors import EngineError, StorageError, SynthError
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.generation.budget import BudgetSpent
from synth_platform.generation.cluster.loans import TokenLoans
from synth_platform.generation.cluster.worker import Failure, Order, OrderedJob, Task, Worker
from synth_platform.generation.config import RayEngine
from synth_platform.generation.identity import vllm_digest
from synth_platform.generation.run.generate import Plan, Sampled
from synth_platform.generation.run.jobs import Job, Shard, SnapshotPrompts, sampled_rows, shard_count
from synth_platform.generation.run.meter import Reading
from synth_platform.generation.run.shard_generator import keys_of, known
from synth_platform.generation.servers.environment import require
from synth_platform.progress import track
from synth_platform.workspace import Workspace

_LOOK_SECONDS = 1.0
_MOST_BLOCKS = 4000
"""Tasks that Ray plans at most; beyond it some make several shards in turn."""
_SUMMED = (
    "kept",
    "prompt_tokens",
    "output_tokens",
    "rows_per_second",
    "prompt_tokens_per_second",
    "output_tokens_per_second",
    "in_flight",
    "waiting",
    "limit",
    "servers_up",
    "servers",
    "engine_hours",
)


def find_cluster(spec: RayEngine, workspace: Workspace, dataset: str, tell: Callable[[str], None]) -> "RayCluster":
    """Connect to the cluster and ask one of its machines for its engine.

    Raises:
        EngineError: there is no cluster, no room for a server, or no engine on it.
    """
    _connect(spec, tell)
    gpus = _gpus(spec)
    probe = ray.remote(_probe).options(num_cpus=spec.cpus_per_replica, num_gpus=gpus, max_retries=3)
    found = json.loads(ray.get(probe.remote(str(workspace.home))))
    if "failure" in found:
        raise Failure(**found["failure"]).error([EngineError])
    digest = vllm_digest(spec, found["engine"], workspace.file_digests.digest)
    return RayCluster(digest, spec.replicas * max(gpus, 1), spec, workspace, dataset, tell)


@dataclass(frozen=True)
class RayCluster:
    """The engine that is a cluster; see `engine.Engine`."""

    digest: str
    units: float
    spec: RayEngine
    workspace: Workspace
    dataset: str
    tell: Callable[[str], None]

    def generate(self, plan: Plan) -> None:
        """Have every shard made that is not there; raises as `generate.generate`."""
        tasks: list[Task] = []
        for place, job in enumerate(plan.jobs):
            committed = job.shards.committed()
            plan.reading.kept += sum(committed.values())
            numbers = range(shard_count(job.rows, plan.shard_size))
            tasks += [Task(job=place, number=number) for number in numbers if number not in committed]
        if tasks:
            self._run(plan, tasks, "generations")

    def sample(self, plan: Plan, rows: int) -> dict[str, Sampled]:
        """Have some rows of each job made; see `generate.sample`."""
        wanted = [sampled_rows(job, rows, plan.shard_size) for job in plan.jobs]
        committed = [job.shards.committed() for job in plan.jobs]
        tasks = [
            Task(job=place, number=number, only=places)
            for place, by_shard in enumerate(wanted)
            for number, places in by_shard.items()
            if number not in committed[place]
        ]
        before = [job.shards.asked_tokens() for job in plan.jobs]
        started = time.monotonic()
        if tasks:
            self._run(plan, tasks, "sample")
        seconds = time.monotonic() - started
        found = [job.shards.outcomes(by_shard) for job, by_shard in zip(plan.jobs, wanted, strict=True)]
        for task in tasks:
            found[task.job] += self._recorded(plan, task)
        return {
            job.recipe: Sampled(outcomes, seconds, job.shards.asked_tokens() - tokens)
            for job, outcomes, tokens in zip(plan.jobs, found, before, strict=True)
        }

    def _recorded(self, plan: Plan, task: Task) -> list[Outcome]:
        """What became of the rows of a task."""
        job, size = plan.jobs[task.job], plan.shard_size
        shard = Shard(job, task.number, _snapshot(job).part(task.number * size, size))
        keys = keys_of(shard, self.digest)
        earlier, asked = known(shard, keys)
        there = earlier | asked
        return [there[keys[place]] for place in task.only or () if keys[place] in there]

    def _run(self, plan: Plan, tasks: list[Task], label: str) -> None:
        office = ray.remote(_Office).options(num_cpus=0, scheduling_strategy=_here()).remote(plan.budget.tokens_left)
        order = self._order(plan)
        kept, before = plan.reading.kept, _tokens(plan)
        with track(label, plan.reading.total, "prompts") as task, _watching(plan, office, kept, task.set):
            self.tell(f"engine: {len(tasks):,} shards for up to {self.spec.replicas} servers on the Ray cluster")
            made = self._map(order, office, tasks)
            for answer in made.iter_rows():
                if answer["failure"]:
                    raise _error(Failure(**json.loads(answer["failure"])), plan, before)

    def _map(self, order: Order, office: Any, tasks: list[Task]) -> ray.data.Dataset:
        items = [{"task": task.model_dump_json()} for task in tasks]
        shards = ray.data.from_items(items, override_num_blocks=min(len(items), _MOST_BLOCKS))
        at_once = 1 + -(-2 * self.spec.concurrency // order.shard_size)
        pool = ray.data.ActorPoolStrategy(
            min_size=1,
            max_size=self.spec.replicas,
            initial_size=self.spec.replicas,
            max_tasks_in_flight_per_actor=2 * at_once,
            max_concurrent_calls_per_actor=at_once,
            enable_true_multi_threading=True,
        )
        return shards.map_batches(
            ShardMaker,
            batch_size=1,
            compute=pool,
            fn_constructor_args=(order.model_dump_json(), office),
            num_cpus=self.spec.cpus_per_replica,
            num_gpus=_gpus(self.spec),
        )

    def _order(self, plan: Plan) -> Order:
        jobs: list[OrderedJob] = []
        for job in plan.jobs:
            jobs.append(
                OrderedJob(
                    recipe=job.recipe,
                    rows=job.rows,
                    fields=dict(job.fields),
                    identity=job.shards.identity,
                    prompts=_snapshot(job).snapshot.ref,
                    earlier=job.earlier.version.ref if job.earlier is not None else None,
                )
            )
        return Order(
            home=str(self.workspace.home),
            data=self.workspace.data,
            dataset=self.dataset,
            partition=plan.reading.partition,
            run_id=plan.reading.run_id,
            engine=self.spec,
            digest=self.digest,
            shard_size=plan.shard_size,
            jobs=jobs,
            share=plan.budget.share(self.spec.replicas),
        )


def _snapshot(job: Job) -> SnapshotPrompts:
    if not isinstance(job.prompts, SnapshotPrompts):
        raise TypeError("a cluster reads prompts from a snapshot")
    return job.prompts


class ShardMaker:
    """The actor of the pool: Ray Data calls it with one task at a time, from several threads."""

    def __init__(self, order: str, office: Any) -> None:
        self._worker = Worker(Order.model_validate_json(order), _RemoteOffice(office))

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        failures: list[str] = []
        for task in batch["task"]:
            try:
                self._worker.make(Task.model_validate_json(str(task)))
                failures.append("")
            except SynthError as error:
                failures.append(json.dumps(asdict(Failure.of(error))))
        return {"failure": failures}


class _Office:
    """The actor that all workers report to."""

    def __init__(self, tokens: int | None) -> None:
        self._loans = TokenLoans(tokens)
        self._readings: dict[str, dict[str, Any]] = {}

    async def borrow(self, worker: str, wanted: int, least: int) -> int:
        return await self._loans.borrow(worker, wanted, least)

    async def give_back(self, worker: str, unused: int, used: int) -> None:
        await self._loans.give_back(worker, unused, used)

    async def report(self, worker: str, reading: dict[str, Any]) -> None:
        self._loans.heard_of(worker)
        self._readings[worker] = reading

    async def readings(self) -> list[dict[str, Any]]:
        return list(self._readings.values())


class _RemoteOffice:
    """The office as a worker sees it."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def borrow(self, worker: str, wanted: int, least: int) -> int:
        return await self._actor.borrow.remote(worker, wanted, least)

    async def give_back(self, worker: str, unused: int, used: int) -> None:
        await self._actor.give_back.remote(worker, unused, used)

    def report(self, worker: str, reading: dict[str, Any]) -> None:
        self._actor.report.remote(worker, reading)


def _connect(spec: RayEngine, tell: Callable[[str], None]) -> None:
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its warnings are about Ray Data's own ways
        try:
            ray.init(address=spec.address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise EngineError(
                f"the Ray cluster cannot be reached: {error}",
                where=f"engine.address: {spec.address}",
                fix="start it, or correct engine.address (or RAY_ADDRESS); without one Ray starts on this machine",
            ) from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    resources = ray.cluster_resources()
    for name, needed in (("GPU", _gpus(spec)), ("CPU", spec.cpus_per_replica)):
        if needed > resources.get(name, 0):
            raise EngineError(
                f"a server needs {needed:g} {name}s, and the Ray cluster has {resources.get(name, 0):g}",
                where="engine.cpus_per_replica" if name == "CPU" else "engine.arguments.tensor_parallel_size",
                fix="lower it, or add nodes",
            )
    tell(f"engine: Ray cluster of {len(ray.nodes())} nodes, {resources.get('GPU', 0):g} GPUs")


def _here() -> NodeAffinitySchedulingStrategy:
    """On this machine: what is lost with it ends the run anyway."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _gpus(spec: RayEngine) -> int:
    """GPUs that Ray reserves for each actor."""
    return spec.gpus_per_replica if ray.cluster_resources().get("GPU") else 0


def _probe(home: str) -> str:
    """On a machine of the cluster: which engine it has."""
    try:
        return json.dumps({"engine": require(Workspace(Path(home)).engine).described})
    except SynthError as error:
        return json.dumps({"failure": asdict(Failure.of(error))})


def _error(failure: Failure, plan: Plan, tokens_before: int) -> SynthError:
    """A worker's failure; that the budget is used up, in the numbers of the whole run."""
    error = failure.error([BudgetSpent, StorageError, EngineError])
    if not isinstance(error, BudgetSpent):
        return error
    plan.budget.settle(0, _tokens(plan) - tokens_before)
    return plan.budget.refuses(max(int(job.fields["max_tokens"]) for job in plan.jobs)) or error


def _tokens(plan: Plan) -> int:
    """What all workers have written so far, from the rows."""
    return sum(job.shards.asked_tokens() for job in plan.jobs)


@contextmanager
def _watching(plan: Plan, office: Any, kept: int, show: Callable[..., None]) -> Iterator[None]:
    """Show what all workers do together, once a second."""
    ended, started = threading.Event(), time.monotonic()

    def look() -> None:
        while True:
            done = ended.wait(_LOOK_SECONDS)
            reading = _merged(plan.reading, ray.get(office.readings.remote()), kept, time.monotonic() - started)
            reading.cost = plan.budget.cost_of(reading.engine_hours)
            plan.status.write(reading)
            note = f"{reading.in_flight} in flight on {reading.servers_up} servers"
            show(reading.done, kept=reading.kept, tokens=reading.output_tokens, note=note)
            if done:
                return

    thread = threading.Thread(target=copy_context().run, args=(look,), daemon=True)  # progress hears the context
    thread.start()
    plan.reading.state = "running"
    try:
        yield
        plan.reading.state = "finished"
    except SynthError as error:
        plan.reading.state = f"stopped: {error.what}"
        raise
    finally:
        if plan.reading.state == "running":  # an interrupt, or a cancelled run
            plan.reading.state = "stopped"
        ended.set()
        thread.join()


def _merged(reading: Reading, workers: list[dict[str, Any]], kept: int, seconds: float) -> Reading:
    """All workers' readings as one."""
    for name in _SUMMED:
        setattr(reading, name, sum(worker[name] for worker in workers))
    for name in ("outcomes", "faults"):
        counts: dict[str, int] = {}
        for worker in workers:
            for kind, count in worker[name].items():
                counts[kind] = counts.get(kind, 0) + count
        setattr(reading, name, counts)
    made = sum(reading.outcomes.values())
    reading.kept += kept
    reading.done = min(made + reading.kept, reading.total)
    reading.updated, reading.seconds = time.time(), seconds
    reading.seconds_left = (reading.total - reading.done) / (made / seconds) if made else None
    return reading
