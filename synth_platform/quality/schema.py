"""Columns of the quality table: one row per generation."""

import polars as pl

DETECTED = pl.Schema(
    {
        "status": pl.String(),
        "format_problems": pl.List(pl.String()),
        "characters": pl.Int64(),
        "words": pl.Int64(),
        "length_ratio": pl.Float64(),
        "cut_off": pl.Boolean(),
        "refusal": pl.Boolean(),
        "chatter": pl.Boolean(),
        "control_tokens": pl.Boolean(),
        "placeholder": pl.Boolean(),
        "html": pl.Int64(),
        "encoding_damage": pl.Int64(),
        "duplicate_lines": pl.Float64(),
        "duplicate_ngrams": pl.Float64(),
        "top_ngrams": pl.Float64(),
        "compression_ratio": pl.Float64(),
        "copied_share": pl.Float64(),
        "reproduced_share": pl.Float64(),
        "longest_copied": pl.Int64(),
        "prompt_echo": pl.Int64(),
        "language": pl.String(),
        "source_language": pl.String(),
        "numbers": pl.Int64(),
        "invented_numbers": pl.Int64(),
        "lost_numbers": pl.Int64(),
        "source_numbers": pl.Int64(),
        "names": pl.Int64(),
        "invented_names": pl.Int64(),
        "lost_names": pl.Int64(),
        "source_names": pl.Int64(),
        "invented_dates": pl.Int64(),
        "changed_units": pl.Int64(),
        "kept_numbers": pl.Float64(),
        "kept_names": pl.Float64(),
        "invented": pl.List(pl.String()),
        "personal_data": pl.List(pl.String()),
        "canary": pl.Boolean(),
        "sentence_support": pl.List(pl.Float64()),
        "least_support": pl.Float64(),
        "least_supported": pl.String(),
        "steps": pl.Int64(),
        "wrong_steps": pl.Int64(),
        "unexplained_numbers": pl.Int64(),
        "answer_reached": pl.Boolean(),
        "facts_correct": pl.Int64(),
        "facts_wrong": pl.Int64(),
        "fact_accuracy": pl.Float64(),
        "fact_coverage": pl.Float64(),
    }
)
"""What the detectors measure. Null where there is no text; of arithmetic where nothing is computed, of facts where the
source knows none, of support where no spec asks for it. ``personal_data`` names the kind of each finding; ``canary`` is
true where the text shows a made-up name that was planted; ``invented`` shows the first numbers, dates, units
and names that the source does not have, ``least_supported`` a sentence."""

GRADED = pl.Schema({"judge_score": pl.Float64(), "judge_reason": pl.String()})
"""What a judge says; null where there is none, or its reply could not be read."""

METRICS = pl.Schema({**DETECTED, **GRADED})
"""Everything that limits look at."""

SUPPORT = ("sentence_support", "least_support", "least_supported")
"""Metrics that need a sentence encoder."""

QUALITY = pl.Schema(
    {
        "generation_id": pl.String(),
        **METRICS,
        "support": pl.Float64(),
        "verdict": pl.String(),
        "reasons": pl.List(pl.String()),
    }
)
"""``support`` is the share of sentences as near to the source as the spec's similarity asks for. ``verdict`` is
``accepted`` or ``rejected``; ``reasons`` is empty exactly for accepted rows."""
