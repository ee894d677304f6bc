"""One side of an equation as it was read, and the arithmetic that all of it is done in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TypeAlias

Item: TypeAlias = Decimal | str
"""A number, one of ``+ - * / ^ ( )``, ``·`` for a product without a sign, ``~`` for the sign of a negative number, or
the name of what is not known."""
Mark: TypeAlias = tuple[str, int, str]
"""How the number at a place of an expression was written: a kind, the place, and a unit, a letter or a part of it."""
PERCENT, UNIT, LETTER, SYMBOL = "percent", "unit", "letter", "symbol"
FRACTION, JOINED, PART = "fraction", "joined", "part"
"""Kinds of marks: with %; before a unit; as in 2x; as in 2 s, which may be a unit; 1/2 without spaces; as in 2 1/2 or
10 000; what follows "of"."""
CONTEXT = Context(prec=40, traps=[])
"""All arithmetic is done in it: bounded in time and space whatever a text says, and without exceptions."""
IMPLIED = "·"
UNKNOWN = "?"
SCALES: Mapping[str, Decimal] = {
    form: Decimal(scale)
    for scale, names in (
        ("0.01", "cent cents ¢"),
        ("12", "dozen dozens foot feet ft"),
        ("16", "pound pounds lb lbs"),
        ("36", "yard yards"),
        ("60", "minute minutes min"),
        ("100", "hundred"),
        ("1000", "thousand k K kg kilogram kilograms kilometer kilometers km liter liters l L"),
        ("3600", "hour hours hr hrs"),
        ("86400", "day days"),
        ("604800", "week weeks"),
        ("1000000", "million M"),
        ("1000000000", "billion"),
    )
    for name in names.split()
    for form in (name, "-" + name)
}
"""How many of the smaller unit, named or not, are in a unit that may stand after a number."""


@dataclass(slots=True)
class Side:
    """One side of an equation.

    Args:
        items: the expression; a number with a percent sign is in hundredths.
        marks: how its numbers were written.
        worded: other words stand before or after its numbers.
        loose: words stand between the sign of equality and the first number.
        about: its sign of equality says that it is only about equal.
    """

    items: list[Item]
    marks: list[Mark]
    worded: bool
    loose: bool
    about: bool


def single_number(side: Side) -> Decimal | None:
    item = side.items[0] if len(side.items) == 1 else None
    return item if isinstance(item, Decimal) else None


def has_number(side: Side) -> bool:
    return any(isinstance(item, Decimal) for item in side.items)


def numbers_of(side: Side) -> Iterator[Decimal]:
    return (item for item in side.items if isinstance(item, Decimal))


def letters_of(side: Side) -> set[str]:
    """Letters on a side that may stand for numbers."""
    letters = variables_of(side)
    if side.marks:
        letters |= {word for kind, _, word in side.marks if kind == SYMBOL}
    return letters


def variables_of(side: Side) -> set[str]:
    """Letters on a side that stand for numbers and not for units."""
    letters = {item for item in side.items if isinstance(item, str) and len(item) == 1 and item.isalpha()}
    if side.marks:
        letters |= {word for kind, _, word in side.marks if kind == LETTER and word}
    return letters


def leading_number(side: Side) -> Decimal | None:
    first = side.items[0]
    if isinstance(first, Decimal):
        return first
    second = side.items[1] if first == "~" and len(side.items) > 1 else None
    return second.copy_negate() if isinstance(second, Decimal) else None
