"""Format rules of the recipes: each returns what is wrong with an answer, as short codes."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema.validators import validator_for

from synth_platform.quality.arithmetic import final_number, steps

Rule = Callable[[str], list[str]]

_SEPARATOR = re.compile(r"\|?\s*:?-{3,}:?\s*(\|\s*:?-{3,}:?\s*)*\|?")
_QUESTION_LINE = re.compile(r"^\**Question:?\**:?\s*\S", re.MULTILINE)
_ANSWER_LINE = re.compile(r"^\**Answer:?\**:?\s*\S", re.MULTILINE)
_FAQ_PAIR = re.compile(r"^\*\*Q: (?P<question>.+?)\*\*[ \t]*\n+A: (?P<answer>\S.*)", re.MULTILINE)
_STEP = re.compile(r"^\s*(\d+)[.)]\s+\S", re.MULTILINE)
_MIN_PAIRS = 3
_MIN_STEPS = 3


def check_table(text: str) -> list[str]:
    """A Markdown table with header, separator and at least two even rows, then a question and its answer."""
    lines = [line.strip() for line in text.strip().splitlines()]
    rows = [line for line in lines if line.startswith("|")]
    problems: list[str] = []
    if len(rows) < 2 or not _SEPARATOR.fullmatch(rows[1]):
        problems.append("no_table_header")
    widths = {len(_cells(row)) for row in rows}
    if len(rows) < 4:
        problems.append("too_few_rows")
    if len(widths) > 1:
        problems.append("ragged_table")
    if any(not cell for row in rows for cell in _cells(row)):
        problems.append("empty_cell")
    if rows and not _contiguous([line.startswith("|") for line in lines]):
        problems.append("broken_table")
    after = text.rpartition("|")[2]
    if not _QUESTION_LINE.search(after):
        problems.append("no_question")
    if not _ANSWER_LINE.search(after):
        problems.append("no_answer")
    return problems


def check_math(text: str) -> list[str]:
    """A problem, numbered steps whose arithmetic is right, and a final answer that is the last result."""
    problems: list[str] = []
    problem, _, solution = text.partition("Solution:")
    if not problem.strip().removeprefix("**").startswith("Problem:") or len(problem.split()) < 5:
        problems.append("no_problem")
    if not _STEP.search(solution):
        problems.append("no_solution_steps")
    worked = steps(solution)
    if not worked:
        problems.append("no_arithmetic")
    if any(not step.right for step in worked):
        problems.append("wrong_arithmetic")
    final = final_number(solution)
    if final is None:
        problems.append("no_final_answer")
    elif worked and final != worked[-1].result:
        problems.append("final_answer_differs")
    return problems


def check_faq(text: str) -> list[str]:
    """A title, then at least three questions in bold, each with its answer."""
    problems: list[str] = []
    if not text.lstrip().startswith("#"):
        problems.append("no_title")
    pairs = _FAQ_PAIR.findall(text)
    if len(pairs) < _MIN_PAIRS:
        problems.append("too_few_pairs")
    if len(pairs) != text.count("**Q:"):
        problems.append("question_without_answer")
    if any(not question.rstrip().endswith("?") for question, _ in pairs):
        problems.append("question_without_mark")
    if len({question for question, _ in pairs}) < len(pairs):
        problems.append("repeated_question")
    return problems


def check_tutorial(text: str) -> list[str]:
    """A title "# How to ...", an introduction, steps numbered from 1, and a closing sentence."""
    problems: list[str] = []
    stripped = text.strip()
    if not stripped.startswith("# How to"):
        problems.append("no_title")
    numbers = [int(number) for number in _STEP.findall(stripped)]
    if len(numbers) < _MIN_STEPS:
        problems.append("too_few_steps")
    if numbers != list(range(1, len(numbers) + 1)):
        problems.append("steps_out_of_order")
    lines = [line for line in stripped.splitlines() if line.strip()]
    if len(lines) > 1 and _STEP.match(lines[1]):
        problems.append("no_introduction")
    if lines and _STEP.match(lines[-1]):
        problems.append("no_closing_sentence")
    return problems


def check_none(text: str) -> list[str]:
    """No rule."""
    return []


def check_json(text: str) -> list[str]:
    """One JSON object or array."""
    try:
        value = json.loads(text)
    except ValueError:
        return ["not_json"]
    return [] if isinstance(value, dict | list) else ["not_json"]


def rule_for(conformance: str, answer_schema: Mapping[str, Any] | None = None) -> Rule:
    """The rule of a recipe: that of its name, and its JSON schema where it has one."""
    named = RULES[conformance]
    if answer_schema is None:
        return named
    validator = validator_for(answer_schema)(answer_schema)

    def check(text: str) -> list[str]:
        if problems := check_json(text):
            return problems
        broken = next(validator.iter_errors(json.loads(text)), None)
        return [*named(text), *(["breaks_schema"] if broken is not None else [])]

    return check


RULES: Mapping[str, Rule] = {
    "table": check_table,
    "math": check_math,
    "faq": check_faq,
    "tutorial": check_tutorial,
    "json": check_json,
    "none": check_none,
}
"""Rules by the name that a recipe's `conformance` gives."""


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _contiguous(flags: list[bool]) -> bool:
    first, last = flags.index(True), len(flags) - flags[::-1].index(True)
    return all(flags[first:last])
