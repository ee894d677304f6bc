"""Good answers: the documents' own in many shapes, and hard negatives that look like trouble and are none."""

import re
from collections.abc import Iterator
from dataclasses import replace

from synth_platform_tests.quality.labelled.answers import Draft
from synth_platform_tests.quality.labelled.documents import Document, documents
from synth_platform_tests.quality.labelled.edits import right_rows
from synth_platform_tests.quality.labelled.row import HAND, PERTURBED, LabelledRow
from synth_platform_tests.quality.labelled.shapes import SHAPES, WORDS, pick, render, says_the_answer

_NOTES = {"latex": "equations in TeX"}


def good_rows() -> Iterator[LabelledRow]:
    """All of them."""
    for document in documents():
        yield from _shaped(document)
        yield from _written(document)
        yield from _brief(document)
        yield from _quoting(document)
        yield from _turned(document)
    yield from right_rows()


def _good(document: Document, recipe: str, about: str, text: str, note: str, kind: str = HAND) -> LabelledRow:
    name = f"{document.name}/{recipe}/good/{about}"
    return LabelledRow(name, recipe, document.source, text, note=note, kind=kind, language=document.language)


def _shaped(document: Document) -> Iterator[LabelledRow]:
    """Each answer in two shapes; the labels of those in other languages are English in one and their own in one."""
    for recipe, draft in document.drafts.items():
        first = pick(f"{document.name}/{recipe}/good", SHAPES[recipe])
        second = pick(f"{document.name}/{recipe}/again", [one for one in SHAPES[recipe] if one != first])
        for shape, language in ((first, "en"), (second, document.language)):
            note = _NOTES.get(shape, "")
            if document.language != "en":
                note = "the source's language" if language == "en" else "labels in the source's language, too"
            yield _good(document, recipe, shape, render(draft, shape, WORDS[language]), note)


def _written(document: Document) -> Iterator[LabelledRow]:
    for number, written in enumerate(document.written):
        yield _good(document, written.recipe, f"written/{number}", written.text, written.note or "hand-shaped")


def _brief(document: Document) -> Iterator[LabelledRow]:
    """Short answers that are complete: of each form the least that it takes."""
    recipe = pick(f"{document.name}/brief", ["table", "faq", "tutorial"])
    draft = document.drafts[recipe]
    lines = draft.body.splitlines()
    asked = [line for line in lines if line.startswith(("? ", "! "))]
    plain = [line for line in lines if line and line[:2] not in ("? ", "! ", "> ", "< ", "- ", "  ")]
    kept = {
        "table": plain[:3] + asked,
        "faq": asked[:4],
        "tutorial": [line for line in lines if line.startswith(("> ", "- ", "< "))][:4],
    }[recipe]
    if recipe == "tutorial":
        kept.append(lines[-1])
    text = render(replace(draft, body="\n".join(kept)), pick(f"{document.name}/brief/shape", SHAPES[recipe]))
    yield _good(document, recipe, "brief", text, "short, but complete", PERTURBED)


def _quoting(document: Document) -> Iterator[LabelledRow]:
    """One sentence of the source, word for word, in an answer that is otherwise its own."""
    if document.language != "en" or "tutorial" not in document.drafts:
        return
    sentence = first_sentence(document.source)
    draft = document.drafts["tutorial"]
    quoted = sentence.replace('"', "'")
    closing = f'\n< As the text puts it: "{quoted}"'
    body = re.sub(r"\n< .*", lambda _: closing, draft.body)
    text = render(Draft("tutorial", draft.title, body), pick(f"{document.name}/quote", SHAPES["tutorial"]))
    yield _good(document, "tutorial", "quote", text, "quotes one sentence of the source", PERTURBED)


def _turned(document: Document) -> Iterator[LabelledRow]:
    """A question before its table, so that the answer ends with a row; a final answer in words."""
    if document.language != "en":
        return
    if pick(f"{document.name}/turn", ["table", "math"]) == "table":
        shape = pick(f"{document.name}/last", ["piped", "bare", "aligned"])
        text = render(document.drafts["table"], f"{shape}_last")
        yield _good(document, "table", "last", text, "ends with a row of its table", PERTURBED)
    elif "math" in document.drafts and says_the_answer(document.drafts["math"].parse()):
        text = render(document.drafts["math"], "plain")
        yield _good(document, "math", "plain", text, 'the final answer is "The answer is ..."', PERTURBED)


def first_sentence(text: str) -> str:
    """A text up to the end of its first sentence of at least eight words."""
    for sentence in sentences(text):
        if len(sentence.split()) >= 8:
            return sentence
    return text


def sentences(text: str) -> list[str]:
    """Sentences, parted where a full stop, question or exclamation mark is followed by a capital letter."""
    return [part for part in re.split(r"(?<=[.!?])[\"”]?\s+(?=[A-ZÀ-Þ\"¿¡])", text.replace("\n\n", " ")) if part]
