"""Answers taken apart, so that they can be written in the shapes that models give them."""

from dataclasses import dataclass

TITLES = {"faq", "tutorial"}
_SIGNS = ("> ", "- ", "  * ", "< ", "= ", "? ", "! ")


@dataclass(frozen=True)
class Table:
    """A table with a question and its answer; the first row is the header."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    question: str
    answer: str


@dataclass(frozen=True)
class Faq:
    """Questions with their answers."""

    title: str
    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Step:
    """A step of a tutorial and the points below it."""

    text: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tutorial:
    """Steps between an introduction and a closing sentence."""

    title: str
    introduction: str
    steps: tuple[Step, ...]
    closing: str


@dataclass(frozen=True)
class Math:
    """A word problem, its solution and the final answer."""

    problem: str
    steps: tuple[str, ...]
    final: str


Answer = Table | Faq | Tutorial | Math


@dataclass(frozen=True)
class Draft:
    """An answer as it stands in a document's file.

    Args:
        recipe: table, math, faq or tutorial.
        title: of an FAQ, or what a tutorial shows how to do.
        body: its lines, each with the sign that says what it is.
        language: what its labels are written in.
    """

    recipe: str
    title: str
    body: str
    language: str = "en"

    def edited(self, old: str, new: str) -> "Draft":
        """With the first ``old`` replaced."""
        if old not in self.body:
            raise ValueError(f"no {old!r} in the {self.recipe}: {self.body}")
        return Draft(self.recipe, self.title, self.body.replace(old, new, 1), self.language)

    def parse(self) -> Answer:
        """The parts."""
        return {"table": _table, "faq": _faq, "tutorial": _tutorial, "math": _math}[self.recipe](self)


def _lines(draft: Draft, sign: str) -> tuple[str, ...]:
    lines = draft.body.splitlines()
    if sign:
        return tuple(line[len(sign) :] for line in lines if line.startswith(sign))
    return tuple(line for line in lines if line.strip() and not line.startswith(_SIGNS))


def _one(draft: Draft, sign: str) -> str:
    return "\n".join(_lines(draft, sign))


def cells(line: str) -> tuple[str, ...]:
    """The cells of a row, parted by pipes that are not escaped."""
    return tuple(cell.strip().replace("\0", "\\|") for cell in line.replace("\\|", "\0").split("|"))


def _table(draft: Draft) -> Table:
    header, *rows = (cells(line) for line in _lines(draft, ""))
    return Table(header, tuple(rows), _one(draft, "? "), _one(draft, "! "))


def _faq(draft: Draft) -> Faq:
    return Faq(draft.title, tuple(zip(_lines(draft, "? "), _lines(draft, "! "), strict=True)))


def _tutorial(draft: Draft) -> Tutorial:
    steps: list[Step] = []
    for line in draft.body.splitlines():
        if line.startswith("- "):
            steps.append(Step(line[2:]))
        elif line.startswith("  * "):
            steps[-1] = Step(steps[-1].text, (*steps[-1].details, line[4:]))
    return Tutorial(draft.title, _one(draft, "> "), tuple(steps), _one(draft, "< "))


def _math(draft: Draft) -> Math:
    return Math(_one(draft, "> "), _lines(draft, "- "), _one(draft, "= "))
