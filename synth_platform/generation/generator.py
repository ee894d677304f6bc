"""Shards through the engine: each row asked for once, recorded at once, and the whole shard committed."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_texts
from synth_platform.generation.budget import Budget
from synth_platform.generation.client import Client
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.dispatch import Dispatcher, Work
from synth_platform.generation.hosts import Host, server_of
from synth_platform.generation.identity import request_keys
from synth_platform.generation.meter import Meter
from synth_platform.generation.outcome import Outcome, outcome_frame
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.shards import ShardStore

_SEED_MASK = 0x7FFFFFFF


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


@dataclass
class Counts:
    """What was made for one recipe."""

    rows: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0


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
        self.counts: dict[ShardStore, Counts] = {}

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
        store = shard.job.shards
        if store not in self.stores:
            self.stores.append(store)
        messages = shard.prompts["messages"].to_list()
        seeds = shard.prompts["seed"].to_list()
        keys = request_keys(messages, seeds, shard.job.fields, self._engine)
        known = await asyncio.to_thread(store.ledger.read, shard.number)
        outcomes = [known.get(key) for key in keys]
        self.meter.keep(sum(outcome is not None for outcome in outcomes))
        wanted = range(len(keys)) if only is None else only
        await self._fill(shard, outcomes, [row for row in wanted if outcomes[row] is None], keys, messages, seeds)
        done = [outcome for row in wanted if (outcome := outcomes[row]) is not None]
        if only is None:
            # In a thread: syncing to disk must not keep the answers of other shards waiting.
            await asyncio.to_thread(store.commit, shard.number, _frame(shard, done, keys, self._engine))
        return done

    async def _fill(
        self,
        shard: Shard,
        outcomes: list[Outcome | None],
        missing: list[int],
        keys: list[str],
        messages: list[str],
        seeds: list[int],
    ) -> None:
        """Ask for the rows that miss an outcome. Neighbours share as long a prefix as possible."""
        job, finished = shard.job, asyncio.get_running_loop().create_future()
        left = len(missing)

        def done(row: int, outcome: Outcome) -> None:
            nonlocal left
            outcomes[row] = outcome
            self._count(job.shards, outcome)
            left -= 1
            if not left:
                finished.set_result(None)

        shared, most_tokens = json.dumps(dict(job.fields), ensure_ascii=False), int(job.fields["max_tokens"])
        self.dispatcher.submit(
            Work(
                messages=messages[row],
                fields=f'{shared[:-1]},"seed":{seeds[row] & _SEED_MASK}}}' if self._settings.seeds else shared,
                most_tokens=most_tokens,
                ledger=job.shards.ledger,
                shard=shard.number,
                key=keys[row],
                done=partial(done, row),
            )
            for row in sorted(missing, key=messages.__getitem__)
        )
        if missing:
            await self.dispatcher.until(finished)

    def _count(self, store: ShardStore, outcome: Outcome) -> None:
        self.meter.add(outcome)
        counts = self.counts.setdefault(store, Counts())
        counts.rows += 1
        counts.output_tokens += outcome.completion_tokens or 0
        counts.prompt_tokens += outcome.prompt_tokens or 0


def _frame(shard: Shard, outcomes: Sequence[Outcome], keys: Sequence[str], engine: str) -> pl.DataFrame:
    prompt_ids = shard.prompts["id"].to_list()
    count = len(prompt_ids)
    ids = digest_texts(prompt_ids, [engine] * count, [digest(dict(shard.job.fields))] * count)
    known = pl.DataFrame({"id": ids, "prompt_id": prompt_ids, "requests": [[key] for key in keys]})
    rows = known.hstack(outcome_frame(list(outcomes)))
    return rows.with_columns(model=pl.lit(None, pl.String()), engine_digest=pl.lit(engine, pl.String())).select(
        GENERATIONS.names()
    )
