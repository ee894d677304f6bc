"""On real texts: halves of one corpus agree, other corpora differ, and planted copies are found."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from synth_platform.review.drift import compare
from synth_platform.review.drift_sketch import sketch_drift
from synth_platform.review.minhash import sketch
from synth_platform.review.near_duplicates import find_near_duplicates
from synth_platform_tests.review.rows import frame, measure_openings


@pytest.fixture(scope="module")
def questions(shared_data: Path) -> list[str]:
    with gzip.open(shared_data / "evals" / "gsm8k_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [f"Problem: {row['question']}\n\nSolution: {row['answer']}" for row in map(json.loads, lines)][:4000]


def test_halves_agree_and_shorter_answers_do_not(questions: list[str]) -> None:
    old, new = (sketch_drift([frame(questions[start::2], "math", prefix=f"{start}-")]) for start in (0, 1))
    assert compare(new, old).metrics()["smallest_p"] > 0.05
    shorter = sketch_drift([frame([text.partition("\n")[0] for text in questions[1::2]], "math", prefix="s-")])
    assert compare(shorter, old).metrics()["smallest_p"] < 0.05


def test_human_problems_hardly_begin_alike(questions: list[str]) -> None:
    result = measure_openings([frame(questions, "math")])
    assert result.openings["math"].form == "Problem"
    assert result.openings["math"].largest.value <= 5


def test_copies_among_real_problems_are_found(questions: list[str]) -> None:
    copies = [text.replace("Solution:", "Answer:") for text in questions[:50]]
    found = []
    for rows in (frame(questions), frame(questions + copies)):
        found.append(find_near_duplicates(pl.concat(sketch([rows])).lazy(), lambda rows=rows: [rows]).near)
    assert found[0] <= 40 and found[1] - found[0] >= 45
