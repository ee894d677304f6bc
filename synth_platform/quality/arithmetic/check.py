"""Recomputes a worked solution."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from synth_platform.quality.arithmetic.answer import find_final, is_reached
from synth_platform.quality.arithmetic.equations import SHOWN, describe, find_equations
from synth_platform.quality.arithmetic.evaluation import is_rounding
from synth_platform.quality.arithmetic.links import Links
from synth_platform.quality.arithmetic.numerals import parse_number, with_points
from synth_platform.quality.arithmetic.operands import find_unexplained
from synth_platform.quality.arithmetic.reader import read_chains
from synth_platform.quality.arithmetic.sides import CONTEXT, numbers_of, single_number
from synth_platform.quality.arithmetic.unknowns import find_unknowns

_ANNOTATION = re.compile(r"<<([^<>\n]*+)>>")
_ANNOTATED = re.compile(r"=(-?[\d.]+)>>[ $€£]{0,3}(-?\d[\d,]*(?:\.\d+)?|-?\.\d+)")


@dataclass(frozen=True)
class Step:
    """One ``a op b = c``.

    Args:
        operands: the numbers of the left side.
        result: the number on the right.
        right: whether the left side makes the result.
    """

    operands: tuple[Decimal, ...]
    result: Decimal
    right: bool


@dataclass(frozen=True)
class ArithmeticCheck:
    """What recomputing a worked solution found.

    Args:
        steps: equations found and recomputed; a calculator annotation is one of its own.
        wrong: short texts of what is wrong, such as ``48/2=25 (is 24)``.
        unexplained: operands that neither the problem nor a result gives, common constants excepted; of the first few
            such; empty if the problem is not given.
        final: the final answer, or the first of several.
        final_consistent: whether the final answer is what the solution reached, all of it; None without one.
    """

    steps: int
    wrong: tuple[str, ...]
    unexplained: tuple[Decimal, ...]
    final: Decimal | None
    final_consistent: bool | None

    @property
    def ok(self) -> bool:
        """Nothing wrong was found."""
        return not self.wrong and not self.unexplained and self.final_consistent is not False


def check_arithmetic(solution: str, problem: str = "") -> ArithmeticCheck:
    """Recompute every equation of a worked solution, with and without GSM8K's ``<<48/2=24>>24`` annotations.

    A result is right if it is the exact value rounded (half up or half even) or cut off at the decimals that it is
    written with; after ≈ or "about" also at its trailing zeros. Equations with unknowns are checked with the values
    that the other equations, if linear, agree on. Decimal commas and points between thousands are read as the text uses
    them.
    """
    with localcontext(CONTEXT):
        return _check(solution, problem)


def _check(solution: str, problem: str) -> ArithmeticCheck:
    solution, problem = with_points(solution, problem), with_points(problem, solution)
    annotations = _ANNOTATION.findall(solution)
    text = _ANNOTATION.sub("", solution) if annotations else solution
    chains = read_chains(text)
    equations = list(find_equations(chains, find_unknowns(chains), strict=False))
    links = Links(tuple(equations), text)
    if annotations:
        equations += find_equations(read_chains("\n".join(annotations)), {}, strict=True)
    wrong = [describe(equation) for equation in equations if not equation.holds]
    if annotations:
        wrong += _miscopied(solution)
    stated = {value for chain in chains for side in chain if (value := single_number(side)) is not None}
    stated.update(equation.result for equation in equations)
    final = find_final(text)
    return ArithmeticCheck(
        len(equations),
        tuple(wrong),
        find_unexplained(equations, stated, problem, links) if problem else (),
        final.value if final else None,
        is_reached(final, equations, stated, links) if final else None,
    )


def steps(text: str) -> list[Step]:
    """All steps of a text with whether they are right."""
    chains = read_chains(_ANNOTATION.sub("", with_points(text)))
    with localcontext(CONTEXT):
        return [
            Step(tuple(numbers_of(equation.left)), equation.result, equation.holds)
            for equation in find_equations(chains, find_unknowns(chains), strict=False)
            if len(equation.left.items) > 1
        ]


def _miscopied(solution: str) -> Iterator[str]:
    """Annotations whose result is not the number that follows them."""
    for result, shown in _ANNOTATED.findall(solution):
        if result != shown:
            value, copy = (parse_number(numeral.lstrip("-")) for numeral in (result, shown))
            if value is not None and copy is not None and not is_rounding(copy, value):
                yield f"<<={result}>>{shown}"[:SHOWN]
