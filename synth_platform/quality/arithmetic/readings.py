"""The usual ways to read an ambiguous side of an equation."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from synth_platform.quality.arithmetic.evaluation import evaluate
from synth_platform.quality.arithmetic.sides import (
    CONTEXT,
    FRACTION,
    JOINED,
    LETTER,
    PART,
    PERCENT,
    SCALES,
    SYMBOL,
    UNIT,
    Item,
    Side,
    leading_number,
)

_ONE = Decimal(1)
_HUNDRED = Decimal(100)


def readings_of(left: Side, right: Side, unknowns: Mapping[str, Decimal]) -> Iterator[tuple[Decimal, Decimal]]:
    """Values of both sides in the usual ways to read them, the literal way first."""
    lefts, rights = (
        values_of(_dresses(left, False, unknowns), unknowns),
        values_of(_dresses(right, True, unknowns), unknowns),
    )
    first = leading_number(right)
    if first is not None and len(right.items) > 2:
        rights.append(first)
    yield from ((one, other) for one in lefts for other in rights)
    if any(kind == UNIT for kind, _, _ in (*left.marks, *right.marks)):
        scaled = values_of([_scaled(left), _scaled(right)], unknowns)
        if len(scaled) == 2:
            yield scaled[0], scaled[1]


def values_of(expressions: Iterable[Sequence[Item]], unknowns: Mapping[str, Decimal]) -> list[Decimal]:
    return [value for items in expressions if (value := evaluate(items, unknowns)) is not None]


def _dresses(side: Side, is_right: bool, unknowns: Mapping[str, Decimal]) -> Iterator[list[Item]]:
    """Expressions that a side may stand for."""
    yield side.items
    kinds = {kind for kind, _, _ in side.marks}
    if PERCENT in kinds:
        yield _with_bare_percents(side)
        yield _with_added_percent(side)
    if LETTER in kinds or SYMBOL in kinds:
        yield with_letters(side, unknowns)
    if FRACTION in kinds:
        yield _with_tight_fractions(side)
    if JOINED in kinds:
        yield _with_joined_apart(side, is_right)
    if PART in kinds:
        places = [place for kind, place, _ in side.marks if kind == PART]
        if is_right:  # = 15% of $300
            place = places[0]
            marks = [mark for mark in side.marks if mark[1] < place - 1]
            yield from _dresses(Side(side.items[: place - 1], marks, False, False, False), is_right, unknowns)
        else:  # 60% of them have a dog because 100 - 40 = 60
            yield side.items[places[-1] :]


def _with_bare_percents(side: Side) -> list[Item]:
    return _rescaled(side, PERCENT, lambda _: _HUNDRED)


def _scaled(side: Side) -> list[Item]:
    return _rescaled(side, UNIT, SCALES.__getitem__)


def _rescaled(side: Side, wanted: str, scale: Callable[[str], Decimal]) -> list[Item]:
    items = list(side.items)
    for kind, place, word in side.marks:
        if kind == wanted and isinstance(value := items[place], Decimal):
            items[place] = CONTEXT.multiply(value, scale(word))
    return items


def _with_added_percent(side: Side) -> list[Item]:
    """50 + 10% as on a calculator, where it is 55."""
    *before, sign, share = side.items if len(side.items) > 2 else (*side.items, "", "")
    if sign not in ("+", "-") or not isinstance(share, Decimal) or side.marks[-1][:2] != (PERCENT, len(side.items) - 1):
        return side.items
    return ["(", *before, ")", "*", CONTEXT.add(_ONE, share if sign == "+" else -share)]


def with_letters(side: Side, unknowns: Mapping[str, Decimal]) -> list[Item]:
    """2x as a product."""
    items = list(side.items)
    for kind, place, letter in reversed(side.marks):
        if kind in (LETTER, SYMBOL) and letter in unknowns:
            items[place + 1 : place + 1] = ["*", unknowns[letter]]
    return items


def _with_tight_fractions(side: Side) -> list[Item]:
    """8 / 1/2 as 8 / (1/2)."""
    items = list(side.items)
    for kind, place, _ in reversed(side.marks):
        if kind == FRACTION:
            items[place : place + 3] = ["(", *items[place : place + 3], ")"]
    return items


def _with_joined_apart(side: Side, is_right: bool) -> list[Item]:
    """Of 4 1/2-cup servings and 5 100-dollar bills the number next to the sign of equality or the operator."""
    items = list(side.items)
    for kind, place, numeral in reversed(side.marks):
        if kind == JOINED:
            length = 7 if "/" in numeral else 1  # ( 2 + 1 / 2 )
            over, slash, under = numeral.split(" ")[0 if is_right else -1].partition("/")
            items[place : place + length] = [Decimal(over), slash, Decimal(under)] if slash else [Decimal(over)]
    return items
