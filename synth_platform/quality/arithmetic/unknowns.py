"""Values of the unknowns of a text."""

from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from itertools import pairwise

from synth_platform.quality.arithmetic.readings import values_of, with_letters
from synth_platform.quality.arithmetic.sides import CONTEXT, Side, letters_of

_ZERO = Decimal(0)
_ONE = Decimal(1)
_TWO = Decimal(2)
_COARSE = Context(prec=12, traps=[])


def find_unknowns(chains: Iterable[Sequence[Side]]) -> dict[str, Decimal]:
    """Values of the letters on which the equations of a text, where they are linear, agree."""
    votes: dict[str, Counter[Decimal]] = {}
    for chain in chains:
        for left, right in pairwise(chain):
            letters = letters_of(left) | letters_of(right)
            if len(letters) != 1:
                continue
            letter = letters.pop()
            if (root := _root(left, right, letter)) is not None:
                stated = len(left.items) == len(right.items) == 1 and [letter] in (left.items, right.items)
                votes.setdefault(letter, Counter())[root] += 3 if stated else 2
    agreed = {}
    for letter, counts in votes.items():
        (root, most), *others = counts.most_common(2)
        if most > 2 and not (others and others[0][1] == most):
            agreed[letter] = root
    return agreed


def _root(left: Side, right: Side, letter: str) -> Decimal | None:
    """Where an equation that is linear in a letter holds, to 12 digits."""
    differences = []
    for value in (_ZERO, _ONE, _TWO):
        names = {letter: value}
        sides = values_of([with_letters(left, names), with_letters(right, names)], names)
        if len(sides) < 2:
            return None
        differences.append(CONTEXT.subtract(sides[0], sides[1]))
    start, middle, end = differences
    slope = CONTEXT.subtract(middle, start)
    if not slope or not end.is_finite() or CONTEXT.subtract(end, middle) != slope:
        return None
    return _COARSE.divide(-start, slope)
