"""Run all prompts of some recipes through one engine; results are durable shard by shard.

A shard that is committed is never generated again. Which shards count is decided by the snapshot's
identity (prompts, engine, sampling, shard size), so nothing made under other settings can be mixed in.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from synth_platform.digest import digest, digest_file, digest_texts
from synth_platform.errors import EngineError
from synth_platform.generation.client import Client, Outcome
from synth_platform.generation.config import (
    OUTPUT_NEUTRAL_ARGUMENTS,
    ClientSettings,
    EndpointEngine,
    EngineSpec,
)
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.server import Endpoint
from synth_platform.progress import Task, track
from synth_platform.prompts.config import SamplingSpec
from synth_platform.prompts.tokenizer import model_folder
from synth_platform.snapshots.frames import rebatch

_MODEL_FILES = (".safetensors", ".json", ".jinja", ".model", ".txt")


class ShardSink(Protocol):
    """Where finished shards go; made durable at once."""

    def committed(self) -> set[int]:
        """Numbers of the shards that are done."""
        ...

    def commit(self, shard: int, rows: pl.DataFrame) -> None:
        """Make a shard durable."""
        ...


@dataclass(frozen=True)
class Job:
    """One recipe's prompts and where their generations go."""

    recipe: str
    prompts: Iterable[pl.DataFrame]
    rows: int
    sampling: SamplingSpec
    sink: ShardSink


@dataclass(frozen=True)
class _Shard:
    job: Job
    number: int
    prompts: pl.DataFrame


def engine_digest(spec: EngineSpec, version: str) -> str:
    """Digest of all of an engine that decides what it writes; not of where it runs or how fast.

    Args:
        spec: its settings.
        version: package and version, or what an endpoint says of itself.
    """
    if isinstance(spec, EndpointEngine):
        return digest("endpoint", spec.model, version)
    arguments = {k: v for k, v in spec.arguments.items() if k not in OUTPUT_NEUTRAL_ARGUMENTS}
    return digest("vllm", version, model_digest(spec.model), spec.revision, spec.tokenizer, arguments)


def model_digest(model: str) -> str:
    """Digest of a local model's files; of a hub model, its name."""
    folder = model_folder(model)
    if folder is None:
        return digest("hub", model)
    files = sorted(path for path in folder.iterdir() if path.suffix in _MODEL_FILES and path.name != "training.json")
    return digest([(path.name, digest_file(path)) for path in files])


def generate(
    jobs: Sequence[Job], endpoints: Sequence[Endpoint], settings: ClientSettings, *, engine: str, shard_size: int
) -> None:
    """Generate every row of every job that is not committed yet.

    Args:
        jobs: recipes; they share the engine, so the next one starts while the last one's tail runs.
        endpoints: the engine's servers.
        settings: of the client.
        engine: the engine's digest, part of each row's id.
        shard_size: prompts per shard.

    Raises:
        EngineError: the engine is gone. What is committed stays, and the next run goes on from there.
    """
    total = sum(job.rows for job in jobs)
    with track("generations", total, "prompts") as task:
        asyncio.run(_generate(_shards(jobs, shard_size, task), endpoints, settings, engine, task))


def shard_count(rows: int, shard_size: int) -> int:
    """Shards that hold this many rows."""
    return -(-rows // shard_size)


def _shards(jobs: Sequence[Job], shard_size: int, task: Task) -> Iterator[_Shard]:
    for job in jobs:
        committed = job.sink.committed()
        for number, prompts in enumerate(rebatch(job.prompts, shard_size)):
            if number in committed:
                task.advance(prompts.height, note=f"{job.recipe}: {len(committed)} shards kept from before")
            elif prompts.height:
                yield _Shard(job, number, prompts)


async def _generate(
    shards: Iterator[_Shard], endpoints: Sequence[Endpoint], settings: ClientSettings, engine: str, task: Task
) -> None:
    """Keep enough shards under way that the engine stays full, but no more: memory stays bounded."""
    async with Client(endpoints, settings) as client:
        under_way: dict[asyncio.Task[None], int] = {}
        try:
            for shard in shards:
                work = asyncio.create_task(_run_shard(shard, client, engine, task))
                under_way[work] = shard.prompts.height
                while sum(under_way.values()) >= 2 * settings.concurrency and len(under_way) > 1:
                    await _next_done(under_way)
            while under_way:
                await _next_done(under_way)
        finally:
            for work in under_way:
                work.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _next_done(under_way: dict[asyncio.Task[None], int]) -> None:
    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    for work in done:
        del under_way[work]
    for work in done:
        work.result()


async def _run_shard(shard: _Shard, client: Client, engine: str, task: Task) -> None:
    fields = shard.job.sampling.request_fields()

    async def one(messages: str) -> Outcome:
        outcome = await client.complete(json.loads(messages), fields)
        task.advance(1, tokens=outcome.completion_tokens or 0, note=shard.job.recipe)
        return outcome

    rows = [asyncio.create_task(one(messages)) for messages in shard.prompts["messages"]]
    try:
        outcomes = await asyncio.gather(*rows)
    finally:
        for row in rows:
            row.cancel()
    frame = _frame(shard, outcomes, engine)
    # In a thread: syncing to disk must not keep the answers of other shards waiting.
    await asyncio.to_thread(shard.job.sink.commit, shard.number, frame)


def _frame(shard: _Shard, outcomes: Sequence[Outcome], engine: str) -> pl.DataFrame:
    prompt_ids = shard.prompts["id"].to_list()
    sampling = digest(shard.job.sampling)
    ids = digest_texts(prompt_ids, [engine] * len(prompt_ids), [sampling] * len(prompt_ids))
    rows = {
        "id": ids,
        "prompt_id": prompt_ids,
        "text": [outcome.text for outcome in outcomes],
        "finish_reason": [outcome.finish_reason for outcome in outcomes],
        "prompt_tokens": [outcome.prompt_tokens for outcome in outcomes],
        "completion_tokens": [outcome.completion_tokens for outcome in outcomes],
        "model": [None] * len(ids),
        "engine_digest": [engine] * len(ids),
        "status": [outcome.status for outcome in outcomes],
        "error": [outcome.error for outcome in outcomes],
        "attempts": [outcome.attempts for outcome in outcomes],
        "seconds": [round(outcome.seconds, 4) for outcome in outcomes],
    }
    return pl.DataFrame(rows, schema=GENERATIONS)


def endpoints_of(spec: EndpointEngine, environment: dict[str, str]) -> list[Endpoint]:
    """The servers that a spec names, with their key from the environment.

    Raises:
        EngineError: the variable with the key is not set.
    """
    key = None
    if spec.api_key_env is not None and not (key := environment.get(spec.api_key_env)):
        raise EngineError(
            f"the environment variable {spec.api_key_env} is not set",
            where="engine.api_key_env",
            fix="set it to the server's key",
        )
    return [Endpoint(url, spec.model, key) for url in spec.urls]
