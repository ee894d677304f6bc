"""Support by the source: what is a sentence, how near it is to the source, and what that decides."""

import time
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_platform.quality.config import QualitySpec, SupportSpec
from synth_platform.quality.conformance import RULES
from synth_platform.quality.detectors.sentences import passages, statements
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.part_labels import label_of
from synth_platform.quality.schema import METRICS, SUPPORT
from synth_platform.quality.screen import measure

SOURCE = "The old bridge was built by monks. It has seven arches. Every spring the river carries ice under it."


class Encoder:
    """Bags of words over those it has seen, and a book of what it was given."""

    def __init__(self) -> None:
        self.given: list[str] = []
        self._places: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.given += texts
        vectors = np.zeros((len(texts), 400), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, self._places.setdefault(word.strip(".,?!:"), len(self._places))] = 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def rows(*texts: str, source: str = SOURCE) -> pl.DataFrame:
    frame = pl.DataFrame({"generation_id": [str(number) for number in range(len(texts))], "text": texts})
    nothing = [pl.lit(None, pl.String()).alias(name) for name in ("messages", "metadata")]
    return frame.with_columns(pl.lit("ok").alias("status"), pl.lit(source).alias("source_text"), *nothing)


def measured(*texts: str, source: str = SOURCE, computes: bool = False, encode: Encoder | None = None) -> pl.DataFrame:
    return measure(rows(*texts, source=source), RULES["none"], computes=computes, encode=encode or Encoder())


# Sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It rained all day. It stopped at night.", ["It rained all day.", "It stopped at night."]),
        ("Dr. J. Ash came at 3.5 km, e.g. by bus.", ["Dr. J. Ash came at 3.5 km, e.g. by bus."]),
        ("They met in May. J. Ash of Ulm won.", ["They met in May.", "J. Ash of Ulm won."]),
        ("“They came in May.” She left in June.", ["“They came in May.”", "She left in June."]),
        ("A line that goes on\nin the next one.", ["A line that goes on in the next one."]),
        ("# How the bridge was built\nMonks built it in stone.", ["Monks built it in stone."]),
        ("How the bridge was built\n---\nMonks built it in stone.", ["Monks built it in stone."]),
        ("**All about the old bridge**\n\nMonks built it **all in stone**.", ["Monks built it all in stone."]),
        ("**Q: Who built the old bridge?**\nA: Monks built it in stone.", ["Monks built it in stone."]),
        ("1. Take [the left path](a_b.html) up.\n- Use `snake_case` for all names.",
         ["Take the left path up.", "Use snake_case for all names."]),
        ("Step 2: Put the flour in.", ["Put the flour in."]),
        ("| What the bridge has | How many of them |\n|---|---:|\n| Arches of cut stone | 7 |",
         ["Arches of cut stone: 7"]),
        ("Part of it | How many now\n:--|--:\nArches of stone | 7 | old", ["Arches of stone: 7, old"]),
        ("Before it stands code.\n```python\nx = all(that) is not text\n```\nAfter it stands none.",
         ["Before it stands code.", "After it stands none."]),
        ("Yes, it has. No.", []),
        ("彼は学校に行きました。とても良い日でした。", ["彼は学校に行きました。", "とても良い日でした。"]),
        ("", []),
    ],
)  # fmt: skip
def test_statements_are_what_an_answer_says(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


def test_a_source_keeps_its_headings_short_sentences_and_code() -> None:
    text = "# Bridges\nWho built it? Monks.\n```\nlet x = 1;\nlet y = 2;\n```\n| Arches | 7 |"
    assert passages(text) == ["Bridges", "Who built it?", "Monks.", "let x = 1; let y = 2;", "Arches: 7"]


def test_long_sentences_are_cut_in_pieces_of_like_length() -> None:
    pieces = statements(" ".join(f"w{number}" for number in range(130)))
    assert [len(piece.split()) for piece in pieces] == [44, 44, 42]


@pytest.mark.parametrize("part", ["-", "- ", "_", "[", "A. ", "|", "```\n", "*", "x ", "| - "])
def test_monotonous_texts_take_no_longer(part: str) -> None:
    text = part * 100_000 + "x"
    started = time.monotonic()
    statements(text)
    assert time.monotonic() - started < 5


def has_label(text: str) -> bool:
    return any(label_of(cell) for line in text.splitlines() for cell in line.split("|"))


@pytest.mark.parametrize("text", ["Solution", "SOLUTION:", "## Question 2", "**Final answer**"])
def test_a_label_alone_says_nothing(text: str) -> None:
    assert has_label(text)
    assert passages(text) == []


@given(st.text(max_size=400).filter(lambda text: not has_label(text)))
def test_no_word_of_a_source_gets_lost_but_labels(text: str) -> None:
    plain = "".join(character for character in text if character.isalnum())
    kept = "".join(character for one in passages(plain) for character in one if character.isalnum())
    assert kept == plain
    assert all(statement.strip() for statement in statements(text))


# Scores


def test_each_sentence_has_its_nearest_of_the_source() -> None:
    row = measured("The bridge was built by monks. Rockets fly to distant moons.").row(0, named=True)
    near, far = row["sentence_support"]
    assert near > 0.8 and far < 0.2
    assert row["least_support"] == far and row["least_supported"] == "Rockets fly to distant moons."


def test_two_sentences_of_the_source_support_one_of_the_answer() -> None:
    (both,) = measured("The old bridge was built by monks and it has seven arches.")["sentence_support"][0]
    (first,) = measured("The old bridge was built by monks.")["sentence_support"][0]
    (alone,) = measured(
        "The old bridge was built by monks and it has seven arches.", source="The old bridge was built by monks."
    )["sentence_support"][0]
    assert first == 1.0
    assert both > alone


def test_each_sentence_is_encoded_once() -> None:
    encode = Encoder()
    measured(*["The bridge was built by monks."] * 5, "The bridge has seven arches.", encode=encode)
    assert len(encode.given) == len(set(encode.given)) == 2 + len(passages(SOURCE))


@pytest.mark.parametrize(
    ("text", "source", "computes"),
    [("Yes.", SOURCE, False), ("Monks built it in stone.", "", False), ("Monks built it in stone.", SOURCE, True)],
)
def test_what_cannot_be_compared_is_not_measured(text: str, source: str, computes: bool) -> None:
    encode = Encoder()
    row = measured(text, source=source, computes=computes, encode=encode)
    assert row.select(SUPPORT).row(0) == (None, None, None)
    assert apply_limits(row, QualitySpec(min_support=1.0))["support"].to_list() == [None]


def test_without_an_encoder_the_columns_are_there_and_empty() -> None:
    bare = measure(rows("The bridge was built by monks."), RULES["none"])
    assert {name: bare.schema[name] for name in SUPPORT} == {name: METRICS[name] for name in SUPPORT}
    assert bare.select(SUPPORT).row(0) == (None, None, None)


# What it decides


def test_limit_and_similarity_decide_without_measuring_again() -> None:
    both = measured(
        "The old bridge was built by monks. Every spring it carries ice.",
        "The old bridge was built by monks. Rockets fly to distant moons.",
    )
    common = {"min_support": 0.8, "max_copied_share": None}
    near, strict = (QualitySpec(**common, support=SupportSpec(similarity=one)) for one in (0.4, 0.999))
    assert apply_limits(both, near)["support"].to_list() == [1.0, 0.5]
    assert apply_limits(both, near)["reasons"].to_list() == [[], ["unsupported"]]
    assert apply_limits(both, strict)["reasons"].to_list() == [["unsupported"]] * 2
    assert apply_limits(both, QualitySpec(**common))["support"].to_list() == [1.0, 0.5], "the default similarity"
    unasked = apply_limits(both, QualitySpec(max_copied_share=None))
    assert unasked["support"].to_list() == [None, None] and unasked["reasons"].to_list() == [[], []]


def test_support_is_asked_for_by_its_limit_or_its_settings() -> None:
    assert QualitySpec().asked_support is None
    assert QualitySpec(min_support=0.5).asked_support == SupportSpec()
    assert QualitySpec(support=SupportSpec(similarity=0.7)).asked_support == SupportSpec(similarity=0.7)
    with pytest.raises(ValidationError):
        SupportSpec(similarity=1.5)
