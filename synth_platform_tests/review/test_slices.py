"""Yields add up, medians are exact, and batches make no difference."""

import statistics

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.errors import SynthError
from synth_platform.review.slices import METRICS, measure_slices
from synth_platform_tests.review.rows import cut

ACCEPTED = pl.DataFrame(
    {
        "recipe": ["faq", "faq", "math", "faq", None],
        "source": ["web", "web", "web", "wiki", "wiki"],
        "tokens": [10, 30, 7, 100, 5],
    }
)
REJECTED = pl.DataFrame(
    {
        "recipe": ["faq", "faq", "math", "code"],
        "source": ["web", "web", "web", "web"],
        "tokens": [1, 2, 3, 4],
        "reasons": [["loop", "format"], ["loop"], [], ["refusal"]],
    }
)


def test_yields_by_recipe_and_source() -> None:
    result = measure_slices([ACCEPTED], [REJECTED])
    found = {(one.recipe, one.source): one for one in result.slices}
    assert list(found) == sorted(found) and len(found) == 5
    faq = found["faq", "web"]
    assert (faq.accepted, faq.rejected, faq.generated, faq.tokens, faq.median_tokens) == (2, 2, 4, 40, 20)
    assert list(faq.reasons.items()) == [("loop", 2), ("format", 1)]
    assert faq.accepted_share.value == 0.5 and 0 < faq.accepted_share.low < 0.5 < faq.accepted_share.high < 1
    assert (found["code", "web"].accepted, found["code", "web"].median_tokens) == (0, None)
    assert found["original", "wiki"].accepted == 1
    assert (result.total.accepted, result.total.rejected, result.total.tokens) == (5, 4, 152)
    assert result.metrics()["accepted_share"] == pytest.approx(5 / 9) and set(result.metrics()) == set(METRICS)
    assert "| faq | web | 4 | 2 | 2 |" in result.describe()


@settings(max_examples=40)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=50), st.lists(st.integers(0, 100), max_size=4))
def test_medians_are_exact_and_batches_make_no_difference(tokens: list[int], places: list[int]) -> None:
    rows = pl.DataFrame({"recipe": "faq", "source": "web", "tokens": tokens})
    result = measure_slices(cut(rows, places), cut(REJECTED, places))
    assert result == measure_slices([rows], [REJECTED])
    assert {one.recipe: one for one in result.slices}["faq"].median_tokens == statistics.median(tokens)


def test_the_lowest_yield_is_of_slices_with_enough_rows() -> None:
    accepted = pl.DataFrame({"recipe": ["a"] * 90 + ["b"], "source": "web", "tokens": 1})
    rejected = pl.DataFrame({"recipe": ["a"] * 10 + ["b"] * 9, "source": "web", "tokens": 1, "reasons": [["x"]] * 19})
    assert measure_slices([accepted], [rejected]).metrics()["lowest_accepted_share"] == pytest.approx(0.9)


def test_nothing_generated_and_missing_columns() -> None:
    assert measure_slices([], []).metrics()["accepted_share"] == 0.0
    with pytest.raises(SynthError, match="no column 'reasons'"):
        measure_slices([ACCEPTED], [ACCEPTED])
