"""Numbers over all judged generations of a recipe, for gates and for comparisons."""

from collections.abc import Iterable

import polars as pl

from synth_platform.snapshots import Snapshot


def profile_quality(rows: pl.LazyFrame) -> dict[str, float]:
    """Metrics of the gates, from rows of `QUALITY`."""
    found = (
        rows.select(
            (pl.col("verdict") == "accepted").mean().alias("acceptance"),
            ((pl.col("verdict") != "accepted") & (pl.col("reasons").list.len() == 0)).sum().alias("silent_rejections"),
            pl.col("facts_correct").sum().alias("correct"),
            pl.col("facts_wrong").sum().alias("wrong"),
            _share_of("repetition").alias("repetition_share"),
            _share_of("refusal", "chatter").alias("refusal_share"),
            _share_of("format").alias("format_share"),
            _share_of("invented").alias("invented_share"),
            _share_of("arithmetic").alias("wrong_arithmetic_share"),
        )
        .collect()
        .row(0, named=True)
    )
    right, wrong = found.pop("correct") or 0, found.pop("wrong") or 0
    # Where no facts are known there is nothing to be wrong about.
    accuracy = right / (right + wrong) if right + wrong else 1.0
    return {name: float(value or 0) for name, value in found.items()} | {"fact_accuracy": accuracy}


def count_reasons(rows: pl.LazyFrame) -> dict[str, int]:
    """Rows by reason, the commonest first; a row with two reasons counts twice."""
    counted = (
        rows.select(pl.col("reasons").explode().alias("reason"))
        .drop_nulls()
        .group_by("reason")
        .len()
        .sort(["len", "reason"], descending=[True, False])
        .collect()
    )
    return dict(counted.iter_rows())


def rejected_by_reason(accepted: Iterable[Snapshot]) -> dict[str, int]:
    """Rejected rows of several recipes by reason, the commonest first."""
    rejected = [one.scan("rejected").select("reasons") for one in accepted]
    return count_reasons(pl.concat(rejected)) if rejected else {}


def of_family(*families: str) -> pl.Expr:
    """Whether a row has a reason of these families; the family of ``format:no_table`` is ``format``."""
    family = pl.element().str.split(":").list.first()
    return pl.col("reasons").list.eval(family.is_in(families)).list.any()


def _share_of(*families: str) -> pl.Expr:
    return of_family(*families).mean()
