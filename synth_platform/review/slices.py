"""Yield of a version by recipe and source: rows generated, accepted, rejected and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.plots import bars
from synth_platform.review.blocks import ORIGINAL
from synth_platform.review.statistics import Interval, share_interval

_COLUMNS = ("recipe", "source", "tokens")
_REASONS = 3

METRICS: Mapping[str, str] = {
    "accepted_share": "Accepted rows among those generated",
    "lowest_accepted_share": "The same of the recipe and source with the fewest, of those with 100 rows and more",
    "accepted_tokens": "Tokens of accepted rows",
    "median_tokens": "Median tokens of accepted rows",
}
_FEWEST_ROWS = 100


@dataclass(frozen=True)
class Slice:
    """Rows of one recipe and source.

    Args:
        recipe: that made them.
        source: that their documents are from.
        accepted: rows.
        rejected: rows.
        tokens: of accepted rows.
        median_tokens: of accepted rows; None if there are none.
        reasons: the commonest of rejected rows; a row may have several.
    """

    recipe: str
    source: str
    accepted: int
    rejected: int
    tokens: int
    median_tokens: float | None
    reasons: Mapping[str, int]

    @property
    def generated(self) -> int:
        """Accepted and rejected rows."""
        return self.accepted + self.rejected

    @property
    def accepted_share(self) -> Interval:
        """Yield, with the interval of independent rows."""
        return share_interval(self.accepted, self.generated)


@dataclass(frozen=True)
class SlicesResult:
    """Yields of a version.

    Args:
        slices: by recipe and source, sorted.
        total: all of them together.
    """

    slices: tuple[Slice, ...]
    total: Slice

    def metrics(self) -> dict[str, float]:
        """Figures as in ``METRICS``."""
        large = [one.accepted_share.value for one in self.slices if one.generated >= _FEWEST_ROWS]
        return {
            "accepted_share": self.total.accepted_share.value,
            "lowest_accepted_share": min(large, default=self.total.accepted_share.value),
            "accepted_tokens": float(self.total.tokens),
            "median_tokens": self.total.median_tokens or 0.0,
        }

    def describe(self) -> str:
        """A Markdown table."""
        lines = [
            "| recipe | source | rows | accepted | rejected | accepted, % | tokens | median tokens | rejected for |",
            "|---|---|---:|---:|---:|---|---:|---:|---|",
        ]
        for one in (*self.slices, self.total):
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in one.reasons.items()) or "-"
            median = "-" if one.median_tokens is None else f"{one.median_tokens:,.0f}"
            share = one.accepted_share.scaled(100)
            lines.append(
                f"| {one.recipe} | {one.source} | {one.generated:,} | {one.accepted:,} | {one.rejected:,} "
                f"| {share} | {one.tokens:,} | {median} | {reasons} |"
            )
        return "\n".join(lines)

    def plots(self) -> dict[str, str]:
        """Markdown images by name."""
        shares = {f"{one.recipe} · {one.source}": 100 * one.accepted_share.value for one in self.slices}
        return {"yield": bars(shares, title="Accepted rows", x="% of generated rows")}


def measure_slices(accepted: Iterable[pl.DataFrame], rejected: Iterable[pl.DataFrame]) -> SlicesResult:
    """Yields by recipe and source.

    Args:
        accepted: rows with ``recipe``, ``source`` and ``tokens``.
        rejected: the same with ``reasons``, a list of texts.

    Raises:
        SynthError: a column is missing.
    """
    lengths = _summed(_lengths(frame) for frame in accepted)
    why, lost = pl.DataFrame(schema=_WHY), pl.DataFrame(schema=_LOST)
    for frame in rejected:
        rows = _checked(frame, (*_COLUMNS, "reasons"))
        lost = _add(lost, rows.group_by("recipe", "source").agg(pl.len().cast(pl.Int64).alias("rows")))
        reasons = rows.select("recipe", "source", pl.col("reasons").alias("reason")).explode("reason").drop_nulls()
        why = _add(why, reasons.group_by("recipe", "source", "reason").agg(pl.len().cast(pl.Int64).alias("rows")))
    names = pl.concat([lengths.select("recipe", "source"), lost.select("recipe", "source")]).unique()
    slices = tuple(
        _slice(recipe, source, lengths, lost, why) for recipe, source in names.sort("recipe", "source").rows()
    )
    lengths, lost, why = (
        frame.with_columns(recipe=pl.lit("all"), source=pl.lit("all")) for frame in (lengths, lost, why)
    )
    return SlicesResult(slices, _slice("all", "all", lengths, lost, why))


_LENGTHS = {"recipe": pl.String(), "source": pl.String(), "tokens": pl.Int64(), "rows": pl.Int64()}
_LOST = {"recipe": pl.String(), "source": pl.String(), "rows": pl.Int64()}
_WHY = {"recipe": pl.String(), "source": pl.String(), "reason": pl.String(), "rows": pl.Int64()}


def _checked(frame: pl.DataFrame, columns: Iterable[str]) -> pl.DataFrame:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SynthError(f"rows have no column {missing[0]!r}", where=f"columns {frame.columns}")
    return frame.with_columns(
        pl.col("recipe").cast(pl.String()).fill_null(ORIGINAL), pl.col("source").cast(pl.String()).fill_null("")
    )


def _lengths(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by recipe, source and number of tokens: as many as there are lengths, however many rows."""
    rows = _checked(frame, _COLUMNS).with_columns(pl.col("tokens").cast(pl.Int64()).fill_null(0))
    return rows.group_by("recipe", "source", "tokens").agg(pl.len().cast(pl.Int64).alias("rows"))


def _summed(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    total = pl.DataFrame(schema=_LENGTHS)
    for frame in frames:
        total = _add(total, frame)
    return total


def _add(total: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    both = pl.concat([total, more.select(total.columns)])
    return both.group_by([name for name in total.columns if name != "rows"]).agg(pl.col("rows").sum())


def _slice(recipe: str, source: str, lengths: pl.DataFrame, lost: pl.DataFrame, why: pl.DataFrame) -> Slice:
    of = (pl.col("recipe") == recipe) & (pl.col("source") == source)
    kept = lengths.filter(of).group_by("tokens").agg(pl.col("rows").sum()).sort("tokens")
    reasons = why.filter(of).group_by("reason").agg(pl.col("rows").sum())
    reasons = reasons.sort(["rows", "reason"], descending=[True, False]).head(_REASONS)
    return Slice(
        recipe=recipe,
        source=source,
        accepted=int(kept["rows"].sum()),
        rejected=int(lost.filter(of)["rows"].sum()),
        tokens=int((kept["tokens"] * kept["rows"]).sum()),
        median_tokens=_median(kept),
        reasons=dict(reasons.iter_rows()),
    )


def _median(lengths: pl.DataFrame) -> float | None:
    """Median of numbers that are given with how often they occur, ascending."""
    total = int(lengths["rows"].sum())
    if not total:
        return None
    ends = lengths["rows"].cum_sum()
    middle = [lengths["tokens"][int((ends <= place).sum())] for place in ((total - 1) // 2, total // 2)]
    return sum(middle) / 2
