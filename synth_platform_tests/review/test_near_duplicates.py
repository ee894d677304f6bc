"""Planted duplicates are found, nothing else is, and versions compare without their texts."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from synth_platform.contamination.words import split_words
from synth_platform.errors import SynthError
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.review.minhash import band_shape, jaccard, shingle_sets, sketch, sketch_schema
from synth_platform.review.near_duplicates import METRICS, EarlierVersion, NearDuplicatesResult, find_near_duplicates
from synth_platform_tests.review.rows import cut, frame, prose


def table(rows: pl.DataFrame, spec: NearDuplicatesSpec | None = None) -> pl.LazyFrame:
    return pl.concat([pl.DataFrame(schema=sketch_schema(spec or NearDuplicatesSpec())), *sketch([rows], spec)]).lazy()


def find(rows: pl.DataFrame, earlier: Sequence[EarlierVersion] = ()) -> NearDuplicatesResult:
    return find_near_duplicates(table(rows), lambda: [rows], earlier=earlier)


def changed(text: str, place: int) -> str:
    words = text.split()
    words[place % len(words)] = "changed"
    return " ".join(words)


def test_planted_duplicates_are_told_apart() -> None:
    texts = prose(300, words=120)
    exact, near = texts[:7], [changed(text, 2) for text in texts[10:30]]
    result = find(frame(texts + exact + near))
    assert (result.rows, result.exact, result.near) == (327, 7, 20)
    assert result.metrics()["near_duplicate_share"] == pytest.approx(20 / 327)
    assert set(result.metrics()) == set(METRICS)
    assert result.clusters == (2,) * 10
    assert all(pair.verified and 0.8 <= pair.similarity < 1 for pair in result.examples)
    assert (result.examples[0].id, result.examples[0].other_id) == ("r307", "r10")
    assert "| near-duplicate of an earlier row | 20 |" in result.describe()


def test_a_group_of_alike_rows_is_one_cluster() -> None:
    texts = prose(50, words=150)
    result = find(frame(texts + [changed(texts[0], place) for place in range(1, 40)]))
    assert result.near == 39 and result.clusters[0] == 40


def test_unlike_rows_are_no_duplicates() -> None:
    result = find(frame(prose(500, seed=3)))
    assert (result.exact, result.near, result.clusters) == (0, 0, ())


def test_pairs_just_below_the_threshold_are_not_reported() -> None:
    words = [f"word{number}" for number in range(104)]
    # Of 100 5-grams, changing a word in the middle costs 5 on either side: 95/105 alike; three words 85/115.
    one, three = words.copy(), words.copy()
    one[50] = "x"
    for place in (20, 50, 80):
        three[place] = "x"
    sets = shingle_sets(split_words([" ".join(words), " ".join(one), " ".join(three)]), 5)
    assert jaccard(sets[0], sets[1]) == pytest.approx(95 / 105)
    assert jaccard(sets[0], sets[2]) == pytest.approx(85 / 115)
    assert find(frame([" ".join(words), " ".join(one)])).near == 1
    assert find(frame([" ".join(words), " ".join(three)])).near == 0


def test_earlier_versions_compare_with_and_without_their_texts() -> None:
    old, fresh = frame(prose(300, words=120), prefix="old"), prose(200, seed=9, words=120)
    texts = dict(zip(old["id"], old["text"], strict=True))
    new = frame(fresh + [texts["old1"], texts["old2"]] + [changed(texts[f"old{n}"], 4) for n in range(20, 50)])
    with_texts = find(new, [EarlierVersion("v1", table(old), lambda ids: {one: texts[one] for one in ids})])
    assert (with_texts.earlier_exact, with_texts.earlier_near, with_texts.earlier_unverified) == (2, 30, 0)
    pair = with_texts.examples[0]
    assert (pair.id, pair.other_id, pair.version, pair.verified) == ("r202", "old20", "v1", True)
    without = find(new, [EarlierVersion("v1", table(old))])
    assert without.earlier_exact == 2 and without.earlier_unverified == without.earlier_near >= 27
    assert without.near == 0 and not any(pair.verified for pair in without.examples)


def test_texts_that_are_gone_leave_an_estimate() -> None:
    old = frame(prose(20, words=150), prefix="old")
    new = frame([changed(text, 5) for text in old["text"]])
    result = find(new, [EarlierVersion("v1", table(old), lambda ids: {})])
    assert result.earlier_unverified == result.earlier_near >= 18


@settings(max_examples=15)
@given(st.lists(st.integers(0, 10_000), max_size=6))
def test_a_sketch_does_not_depend_on_the_batches(places: list[int]) -> None:
    rows = frame([*prose(700, words=20), "", "one", "two words", "", "# ?"])
    assert_frame_equal(pl.concat(sketch(cut(rows, places))), pl.concat(sketch([rows])))


@settings(max_examples=60)
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=9), min_size=1, max_size=5), st.integers(1, 6))
def test_shingles_are_those_of_each_text_alone(texts: list[list[str]], n: int) -> None:
    sets = shingle_sets(split_words([" ".join(words) for words in texts]), n)
    for words, found in zip(texts, sets, strict=True):
        size = n if len(words) >= n else 1
        assert len(found) == len({tuple(words[i : i + size]) for i in range(len(words) - size + 1)})


def test_nothing_is_found_in_nothing() -> None:
    result = find(frame([]))
    assert result.rows == 0 and set(result.metrics().values()) == {0.0}
    assert find(frame(["", "", "?"])).exact == 1


def test_bands_find_most_pairs_at_the_threshold() -> None:
    for threshold in (0.5, 0.7, 0.8, 0.95):
        bands, rows = band_shape(threshold, 64)
        assert bands * rows <= 64 and 1 - (1 - threshold**rows) ** bands >= 0.95


def test_sketches_of_other_settings_do_not_compare() -> None:
    rows, other = frame(prose(5)), NearDuplicatesSpec(threshold=0.6)
    with pytest.raises(SynthError, match="sketch was made as"):
        find(rows, [EarlierVersion("v1", table(rows, other))])


def test_other_rows_than_the_sketched_ones_are_refused() -> None:
    texts = prose(30, words=100)
    rows = frame([*texts, changed(texts[0], 3)])
    with pytest.raises(SynthError, match="not those that were sketched"):
        find_near_duplicates(table(rows), lambda: [rows.head(10)])
