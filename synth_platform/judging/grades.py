"""What a judge said: grades and reasons, out of its replies."""

import json
from collections.abc import Iterator

import polars as pl

from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.frames import in_step


def read_grades(asked: Snapshot, replies: Snapshot) -> Iterator[pl.DataFrame]:
    """``generation_id``, ``good``, ``judge_score`` and ``judge_reason`` of each graded answer, in their order.

    A reply without a readable grade has null.

    Args:
        asked: rows of `ASKED`.
        replies: generations that answer them.

    Raises:
        SnapshotError: the two do not hold the same rows.
    """
    questions = asked.batches("prompts", columns=["id", "generation_id", "good"])
    answers = replies.batches(columns=["prompt_id", "text", "status"])
    for batch in in_step(questions, answers, left_on="id", right_on="prompt_id"):
        grades = [parse_grade(text) if status == "ok" else (None, None) for text, status in _said(batch)]
        yield batch.select(
            "generation_id",
            "good",
            pl.Series("judge_score", [score for score, _ in grades], pl.Float64()),
            pl.Series("judge_reason", [reason for _, reason in grades], pl.String()),
        )


def parse_grade(reply: str | None) -> tuple[float | None, str | None]:
    """Grade and reason of a reply; null where it has none."""
    try:
        said = json.loads(reply or "")
    except ValueError:
        return None, None
    if not isinstance(said, dict) or isinstance(said.get("score"), bool) or not isinstance(said.get("score"), int):
        return None, None
    reason = said.get("reason")
    return float(said["score"]), reason if isinstance(reason, str) else None


def _said(batch: pl.DataFrame) -> Iterator[tuple[str | None, str]]:
    return iter(batch.select("text", "status").iter_rows())
