"""The final answer of a solution, and whether the solution reached it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal

from synth_platform.quality.arithmetic.equations import Equation
from synth_platform.quality.arithmetic.evaluation import is_rounding
from synth_platform.quality.arithmetic.links import Links
from synth_platform.quality.arithmetic.numerals import NUMERAL, number, with_points
from synth_platform.quality.arithmetic.sides import CONTEXT

_HUNDRED = Decimal(100)
_OTHER_LANGUAGES = (
    r"(?:endergebnis|ergebnis|antwort|r\xe9ponse(?:[ ]finale)?|r\xe9sultat(?:[ ]final)?"
    r"|respuesta(?:[ ]final)?|resultado(?:[ ]final)?)"
)
_FINAL = re.compile(
    rf"^[#*_> ]{{0,9}}(?:(?:final[ ]answer|{_OTHER_LANGUAGES})[*_: ]{{0,6}}"
    r"|answer[*_: ]{0,6}(?!\s{1,20}(?:step\b|-|\*[ ]|\d{1,3}[.)][ ]|[^\n]{0,200}=)))"
    r"\n\s{0,9}(?P<below>[^\n]+)"  # a heading
    r"|####(?P<hash>[^\n]*)|\\boxed\{(?P<box>[^\n]{0,100})"
    r"|\b(?:final[ ]answer\b[*_ ]{0,4}(?:is\b|:)?|answer\b[*_ ]{0,4}(?:is\b|:)"
    rf"|(?:{_OTHER_LANGUAGES})[*_ ]{{0,4}}:)(?P<said>[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)
_FINAL_NUMBER = re.compile(
    r"(?P<sign>[-\u2212]?)[$€£ \\]{0,3}(?P<whole>\d{1,3}(?:[ \xa0\u202f]\d{3}){1,6}+(?![\w-]|[.,]\d)"
    r"|\d[\d,]*(?:\.\d+)?|\.\d+)(?!:\d)(?:/(?P<under>\d+))?|\d+:\d+"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_FRACTION = re.compile(r"(?<![\d.,/])(\d{1,12})/(\d{1,12})(?![\d/]|[.,]\d)")
_SPACE = re.compile(r"\s")
_LONGEST_ANSWER = 200


@dataclass(frozen=True)
class FinalAnswer:
    """What a solution gives as its answer.

    Args:
        value: the answer, or the first of several.
        parts: of a fraction, what is above and below its line; else the value.
        numbers: all numbers of the answer, in order.
        before: the text before it.
    """

    value: Decimal
    parts: tuple[Decimal, ...]
    numbers: tuple[Decimal, ...]
    before: str


def final_number(text: str) -> Decimal | None:
    """The last answer after "Final answer:", "The answer is", "Answer:" or "####", below a heading, in a box."""
    final = find_final(with_points(text))
    return final.value if final else None


def find_final(text: str) -> FinalAnswer | None:
    """The final answer of a text that has a decimal point."""
    answers = list(_FINAL.finditer(text))
    if not answers:
        return None
    last = answers[-1]
    said = (last["below"] or last["hash"] or last["box"] or last["said"] or "")[:_LONGEST_ANSWER].rpartition("=")[2]
    said = _LATEX_FRACTION.sub(r"\1/\2", said) if "\\" in said else said
    found = _FINAL_NUMBER.search(said)
    if not found or not found["whole"]:
        return None
    value = _value(found)
    parts = (value, Decimal(found["under"])) if found["under"] else (value,)
    if found["under"]:
        value = CONTEXT.divide(*parts)
    more = [_value(one) for one in _FINAL_NUMBER.finditer(said, found.end()) if _is_plain(one, said)]
    return FinalAnswer(-value if found["sign"] else value, parts, (value, *more), text[: last.start()])


def is_reached(final: FinalAnswer, equations: Sequence[Equation], stated: Collection[Decimal], links: Links) -> bool:
    """Whether each number of the final answer is a result, a number that an equation or the last sentence states, or
    one rounded. Numbers after the first may be others, unless the last result is used nowhere, not even in the answer.
    """
    reached = _reached(final, equations, stated)
    is_first = _is_one_of(final.value, reached) or _is_reached_fraction(final, reached)
    if len(final.numbers) == 1:
        return is_first
    if is_first and all(_is_one_of(value, reached) for value in final.numbers[1:]):
        return True
    return links.is_split(final.numbers) or (is_first and not links.is_last_unused())


def _reached(final: FinalAnswer, equations: Sequence[Equation], stated: Collection[Decimal]) -> set[Decimal]:
    reached = {*stated, *(equation.exact for equation in equations)}
    before = final.before
    if "%" in before or "percent" in before or "$" in before or "cent" in before:
        reached |= {CONTEXT.multiply(value, _HUNDRED) for value in reached}
    said = before.rstrip("#*_ \n").rpartition("\n")[2].rpartition(". ")[2]
    if "=" not in said:
        reached |= {number(numeral.rstrip(",")) for numeral in NUMERAL.findall(said)}
    return reached


def _is_one_of(value: Decimal, reached: Collection[Decimal]) -> bool:
    return value in reached or any(is_rounding(value, one) for one in reached)


def _is_reached_fraction(final: FinalAnswer, reached: Collection[Decimal]) -> bool:
    """Whether 1/17 is 5/85, which the solution has, or its 1 and its 17 are results."""
    if len(final.parts) < 2:
        return False
    over, under = final.parts
    if over in reached and under in reached:
        return True
    return any(int(a) * under == int(b) * over and int(b) for a, b in _FRACTION.findall(final.before))


def _value(found: re.Match[str]) -> Decimal:
    return number(_SPACE.sub("", found["whole"]).rstrip(","))


def _is_plain(found: re.Match[str], said: str) -> bool:
    """Whether a number is a quantity: not a time of day, an ordinal, a part of a fraction or of a word."""
    if found["whole"] is None or found["under"]:
        return False
    start, end = found.span("whole")
    before, after = said[start - 1 : start], said[end : end + 2]
    return not before.isalnum() and before not in ("/", "^", ":", ".") and after not in ("st", "nd", "rd", "th")
