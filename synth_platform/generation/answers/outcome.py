"""What became of a prompt: the answer and how it ended."""

from dataclasses import dataclass

import polars as pl

STATUSES = ("ok", "truncated", "empty", "refused_by_engine", "failed")
"""A whole answer; one cut at max_tokens; one without text; refused as it stands (4xx); no answer after all retries."""
ANSWERED = STATUSES[:3]
"""With an answer, be it empty."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One prompt's end. The fields are columns of generations and of the ledger."""

    status: str
    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    error: str | None = None


OUTCOME_COLUMNS = pl.Schema(
    {
        "status": pl.String(),
        "text": pl.String(),
        "finish_reason": pl.String(),
        "prompt_tokens": pl.Int64(),
        "completion_tokens": pl.Int64(),
        "error": pl.String(),
    }
)
"""Columns that hold an outcome."""


def outcome_frame(outcomes: list[Outcome]) -> pl.DataFrame:
    """Outcomes as rows, in their order."""
    columns = {name: [getattr(outcome, name) for outcome in outcomes] for name in OUTCOME_COLUMNS}
    return pl.DataFrame(columns, schema=OUTCOME_COLUMNS)


def outcomes_of(rows: pl.DataFrame) -> list[Outcome]:
    """The outcomes that rows hold, in their order."""
    return [Outcome(*values) for values in rows.select(OUTCOME_COLUMNS.names()).iter_rows()]
