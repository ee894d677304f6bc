"""The shapes in which small models write tables, FAQs, tutorials and solved problems."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synth_platform_tests.quality.labelled.answers import Answer, Draft, Faq, Math, Table, Tutorial

SEED = 20


@dataclass(frozen=True)
class Words:
    """What the parts of an answer are called in a language."""

    question: str = "Question"
    answer: str = "Answer"
    problem: str = "Problem"
    solution: str = "Solution"
    final: str = "Final answer"
    step: str = "Step"
    how_to: str = "How to"
    q: str = "Q"
    a: str = "A"


WORDS = {
    "en": Words(),
    "de": Words("Frage", "Antwort", "Aufgabe", "Lösung", "Endergebnis", "Schritt", "Anleitung:", "F", "A"),
    "fr": Words("Question", "Réponse", "Problème", "Solution", "Réponse finale", "Étape", "Comment", "Q", "R"),
    "es": Words("Pregunta", "Respuesta", "Problema", "Solución", "Respuesta final", "Paso", "Cómo", "P", "R"),
}
Shape = Callable[..., str]


def pick(key: str, options: Sequence[str]) -> str:
    """One of the options, always the same for a key."""
    return random.Random(f"{SEED}/{key}").choice(options)


def render(draft: Draft, shape: str, words: Words | None = None) -> str:
    """A draft in a shape, with the labels of its language or others."""
    answer = draft.parse()
    chosen = words or WORDS["en"]
    if isinstance(answer, Tutorial):
        return _TUTORIALS[shape](answer, chosen, WORDS[draft.language].how_to)
    shapes: dict[str, Shape] = {"table": _table, "faq": _faq, "math": _math}
    return shapes[draft.recipe](answer, chosen, shape)


# Tables: how the rows look, and how the question below them.


def row(cells: Sequence[str]) -> str:
    """A row between outer pipes."""
    return f"| {' | '.join(cells)} |"


def _piped(table: Table) -> str:
    return "\n".join([row(table.header), row(["---"] * len(table.header)), *map(row, table.rows)])


def _bare(table: Table) -> str:
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join(" | ".join(cells) for cells in rows)


def _aligned(table: Table) -> str:
    marks = [":---", *[":---:" if len(table.header) > 2 else "---:"] * (len(table.header) - 1)]
    return "\n".join([row(table.header), row(marks), *map(row, table.rows)])


def _bold(table: Table) -> str:
    rows = [row([f"**{first}**", *rest]) for first, *rest in table.rows]
    return "\n".join([row([f"**{name}**" for name in table.header]), row([":--"] * len(table.header)), *rows])


def _padded(table: Table) -> str:
    rows = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [row([cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]) for cells in rows]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _numbered(table: Table) -> str:
    rows = [(str(number), *cells) for number, cells in enumerate(table.rows, 1)]
    return _piped(Table(("#", *table.header), tuple(rows), "", ""))


def _titled(table: Table) -> str:
    return f"**Key Facts**\n\n{_piped(table)}"


_GRIDS: dict[str, Callable[[Table], str]] = {
    "piped": _piped, "bare": _bare, "aligned": _aligned, "bold": _bold, "padded": _padded, "numbered": _numbered,
    "titled": _titled,
}  # fmt: skip
_ASKED = {
    "piped": "{0.question}: {1}\n{0.answer}: {2}",
    "bare": "{0.question}: {1}\n{0.answer}: {2}",
    "aligned": "**{0.question}:** {1}\n**{0.answer}:** {2}",
    "bold": "**{0.question}**: {1}\n\n**{0.answer}**: {2}",
    "padded": "{0.q}: {1}\n{0.a}: {2}",
    "numbered": "### {0.question}\n{1}\n\n### {0.answer}\n{2}",
    "titled": "{0.question}: {1}\n\n{0.answer}: {2}",
}


def _table(table: Table, words: Words, shape: str) -> str:
    question_first = shape.removesuffix("_last")
    asked = _ASKED[question_first].format(words, table.question, table.answer)
    parts = [_GRIDS[question_first](table), asked]
    return "\n\n".join(reversed(parts) if shape.endswith("_last") else parts)


# FAQs


_PAIRS = {
    "template": "**{0.q}: {2}**\n{0.a}: {3}",
    "counted": "**{0.q}{1}: {2}**\n{0.a}{1}: {3}",
    "headed": "### {2}\n\n{3}",
    "listed": "{1}. **{2}**\n   {3}",
    "worded": "**{0.question}:** {2}\n\n**{0.answer}:** {3}",
    "plain": "{0.q}{1}: {2}\n{0.a}{1}: {3}",
    "bold": "**{2}**\n\n{3}",
    "inline": "**{0.q}: {2}** {0.a}: {3}",
    "bulleted": "- **{0.q}:** {2}\n- **{0.a}:** {3}",
    "numbered_q": "{1}. {0.q}: {2}\n   {0.a}: {3}",
}
_UNTITLED = {"counted", "plain", "worded", "listed"}


def _faq(faq: Faq, words: Words, shape: str) -> str:
    pairs = [_PAIRS[shape].format(words, number, *pair) for number, pair in enumerate(faq.pairs, 1)]
    title = [] if shape in _UNTITLED else [f"# {faq.title}"]
    return "\n\n".join(title + pairs)


# Tutorials


def _steps(mark: str, tutorial: Tutorial, words: Words, gap: str) -> str:
    steps = []
    for number, step in enumerate(tutorial.steps, 1):
        points = "".join(f"\n   - {detail}" for detail in step.details)
        steps.append(mark.format(words.step, number) + step.text + points)
    return gap.join(steps)


def _tutorial_shape(mark: str, gap: str = "\n\n", title: str = "# ") -> Shape:
    def write(tutorial: Tutorial, words: Words, how_to: str) -> str:
        heading = f"{title}{how_to} {tutorial.title}"
        steps = _steps(mark, tutorial, words, gap)
        return "\n\n".join([heading, tutorial.introduction, steps, tutorial.closing])

    return write


_TUTORIALS: dict[str, Shape] = {
    "template": _tutorial_shape("{1}. ", "\n"),
    "worded": _tutorial_shape("{0} {1}: "),
    "headed": _tutorial_shape("## {0} {1}\n\n"),
    "bold": _tutorial_shape("**{0} {1}:** "),
    "bracket": _tutorial_shape("{1}) ", "\n", "## "),
    "strong": _tutorial_shape("**{1}.** "),
}


# Solved problems


_LATEX = {"\u00d7": r"\times", "*": r"\times", "÷": r"\div", "≈": r"\approx", "\u2212": "-", "%": r"\%", "$": r"\$"}


def latex(expression: str) -> str:
    """An equation in TeX's notation."""
    return "".join(_LATEX.get(character, character) for character in expression)


