"""What is to be generated: a recipe's prompts, cut into shards."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_platform.generation.answers.earlier import EarlierAnswers
from synth_platform.generation.answers.shards import ShardStore
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.frames import rebatch

_COLUMNS = ["id", "messages", "seed"]


@dataclass(frozen=True)
class SnapshotPrompts:
    """The prompts of a snapshot, in batches."""

    snapshot: Snapshot

    def __iter__(self) -> Iterator[pl.DataFrame]:
        return self.snapshot.batches("prompts", columns=_COLUMNS)

    def part(self, start: int, rows: int) -> pl.DataFrame:
        """Some consecutive rows."""
        return self.snapshot.scan("prompts").select(_COLUMNS).slice(start, rows).collect()


@dataclass(frozen=True)
class Job:
    """One recipe's prompts and where their generations go.

    Args:
        recipe: its name.
        prompts: batches with the columns id, messages and seed.
        rows: prompts in all.
        fields: what each request says beside its messages, ``max_tokens`` among it.
        shards: where the results go.
        earlier: answers that need not be asked for again.
    """

    recipe: str
    prompts: Iterable[pl.DataFrame]
    rows: int
    fields: Mapping[str, Any]
    shards: ShardStore
    earlier: EarlierAnswers | None = None


@dataclass(frozen=True)
class Shard:
    """Some consecutive prompts of a job; what is committed as one."""

    job: Job
    number: int
    prompts: pl.DataFrame


def shard_count(rows: int, shard_size: int) -> int:
    """Shards that hold this many rows."""
    return -(-rows // shard_size)


def cut(job: Job, shard_size: int) -> Iterator[Shard]:
    """The shards of a job, in their order."""
    for number, prompts in enumerate(rebatch(job.prompts, shard_size)):
        if prompts.height:
            yield Shard(job, number, prompts)


def spread(rows: int, count: int) -> list[int]:
    """So many of some rows, evenly over all of them; all, if there are no more."""
    return [number * rows // count for number in range(count)] if count < rows else list(range(rows))


def sampled_rows(job: Job, rows: int, shard_size: int) -> dict[int, list[int]]:
    """Some rows spread evenly over a job: by shard, their places in it."""
    found: dict[int, list[int]] = {}
    for row in spread(job.rows, rows):
        found.setdefault(row // shard_size, []).append(row % shard_size)
    return found
