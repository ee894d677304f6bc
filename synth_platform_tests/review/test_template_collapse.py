"""Collapse is counted, what the recipe asks for is not, and batches and workers make no difference."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.review.blocks import blocks
from synth_platform.review.config import OpeningsSpec
from synth_platform.review.template_collapse import METRICS, Openings, OpeningsResult
from synth_platform_tests.review.rows import cut, frame, measure_openings, prose


def collapsed(rows: int, alike: int, opening: str = "A farmer has {n} apples and wants to sell {n} of") -> list[str]:
    texts = prose(rows, words=80)
    begins = [f"{opening.format(n=number)} " if number < alike else "" for number in range(rows)]
    return [f"Problem: {begin}{text}" for begin, text in zip(begins, texts, strict=True)]


def test_a_collapse_is_counted_past_the_recipes_form() -> None:
    result = measure_openings([frame(collapsed(1000, 115), "math")])
    math = result.openings["math"]
    assert math.form == "Problem"
    assert math.largest.value == pytest.approx(115) and math.largest.low < 115 < math.largest.high
    assert math.largest_overall == pytest.approx(115)
    assert math.repeated.value == pytest.approx(115)
    assert math.top[0].text.startswith("A farmer has") and math.top[0].rows == 115
    assert result.metrics()["opening_largest_per_1000"] == pytest.approx(115)
    assert set(result.metrics()) == set(METRICS) and "A farmer" in result.describe()


def test_what_all_rows_must_begin_with_is_no_collapse() -> None:
    texts = [f"# How to {text}" for text in prose(1000)]
    result = measure_openings([frame(texts, "tutorial")])
    assert result.openings["tutorial"].form == "# How to".removeprefix("# ")
    assert result.metrics()["opening_largest_per_1000"] < 5
    tables = [f"| Attribute | Value |\n|---|---|\n| {text[:40]} | {text[40:80]} |" for text in prose(1000)]
    assert measure_openings([frame(tables, "table")]).metrics()["opening_largest_per_1000"] < 5


def test_a_long_beginning_of_nearly_all_rows_is_a_collapse_and_no_form() -> None:
    result = measure_openings([frame(collapsed(500, 480), "math")])
    assert result.openings["math"].form == ""
    assert result.openings["math"].largest.value == pytest.approx(960)


def test_a_given_beginning_is_left_out_however_long() -> None:
    given_text = "Here are the questions that people most often ask about this"
    texts = [f"{given_text} {text}" for text in prose(300)]
    spec = OpeningsSpec(beginnings={"faq": given_text})
    assert measure_openings([frame(texts)], spec).openings["faq"].largest.value < 10
    assert measure_openings([frame(texts)]).openings["faq"].largest.value == 1000


def test_a_sample_and_all_rows_agree() -> None:
    result = measure_openings([frame(collapsed(4000, 400), "math")])
    math = result.openings["math"]
    assert math.sampled == 1000 and math.largest_overall == pytest.approx(100)
    assert math.largest.low < 100 < math.largest.high


def test_recipes_are_counted_apart() -> None:
    texts = collapsed(600, 600)
    result = measure_openings([frame(texts, ["math" if n % 3 else "word" for n in range(600)])])
    assert [counts.rows for counts in result.openings.values()] == [400, 200]
    assert all(counts.largest_overall == pytest.approx(1000) for counts in result.openings.values())


def test_skeletons_mask_what_texts_are_about() -> None:
    places = [f"# Zeta{n}\n\n- The kilo{n} of a mega{n}\n- Why?\n\nmore" for n in range(300)]
    result = measure_openings([frame(places + prose(700, seed=2))])
    skeletons = result.skeletons["faq"]
    assert skeletons.largest.value == pytest.approx(300)
    assert skeletons.top[0].text == "# … ⏎ - the … of a … ⏎ - why?"
    assert result.openings["faq"].largest.value < 100


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("# Alpha\nbeta", "## Gamma\ndelta"),
        ("**Q: What is Oslo?**\nA: The capital.", "**Q: What is Rome?**\nA: The city."),
        ("Problem: A farmer sells 3 goats.", "Problem: A grocer buys 5 green apples."),
        ("1. Take the pan.", "12) Clean the old bike."),
        ("\n\n- Milk\n\n\n- Bread", "* Wool\n+ Silk"),
    ],
)
def test_texts_of_one_build_have_one_skeleton(one: str, other: str) -> None:
    counts = measure_openings([frame([one, other])]).skeletons["faq"]
    assert counts.top[0].rows == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("# A\nb", "- A\nb"),
        ("the cat", "a cat"),
        ("cat the", "the cat"),
        ("- Is it?", "- It is."),
        ("one line", "one line\nand more"),
        ("Problem: sheep", "Solution: sheep"),
    ],
)
def test_texts_of_another_build_have_another_skeleton(one: str, other: str) -> None:
    assert measure_openings([frame([one, other])]).skeletons["faq"].top[0].rows == 1


def merged(rows: pl.DataFrame, places: list[int]) -> OpeningsResult:
    whole = Openings(OpeningsSpec(rows=50), seed=4)
    for part in cut(rows, places):
        worker = Openings(OpeningsSpec(rows=50), seed=4)
        for block in blocks([part]):
            worker.add(block)
        whole.merge(worker)
    return whole.result()


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=4))
def test_workers_and_batches_make_no_difference(places: list[int]) -> None:
    texts = collapsed(400, 60)
    rows = frame(texts, ["math" if n % 2 else "word" for n in range(400)])
    expected = measure_openings([rows], OpeningsSpec(rows=50), seed=4)
    assert merged(rows, places) == expected
    assert measure_openings(cut(rows, places), OpeningsSpec(rows=50), seed=4) == expected


def test_nothing_to_count() -> None:
    assert set(measure_openings([frame([])]).metrics().values()) == {0.0}
    assert measure_openings([frame(["", " "])]).openings["faq"].rows == 2
