"""Answers that go round in circles, that copy their source, or that are in another language."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from synth_platform_tests.quality.labelled.bases import Base, bases
from synth_platform_tests.quality.labelled.documents import documents
from synth_platform_tests.quality.labelled.good import sentences
from synth_platform_tests.quality.labelled.row import HAND, PERTURBED, LabelledRow, require
from synth_platform_tests.quality.labelled.shapes import SHAPES, WORDS, pick, render

_LOOP = 6
"""A run of four words that occurs so often is a loop."""
_COPIED = 2 / 3
"""A copy has at least this share of its runs of eight words from the source."""


def looping_rows() -> Iterator[LabelledRow]:
    """Lines, sentences, pairs, rows, steps and words that come again and again."""
    for recipe, ways in _LOOPS.items():
        for what, loop in ways.items():
            for base in bases(f"loop/{what}", 4, [recipe], shapes=_SHAPES.get(recipe)):
                text = loop(base)
                require(_most_repeated(text) >= _LOOP, f"{base.document.name}/{what}", "no loop")
                yield base.row(what.replace(" ", "_"), text, "repetition", note=what)


def _most_repeated(text: str, words: int = 4) -> int:
    """How often the most frequent run of so many words occurs."""
    split = text.split()
    runs = Counter(tuple(split[at : at + words]) for at in range(len(split) - words + 1))
    return max(runs.values(), default=0)


def _times(base: Base) -> int:
    return base.rng.randint(8, 24)


def _last_line(base: Base) -> str:
    return base.text + f"\n{base.text.splitlines()[-1]}" * _times(base)


def _last_sentence(base: Base) -> str:
    last = base.text.splitlines()[-1].split(": ", 1)[-1]
    return base.text + f" {last}" * _times(base)


def _row(base: Base) -> str:
    lines = base.text.splitlines()
    at = max(number for number, line in enumerate(lines) if line.startswith("|"))
    return "\n".join([*lines[: at + 1], *[lines[at]] * _times(base), *lines[at + 1 :]])


def _pairs(base: Base) -> str:
    lines = base.draft.body.splitlines()
    body = "\n".join([*lines[:-2], *lines[-2:] * _times(base)])
    return replace(base, draft=replace(base.draft, body=body)).text


def _steps(base: Base) -> str:
    lines = base.draft.body.splitlines()
    steps = [line for line in lines if line.startswith("- ")]
    body = "\n".join([lines[0], *steps, *[steps[-1]] * _times(base), lines[-1]])
    return replace(base, draft=replace(base.draft, body=body)).text


def _cycle(base: Base) -> str:
    lines = base.draft.body.splitlines()
    steps = [line for line in lines if line.startswith("- ")]
    body = "\n".join([lines[0], *steps * 7, lines[-1]])
    return replace(base, draft=replace(base.draft, body=body)).text


def _stammer(base: Base) -> str:
    words = base.text.split(" ")
    return " ".join(words + words[-3:] * (2 * _times(base)))


def _word(base: Base) -> str:
    return base.text + " very" * (3 * _times(base)) + " good."


_SHAPES = {"table": ["piped", "aligned"], "math": ["template", "bold"]}
_LOOPS: dict[str, dict[str, Callable[[Base], str]]] = {
    "table": {"row again and again": _row, "last line again and again": _last_line},
    "faq": {"pair again and again": _pairs, "words of the end again and again": _stammer, "one word": _word},
    "tutorial": {"step again and again": _steps, "all steps again": _cycle, "closing again": _last_sentence},
    "math": {"final answer again and again": _last_line},
}


def copied_rows() -> Iterator[LabelledRow]:
    """The sentences of a source as answers, as steps, as cells or as a problem."""
    for recipe, copy in _COPIES.items():
        for base in bases(f"copy/{recipe}", 8, [recipe], ("en", "de", "fr", "es")):
            text, formed = copy(base)
            require(copied_share(text, base.document.source) >= _COPIED, base.document.name, "no copy")
            yield base.row("copy", text, *(("copied",) if formed else ("copied", "format")))


def copied_share(text: str, source: str, words: int = 8) -> float:
    """Share of an answer's runs of eight words that the source has."""
    split, known = text.split(), source.split()
    runs = [tuple(split[at : at + words]) for at in range(len(split) - words + 1)]
    have = {tuple(known[at : at + words]) for at in range(len(known) - words + 1)}
    return sum(run in have for run in runs) / max(len(runs), 1)


def _copied_table(base: Base) -> tuple[str, bool]:
    said = [sentence.replace("|", "\\|") for sentence in sentences(base.document.source)]
    middle = len(said) // 2
    first, second = " ".join(said[:middle]), " ".join(said[middle:])
    words = WORDS[base.document.language]
    asked = [line[2:] for line in base.draft.body.splitlines() if line.startswith(("? ", "! "))]
    table = f"| # | Text |\n|---|---|\n| 1 | {first} |\n| 2 | {second} |"
    return f"{table}\n\n{words.question}: {asked[0]}\n{words.answer}: {asked[1]}", True


def _copied_faq(base: Base) -> tuple[str, bool]:
    said = sentences(base.document.source)
    questions = [line[2:] for line in base.draft.body.splitlines() if line.startswith("? ")][:2]
    middle = len(said) // 2
    answers = (" ".join(said[:middle]), " ".join(said[middle:]))
    body = "\n".join(f"? {asked}\n! {answer}" for asked, answer in zip(questions, answers, strict=True))
    return render(replace(base.draft, body=body), base.shape, WORDS[base.document.language]), True


def _copied_tutorial(base: Base) -> tuple[str, bool]:
    said = sentences(base.document.source)
    middle = len(said) // 2
    steps = [" ".join(said[:middle]), " ".join(said[middle:])]
    title = f"# {WORDS[base.document.language].how_to} {base.draft.title}"
    if base.number % 2:
        return f"{title}\n\n{base.document.source}", False
    return f"{title}\n\n1. {steps[0]}\n2. {steps[1]}", True


def _copied_math(base: Base) -> tuple[str, bool]:
    lines = base.draft.body.splitlines()
    words = WORDS[base.document.language]
    problem = f"{words.problem}: {' '.join(base.document.source.split())}"
    steps = "\n".join(f"1. {line[2:]}" for line in lines if line.startswith("- "))
    return f"{problem}\n\n{words.solution}:\n{steps}\n{words.final}: {lines[-1][2:]}", True


_COPIES = {
    "table": _copied_table, "faq": _copied_faq, "tutorial": _copied_tutorial, "math": _copied_math,
}  # fmt: skip


def other_language_rows() -> Iterator[LabelledRow]:
    """Answers in another language than the source's, each in two shapes."""
    for document in documents():
        for draft in document.others:
            require(draft.language != document.language, document.name, "the same language")
            name = f"{document.name}/{draft.recipe}/other/{draft.language}"
            first = pick(name, SHAPES[draft.recipe])
            second = pick(f"{name}/again", [shape for shape in SHAPES[draft.recipe] if shape != first])
            for shape, words, kind in ((first, draft.language, HAND), (second, "en", PERTURBED)):
                text = render(draft, shape, WORDS[words])
                reasons = frozenset({"language"})
                yield LabelledRow(
                    f"{name}/{shape}", draft.recipe, document.source, text, reasons, "", kind, document.language
                )
