"""Columns of test items, of the index over them, and of what was found."""

import polars as pl

_WORDS = pl.List(pl.UInt64())

EVAL_ITEMS = pl.Schema(
    {
        "id": pl.String(),
        "eval": pl.String(),
        "question": pl.String(),
        "choices": pl.List(pl.String()),
        "answer": pl.String(),
        "passage": pl.String(),
        "question_words": _WORDS,
        "choices_words": pl.List(_WORDS),
        "answer_words": _WORDS,
        "passage_words": _WORDS,
        "short": pl.Boolean(),
    }
)
"""The texts are null where a test set is kept as hashes only. ``short``: the question alone is too short to count."""

INDEX_PARTS = pl.Schema(
    {
        "eval": pl.String(),
        "eval_id": pl.String(),
        "part": pl.String(),
        "words": pl.List(pl.UInt64()),
        "question_words": pl.Int32(),
        "text": pl.String(),
    }
)
"""Parts of items (question, answer, passage) as hashed words. ``question_words``: of a short question, which stands
with its choices, how many of the words are its own; else 0."""

INDEX_SEGMENTS = pl.Schema(
    {
        "item": pl.Int32(),
        "eval": pl.String(),
        "eval_id": pl.String(),
        "view": pl.String(),
        "share": pl.Float64(),
        "text": pl.String(),
        "vector": pl.List(pl.Float32()),
    }
)
"""Stretches of items that an encoder can take. A ``view`` is a way to put the item: its question, or its question
with the choices; ``share`` is how much of the view the segment is. ``vector`` is null until it is encoded."""

INDEX_CALIBRATION = pl.Schema({"calibration": pl.String()})
"""JSON of the calibration, in at most one row."""

CONTAMINATION = pl.Schema(
    {
        "row_id": pl.String(),
        "eval": pl.String(),
        "eval_id": pl.String(),
        "method": pl.String(),
        "score": pl.Float64(),
        "span": pl.String(),
        "eval_span": pl.String(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "origin": pl.String(),
        "verdict": pl.String(),
    }
)
"""One row per text and item found in it; a clean text has one row with nulls. ``score``: for copies the share of the
item's information that was found, for rewordings likeness (may exceed 1). ``span`` and ``eval_span`` are cut short;
``start`` and ``end`` are bytes of the text. ``origin``, of generations: document, prompt or generator. ``verdict``:
clean, suspect or contaminated."""
