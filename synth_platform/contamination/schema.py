"""Columns of test items, of the index over them, and of what was found."""

import polars as pl

EVAL_ITEMS = pl.Schema(
    {
        "id": pl.String(),
        "eval": pl.String(),
        "question": pl.String(),
        "choices": pl.String(),
        "answer": pl.String(),
        "passage": pl.String(),
    }
)
"""``choices`` is the JSON text of a list, or null."""

INDEX_ITEMS = pl.Schema(
    {
        "eval": pl.String(),
        "eval_id": pl.String(),
        "words": pl.List(pl.Int32()),
        "indexed_words": pl.Int32(),
    }
)
"""Items by number: their words as numbers of the vocabulary, and how many of them n-grams of the index cover
(0: the item is too short to be found)."""

INDEX_NGRAMS = pl.Schema({"hash": pl.UInt64(), "item": pl.Int32(), "position": pl.Int32()})
"""Sorted by hash."""

INDEX_WORDS = pl.Schema({"word": pl.String(), "number": pl.Int32()})

CONTAMINATION = pl.Schema(
    {
        "row_id": pl.String(),
        "eval": pl.String(),
        "eval_id": pl.String(),
        "method": pl.String(),
        "score": pl.Float64(),
        "words_in_row": pl.Int32(),
        "span": pl.String(),
        "eval_span": pl.String(),
        "verdict": pl.String(),
    }
)
"""One row per text and item found in it; a clean text has one row with nulls. ``score`` is the share of the
item's words that were found, ``span`` the longest match in normalised words, ``eval_span`` its place in the
item as ``first-last`` word, ``verdict`` one of clean, suspect, contaminated."""
