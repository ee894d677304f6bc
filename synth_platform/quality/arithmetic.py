"""Read and recompute the arithmetic of a worked solution."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, DivisionByZero, InvalidOperation

_NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_STEP = re.compile(rf"({_NUMBER})\s*([-+*/x×÷−])\s*({_NUMBER})\s*=\s*({_NUMBER})")  # noqa: RUF001 (signs are meant)
_FINAL = re.compile(rf"^\W*Final answer:?\W*({_NUMBER})", re.MULTILINE)
_TOLERANCE = Decimal("0.005")
_OPERATIONS: Mapping[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}
_SIGNS = {"x": "*", "×": "*", "÷": "/", "−": "-"}  # noqa: RUF001


@dataclass(frozen=True)
class Step:
    """One ``a - b = c``."""

    operands: tuple[Decimal, Decimal]
    result: Decimal
    right: bool


def steps(text: str) -> list[Step]:
    """All steps of a text with whether they are right (to half a hundredth, since quotients are rounded)."""
    return [_step(*match) for match in _STEP.findall(text)]


def final_number(text: str) -> Decimal | None:
    """The number of the last line that begins with "Final answer:"."""
    found = _FINAL.findall(text)
    return number(found[-1]) if found else None


def number(text: str) -> Decimal:
    """A number as written, with or without thousands separators."""
    return Decimal(text.replace(",", ""))


def _step(left: str, sign: str, right: str, result: str) -> Step:
    a, b, c = number(left), number(right), number(result)
    try:
        exact = _OPERATIONS[_SIGNS.get(sign, sign)](a, b)
        correct = abs(exact - c) <= _TOLERANCE
    except (DivisionByZero, InvalidOperation):
        correct = False
    return Step((a, b), c, correct)
