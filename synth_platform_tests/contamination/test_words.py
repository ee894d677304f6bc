"""Texts that a reader would call the same have the same words."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_platform.contamination.words import split_words

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def hashes(text: str) -> list[int]:
    return split_words([text]).hashes.tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The naïve café", "THE NAIVE CAFE"),
        ("it costs 1,234,567 dollars", "It costs 1234567 dollars."),
        ("don't stop", "dont stop"),
        ("don’t stop", "don't stop"),  # noqa: RUF001 (the typographic apostrophe is meant)
        ("a <b class='x'>bold</b>&nbsp;word", "a bold word"),
        ("| one | two |\n|---|---|", "one two"),
        ("**one** _two_", "one\n\n two"),
        ("Ｏｓｌｏ", "oslo"),  # noqa: RUF001 (full-width letters are meant)
        ("e\u0301tude", "étude"),
    ],
)
def test_dress_makes_no_difference(one: str, other: str) -> None:
    assert hashes(one) == hashes(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("1,2 3", "12 3"), ("ab c", "a bc"), ("pots", "stop"), ("x < 5 and y > 3", "x 3"), ("我们", "们我")],
)
def test_other_words_are_other_words(one: str, other: str) -> None:
    assert hashes(one) != hashes(other)


def test_each_chinese_character_is_a_word() -> None:
    assert len(hashes("小明有三个苹果")) == 7


def test_stems_drop_english_inflection() -> None:
    words = split_words(["walks walked walking walk bus pass"])
    assert len(set(words.stems[:4].tolist())) == 1
    assert len(set(words.stems[3:].tolist())) == 3


@given(st.lists(TEXT, max_size=5))
def test_words_lie_in_their_texts(texts: list[str]) -> None:
    words = split_words(texts)
    assert len(words.bounds) == len(texts) + 1 and words.bounds[-1] == len(words.hashes)
    for number, text in enumerate(texts):
        for word in range(words.bounds[number], words.bounds[number + 1]):
            start, end = words.place(word, word)
            assert words.slice(word, word) == text.encode()[start:end].decode()


@given(st.lists(TEXT, max_size=5))
def test_a_text_has_the_same_words_in_any_batch(texts: list[str]) -> None:
    together = split_words(pl.Series(texts, dtype=pl.String()))
    apart = [split_words([text]).hashes for text in texts]
    assert np.array_equal(together.hashes, np.concatenate([np.empty(0, np.uint64), *apart]))


def test_missing_texts_have_no_words() -> None:
    words = split_words([None, "one", ""])
    assert words.bounds.tolist() == [0, 0, 1, 1] and words.hashes.tolist() == hashes("One!")
