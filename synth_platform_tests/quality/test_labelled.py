"""The labelled set is what it says it is, and the quality screen finds what is wrong in it."""

import re
from collections import Counter
from functools import cache

import pytest

from synth_platform_tests.benchmarks.quality_labelled import Score, detect, score, verdicts
from synth_platform_tests.quality.labelled import MAY_ACCOMPANY, REASONS, LabelledRow, rows
from synth_platform_tests.quality.labelled.answers import Math
from synth_platform_tests.quality.labelled.documents import Document, documents
from synth_platform_tests.quality.labelled.edits import edited_row, is_true
from synth_platform_tests.quality.labelled.leftovers import instructions
from synth_platform_tests.quality.labelled.loops import copied_share
from synth_platform_tests.quality.labelled.numerals import dates, numbers
from synth_platform_tests.quality.labelled.row import RECIPES, LabelError
from synth_platform_tests.quality.labelled.shapes import SHAPES
from synth_platform_tests.quality.labelled.solutions import flaws

ROWS = rows()
GOOD = [row for row in ROWS if not row.reasons]
_ENOUGH = 0.95
_OWN_NUMBERS = 20
"""Numbers up to this one may count steps, questions or rows."""


def with_reason(reason: str) -> list[LabelledRow]:
    return [row for row in ROWS if reason in row.reasons]


# The set itself


def test_it_is_as_large_as_promised() -> None:
    assert len(ROWS) >= 900
    assert len(GOOD) >= 350
    assert sum(bool(row.note) for row in GOOD) >= 150
    assert len(documents()) >= 40


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_its_positives(reason: str) -> None:
    assert len(with_reason(reason)) >= 25


def test_no_row_is_there_twice() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    texts = Counter((row.recipe, row.source_text, row.text) for row in ROWS)
    assert [key for key, count in texts.items() if count > 1] == []


def test_the_rows_are_the_same_each_time() -> None:
    rows_again = rows.__globals__["_rows"].__wrapped__()
    assert list(rows_again) == ROWS


def test_labels_are_known_and_only_known_labels_accompany_them() -> None:
    used = frozenset().union(*(row.reasons for row in ROWS))
    assert used == set(REASONS)
    assert set(MAY_ACCOMPANY) | frozenset().union(*MAY_ACCOMPANY.values()) <= set(REASONS)
    assert {row.recipe for row in ROWS} == set(RECIPES)
    assert all(not row.tolerated for row in GOOD)


def test_good_answers_come_in_every_shape() -> None:
    for recipe, shapes in SHAPES.items():
        made = {row.name.rpartition("/")[2] for row in GOOD if row.recipe == recipe}
        assert set(shapes) <= made, recipe


@pytest.mark.parametrize("document", documents(), ids=lambda document: document.name)
def test_documents_have_the_promised_length(document: Document) -> None:
    assert 80 <= len(document.source.split()) <= 250


# Good answers are good


def test_plain_good_answers_have_only_the_sources_numbers_and_dates() -> None:
    for row in GOOD:
        if row.note or row.recipe == "math":
            continue
        new = numbers(row.text, row.language) - numbers(row.source_text, row.language)
        assert not [number for number in new if number > _OWN_NUMBERS], row.name
        assert dates(row.text, row.language) <= dates(row.source_text, row.language), row.name


def test_good_solutions_are_computed_rightly() -> None:
    for document in documents():
        if "math" in document.drafts:
            math = document.drafts["math"].parse()
            assert isinstance(math, Math)
            assert flaws(math, document.source, document.language) == [], document.name


def test_good_answers_are_their_own_words() -> None:
    for row in GOOD:
        assert copied_share(row.text, row.source_text) < 0.5, row.name


# Bad answers are bad, in the way they say


def test_a_wrong_edit_that_is_none_is_refused() -> None:
    document = next(one for one in documents() if one.name == "lighthouse")
    edit = next(one for one in document.edits if one.reason == "invented_number")
    harmless = type(edit)(edit.recipe, "38 metres", "26 metres", edit.reason)
    assert is_true(document, edit)
    assert not is_true(document, harmless)  # the source has 26 days
    with pytest.raises(LabelError, match="26 metres"):
        edited_row(document, harmless, "try")


def test_the_checker_of_solutions_finds_each_kind_of_flaw() -> None:
    def found(*steps: str, final: str = "12") -> bool:
        return bool(flaws(Math("Ann has 3 boxes of 4 eggs.", steps, final), "a fifth of 5 million"))

    assert not found("Eggs: 3 \u00d7 4 = 12")
    assert not found("Eggs: 3 * 4 eggs = 12 eggs", "Third: 12 / 5 = 2.4 ≈ 2")
    assert found("Eggs: 3 \u00d7 4 = 13", final="13")
    assert found("Eggs: 3 \u00d7 4 = 12", final="13")
    assert found("Eggs: 6 \u00d7 2 = 12")


def test_echoes_repeat_twelve_words_of_their_instructions() -> None:
    for row in with_reason("prompt_echo"):
        said = instructions(row.recipe).split()
        runs = {" ".join(said[at : at + 12]) for at in range(len(said) - 11)}
        text = " ".join(row.text.split())
        assert any(run in text for run in runs), row.name


def test_cut_answers_stop_without_an_end() -> None:
    for row in with_reason("truncated"):
        assert re.search(r"[\w,]\Z", row.text), row.name


def test_empty_answers_have_nothing_to_read() -> None:
    for row in with_reason("empty"):
        assert not re.search(r"[^\s\u200b]", row.text), row.name


def test_copies_are_mostly_their_source() -> None:
    for row in with_reason("copied"):
        assert copied_share(row.text, row.source_text) > 0.65, row.name


def test_only_damaged_answers_hold_broken_characters() -> None:
    broken = re.compile("\ufffd|[ÃÂâÄÅðçå][\u0080-\u00bf\u0152-\u0178\u2013-\u203a\u20ac\u2122]")
    for row in ROWS:
        assert bool(broken.search(row.text)) == ("encoding" in row.reasons), row.name


# The screen


@cache
def scores() -> dict[str, Score]:
    return score(ROWS, detect(ROWS))


@pytest.mark.parametrize("reason", REASONS)
def test_the_screen_finds_each_reason(reason: str) -> None:
    found = scores()[reason]
    recall, precision = found.recall.value, found.precision.value
    missed = [row.name for row in found.misses][:10]
    alarms = [row.name for row in found.alarms][:10]
    assert recall >= _ENOUGH, f"recall {found.recall}; missed: {missed}"
    assert precision >= _ENOUGH, f"precision {found.precision}; false alarms: {alarms}"


def test_the_screen_keeps_good_answers_and_rejects_bad_ones() -> None:
    for what, share in zip(("good", "hard", "bad"), verdicts(ROWS, detect(ROWS)), strict=True):
        wrong = share.value
        assert wrong <= 1 - _ENOUGH, f"{what}: {share} judged wrongly"
