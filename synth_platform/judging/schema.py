"""Columns of what a judge is asked."""

import polars as pl

ASKED = pl.Schema(
    {
        "id": pl.String(),
        "generation_id": pl.String(),
        "good": pl.Boolean(),
        "messages": pl.String(),
        "prompt_tokens": pl.Int64(),
        "seed": pl.Int64(),
    }
)
"""Labelled answers come first: they have ``good`` and no ``generation_id``; then generations, in their order."""

NOT_ASKED = pl.Schema({"generation_id": pl.String(), "reason": pl.String(), "detail": pl.String()})
"""Answers that are not graded; ``reason`` is ``no_text``, ``not_drawn`` or ``too_long``. Labelled ones have no id."""
