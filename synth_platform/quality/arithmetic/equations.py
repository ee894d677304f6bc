"""Compares neighbouring sides: which equations hold, and what is wrong with the others."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from functools import cached_property
from itertools import pairwise
from math import gcd

from synth_platform.quality.arithmetic.evaluation import evaluate, is_rounding
from synth_platform.quality.arithmetic.readings import readings_of
from synth_platform.quality.arithmetic.sides import (
    CONTEXT,
    FRACTION,
    LETTER,
    SYMBOL,
    Item,
    Side,
    has_number,
    leading_number,
    numbers_of,
    variables_of,
)

_SLACK = Decimal("1e-20")
_NEAR = Decimal("0.005")
_BRIEF = Context(prec=6, traps=[])
SHOWN = 80


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that were compared.

    Args:
        left: the side that is computed.
        right: what it is said to be.
        exact: the value of the left one.
        result: the number that the right one gives for it.
        holds: whether they agree.
        closing: whether no other side follows, so that the number is what was worked out.
    """

    left: Side
    right: Side
    exact: Decimal
    result: Decimal
    holds: bool
    closing: bool


@dataclass(frozen=True)
class _Reading:
    """How the equations of a text are to be read.

    Args:
        chains: all equations of the text.
        unknowns: values by letter.
        strict: whether there is no doubt about what was meant.
    """

    chains: Sequence[Sequence[Side]]
    unknowns: Mapping[str, Decimal]
    strict: bool

    @cached_property
    def variables(self) -> Collection[str]:
        """Letters that stand for numbers somewhere in the text."""
        return {letter for chain in self.chains for side in chain for letter in variables_of(side)}


def find_equations(
    chains: Sequence[Sequence[Side]], unknowns: Mapping[str, Decimal], strict: bool
) -> Iterator[Equation]:
    """All pairs of neighbouring sides that can be compared.

    Args:
        chains: what was read.
        unknowns: values by letter.
        strict: whether there is no doubt about what was meant.
    """
    reading = _Reading(chains, unknowns, strict)
    for chain in chains:
        sides = [(place, side) for place, side in enumerate(chain) if has_number(side)]
        for (_, left), (place, right) in pairwise(sides):
            if equation := _compare(left, right, reading, place > 1, right is sides[-1][1]):
                yield equation


def _compare(left: Side, right: Side, reading: _Reading, later: bool, closing: bool) -> Equation | None:
    unknowns = reading.unknowns
    exact, value, first = evaluate(left.items, unknowns), evaluate(right.items, unknowns), leading_number(right)
    if exact is None or (value is None and first is None):
        return None
    run_on = value is None or (first == exact and len(right.items) > 2)  # 3 * 4 = 12 + 5 = 17
    result = first if run_on else value
    assert result is not None
    if exact == result or any(_agree(one, other, right) for one, other in readings_of(left, right, unknowns)):
        return Equation(left, right, exact, result, True, closing)
    doubtful = value is None or right.loose or _has_free_letter(left, right, reading)
    if not reading.strict and (doubtful or _only_names(left, right, result, later)):
        return None
    return Equation(left, right, exact, result, False, closing)


def _only_names(left: Side, right: Side, result: Decimal, later: bool) -> bool:
    """Whether the left side need not be the number on the right: 1 foot = 12 inches, 10% = $5, 1/4 = 5."""
    if len(left.items) == 1:
        plain = later and len(right.items) == 1 and not (left.worded or right.worded)
        return not plain and (len(right.items) == 1 or left.worded or bool(left.marks))
    if len(left.items) == 3 and left.marks and left.marks[0][0] == FRACTION and abs(result) >= 1:
        over, _, under = left.items
        return isinstance(over, Decimal) and isinstance(under, Decimal) and _is_simple_part(int(over), int(under))
    return False


def _is_simple_part(over: int, under: int) -> bool:
    return over < under <= 10 and gcd(over, under) == 1


def _has_free_letter(left: Side, right: Side, reading: _Reading) -> bool:
    """Whether a letter may stand for a number. A unit that is one letter does not, if the result has a unit, too."""
    for kind, _, word in (*left.marks, *right.marks):
        is_unit = kind == SYMBOL and right.worded and word not in reading.variables
        if kind in (LETTER, SYMBOL) and word not in reading.unknowns and not is_unit:
            return True
    return False


def _agree(exact: Decimal, value: Decimal, right: Side) -> bool:
    if len(right.items) == 1:
        return is_rounding(value, exact, right.about)
    if not exact.is_finite() or not value.is_finite():
        return False
    difference = abs(CONTEXT.subtract(exact, value))
    rounded = any(one != one.to_integral_value() for one in numbers_of(right))  # 10 / 3 * 2 = 3.33 * 2
    return difference <= CONTEXT.multiply(_NEAR if rounded else _SLACK, abs(exact))


def describe(equation: Equation) -> str:
    left = "".join(_show(item) for item in equation.left.items)
    text = f"{left}={_show(equation.result)}"
    text = text if len(text) <= SHOWN else "…" + text[1 - SHOWN :]
    return f"{text} (is {_show(_BRIEF.plus(equation.exact))})"


def _show(item: Item) -> str:
    if isinstance(item, str):
        return {"~": "-", "·": "*"}.get(item, item)
    if not item.is_finite():
        return "undefined"
    text = f"{item:f}" if abs(item.adjusted()) < SHOWN else str(item)
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text else text
