"""Answers with what does not belong to them: refusals, talk to the user, instructions, tokens, gaps."""

import re
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files

from synth_platform_tests.quality.labelled.bases import Base, bases
from synth_platform_tests.quality.labelled.phrases import (
    CLOSINGS,
    CONTROL_TOKENS,
    OPENINGS,
    PLACEHOLDERS,
    REFUSALS,
    REFUSED_PARTS,
)
from synth_platform_tests.quality.labelled.row import HAND, RECIPES, LabelledRow, require

_ECHOED = 12
"""Words of the instructions in a row."""


def leftover_rows() -> Iterator[LabelledRow]:
    """All of them."""
    yield from _refusals()
    yield from _refused_parts()
    yield from _chatter()
    yield from _echoes()
    yield from _control_tokens()
    yield from _placeholders()


def _refusals() -> Iterator[LabelledRow]:
    """A refusal instead of an answer, and one before an answer."""
    for base, refusal in zip(bases("refusal", len(REFUSALS)), REFUSALS, strict=True):
        yield base.row("refusal", refusal, "refusal", "format", kind=HAND)
    for base, refusal in zip(bases("refusal first", 8), REFUSALS[::2], strict=True):
        text = f"{refusal} However, here is what the document says.\n\n{base.text}"
        yield base.row("refusal_first", text, "refusal", note="a refusal, and then an answer all the same")


def _refused_parts() -> Iterator[LabelledRow]:
    """A refusal in place of one answer, the last step or the table's answer."""
    for base in bases("refused part", 4 * len(REFUSED_PARTS), ["table", "faq", "tutorial"]):
        refusal = REFUSED_PARTS[base.number % len(REFUSED_PARTS)]
        mark = {"table": "! ", "faq": "! ", "tutorial": "< "}[base.recipe]
        body = _replace_last(base.draft.body, mark, refusal)
        text = replace(base, draft=replace(base.draft, body=body)).text
        yield base.row("refused_part", text, "refusal", note="one part of a good answer is refused")


def _chatter() -> Iterator[LabelledRow]:
    for base, opening in zip(bases("opening", len(OPENINGS)), OPENINGS, strict=True):
        yield base.row("opening", f"{opening}\n\n{base.text}", "chatter")
    for base, closing in zip(bases("closing", len(CLOSINGS)), CLOSINGS, strict=True):
        yield base.row("closing", f"{base.text}\n\n{closing}", "chatter")
    for base, opening, closing in zip(bases("both", 8), OPENINGS[4:12], CLOSINGS[2:10], strict=True):
        yield base.row("both", f"{opening}\n\n---\n\n{base.text}\n\n---\n\n{closing}", "chatter", note="between rules")


def instructions(recipe: str) -> str:
    """What a recipe's template says before its document."""
    template = files("synth_platform.prompts").joinpath("templates", f"{recipe}.jinja").read_text("utf-8")
    return template.partition("Document:")[0].strip()


def _echoes() -> Iterator[LabelledRow]:
    """Instructions before an answer, after it, or in the middle of it; from 12 words on."""
    for base in bases("echo", 32):
        said = instructions(base.recipe)
        parts = re.split(r"(?<=[.?]) (?=[A-Z])", said)
        long = [part for part in parts if len(part.split()) >= _ECHOED + 1]
        words = base.rng.choice(long).split()
        lines = base.text.split("\n\n")
        texts = (
            f"{said}\n\n{base.text}",
            f"Instructions: {' '.join(words)}\n\n{base.text}",
            "\n\n".join([*lines[:1], " ".join(words), *lines[1:]]),
            f"{base.text}\n\n{' '.join(words)}",
        )
        text = texts[base.number // len(RECIPES) % len(texts)]
        require(" ".join(words[:_ECHOED]) in said and words[0] in text, base.document.name, "no echo")
        yield base.row("echo", text, "prompt_echo")


def _control_tokens() -> Iterator[LabelledRow]:
    for base, token in zip(bases("token", len(CONTROL_TOKENS)), CONTROL_TOKENS, strict=True):
        lines = base.text.split("\n")
        at = base.rng.randrange(1, len(lines))
        texts = (
            f"{base.text}{token}",
            f"{token}\n{base.text}",
            "\n".join([*lines[:at], *([token, lines[at]] if lines[at] else [token])])
            + "\n"
            + "\n".join(lines[at + 1 :]),
        )
        text = texts[0] if base.number % 2 == 0 else texts[1]
        if base.recipe in ("faq", "tutorial") and base.number % 3 == 0:
            text = texts[2]
        yield base.row("token", text, "control_tokens")


def _placeholders() -> Iterator[LabelledRow]:
    """A gap in place of one answer or value."""
    marks = {"table": "! ", "faq": "! ", "tutorial": "- "}
    for base, gap in zip(bases("gap", len(PLACEHOLDERS), list(marks)), PLACEHOLDERS, strict=True):
        if base.recipe == "table" and base.number % 2:
            lines = base.draft.body.splitlines()
            last = max(number for number, line in enumerate(lines) if " | " in line and line[0] not in "?!")
            lines[last] = f"{lines[last].partition(' | ')[0]} | {gap}"
            body = "\n".join(lines)
        else:
            body = _replace_last(base.draft.body, marks[base.recipe], _placed(gap, base))
        yield base.row("gap", replace(base, draft=replace(base.draft, body=body)).text, "placeholder")


def _placed(gap: str, base: Base) -> str:
    if base.recipe == "tutorial":
        return f"Continue with {gap}"
    return gap if base.number % 4 else f"The answer is {gap}."


def _replace_last(body: str, mark: str, text: str) -> str:
    """A draft's body with its last line of a kind replaced."""
    lines = body.splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith(mark))
    lines[last] = mark + text
    return "\n".join(lines)
