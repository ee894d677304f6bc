"""Values of expressions, and whether a number is a value as it was rounded."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from synth_platform.quality.arithmetic.sides import CONTEXT, Item

_ONE = Decimal(1)
_SLACK = Decimal("1e-20")
_LONGEST = 1_000
_HIGHEST_POWER = 64
_PRECEDENCE: Mapping[str, int] = {"+": 1, "-": 1, "*": 2, "/": 2, "·": 2, "~": 3, "^": 4}


def evaluate(items: Sequence[Item], names: Mapping[str, Decimal]) -> Decimal | None:
    """The value of an expression by the usual precedence.

    Returns:
        Not a finite number after a division by zero; None if something in it is not known, if it is not an
        expression, or if it is too long or has too high a power to be one that somebody worked out.
    """
    if len(items) == 1 and isinstance(items[0], Decimal):
        return items[0]
    if len(items) > _LONGEST:
        return None
    values: list[Decimal] = []
    signs: list[str] = []
    for item in items:
        if isinstance(item, Decimal):
            values.append(item)
        elif item == "(" or item == "~":
            signs.append(item)
        elif item == ")":
            if not _apply_while(signs, values, 1) or not signs:
                return None
            signs.pop()
        elif item in _PRECEDENCE:
            if not _apply_while(signs, values, _PRECEDENCE[item] + (item == "^")):
                return None
            signs.append(item)
        elif item in names:
            values.append(names[item])
        else:
            return None
    if not _apply_while(signs, values, 1) or signs or len(values) != 1:
        return None
    return values[0]


def is_rounding(written: Decimal, exact: Decimal, about: bool = False) -> bool:
    """Whether a number as written is an exact value, rounded or cut off at the decimals that it is written with.

    Args:
        written: its exponent tells its decimals.
        exact: what it should be.
        about: whether it may be rounded at its trailing zeros too, as in about 3300.
    """
    if not exact.is_finite() or not written.is_finite():
        return False
    difference = abs(CONTEXT.subtract(exact, written))
    slack = CONTEXT.multiply(_SLACK, max(_ONE, abs(exact)))
    exponent = min(int(written.as_tuple().exponent), 0)
    if about and exponent == 0 and 0 < written.adjusted() < CONTEXT.prec:
        digits = str(int(written))
        exponent = len(digits) - len(digits.rstrip("0"))
    unit = _ONE.scaleb(exponent, CONTEXT)
    if difference <= slack or difference * 2 <= unit + slack:
        return True
    return difference < unit - slack and exact * written >= 0 and abs(exact) > abs(written)


def _apply_while(signs: list[str], values: list[Decimal], least: int) -> bool:
    """Work off the signs that bind at least so much, back to a parenthesis."""
    while signs and signs[-1] != "(" and _PRECEDENCE[signs[-1]] >= least:
        if not _apply(signs.pop(), values):
            return False
    return True


def _apply(sign: str, values: list[Decimal]) -> bool:
    if sign == "~" and values:
        values.append(values.pop().copy_negate())
        return True
    if len(values) < 2:
        return False
    right, left = values.pop(), values.pop()
    if sign == "+":
        values.append(CONTEXT.add(left, right))
    elif sign == "-":
        values.append(CONTEXT.subtract(left, right))
    elif sign == "/":
        values.append(CONTEXT.divide(left, right))
    elif sign != "^":
        values.append(CONTEXT.multiply(left, right))
    elif abs(right) <= _HIGHEST_POWER and right == right.to_integral_value():
        values.append(CONTEXT.power(left, right))
    else:
        return False
    return True
