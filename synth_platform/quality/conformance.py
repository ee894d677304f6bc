"""What a recipe asks of the form of its answers: shipped rules by name, patterns from the spec, or a function.

A rule takes the text of an answer and returns what is wrong with it as short codes; none: the form is kept.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jsonschema.validators import validator_for

from synth_platform.config import code_digest, import_named
from synth_platform.errors import SpecError
from synth_platform.prompts.config import PatternConformance
from synth_platform.quality.arithmetic import final_number
from synth_platform.quality.part_labels import with_plain_labels

Rule = Callable[[str], list[str]]

_SEPARATOR = re.compile(r"\s*+\|?\s*+:?-{2,}+:?\s*+(\|\s*+:?-{2,}+:?\s*+)*+\|?\s*+")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_MARKUP = r"[ \t>#*_\-]*+"
_QUESTION_LINE = re.compile(rf"^{_MARKUP}(?:Question|Q)\s*\d*\s*[*_]*\s*[:.]\s*[*_]*\s*\S", re.MULTILINE)
_ANSWER_LINE = re.compile(rf"^{_MARKUP}(?:Answer|A)\s*\d*\s*[*_]*\s*[:.]\s*[*_]*\s*\S", re.MULTILINE)
_ASKS = re.compile(rf"^{_MARKUP}(?:\d+[.)]\s*)?{_MARKUP}(?:(?:Question|Q)\s*\d*\s*[:.)]{_MARKUP})?(?P<said>\S.*)$")
_LABELLED = re.compile(rf"^{_MARKUP}(?:\d+[.)]\s*)?{_MARKUP}(?:Question|Q)\s*\d*\s*[:.)]")
_ANSWER_LABEL = re.compile(rf"^{_MARKUP}(?:(?:Answer|A)\s*\d*\s*[:.)])?{_MARKUP}")
_SOLUTION = re.compile(
    rf"^{_MARKUP}(?:step-by-step )?(?:solution|explanation|answer)s?\b[^\n]*$|\bsolution:", re.I | re.M
)
_STEP = re.compile(
    r"^(?P<indent>[ \t]*+)[ \t>#*_\-]*+(?P<word>step[ \t]*)?(?P<number>\d{1,3})"
    r"(?:[.):]|[ \t]*[-\u2013:]|\*\*)[*_ \t]*[^\s*_]",
    re.I | re.M,
)
_LEAST_PAIRS, _LEAST_STEPS, _LEAST_PROBLEM_WORDS = 2, 2, 5
_MOST_EMPTY_CELLS = 0.5


def check_table(text: str) -> list[str]:
    """A Markdown table with header, separator, body and as many cells in each row; a question and its answer."""
    text = with_plain_labels(text)
    lines = text.splitlines()
    head = next((at for at in range(1, len(lines)) if _is_head(lines[at - 1], lines[at])), None)
    problems = ["no_table"] if head is None else list(_table_problems(lines[head - 1 :]))
    if not _QUESTION_LINE.search(text):
        problems.append("no_question")
    if not _ANSWER_LINE.search(text):
        problems.append("no_answer")
    return problems


def check_math(text: str) -> list[str]:
    """A problem, its solution, and a final answer. Whether the arithmetic is right is measured by itself."""
    text = with_plain_labels(text)
    marked = _SOLUTION.search(text)
    problem, solution = (text[: marked.start()], text[marked.start() :]) if marked else (text, "")
    problems: list[str] = []
    if len(problem.split()) < _LEAST_PROBLEM_WORDS:
        problems.append("no_problem")
    if not solution:
        problems.append("no_solution")
    if final_number(text) is None:
        problems.append("no_final_answer")
    return problems


def check_faq(text: str) -> list[str]:
    """At least two different questions, each with its answer."""
    pairs = list(_pairs(with_plain_labels(text)))
    answered = {question for question, answer in pairs if answer}
    problems: list[str] = []
    if len(answered) < _LEAST_PAIRS:
        problems.append("too_few_pairs")
    if any(not answer for _, answer in pairs):
        problems.append("question_without_answer")
    if len({question for question, _ in pairs}) < len(pairs):
        problems.append("repeated_question")
    return problems


def check_tutorial(text: str) -> list[str]:
    """Steps in their order; a list may begin anew under another heading."""
    steps = [found for found in _STEP.finditer(with_plain_labels(text)) if not found["indent"]]
    named = [step for step in steps if step["word"]]
    # Lists between steps that are named so have an order of their own.
    numbers = [int(step["number"]) for step in (named if len(named) >= _LEAST_STEPS else steps)]
    problems: list[str] = []
    if len(numbers) < _LEAST_STEPS:
        problems.append("too_few_steps")
    # Markdown counts by itself: a list in which every item is a 1 is in order.
    if any(b not in (a + 1, 1) for a, b in zip([0, *numbers], numbers, strict=False)):
        problems.append("steps_out_of_order")
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


RULES: Mapping[str, Rule] = {
    "table": check_table,
    "math": check_math,
    "faq": check_faq,
    "tutorial": check_tutorial,
    "json": check_json,
    "none": check_none,
}
"""Shipped rules by the name that a recipe's `conformance` gives."""

