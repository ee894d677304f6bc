"""Repetition, after the rules of Gopher (Rae et al. 2021, table A1), and how well a text compresses."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from synth_platform.quality.detectors.rows import Rows, repeated, row_grams

_LONG = 8
_SHORT = (2, 3, 4)
_ZLIB_HEADER = 11


def measure_repetition(rows: Rows) -> Mapping[str, Any]:
    """Shares of the text, 0 to 1.

    ``duplicate_lines``: lines that repeat an earlier one. ``duplicate_ngrams``: bytes of words in 8-grams that occurred
    before. ``top_ngrams``: bytes of the 2-, 3- or 4-gram that takes most, if it occurs at least thrice.
    ``compression_ratio``: size after zlib over size; loops compress to almost nothing.
    """
    sizes = np.maximum(np.diff(rows.words.text_starts) - 1, 1)
    return {
        "duplicate_lines": _duplicate_lines(rows.texts),
        "duplicate_ngrams": _duplicate_ngrams(rows) / sizes,
        "top_ngrams": np.maximum.reduce([_top_ngram(rows, n) for n in _SHORT]) / sizes,
        "compression_ratio": [_compression(text) for text in rows.texts],
    }


def _duplicate_lines(texts: pl.Series) -> pl.Series:
    lines = pl.DataFrame({"line": texts.str.split("\n")}).with_row_index("row").explode("line")
    lines = lines.with_columns(pl.col("line").str.strip_chars()).filter(pl.col("line") != "")
    # Separators of tables and rules between sections are no content.
    lines = lines.filter(pl.col("line").str.contains(r"\w"))
    shares = lines.group_by("row").agg((1 - pl.col("line").n_unique() / pl.len()).alias("share"))
    every = pl.DataFrame({"row": pl.Series(np.arange(len(texts)), dtype=lines.schema["row"])})
    return every.join(shares, on="row", how="left", maintain_order="left")["share"].fill_null(0.0)


def _duplicate_ngrams(rows: Rows) -> np.ndarray:
    """Bytes per row in words of n-grams that the row had before."""
    words = rows.words
    grams = row_grams(words, _LONG)
    places, starts = repeated(grams.keys)
    again = np.ones(len(places), bool)
    again[starts] = False
    opened = np.zeros(len(words.hashes) + 1, np.int64)
    first = grams.first[places[again]]
    np.add.at(opened, first, 1)
    np.add.at(opened, first + _LONG, -1)
    covered = np.cumsum(opened[:-1]) > 0
    sizes = np.minimum(words.ends - words.starts + 1, 1 << 20)
    return rows.per_row(words.text[covered], sizes[covered].astype(np.float64))


def _top_ngram(rows: Rows, n: int) -> np.ndarray:
    """Bytes per row of all copies of the n-gram that takes most."""
    words = rows.words
    grams = row_grams(words, n)
    places, starts = repeated(grams.keys)
    counts = np.diff(np.append(starts, len(places)))
    several = counts > 2
    first = grams.first[places[starts[several]]]
    sizes = counts[several] * (words.ends[first + n - 1] - words.starts[first])
    most = np.zeros(rows.height)
    np.maximum.at(most, words.text[first], sizes)
    return most


def _compression(text: str) -> float:
    data = text.encode("utf-8", "surrogatepass")
    return min(1.0, max(len(zlib.compress(data, 6)) - _ZLIB_HEADER, 1) / max(len(data), 1))
