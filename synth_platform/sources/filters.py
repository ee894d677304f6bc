"""The filters of a selection: each looks at a batch of rows and says which to skip, and why."""

import re
from collections.abc import Callable

import polars as pl

from synth_platform.languages import detect_language
from synth_platform.sources.config import HeuristicsSpec, ScoreSpec, SelectionSpec
from synth_platform.sources.heuristics import first_failure

Verdict = tuple[str, str] | None
"""None to keep the row, or the reason and its detail."""
Filter = Callable[[pl.DataFrame], list[Verdict]]
CountTokens = Callable[[list[str]], list[int]]

_PRIMARY_SUBTAG = re.compile(r"[^-_]*")


def required_columns(rows: pl.DataFrame) -> list[Verdict]:
    """Skip rows in which a required column is empty."""
    return [("missing_column", name) if name is not None else None for name in rows["missing"]]


def score_range(spec: ScoreSpec) -> Filter:
    """Skip rows whose score is outside the range, or that have none."""

    def check(score: float | None) -> Verdict:
        if score is None:
            return "score", f"no number in {spec.column!r}"
        if spec.min is not None and score < spec.min:
            return "score", f"{score:.6g} < {spec.min:.6g}"
        if spec.max is not None and score > spec.max:
            return "score", f"{score:.6g} > {spec.max:.6g}"
        return None

    return lambda rows: [check(score) for score in rows["score"]]


def with_language(rows: pl.DataFrame) -> pl.DataFrame:
    """Detect the language of rows that name none; `language_score` is the confidence, 1 for named ones."""
    found = [
        (language, 1.0) if language else detect_language(text)
        for language, text in rows.select("language", "text").iter_rows()
    ]
    return rows.with_columns(
        pl.Series("language", [language for language, _ in found], dtype=pl.String()),
        pl.Series("language_score", [score for _, score in found], dtype=pl.Float64()),
    )


def language(spec: SelectionSpec) -> Filter:
    """Skip rows in other languages, or in none that can be told."""
    wanted = {_primary(code) for code in spec.languages}

    def check(code: str, score: float) -> Verdict:
        if _primary(code) not in wanted:
            return "language", f"{code} ({score:.2f})"
        if score < spec.min_language_score:
            return "language", f"{code} ({score:.2f} < {spec.min_language_score:.2f})"
        return None

    return lambda rows: [check(*pair) for pair in rows.select("language", "language_score").iter_rows()]


def length(spec: SelectionSpec) -> Filter:
    """Skip rows with too few or too many tokens."""

    def check(tokens: int) -> Verdict:
        if spec.min_tokens is not None and tokens < spec.min_tokens:
            return "too_short", f"{tokens} < {spec.min_tokens} tokens"
        if spec.max_tokens is not None and tokens > spec.max_tokens:
            return "too_long", f"{tokens} > {spec.max_tokens} tokens"
        return None

    return lambda rows: [check(tokens) for tokens in rows["tokens"]]


def heuristics(spec: HeuristicsSpec) -> Filter:
    """Skip rows that break a rule."""
    return lambda rows: [first_failure(text, spec) for text in rows["text"]]


def _primary(code: str) -> str:
    """``en`` for ``en-US`` and ``EN_us``."""
    found = _PRIMARY_SUBTAG.match(code)
    return found.group().lower() if found else code
