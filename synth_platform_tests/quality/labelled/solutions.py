"""Whether a solution is computed rightly: the plain check that the labels of worked problems rest on."""

import ast
import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from synth_platform_tests.quality.labelled.answers import Math
from synth_platform_tests.quality.labelled.numerals import NUMBERS, numbers, read

_CONVERSIONS = frozenset(map(Fraction, (60, 100, 1000)))
"""Minutes of an hour, the whole in percent, grams of a kilogram: a solution may take them from nowhere."""
_PARTS = {
    "half": 2, "twice": 2, "third": 3, "quarter": 4, "fifth": 5, "thirtieth": 30, "and back": 2, "mitad": 2,
}  # fmt: skip
_UNITS = re.compile(r"[^\W\d_]+[²³]?(?:/[^\W\d_]+)*|[°$£€%]|\.\.\.")
_SIGNS = str.maketrans({"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "\u202f": None})
_OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


@dataclass(frozen=True)
class _Side:
    """One side of an equation: its value, its numbers, and by how much it may be off."""

    value: Fraction
    operands: tuple[Fraction, ...]
    tolerance: Fraction = Fraction(0)


def flaws(math: Math, source: str, language: str = "en") -> list[str]:
    """What is wrong with a solution: equations that do not hold, operands from nowhere, an answer that is no result.

    Args:
        math: the problem and its solution; steps hold "label: 1 + 1 = 2" or sentences, which are not read.
        source: the document, whose numbers may be used.
        language: how numbers are written.
    """
    told = f"{math.problem} {source}"
    known = numbers(told, language) | _parts(told) | _CONVERSIONS
    known |= {value / 100 for value in known}
    found: list[str] = []
    results: set[Fraction] = set()
    for step in math.steps:
        for left, right in _equations(step, language):
            found += [f"{step}: {value} from nowhere" for value in left.operands if value not in known | results]
            if abs(left.value - right.value) > right.tolerance:
                found.append(f"{step}: {left.value} is not {right.value}")
            results |= {right.value}
    results |= {value * 1_000_000 for value in results}
    return found + [f"the answer {value} is no result" for value in numbers(math.final, language) - results]


def _parts(text: str) -> set[Fraction]:
    """What "half" and "thirtieth" divide by or count."""
    return {Fraction(value) for word, value in _PARTS.items() if re.search(rf"\b{word}", text, re.IGNORECASE)}


def _equations(step: str, language: str) -> Iterator[tuple[_Side, _Side]]:
    """Neighbours in a chain of equal sides."""
    tail = step.rpartition(": ")[2]
    if not re.search("[=≈]", tail):
        return
    sides = re.split("([=≈])", tail)
    for place in range(0, len(sides) - 2, 2):
        rounded = sides[place + 1] == "≈" or "..." in sides[place + 2]
        yield _side(sides[place], False, language), _side(sides[place + 2], rounded, language)


def _side(text: str, rounded: bool, language: str) -> _Side:
    values: list[Fraction] = []

    def name(number: re.Match[str]) -> str:
        values.append(read(number[0], language))
        return f"n{len(values) - 1}"

    named = NUMBERS[language].sub(name, _UNITS.sub("", re.sub(r"\bx\b", "*", text)))
    value = _evaluate(ast.parse(named.translate(_SIGNS).strip(), mode="eval").body, values)
    decimals = re.search(r"[.,](\d+)\D*$" if language != "en" else r"\.(\d+)\D*$", text)
    step = Fraction(1, 10 ** len(decimals[1])) if decimals else Fraction(1)
    return _Side(value, tuple(values), step / 2 if rounded else Fraction(0))


def _evaluate(node: ast.AST, values: list[Fraction]) -> Fraction:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_evaluate(node.left, values), _evaluate(node.right, values))
    assert isinstance(node, ast.Name), ast.dump(node)
    return values[int(node.id[1:])]
