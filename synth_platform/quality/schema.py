"""Columns of the quality table: one row per generation."""

import polars as pl

QUALITY = pl.Schema(
    {
        "generation_id": pl.String(),
        "characters": pl.Int64(),
        "length_ratio": pl.Float64(),
        "duplicate_lines": pl.Float64(),
        "duplicate_ngrams": pl.Float64(),
        "compression_ratio": pl.Float64(),
        "copied_share": pl.Float64(),
        "facts_correct": pl.Int32(),
        "facts_wrong": pl.Int32(),
        "fact_accuracy": pl.Float64(),
        "fact_coverage": pl.Float64(),
        "verdict": pl.String(),
        "reasons": pl.List(pl.String()),
    }
)
"""Metrics are null where there is no text; fact columns where the source knows no facts. ``verdict`` is
``accepted`` or ``rejected``; ``reasons`` is empty exactly for accepted rows."""
