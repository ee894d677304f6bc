"""Answers whose shape is broken, one way at a time."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from synth_platform_tests.quality.labelled.bases import Base, bases
from synth_platform_tests.quality.labelled.row import LabelledRow, require
from synth_platform_tests.quality.labelled.shapes import row

Break = Callable[[Base], str]
_EACH = 4


def broken_rows() -> Iterator[LabelledRow]:
    """A few rows for each way to break a form."""
    for recipe, ways in _WAYS.items():
        for what, break_form in ways.items():
            shapes = _SHAPES.get(recipe)
            for base in bases(f"format/{what}", _EACH, [recipe], shapes=shapes):
                text = break_form(base)
                require(text != base.text and len(text) > 60, f"{base.document.name}/{what}", "nothing was broken")
                reasons = ("format", "arithmetic") if break_form is _no_solution else ("format",)
                yield base.row(what.replace(" ", "_"), text, *reasons, note=what)


_SHAPES = {
    "table": ["piped", "aligned", "bold", "titled"],
    "faq": ["template", "counted", "worded", "inline", "bulleted", "plain"],
    "tutorial": ["template", "worded", "bold", "bracket"],
    "math": ["template", "bold"],
}


# Tables


def _no_separator(base: Base) -> str:
    lines = base.text.splitlines()
    return "\n".join(line for line in lines if not re.fullmatch(r"[|\s:-]*-[|\s:-]*", line))


def _missing_cells(base: Base) -> str:
    lines = [line for line in base.text.splitlines() if line.startswith("|")]
    cut = {line: row([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-2]]) for line in lines[2::2]}
    return "\n".join(cut.get(line, line) for line in base.text.splitlines())


def _additional_cells(base: Base) -> str:
    lines = [line for line in base.text.splitlines() if line.startswith("|")]
    added = {line: f"{line} {again} |" for line, again in zip(lines[3:], ["yes", "see above", "yes"], strict=False)}
    return "\n".join(added.get(line, line) for line in base.text.splitlines())


def _empty_body(base: Base) -> str:
    lines = base.text.splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    return "\n".join(line for line in lines if line not in rows)


def _list_for_table(base: Base) -> str:
    lines = base.draft.body.splitlines()
    facts = [f"- {line.replace(' | ', ': ', 1)}" for line in lines[1:] if " | " in line]
    asked = base.text[base.text.rindex("|") + 1 :].strip()
    return "\n".join(facts) + f"\n\n{asked}"


def _no_question(base: Base) -> str:
    return re.sub(r"\n\n?\**Question.*?\n+(?=\**Answer)", "\n\n", base.text)


def _no_answer(base: Base) -> str:
    return re.split(r"\n+\**Answer", base.text)[0]


def _table_alone(base: Base) -> str:
    return base.text[: base.text.rindex("|") + 1]


# FAQs


def _one_pair(base: Base) -> str:
    lines = base.draft.body.splitlines()[:2]
    return replace(base, draft=replace(base.draft, body="\n".join(lines))).text


def _unanswered(base: Base) -> str:
    return re.sub(r"\n+[-*\s]*\**A(?:\d|nswer)*:.*|(?<=\*\*) A: .*", "", base.text)


def _same_question(base: Base) -> str:
    pairs = base.draft.body.splitlines()
    question, answers = pairs[0], pairs[1::2]
    body = "\n".join(f"{question}\n{answer}" for answer in answers[:2])
    return replace(base, draft=replace(base.draft, body=body)).text


def _same_pair(base: Base) -> str:
    pair = base.draft.body.splitlines()[:2]
    return replace(base, draft=replace(base.draft, body="\n".join(pair * 2))).text


def _prose(base: Base) -> str:
    return " ".join(line[2:] for line in base.draft.body.splitlines() if line.startswith(("! ", "- ", "< ")))


# Tutorials


def _one_step(base: Base) -> str:
    lines = base.draft.body.splitlines()
    kept = [lines[0], next(line for line in lines if line.startswith("- ")), lines[-1]]
    return replace(base, draft=replace(base.draft, body="\n".join(kept))).text


def _disorder(base: Base) -> str:
    parts = re.split(r"(?m)^(?=\d+[.)] |\**Step \d)", base.text)
    parts[2], parts[3] = parts[3], parts[2]
    return "".join(parts)


def _skipped(base: Base) -> str:
    return re.sub(r"(?m)^(\**(?:Step )?)3\b", r"\g<1>7", base.text)


def _countdown(base: Base) -> str:
    total = len(re.findall(r"(?m)^\**(?:Step )?\d+[.:)]", base.text))
    return re.sub(r"(?m)^(\**(?:Step )?)(\d+)(?=[.:)])", lambda m: f"{m[1]}{total + 1 - int(m[2])}", base.text)


# Solved problems


def _no_problem(base: Base) -> str:
    return base.text[re.search(r"\**Solution", base.text).start() :]  # type: ignore[union-attr]


def _no_solution(base: Base) -> str:
    """Its final answer is then one that no step gives."""
    return re.sub(r"\**Solution(?s:.*?)(?=\**Final)", "", base.text)


def _no_final(base: Base) -> str:
    return re.split(r"\n+\**Final", base.text)[0]


def _problem_alone(base: Base) -> str:
    return re.split(r"\n+\**Solution", base.text)[0]


_WAYS: dict[str, dict[str, Break]] = {
    "table": {
        "no separator": _no_separator, "missing cells": _missing_cells, "additional cells": _additional_cells,
        "empty body": _empty_body, "a list instead of a table": _list_for_table, "no question": _no_question,
        "no answer": _no_answer, "neither question nor answer": _table_alone,
    },
    "faq": {
        "one pair": _one_pair, "no answers": _unanswered, "the same question twice": _same_question,
        "the same pair twice": _same_pair, "prose instead of pairs": _prose,
    },
    "tutorial": {
        "one step": _one_step, "steps out of order": _disorder, "a step's number too high": _skipped,
        "steps counted down": _countdown, "prose instead of steps": _prose,
    },
    "math": {
        "no problem": _no_problem, "no solution": _no_solution, "no final answer": _no_final,
        "only the problem": _problem_alone,
    },
}  # fmt: skip
