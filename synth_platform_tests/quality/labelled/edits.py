"""Good answers with one small error: an invented number, date or name, a changed unit, a wrong step."""

import re
from collections.abc import Callable, Iterator

from synth_platform_tests.quality.labelled.answers import Math
from synth_platform_tests.quality.labelled.documents import Document, Edit, documents
from synth_platform_tests.quality.labelled.numerals import dates, numbers
from synth_platform_tests.quality.labelled.row import PERTURBED, LabelledRow, require
from synth_platform_tests.quality.labelled.shapes import SHAPES, WORDS, pick, render
from synth_platform_tests.quality.labelled.solutions import flaws


def wrong_rows() -> Iterator[LabelledRow]:
    """One row for each edit that breaks an answer."""
    for document in documents():
        for number, edit in enumerate(edit for edit in document.edits if edit.reason):
            yield edited_row(document, edit, f"{document.name}/{edit.recipe}/{edit.reason}/{number}")


def right_rows() -> Iterator[LabelledRow]:
    """One row for each edit that says the same in another form."""
    for document in documents():
        for number, edit in enumerate(edit for edit in document.edits if not edit.reason):
            yield edited_row(document, edit, f"{document.name}/{edit.recipe}/same/{number}")


def is_true(document: Document, edit: Edit) -> bool:
    """Whether an edit does what its reason says."""
    return _TRUE[edit.reason](document, edit)


def edited_row(document: Document, edit: Edit, name: str) -> LabelledRow:
    """The row that an edit makes.

    Raises:
        LabelError: the edit does not do what its reason says.
    """
    draft = document.drafts[edit.recipe].edited(edit.old, edit.new)
    if edit.reason:
        require(is_true(document, edit), name, f"{edit.new!r} is no {edit.reason}")
    words = WORDS[pick(f"{name}/words", ["en", document.language])]
    text = render(draft, pick(name, SHAPES[edit.recipe]), words)
    reasons = frozenset({edit.reason}) if edit.reason else frozenset()
    note = edit.note or ("" if edit.reason else "the same in another form")
    return LabelledRow(name, edit.recipe, document.source, text, reasons, note, PERTURBED, document.language)


def _invents_number(document: Document, edit: Edit) -> bool:
    new = numbers(edit.new, document.language) - numbers(edit.old, document.language)
    return bool(new) and new.isdisjoint(numbers(document.source, document.language))


def _invents_date(document: Document, edit: Edit) -> bool:
    body = document.drafts[edit.recipe].edited(edit.old, edit.new).body
    return bool(dates(body, document.language) - dates(document.source, document.language))


def _invents_name(document: Document, edit: Edit) -> bool:
    new = set(re.findall(r"[\w']+", edit.new)) - set(re.findall(r"[\w']+", edit.old))
    names = {word for word in new if word[0].isupper()}
    return any(name.lower() not in document.source.lower() for name in names)


def _changes_unit(document: Document, edit: Edit) -> bool:
    same = numbers(edit.new, document.language) == numbers(edit.old, document.language)
    return same and edit.new.lower() not in document.source.lower()


def _computes_wrongly(document: Document, edit: Edit) -> bool:
    draft = document.drafts["math"]
    before, after = draft.parse(), draft.edited(edit.old, edit.new).parse()
    assert isinstance(before, Math)
    assert isinstance(after, Math)
    return not flaws(before, document.source, document.language) and bool(
        flaws(after, document.source, document.language)
    )


_TRUE: dict[str, Callable[[Document, Edit], bool]] = {
    "invented_number": _invents_number,
    "invented_date": _invents_date,
    "invented_name": _invents_name,
    "changed_unit": _changes_unit,
    "arithmetic": _computes_wrongly,
}
