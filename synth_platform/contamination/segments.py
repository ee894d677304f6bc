"""Test items cut into stretches that a sentence encoder can take."""

from itertools import pairwise

import numpy as np
import polars as pl

from synth_platform.contamination.schema import INDEX_SEGMENTS
from synth_platform.contamination.windows import unit_starts
from synth_platform.contamination.words import split_words

_LONGEST = 110
"""Words that one vector can stand for."""
_SEGMENT = 70
"""Words of a segment of a longer item, about."""
_ALONE = 12
"""A question of fewer words says too little without its choices."""


def build_segments(items: pl.DataFrame) -> pl.DataFrame:
    """`INDEX_SEGMENTS` of the items of which there is text, not yet encoded.

    Args:
        items: `EVAL_ITEMS`; the row number is the item's number.
    """
    rows = items.with_row_index("item").filter(pl.col("question").is_not_null())
    choices = pl.col("choices").list.join(" ", ignore_nulls=True)
    with_choices = pl.concat_str("question", choices, separator=" ", ignore_nulls=True)
    with_answer = pl.concat_str("question", "answer", separator=" ", ignore_nulls=True)
    has_choices = pl.col("choices").list.len().fill_null(0) > 0
    views = pl.concat(
        [
            rows.filter(~pl.col("short")).select(
                *_NAMED, pl.lit("question").alias("view"), pl.col("question").alias("text")
            ),
            rows.filter(has_choices).select(*_NAMED, pl.lit("choices").alias("view"), with_choices.alias("text")),
            rows.filter(pl.col("short") & ~has_choices & pl.col("answer").is_not_null()).select(
                *_NAMED, pl.lit("answer").alias("view"), with_answer.alias("text")
            ),
        ]
    ).sort("item", "view")
    return _cut(views).match_to_schema(INDEX_SEGMENTS)


_NAMED = (pl.col("item"), pl.col("eval"), pl.col("id").alias("eval_id"))


def _cut(views: pl.DataFrame) -> pl.DataFrame:
    words = split_words(views["text"])
    lengths = np.diff(words.bounds)
    units = unit_starts(words)
    row, share, text = [], [], []
    for number in range(views.height):
        first, after = int(words.bounds[number]), int(words.bounds[number + 1])
        if lengths[number] <= _LONGEST:
            edges = [first, after]
        else:
            inside = units[np.searchsorted(units, first) : np.searchsorted(units, after)]
            edges = _edges(inside.tolist(), after)
        for start, end in pairwise(edges):
            if end > start:
                row.append(number)
                share.append((end - start) / (after - first))
                text.append(words.slice(start, end - 1))
    return views.drop("text")[row].with_columns(
        pl.col("item").cast(pl.Int32),
        pl.Series("share", share, dtype=pl.Float64()),
        pl.Series("text", text, dtype=pl.String()),
        pl.lit(None, pl.List(pl.Float32())).alias("vector"),
    )


def _edges(units: list[int], after: int) -> list[int]:
    """Where segments begin, at whole sentences, and the end."""
    edges = [units[0]]
    for unit in units:
        if unit - edges[-1] >= _SEGMENT and after - unit >= _SEGMENT // 2:
            edges.append(unit)
    return [*edges, after]
