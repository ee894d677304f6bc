"""Plan and draw a mixture: token shares, epochs, and one seeded shuffle over everything.

The order depends on nothing but seed and row ids, so the bytes are the same however the work is split.
Memory: one id, one token count and one sort key per row; texts are read bucket by bucket.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from synth_platform.digest import digest_texts
from synth_platform.errors import SpecError
from synth_platform.mixing.config import MixtureSpec
from synth_platform.mixing.schema import MIXTURE

_BUCKET_TOKENS = 16_000_000

_ROUNDING = 1e-6
"""Of a token: so that shares that are no binary fractions do not cost a whole one."""

Read = Callable[[], Iterable[pl.DataFrame]]
"""Gives a component's rows (columns COMPONENT_ROWS), each time from the start."""


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
        at_hand: rows by component (columns row_id, tokens); components without rows may be left out.
        spec: names the components that must not be missing.
        seed: order within each epoch.

    Raises:
        SpecError: a component that the spec gives a weight has rows, and none is short enough for its share.
    """
    nothing = pl.DataFrame(schema={"row_id": pl.String, "tokens": pl.Int64})
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
        rows: columns row_id, tokens.
        seed: order within each epoch.

    Returns:
        Columns row_id, tokens, epoch (from 0) and key, the place in the mixture's shuffle.
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


def mix(drawn: pl.DataFrame, read: Read) -> Iterator[pl.DataFrame]:
    """The mixture's rows in shuffled order.

    Args:
        drawn: what `draw` chose of all components.
        read: the rows of all components.
    """
    buckets = 1 << max(0, math.ceil(math.log2(max(int(drawn["tokens"].sum()) / _BUCKET_TOKENS, 1))))
    # Keys are uniform hex, so equal slices of the key space hold about the same number of rows.
    numbered = drawn.with_columns(
        (pl.col("key").str.head(6).str.to_integer(base=16) * buckets // (1 << 24)).alias("bucket")
    )
    for number in range(buckets):
        wanted = numbered.filter(pl.col("bucket") == number)
        if wanted.height:
            yield _fill(wanted, read)


def _fill(wanted: pl.DataFrame, read: Read) -> pl.DataFrame:
    found = pl.concat([rows.join(wanted.select("row_id").unique(), on="row_id", how="semi") for rows in read()])
    rows = wanted.drop("tokens").join(found, on="row_id", how="left", validate="m:1").sort("key")
    ids = digest_texts(rows["row_id"].to_list(), rows["epoch"].cast(pl.String).to_list())
    return rows.with_columns(pl.Series("id", ids, dtype=pl.String)).select(MIXTURE.names())
