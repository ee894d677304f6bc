"""Columns of generations: one row per prompt, whatever became of it."""

import polars as pl

GENERATIONS = pl.Schema(
    {
        "id": pl.String(),
        "prompt_id": pl.String(),
        "text": pl.String(),
        "finish_reason": pl.String(),
        "prompt_tokens": pl.Int64(),
        "completion_tokens": pl.Int64(),
        "model": pl.String(),
        "engine_digest": pl.String(),
        "status": pl.String(),
        "error": pl.String(),
        "requests": pl.List(pl.String()),
    }
)
"""``status`` is one of `outcome.STATUSES`; ``error`` holds the engine's words where there are any; ``requests`` are
the keys of all requests that made the row. Nothing here depends on when or how often something was tried, so that a
disturbed run gives the bytes of an undisturbed one."""