COMPUTING = frozenset({"math"})
"""Rules of answers that may compute numbers which their sources do not have."""


def rule_for(conformance: str | PatternConformance, answer_schema: Mapping[str, Any] | None = None) -> Rule:
    """The rule of a recipe, and its JSON schema where it has one.

    Raises:
        SpecError: a function that the spec names cannot be imported.
    """
    named = _rule(conformance)
    if answer_schema is None:
        return named
    validator = validator_for(answer_schema)(answer_schema)

    def check(text: str) -> list[str]:
        if problems := check_json(text):
            return problems
        broken = next(validator.iter_errors(json.loads(text)), None)
        return [*named(text), *(["breaks_schema"] if broken is not None else [])]

    return check


def rule_code(conformance: str | PatternConformance) -> str | None:
    """Digest of the code of a function that the spec names; None for rules that need none of the user's.

    Raises:
        SpecError: the function cannot be had.
    """
    if isinstance(conformance, PatternConformance) or conformance in RULES:
        return None
    try:
        return code_digest(conformance)
    except ValueError as error:
        raise SpecError(f"the conformance rule {error}") from None


def _rule(conformance: str | PatternConformance) -> Rule:
    if isinstance(conformance, PatternConformance):
        return _pattern_rule(conformance)
    if conformance in RULES:
        return RULES[conformance]
    try:
        found = import_named(conformance)
    except ValueError as error:
        raise SpecError(f"the conformance rule {error}") from None
    if not callable(found):
        raise SpecError(
            f"the conformance rule {conformance!r} is no function", fix="name a function of the answer's text"
        )
    return cast(Rule, found)


def _pattern_rule(spec: PatternConformance) -> Rule:
    required = [
        (code, re.compile(one.pattern, re.MULTILINE), one.min, one.max) for code, one in spec.required_counts.items()
    ]
    forbidden = [(code, re.compile(pattern, re.MULTILINE)) for code, pattern in spec.forbidden.items()]

    def check(text: str) -> list[str]:
        counts = [(code, sum(1 for _ in pattern.finditer(text)), low, high) for code, pattern, low, high in required]
        missing = [code for code, count, low, high in counts if count < low or (high is not None and count > high)]
        return missing + [code for code, pattern in forbidden if pattern.search(text)]

    return check


def _is_head(line: str, below: str) -> bool:
    return "|" in line and "-" in below and _SEPARATOR.fullmatch(below) is not None


def _table_problems(lines: list[str]) -> Iterator[str]:
    """What is wrong with the table that begins with the first line."""
    width = len(_cells(lines[0]))
    body = []
    for line in lines[2:]:
        if "|" not in line:
            break
        body.append(_cells(line))
    cells = [cell for row in body for cell in row]
    if not any(cells):
        yield "empty_table"
    elif sum(not cell for cell in cells) > _MOST_EMPTY_CELLS * len(cells):
        yield "empty_cells"
    if any(len(row) != width for row in [_cells(lines[1]), *body]):
        yield "ragged_table"


def _cells(row: str) -> list[str]:
    inner = row.strip()
    inner = inner.removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [cell.strip() for cell in _CELL_BORDER.split(inner)]


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Questions, in lower case, with what stands between them and the next one.

    A question is a line that is labelled as one, or that ends with a question mark. Where a list, a heading or bold
    type marks the questions, plain lines that ask something belong to an answer.
    """
    question: str | None = None
    answer: list[str] = []
    marks = False
    for line in (line.strip() for line in text.splitlines()):
        if (asked := _question(line, plain=not marks and (question is None or bool(answer)))) is not None:
            if question is not None:
                yield question, " ".join(answer)
            question, answer = asked, []
            marks = marks or not line[:1].isalpha() or _LABELLED.match(line) is not None
        elif question is not None and (said := _ANSWER_LABEL.sub("", line, count=1).strip()):
            answer.append(said)
    if question is not None:
        yield question, " ".join(answer)


def _question(line: str, *, plain: bool) -> str | None:
    """What a line asks; None if it asks nothing. ``plain``: a line without any mark may be a question."""
    asks = _ASKS.match(line)
    if not asks:
        return None
    labelled = _LABELLED.match(line) is not None
    ends = line.rstrip("*_ ").endswith("?") and not _ANSWER_LINE.match(line) and (plain or not line[:1].isalpha())
    return asks["said"].strip("*_ ").lower() if labelled or ends else None
