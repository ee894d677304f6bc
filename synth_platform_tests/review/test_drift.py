"""Two halves of one corpus do not drift, planted changes are found, and sketches merge, store and compare."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from synth_platform.errors import SynthError
from synth_platform.review.drift import METRICS, compare
from synth_platform.review.drift_sketch import DRIFT, DriftSketch, sketch_drift
from synth_platform.review.statistics import difference_p, ratio_with_variance
from synth_platform.review.vocabulary import jensen_shannon, vocabulary_test
from synth_platform_tests.review.rows import cut, frame, prose


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    return prose(3000, seed=5)


@pytest.fixture(scope="module")
def before(corpus: list[str]) -> DriftSketch:
    return sketch_drift([frame(corpus[:1500], prefix="old")])


def test_two_halves_of_one_corpus_do_not_drift(corpus: list[str], before: DriftSketch) -> None:
    result = compare(sketch_drift([frame(corpus[1500:], prefix="new")]), before)
    metrics = result.metrics()
    assert set(metrics) == set(METRICS)
    assert metrics["smallest_p"] > 0.05
    drift = result.recipes["faq"]
    assert drift.vocabulary.value == pytest.approx(drift.vocabulary.expected, rel=0.15)
    assert metrics["length_shift"] < 0.03


def test_longer_texts_are_found(corpus: list[str], before: DriftSketch) -> None:
    longer = [" ".join([text, *text.split()[:12]]) for text in corpus[1500:]]
    drift = compare(sketch_drift([frame(longer, prefix="new")]), before).recipes["faq"]
    assert drift.wasserstein.value == pytest.approx(12, abs=1) and drift.wasserstein.p < 0.01 and drift.ks.p < 0.01
    assert drift.new_lengths[2] - drift.old_lengths[2] == pytest.approx(12, abs=3)


def test_new_words_are_found_and_named(corpus: list[str], before: DriftSketch) -> None:
    changed = [f"Delve {text.replace(' was ', ' tapestry ')}" for text in corpus[1500:]]
    result = compare(sketch_drift([frame(changed, prefix="new")]), before)
    drift = result.recipes["faq"]
    assert drift.vocabulary.p < 0.01 and drift.vocabulary.value > 2 * drift.vocabulary.expected
    words = {change.word: change for change in drift.words}
    assert {"delve", "tapestry", "was"} <= set(words)
    assert words["delve"].z > 5 and words["delve"].old == 0 and words["was"].z < -5
    assert words["was"].old > words["was"].new
    assert "delve" in result.describe()


def test_digits_punctuation_and_capitals_are_counted(before: DriftSketch, corpus: list[str]) -> None:
    texts = ["AB cd 12!", "É 3,4"] * 100
    counts = sketch_drift([frame(texts)]).recipes["faq"].marks.sum(0) // 100
    # words, bytes (É takes two), letters (É is one), digits, punctuation, capitals of ASCII
    assert counts.tolist() == [3 + 3, 9 + 6, 4 + 1, 4, 2, 2]
    shouted = [text.replace("the", "THE 77") for text in corpus[1500:]]
    shares = compare(sketch_drift([frame(shouted, prefix="new")]), before).recipes["faq"].shares
    assert shares["digits"].new > 0.01 and shares["digits"].p < 0.001
    assert shares["uppercase"].old == 0 and shares["uppercase"].p < 0.001


def test_languages_compare_where_they_are_given() -> None:
    rows = frame(prose(200))
    old = sketch_drift([rows.with_columns(language=pl.lit("en"))])
    new = sketch_drift([rows.with_columns(language=pl.Series(["en", "en", "en", "de"] * 50))])
    assert compare(new, old).recipes["faq"].languages == pytest.approx(0.25)
    assert compare(sketch_drift([rows]), old).recipes["faq"].languages is None


def test_each_recipe_compares_with_the_source_as_a_whole(corpus: list[str], before: DriftSketch) -> None:
    recipes = ["math" if n % 2 else "table" for n in range(1500)]
    new = sketch_drift([frame(corpus[1500:], recipes, prefix="new")])
    result = compare(new, before, per_recipe=False, against="the source")
    assert set(result.recipes) == {"math", "table"} and not result.missing
    assert result.metrics()["smallest_p"] > 0.01
    assert compare(new, before).missing == ("faq", "math", "table") and not compare(new, before).recipes


def test_few_rows_are_not_tested() -> None:
    result = compare(sketch_drift([frame(prose(20))]), sketch_drift([frame(prose(20, seed=1))]))
    assert result.recipes["faq"].p_values == [] and result.metrics()["smallest_p"] == 1.0


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10_000), max_size=4), st.randoms())
def test_parts_merge_to_the_whole(places: list[int], random: object) -> None:
    rows = frame(prose(1300, words=30, vocabulary=20_000), ["math" if n % 3 else "table" for n in range(1300)])
    rows = rows.with_columns(language=pl.Series(["en", "de"] * 650))
    parts = [sketch_drift([part]) for part in cut(rows, places)]
    random.shuffle(parts)  # pyright: ignore[reportAttributeAccessIssue]
    whole = DriftSketch()
    for part in parts:
        whole.merge(part)
    expected = sketch_drift([rows]).table()
    assert_frame_equal(whole.table(), expected)
    assert_frame_equal(sketch_drift(cut(rows, places)).table(), expected)


def test_a_stored_sketch_compares_as_the_one_in_memory(corpus: list[str], before: DriftSketch) -> None:
    new = sketch_drift([frame([f"delve {text}" for text in corpus[1500:]], prefix="new")])
    table = before.table()
    assert table.schema == DRIFT
    stored = DriftSketch.from_table(table)
    assert_frame_equal(stored.table(), table)
    assert compare(new, stored) == compare(new, before)
    with pytest.raises(SynthError, match="format"):
        DriftSketch.from_table(table.with_columns(format=pl.lit(99, pl.Int32())))


def test_the_divergence_of_known_distributions() -> None:
    one, other = np.array([5, 5, 0]), np.array([0, 0, 7])
    assert jensen_shannon(one, other) == pytest.approx(1)
    assert jensen_shannon(one, 2 * one) == pytest.approx(0)
    assert jensen_shannon(np.array([1, 0]), np.array([1, 1])) == pytest.approx(0.311278, abs=1e-6)


def grouped(rng: np.random.Generator, documents: int, shares: np.ndarray) -> np.ndarray:
    """Counts by 16 groups; words come in bursts of five, so plain tests would be wrong."""
    counts = np.zeros((16, len(shares)), np.int64)
    for group, drawn in zip(rng.integers(0, 16, documents), rng.multinomial(1, shares, documents), strict=True):
        counts[group] += 5 * drawn
    return counts


def test_p_values_hold_for_bursts_and_unequal_sizes() -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(50))
    found: list[list[float]] = []
    for number in range(150):
        one, other = grouped(rng, 2000, shares), grouped(rng, 400, shares)
        test = vocabulary_test(one, other, draws=199, seed=number)
        ratios = [ratio_with_variance(side[:, :10].sum(1), side.sum(1)) for side in (one, other)]
        found.append([test.p, difference_p(*ratios, groups=16)])
    alarms = (np.array(found) < 0.05).mean(axis=0)
    # At most 5% are to be false; 150 trials spread that to some 11%.
    assert (alarms <= 0.11).all()
