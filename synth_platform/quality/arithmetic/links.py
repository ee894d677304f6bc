"""Results that a solution worked out and never used: a sign that a number was changed on the way."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise

from synth_platform.quality.arithmetic.equations import Equation
from synth_platform.quality.arithmetic.evaluation import is_rounding
from synth_platform.quality.arithmetic.numerals import NUMBER_WORDS, NUMERAL, number, spaced_groups
from synth_platform.quality.arithmetic.sides import CONTEXT, variables_of

_WORD = re.compile(r"[a-z]+")
_SCALES = tuple(map(Decimal, (1, 100, 1_000, 1_000_000)))
_MIXED = (7, 12, 16, 24, 60, 100, 1_000)
"""How many of a unit are in the next larger one: days, inches, ounces, hours, minutes, cents, grams."""
_MOST = 200


@dataclass(frozen=True)
class Links:
    """Which results of a solution are used.

    Args:
        equations: what was recomputed, in order.
        text: the solution with its final answer, without annotations.
    """

    equations: Sequence[Equation]
    text: str

    @cached_property
    def counts(self) -> Mapping[Decimal, int]:
        """How often the text has each number, in digits or as a word."""
        counts = Counter(number(numeral.rstrip(",")) for numeral in NUMERAL.findall(self.text))
        counts.update(spaced_groups(self.text))
        counts.update(NUMBER_WORDS[word] for word in _WORD.findall(self.text.lower()) if word in NUMBER_WORDS)
        return counts

    @cached_property
    def unused(self) -> Sequence[int]:
        """Places of the equations whose result stands nowhere else: no step, sentence or final answer uses it."""
        closing = [place for place, equation in enumerate(self.equations) if equation.closing]
        return [place for place in closing[:_MOST] if self._is_unused(abs(self.equations[place].result))]

    def stands_for_another(self, value: Decimal, place: int) -> bool:
        """Whether an operand of an equation is named nowhere else, and an earlier result is used nowhere."""
        return (
            self.counts.get(value, 0) == 1 and not self._has_variables and any(one < place for one in self.unused[:1])
        )

    def is_last_unused(self) -> bool:
        """Whether the result of the last equation stands nowhere else."""
        return bool(self.unused) and self.unused[-1] == len(self.equations) - 1

    def is_split(self, numbers: Sequence[Decimal]) -> bool:
        """Whether two numbers that follow each other are an unused result in two units: 200 minutes, 3 h 20 min."""
        left = {abs(self.equations[place].result) for place in self.unused}
        pairs = pairwise(numbers)
        return any(CONTEXT.multiply(one, Decimal(size)) + other in left for one, other in pairs for size in _MIXED)

    @cached_property
    def _has_variables(self) -> bool:
        return any(variables_of(side) for equation in self.equations for side in (equation.left, equation.right))

    def _is_unused(self, result: Decimal) -> bool:
        same = sum(self.counts.get(value, 0) for value in self._scaled(result))
        return same <= 1 and not any(
            value != result and (is_rounding(value, result) or is_rounding(result, value))
            for value in self._near(result)
        )

    def _near(self, result: Decimal) -> Iterator[Decimal]:
        return (value for value in list(self.counts)[:_MOST] if abs(value - result) <= 1)

    @staticmethod
    def _scaled(result: Decimal) -> set[Decimal]:
        return {scaled for scale in _SCALES for scaled in (result * scale, CONTEXT.divide(result, scale))}
