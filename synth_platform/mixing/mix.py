"""Plan and draw a mixture: token shares, epochs, and one seeded shuffle over everything.

The order depends on nothing but seed and row ids, so the bytes are the same however the work is split.
Memory: one id, one token count, one place and one sort key per row. Texts are read once, and wait on disk, in buckets.
"""

import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from synth_platform.digest import digest_texts
from synth_platform.errors import SnapshotError, SpecError, StorageError
from synth_platform.mixing.config import MixtureSpec
from synth_platform.mixing.schema import AT_HAND, MIXTURE
from synth_platform.snapshots.framed_log import frame, frames
from synth_platform.snapshots.store.local import disk_errors

_BUCKET_TOKENS = 16_000_000
"""Of a bucket, which is sorted in memory, and of rows that are put into buckets together."""

_ROUNDING = 1e-6
"""Of a token: so that shares that are no binary fractions do not cost a whole one."""

Read = Callable[[], Iterable[pl.DataFrame]]
"""Gives the rows of all components (columns COMPONENT_ROWS), each time from the start and in the same order."""


def at_hand(read: Read) -> dict[str, pl.DataFrame]:
    """What there is of each component (columns AT_HAND).

    Raises:
        SnapshotError: nobody knows how long a row is, so it cannot be weighed.
    """
    found: dict[str, list[pl.DataFrame]] = {}
    start = 0
    for rows in read():
        named = rows.select("row_id", "tokens", pl.coalesce("recipe", "source").alias("component"))
        placed = named.with_columns(pl.int_range(start, start + rows.height, dtype=pl.Int64).alias("place"))
        start += rows.height
        for (name,), some in placed.group_by("component", maintain_order=True):
            found.setdefault(str(name), []).append(some.select(AT_HAND.names()))
    joined = {name: pl.concat(rows) for name, rows in found.items()}
    for name, rows in joined.items():
        if unknown := rows["tokens"].null_count():
            raise SnapshotError(
                f"{unknown:,} of {rows.height:,} rows of {name!r} have no token count",
                where="mixture",
                fix="materialize the component again: what was answered is counted, and not asked for again",
            )
    return joined


@dataclass(frozen=True)
class ComponentPlan:
    """What one component contributes; tokens by the generator's tokenizer."""

    name: str
    weight: float
    available_tokens: int
    target_tokens: int

    @property
    def epochs(self) -> float:
        """How often its rows are used, on average."""
        return self.target_tokens / self.available_tokens if self.available_tokens else 0.0


def plan_mixture(available: Mapping[str, int], spec: MixtureSpec) -> list[ComponentPlan]:
    """Tokens to take of each component.

    Args:
        available: tokens at hand by component.
        spec: weights, budget, epochs.

    Raises:
        SpecError: a weight names an unknown component, a weighted component has no tokens, or the budget
            needs more epochs than allowed.
    """
    weights = dict(spec.weights) or {name: float(tokens) for name, tokens in available.items() if tokens}
    if not weights:
        raise SpecError(
            "there is nothing to mix: no recipe has accepted rows, and no mix-in source has documents",
            where="mixture",
            fix="look at why the rows were rejected",
        )
    if unknown := sorted(set(weights) - set(available)):
        raise SpecError(
            f"invalid mixture: no recipe or mix-in source is called {unknown[0]!r}",
            where="mixture.weights",
            fix=f"use the names of recipes and mix-in sources: {', '.join(sorted(available))}",
        )
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items() if weight > 0}
    if empty := [name for name in shares if not available[name]]:
        raise SpecError(
            f"the mixture gives {empty[0]!r} a weight, but it has no accepted rows",
            where="mixture.weights",
            fix="look at why its rows were rejected, or set its weight to 0",
        )
    possible = min(math.floor(available[name] * spec.max_epochs / share + _ROUNDING) for name, share in shares.items())
    total = spec.tokens if spec.tokens is not None else possible
    if total > possible:
        raise SpecError(
            f"the mixture asks for {total:,} tokens, but {possible:,} is all that weights and epochs allow",
            where="mixture.tokens",
            fix="lower mixture.tokens, raise mixture.max_epochs, change the weights, or generate more",
        )
    return [
        ComponentPlan(
            name, weights.get(name, 0.0), available[name], math.floor(total * shares.get(name, 0.0) + _ROUNDING)
        )
        for name in sorted(available)
    ]


def draw_all(
    plans: Iterable[ComponentPlan], at_hand: Mapping[str, pl.DataFrame], spec: MixtureSpec, seed: int
) -> dict[str, pl.DataFrame]:
    """What `draw` chooses of every component.

    Args:
        plans: what to take.
        at_hand: rows by component (columns AT_HAND); components without rows may be left out.
        spec: names the components that must not be missing.
        seed: order within each epoch.

    Raises:
        SpecError: a component that the spec gives a weight has rows, and none is short enough for its share.
    """
    nothing = pl.DataFrame(schema=AT_HAND)
    drawn: dict[str, pl.DataFrame] = {}
    for plan in plans:
        rows = at_hand.get(plan.name, nothing)
        drawn[plan.name] = draw(plan, rows, seed)
        if spec.weights.get(plan.name) and drawn[plan.name].is_empty():
            raise SpecError(
                f"the mixture gives {plan.name!r} a weight, but its share of {plan.target_tokens:,} tokens is less"
                f" than its shortest row has ({rows['tokens'].min():,})",
                where="mixture.weights",
                fix="raise mixture.tokens or mixture.max_epochs, or change the weight: 0 leaves the component out",
            )
    return drawn