def _display(step: str) -> str:
    label, colon, equation = step.partition(": ")
    return f"{label}:\n\n\\[ {latex(equation)} \\]" if colon and "=" in equation else step


def _lower(final: str) -> str:
    return final[0].lower() + final[1:]


def _math(math: Math, words: Words, shape: str) -> str:
    marks = {"bulleted": "- **{0} {1}:** ", "latex": "{1}. ", "worded": "{0} {1}: ", "plain": "- "}
    mark = marks.get(shape, "{1}. ")
    steps = [_display(step) if shape == "latex" else step for step in math.steps]
    solution = "\n".join(mark.format(words.step, number) + step for number, step in enumerate(steps, 1))
    final = math.final.rstrip(".")
    parts = {
        "template": "{0.problem}: {1}\n\n{0.solution}:\n{2}\n{0.final}: {3}",
        "bold": "**{0.problem}:** {1}\n\n**{0.solution}:**\n\n{2}\n\n**{0.final}:** {3}.",
        "bulleted": "### {0.problem}\n{1}\n\n### {0.solution}\n{2}\n\n**{0.final}: {3}**",
        "latex": "**{0.problem}:** {1}\n\n**{0.solution}:**\n\n{2}\n\n**{0.final}:** {3}",
        "worded": "## {0.problem}\n\n{1}\n\n## {0.solution}\n\n{2}\n\n## {0.final}\n\n{3}",
        "plain": "**{0.problem}**\n\n{1}\n\n**{0.solution}**\n\n{2}\n\nThe answer is {4}.",
    }
    return parts[shape].format(words, math.problem, solution, final, _lower(final))


SHAPES: dict[str, tuple[str, ...]] = {
    "table": tuple(_GRIDS),
    "faq": tuple(_PAIRS),
    "tutorial": tuple(_TUTORIALS),
    "math": ("template", "bold", "bulleted", "latex", "worded"),
}
"""By recipe. Two more are used by name: a table below its question (``..._last``), and ``plain`` of math."""


def says_the_answer(math: Answer) -> bool:
    """Whether "The answer is ..." can go before the final answer."""
    return isinstance(math, Math) and re.match(r"[\d$£€]|about ", math.final) is not None
