"""Counts are of documents, and add up."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.bias import counts as counting
from synth_platform.bias.counts import AXES, BiasCounts, axis_names, count, no_counts
from synth_platform.bias.lexicon import load_lexicon

PIECES = (
    "She is a nurse. ", "he is a doctor, ", "the waitress smiled ", "An old man\n", "from New Zealand. ",
    "brilliant and cruel ", "fuck ", '"shit" ', "patient ", "a whore ", "Muslim ", "Jewish engineers ",
    "function variable kernel ", "child. ", "the word ", "Überfall ",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def get(counts: BiasCounts, measure: str, *place: str) -> int:
    names = axis_names(load_lexicon())
    at = tuple(names[axis].index(name) for axis, name in zip(AXES[measure], place, strict=True))
    return int(counts.values[measure][at])


def test_known_counts() -> None:
    counts = count(
        pl.Series(
            [
                "She is a nurse. She met a nurse. He is a doctor.",
                "He is a nurse and she is a nurse.",
                "He met a doctor.",
                "The waitress. A man.",
                None,
            ]
        )
    )
    assert counts.documents == 5 and counts.words == 29
    assert get(counts, "label_documents", "gender/female") == 3 and get(counts, "label_tokens", "gender/female") == 4
    assert get(counts, "term_documents", "occupation/nurse/nurse") == 2
    assert get(counts, "term_tokens", "occupation/nurse/nurse") == 4
    assert get(counts, "family_documents", "gender") == 4
    nurse, doctor = ("gender/female", "occupation/nurse"), ("gender/male", "occupation/doctor")
    assert get(counts, "beside", *nurse) == 2 and get(counts, "alone", *nurse) == 1
    assert get(counts, "beside", *doctor) == 2 and get(counts, "alone", *doctor) == 2
    assert get(counts, "any_beside", "gender", "occupation/nurse") == 2
    assert get(counts, "any_beside", "gender", "occupation/waiter") == 0  # a waitress is not beside herself
    assert get(counts, "family_beside", "gender/male", "occupation") == 3
    assert get(counts, "family_alone", "gender/male", "occupation") == 1
    assert get(counts, "overlap_beside", "gender/male", "occupation/nurse") == 2
    assert get(counts, "overlap_alone", "gender/male", "occupation/doctor") == 1


def test_toxicity_counts_a_document_once_and_context_apart() -> None:
    counts = count(pl.Series(['Fuck this shit. "fuck"', 'He wrote "shit"', "the rape victim was a patient", "fine"]))
    assert get(counts, "toxic_used", "profanity") == 1 and get(counts, "toxic_excused", "profanity") == 1
    assert get(counts, "toxic_excused", "sexual") == 1 and get(counts, "toxic_reasons", "sexual", "subject") == 1
    assert get(counts, "toxic_reasons", "profanity", "quoted") == 2
    assert get(counts, "any_toxic_used") == 1 and get(counts, "any_toxic_excused") == 2


def test_a_word_counts_twice_beside_itself_only_if_it_is_there_twice() -> None:
    once, twice = (count(pl.Series([text])) for text in ("The waitress left", "The waitress met a waitress"))
    assert get(once, "beside", "gender/female", "occupation/waiter") == 0
    assert get(twice, "beside", "gender/female", "occupation/waiter") == 1


@settings(max_examples=60)
@given(st.lists(TEXT, max_size=8), st.integers(0, 8))
def test_parts_add_up(texts: list[str], cut: int) -> None:
    series = pl.Series(texts, dtype=pl.String())
    assert count(series[:cut]) + count(series[cut:]) == count(series)


@settings(max_examples=30)
@given(st.lists(TEXT, max_size=6))
def test_each_document_counts_for_itself(texts: list[str]) -> None:
    total = no_counts()
    for text in texts:
        total = total + count(pl.Series([text]))
    assert total == count(pl.Series(texts, dtype=pl.String()))


def test_batches_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series([PIECES[i % len(PIECES)] + PIECES[i % 7] for i in range(300)])
    whole = count(texts)
    monkeypatch.setattr(counting, "BATCH_BYTES", 100)
    assert count(texts) == whole and whole.documents == 300


def test_a_text_without_full_stops_gives_no_flood_of_pairs() -> None:
    row = "she he nurse doctor " * 20_000
    counts = count(pl.Series([row]))
    assert get(counts, "beside", "gender/female", "occupation/nurse") == 1