def draw(plan: ComponentPlan, rows: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Choose a component's rows, whole epochs first, never more tokens than planned.

    Of the last epoch rows are taken in their order; one that is too long for what is left is passed over.

    Args:
        plan: what to take.
        rows: columns AT_HAND.
        seed: order within each epoch.

    Returns:
        The same columns, epoch (from 0) and key, the place in the mixture's shuffle.
    """
    drawn: list[pl.DataFrame] = []
    left = plan.target_tokens
    epoch = 0
    while left > 0 and rows.height:
        taken = _fitting(_keyed(rows, seed, epoch).sort("key"), left)
        drawn.append(taken)
        left -= int(taken["tokens"].sum())
        if taken.height < rows.height:
            break
        epoch += 1
    empty = _keyed(rows.clear(), seed, 0)
    return pl.concat([empty, *drawn])


def _fitting(rows: pl.DataFrame, tokens: int) -> pl.DataFrame:
    """The rows that fit, one after another.

    A step takes all rows up to the first that does not fit any more. As every step drops the rows that are longer
    than what is left, a few steps do, however many rows there are.
    """
    taken = [rows.clear()]
    while not (rows := rows.filter(pl.col("tokens") <= tokens)).is_empty():
        taken.append(rows.filter(pl.col("tokens").cum_sum() <= tokens))
        tokens -= int(taken[-1]["tokens"].sum())
        rows = rows.slice(taken[-1].height)
    return pl.concat(taken)


def _keyed(rows: pl.DataFrame, seed: int, epoch: int) -> pl.DataFrame:
    count = rows.height
    keys = digest_texts([str(seed)] * count, rows["row_id"].to_list(), [str(epoch)] * count)
    return rows.with_columns(pl.lit(epoch, pl.Int32).alias("epoch"), pl.Series("key", keys, dtype=pl.String))


def mix(drawn: pl.DataFrame, read: Read, scratch: Path) -> Iterator[pl.DataFrame]:
    """The mixture's rows in shuffled order.

    Args:
        drawn: what `draw` chose of all components.
        read: the rows of all components, as they were read for `at_hand`.
        scratch: local folder for rows on their way.
    """
    buckets = 1 << max(0, math.ceil(math.log2(max(int(drawn["tokens"].sum()) / _BUCKET_TOKENS, 1))))
    # Keys are uniform hex, so equal slices of the key space hold about the same number of rows.
    numbered = drawn.with_columns(
        (pl.col("key").str.head(6).str.to_integer(base=16) * buckets // (1 << 24)).alias("bucket")
    )
    scratch.mkdir(parents=True, exist_ok=True)
    with disk_errors(scratch), TemporaryDirectory(prefix="mixture-", dir=scratch) as folder:
        waiting = _Buckets(Path(folder))
        for rows in _drawn_rows(numbered, read):
            waiting.add(rows)
        waiting.flush()
        for number, height in numbered.group_by("bucket").len().sort("bucket").iter_rows():
            yield _shuffled(waiting.read(number, height))


def _drawn_rows(numbered: pl.DataFrame, read: Read) -> Iterator[pl.DataFrame]:
    """What was drawn, each row as often as it was, in the order in which all are read."""
    ordered = numbered.select("row_id", "place", "epoch", "key", "bucket").sort("place")
    start = 0
    for rows in read():
        first, end = ordered["place"].search_sorted(pl.Series([start, start + rows.height]))
        some = ordered.slice(first, end - first)
        found = rows[some["place"] - start]
        if not found["row_id"].equals(some["row_id"]):
            raise SnapshotError("the rows at hand are not those that were drawn", where="mixture", fix="run it again")
        start += rows.height
        yield found.hstack(some.select("epoch", "key", "bucket"))


class _Buckets:
    """Rows on disk, each in the file of its bucket.

    Args:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[pl.DataFrame] = []
        self._tokens = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Put rows into their buckets, once there are many."""
        self._held.append(rows)
        self._tokens += int(rows["tokens"].sum())
        if self._tokens >= _BUCKET_TOKENS:
            self.flush()

    def flush(self) -> None:
        """Put all rows into their buckets."""
        if not self._held:
            return
        held, self._held, self._tokens = pl.concat(self._held), [], 0
        for (number,), rows in held.group_by("bucket"):
            data = io.BytesIO()
            rows.write_ipc_stream(data, compression="zstd")
            with self._path(number).open("ab") as file:
                file.write(frame(data.getvalue()))

    def read(self, number: int, height: int) -> pl.DataFrame:
        """The rows of a bucket, of which there must be so many; they are there only once."""
        path = self._path(number)
        rows = pl.concat([pl.read_ipc_stream(io.BytesIO(payload)) for payload in frames(path.read_bytes())])
        if rows.height != height:
            raise StorageError("a file on its way was damaged", where=str(path), fix="check the disk, and run it again")
        path.unlink()
        return rows

    def _path(self, number: object) -> Path:
        return self._folder / f"{number}"


def _shuffled(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.sort("key")
    ids = digest_texts(rows["row_id"].to_list(), rows["epoch"].cast(pl.String).to_list())
    return rows.with_columns(pl.Series("id", ids, dtype=pl.String)).select(MIXTURE.names())
