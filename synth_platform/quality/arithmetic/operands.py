"""Operands that neither the problem nor a result gives."""

import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from itertools import combinations

from synth_platform.quality.arithmetic.equations import Equation
from synth_platform.quality.arithmetic.links import Links
from synth_platform.quality.arithmetic.numerals import NUMBER_WORDS, NUMERAL, number
from synth_platform.quality.arithmetic.sides import CONTEXT, SCALES, numbers_of, single_number, variables_of

_ZERO = Decimal(0)
_HALF = Decimal("0.5")
_ONE = Decimal(1)
_TWO = Decimal(2)
_HUNDRED = Decimal(100)
_THOUSAND = Decimal(1_000)
_MOST_KNOWN, _MOST_STRANGE = 50, 8
_SPLIT_NUMERAL = re.compile(r"\d{1,3}(?:[ :]\d{2,3})+")
_SCALED_NUMERAL = re.compile(r"(\d[\d,]*(?:\.\d+)?)[ ](hundred|thousand|million|billion)")
_WORD = re.compile(r"[a-z]+")
_SCALED_WORD = re.compile(r"\b([a-z]{3,9})[ -](hundred|thousand|million|billion)\b")
_USUAL = (
    "14 15 16 20 24 25 28 29 30 31 32 36 40 50 52 60 75 90 100 128 144 180 240 360 365 366 1000 1440 2000 3600 5280"
    " 0.01 0.1 0.25 0.5 0.75 1.5 3.14"
)
_CONSTANTS = frozenset(map(Decimal, [*range(13), *_USUAL.split()]))
"""Small counts; of clocks, calendars, measures and percents. A solution may use them without being told."""


def find_unexplained(
    equations: Sequence[Equation], stated: Collection[Decimal], problem: str, links: Links
) -> tuple[Decimal, ...]:
    """Operands that are no constants, not in the problem, no results, and not one easy step from these.

    Args:
        equations: what was recomputed, in order.
        stated: numbers that the solution gives as results.
        problem: the problem.
        links: which results are used. After one that is used nowhere, what a later equation takes from nowhere stands
            in its place, however easy it is to get otherwise.
    """
    known = {number(numeral.rstrip(",")) for numeral in NUMERAL.findall(problem)}
    strange = _strange(equations, known, stated) | _strange_alone(equations, known, links)
    if not strange:
        return ()
    known |= _more_known(problem)
    first = list(strange.items())[:_MOST_STRANGE]
    return tuple(
        value
        for value, place in first
        if value not in known
        and (links.stands_for_another(value, place) or value not in _derived(known, equations[:place]))
    )


def _strange(
    equations: Sequence[Equation], known: Collection[Decimal], stated: Collection[Decimal]
) -> dict[Decimal, int]:
    """Operands that nothing gives, with the place of the equation that first has each."""
    strange: dict[Decimal, int] = {}
    for place, equation in enumerate(equations):
        for side in (equation.left, equation.right):
            if len(side.items) > 1 and not variables_of(side):
                for value in numbers_of(side):
                    if value not in known and value not in _CONSTANTS and abs(value) not in stated:
                        strange.setdefault(value, place)
    return strange


def _strange_alone(equations: Sequence[Equation], known: Collection[Decimal], links: Links) -> dict[Decimal, int]:
    """Numbers that are only rounded and stand in the place of another result: 1,844.4 in 1,844.4 ≈ 1,844."""
    alone = {
        value: place
        for place, equation in enumerate(equations)
        if equation.right.about and (value := single_number(equation.left)) is not None and value not in known
    }
    return {value: place for value, place in alone.items() if links.stands_for_another(value, place)}


def _more_known(problem: str) -> set[Decimal]:
    """Numbers of a problem in words, times of day, 10 000 and 3 million, and sums of a few that follow each other."""
    known = {number(re.sub("[ :]", "", numeral)) for numeral in _SPLIT_NUMERAL.findall(problem)}
    known |= {number(numeral.rstrip(",")) * SCALES[scale] for numeral, scale in _SCALED_NUMERAL.findall(problem)}
    words = problem.lower()
    known |= {NUMBER_WORDS[word] for word in _WORD.findall(words) if word in NUMBER_WORDS}
    known |= {NUMBER_WORDS[word] * SCALES[scale] for word, scale in _SCALED_WORD.findall(words) if word in NUMBER_WORDS}
    listed = [number(numeral.rstrip(",")) for numeral in NUMERAL.findall(problem)[:_MOST_KNOWN]]
    return known | {sum(listed[i:j], _ZERO) for i, j in combinations(range(len(listed) + 1), 2) if 2 < j - i < 7}


def _derived(given: Collection[Decimal], equations: Sequence[Equation]) -> set[Decimal]:
    """Numbers and what is one easy step from them: percents, what these leave, sums, differences, products, shares."""
    results = {abs(equation.result) for equation in equations[-_MOST_KNOWN:]}
    known = sorted(value for value in {*list(given)[:_MOST_KNOWN], *results} if value.is_finite())
    derived = set(known)
    for value in (*known, *_CONSTANTS):
        share = CONTEXT.divide(value, _HUNDRED)
        derived |= {
            value * _HUNDRED,
            value * _THOUSAND,
            share,
            CONTEXT.divide(value, _THOUSAND),
            _ONE - share,
            _ONE + share,
            _HUNDRED - value,
            _HUNDRED + value,
            _ONE - value,
        }
    for value in known:
        derived |= {
            value + 1,
            value - 1,
            value + _HALF,
            2 * value,
            CONTEXT.divide(value, _TWO),
            CONTEXT.multiply(value, value),
        }
    for one, other in combinations(known, 2):
        derived |= {one + other, other - one, CONTEXT.multiply(one, other)}
        derived |= {CONTEXT.divide(*pair) for pair in ((one, other), (other, one)) if pair[1]}
    return derived
