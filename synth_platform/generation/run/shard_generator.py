"""Shards through the engine: each row asked for once, recorded at once, and the whole shard committed."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl

from synth_platform.digest import digest, digest_texts
from synth_platform.generation.answers.lengths import Lengths
from synth_platform.generation.answers.outcome import Outcome, outcome_frame
from synth_platform.generation.answers.shards import ShardStore
from synth_platform.generation.budget import Budget
from synth_platform.generation.config import EngineSpec
from synth_platform.generation.identity import request_keys
from synth_platform.generation.run.dispatch import Dispatcher, Work
from synth_platform.generation.run.jobs import Shard
from synth_platform.generation.run.meter import Meter
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.servers.client import Client
from synth_platform.generation.servers.hosts import Host, server_of

_SEED_MASK = 0x7FFFFFFF


@dataclass
class Counts:
    """What was made for one recipe."""

    rows: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0


@dataclass
class Begun:
    """A shard whose missing rows are on their way.

    Args:
        shard: which one.
        keys: of its requests.
        only: the rows that are wanted; None: all.
        outcomes: so far.
        finished: when the wanted ones are there.
        taken_over: tokens of outcomes that an earlier version had.
    """

    shard: Shard
    keys: list[str]
    only: Collection[int] | None
    outcomes: list[Outcome | None]
    finished: asyncio.Future[None]
    taken_over: int

    def wanted(self) -> Collection[int]:
        """Rows that are to have an outcome."""
        return range(len(self.keys)) if self.only is None else self.only


class Generator:
    """Runs shards through the engine, several at a time.

    Args:
        hosts: the engine's servers.
        settings: of the engine.
        engine: the engine's digest.
        budget: what may be spent.
        meter: counts what happens.
        stores: where results go; their ledgers are kept in step.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        settings: EngineSpec,
        engine: str,
        budget: Budget,
        meter: Meter,
        stores: Sequence[ShardStore],
    ) -> None:
        self._hosts, self._settings, self._engine = hosts, settings, engine
        self.budget, self.meter, self.stores = budget, meter, list(stores)
        self.counts: dict[ShardStore, Counts] = {}
        self._lengths = Lengths(settings)

    async def __aenter__(self) -> "Generator":
        self._stack = contextlib.AsyncExitStack()
        client = await self._stack.enter_async_context(Client(self._settings.request_seconds, self._lengths))
        servers = [server_of(host, self._settings) for host in self._hosts]
        self.dispatcher = Dispatcher(client, servers, self._settings, self.budget)
        await self._stack.enter_async_context(self.dispatcher)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
        for store in self.stores:
            store.ledger.close()

    async def run(self, shard: Shard, only: Collection[int] | None = None) -> list[Outcome]:
        """Generate what a shard lacks, and commit it.

        Args:
            shard: some prompts.
            only: rows to generate now; the shard is not committed then, but what is made waits in its ledger.

        Returns:
            The outcomes of the shard, or of those rows.

        Raises:
            SynthError: see `generate`.
        """
        return await self.finish(await self.begin(shard, only))

    async def begin(self, shard: Shard, only: Collection[int] | None = None) -> Begun:
        """Submit what a shard lacks; see `run`."""
        store = shard.job.shards
        if store not in self.stores:
            self.stores.append(store)
        messages = shard.prompts["messages"].to_list()
        seeds = shard.prompts["seed"].to_list()
        keys = keys_of(shard, self._engine)
        taken_over, asked = await asyncio.to_thread(self._known, shard, keys)
        there = taken_over | asked
        begun = Begun(
            shard,
            keys,
            only,
            [there.get(key) for key in keys],
            asyncio.get_running_loop().create_future(),
            sum(one.completion_tokens or 0 for key in keys if key not in asked and (one := taken_over.get(key))),
        )
        self.meter.keep(sum(outcome is not None for outcome in begun.outcomes))
        missing = [row for row in begun.wanted() if begun.outcomes[row] is None]
        # Neighbours share as long a prefix as possible.
        self._submit(begun, sorted(missing, key=messages.__getitem__), messages, seeds)
        return begun

    async def finish(self, begun: Begun) -> list[Outcome]:
        """Wait for a shard's outcomes and commit it; see `run`."""
        await self.dispatcher.until(begun.finished)
        done = [outcome for row in begun.wanted() if (outcome := begun.outcomes[row]) is not None]
        if begun.only is None:
            shard = begun.shard
            # In a thread: syncing to disk must not keep the answers of other shards waiting.
            frame = _frame(shard, done, begun.keys, self._engine)
            await asyncio.to_thread(shard.job.shards.commit, shard.number, frame, begun.taken_over)
        return done

    def _submit(self, begun: Begun, missing: Sequence[int], messages: list[str], seeds: list[int]) -> None:
        shard, left = begun.shard, len(missing)
        job = shard.job

        def done(row: int, outcome: Outcome) -> None:
            nonlocal left
            begun.outcomes[row] = outcome
            self._count(job.shards, outcome)
            left -= 1
            if not left and not begun.finished.done():
                begun.finished.set_result(None)

        shared, most_tokens = json.dumps(dict(job.fields), ensure_ascii=False), int(job.fields["max_tokens"])
        self.dispatcher.submit(
            Work(
                messages=messages[row],
                fields=f'{shared[:-1]},"seed":{seeds[row] & _SEED_MASK}}}' if self._settings.seeds else shared,
                most_tokens=most_tokens,
                ledger=job.shards.ledger,
                shard=shard.number,
                key=begun.keys[row],
                done=partial(done, row),
            )
            for row in missing
        )
        if not missing:
            begun.finished.set_result(None)

    def _known(self, shard: Shard, keys: Sequence[str]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
        """See `known`; each answer with its length."""
        earlier, asked = (
            dict(zip(outcomes, self._lengths.known(list(outcomes.values())), strict=True))
            for outcomes in known(shard, keys)
        )
        return earlier, asked

    def _count(self, store: ShardStore, outcome: Outcome) -> None:
        self.meter.add(outcome)
        counts = self.counts.setdefault(store, Counts())
        counts.rows += 1
        counts.output_tokens += outcome.completion_tokens or 0
        counts.prompt_tokens += outcome.prompt_tokens or 0


def keys_of(shard: Shard, engine: str) -> list[str]:
    """Of a shard's requests."""
    prompts = shard.prompts
    return request_keys(prompts["messages"].to_list(), prompts["seed"].to_list(), shard.job.fields, engine)


def known(shard: Shard, keys: Sequence[str]) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """Outcomes of a shard that are there already, by request: an earlier version's, and what was asked for this one."""
    job = shard.job
    return job.earlier.read(keys) if job.earlier is not None else {}, job.shards.ledger.read(shard.number)


def _frame(shard: Shard, outcomes: Sequence[Outcome], keys: Sequence[str], engine: str) -> pl.DataFrame:
    prompt_ids = shard.prompts["id"].to_list()
    count = len(prompt_ids)
    ids = digest_texts(prompt_ids, [engine] * count, [digest(dict(shard.job.fields))] * count)
    known = pl.DataFrame({"id": ids, "prompt_id": prompt_ids, "requests": [[key] for key in keys]})
    rows = known.hstack(outcome_frame(list(outcomes)))
    return rows.with_columns(model=pl.lit(None, pl.String()), engine_digest=pl.lit(engine, pl.String())).select(
        GENERATIONS.names()
    )
