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
        "attempts": pl.Int32(),
        "seconds": pl.Float64(),
    }
)
"""``status`` is one of STATUSES; ``error`` holds the engine's words where there are any."""

STATUSES = ("ok", "truncated", "empty", "refused_by_engine", "failed")
"""Outcomes of a prompt: a whole answer; one cut at max_tokens; one without text; refused as it stands (4xx);
no answer after all retries."""
