"""Reads the documents: a source, good answers, edits that keep or break them, and answers written by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from synth_platform_tests.quality.labelled.answers import TITLES, Draft

FOLDER = Path(__file__).parent / "documents"
_BLOCK = re.compile(r"^@(\w+)[ \t]*(.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Edit:
    """One replacement in a good answer.

    Args:
        recipe: the answer it belongs to.
        old: what stands there.
        new: what is put in its place.
        reason: what is wrong then; empty if the answer stays good.
        note: why it is a hard case.
    """

    recipe: str
    old: str
    new: str
    reason: str = ""
    note: str = ""


@dataclass(frozen=True)
class Written:
    """A good answer in the very words and shape that it has in the file."""

    recipe: str
    note: str
    text: str


@dataclass
class Document:
    """All that one file holds."""

    name: str
    language: str = "en"
    source: str = ""
    drafts: dict[str, Draft] = field(default_factory=dict)
    edits: list[Edit] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)
    others: list[Draft] = field(default_factory=list)
    """Answers in another language than the source's."""


@cache
def documents() -> tuple[Document, ...]:
    """All documents, by name."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.txt")))


def _read(path: Path) -> Document:
    document = Document(path.stem)
    for kind, about, body in _blocks(path.read_text("utf-8")):
        if kind == "lang":
            document.language = about
        elif kind == "source":
            document.source = body
        elif kind in ("wrong", "right"):
            document.edits += [_edit(line, about) for line in body.splitlines() if line.strip()]
        elif kind == "good":
            recipe, _, note = about.partition(" ")
            document.written.append(Written(recipe, note, body))
        elif kind == "other":
            language, recipe, *title = about.split(" ", 2)
            document.others.append(Draft(recipe, " ".join(title), body, language))
        else:
            document.drafts[kind] = Draft(kind, about if kind in TITLES else "", body, document.language)
    return document


def _blocks(text: str) -> Iterator[tuple[str, str, str]]:
    """Kind, heading and body of each block."""
    found = list(_BLOCK.finditer(text))
    ends = [block.start() for block in found[1:]] + [len(text)]
    for block, end in zip(found, ends, strict=True):
        yield block[1], block[2].strip(), text[block.end() : end].strip("\n")


def _edit(line: str, reason: str) -> Edit:
    recipe, rest = line.split(" :: ", 1)
    rest, _, note = rest.partition(" # ")
    old, new = rest.split(" => ")
    return Edit(recipe, old, new, reason, note)
