"""Reads and recomputes the arithmetic of worked solutions.

What people and models write is ambiguous: an equation is right if one of the usual readings makes it so (5% + 3% = 8,
50 + 10% = 55, 20 minutes * 3 = 1 hour, 3 * 4 = 12 + 5 = 17), and is not judged if part of it is not known.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from itertools import combinations, pairwise
from math import gcd

from synth_platform.quality.expressions import (
    CONTEXT,
    FRACTION,
    JOINED,
    LETTER,
    PART,
    PERCENT,
    SCALES,
    UNIT,
    Item,
    Side,
    parse_number,
    read_chains,
)

_LONGEST = 1_000
_HIGHEST_POWER = 64
_SHOWN = 80
_MOST_KNOWN, _MOST_STRANGE = 50, 8
_ZERO, _HALF, _ONE, _TWO, _HUNDRED = Decimal(0), Decimal("0.5"), Decimal(1), Decimal(2), Decimal(100)
_SLACK, _NEAR = Decimal("1e-20"), Decimal("0.005")
_COARSE, _BRIEF = Context(prec=12, traps=[]), Context(prec=6, traps=[])
_PRECEDENCE: Mapping[str, int] = {"+": 1, "-": 1, "*": 2, "/": 2, "·": 2, "~": 3, "^": 4}
_NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
_SPLIT_NUMERAL = re.compile(r"\d{1,3}(?:[ :]\d{2,3})+")
_SCALED_NUMERAL = re.compile(r"(\d[\d,]*(?:\.\d+)?)[ ](hundred|thousand|million|billion)")
_WORD = re.compile(r"[a-z]+")
_ANNOTATION = re.compile(r"<<([^<>\n]*+)>>")
_ANNOTATED = re.compile(r"=(-?[\d.]+)>>[ $€£]{0,3}(-?\d[\d,]*(?:\.\d+)?|-?\.\d+)")
_FINAL = re.compile(
    r"####(?P<hash>[^\n]*)|\\boxed\{(?P<box>[^\n]{0,100})"
    r"|\b(?:final[ ]answer\b[*_ ]{0,4}(?:is\b|:)?|answer\b[*_ ]{0,4}(?:is\b|:))(?P<said>[^\n]*)",
    re.IGNORECASE,
)
_FINAL_NUMBER = re.compile(
    r"(?P<sign>[-\u2212]?)[$€£ \\]{0,3}(?P<whole>\d[\d,]*(?:\.\d+)?|\.\d+)(?!:\d)(?:/(?P<under>\d+))?|\d+:\d+"
)
_LATEX_FRACTION = re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}")
_USUAL = (
    "14 15 16 20 24 25 28 29 30 31 32 36 40 50 52 60 75 90 100 128 144 180 240 360 365 366 1000 1440 2000 3600 5280"
    " 0.01 0.1 0.25 0.5 0.75 1.5 3.14"
)
_CONSTANTS = frozenset(map(Decimal, [*range(13), *_USUAL.split()]))
"""Small counts; of clocks, calendars, measures and percents. A solution may use them without being told."""
_COUNTED = (
    "one,two twice double half,three thrice triple third thirds,four quarter fourth,five fifth fifths,six sixth,"
    "seven seventh,eight eighth,nine ninth,ten tenth,eleven,twelve dozen,thirteen,fourteen,fifteen,sixteen,seventeen,"
    "eighteen,nineteen,twenty"
)
_TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety hundred"
_NUMBER_WORDS: Mapping[str, Decimal] = {
    **{word: Decimal(10 * tens) for tens, word in enumerate(_TENS.split(), start=1)},
    **{word: Decimal(value) for value, words in enumerate(_COUNTED.split(","), start=1) for word in words.split()},
}


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
        final: the final answer.
        final_consistent: whether the final answer is a result that the solution reached; None without one.
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


@dataclass(frozen=True, slots=True)
class _Equation:
    """Two sides that were compared: the value of the left one, and the number that the right one gives for it."""

    left: Side
    right: Side
    exact: Decimal
    result: Decimal
    holds: bool


def check_arithmetic(solution: str, problem: str = "") -> ArithmeticCheck:
    """Recompute every equation of a worked solution, with and without GSM8K's ``<<48/2=24>>24`` annotations.

    A result is right if it is the exact value rounded (half up or half even) or cut off at the decimals that it is
    written with; after ≈ or "about" also at its trailing zeros. Equations with unknowns are checked with the values
    that the other equations, if linear, agree on.
    """
    with localcontext(CONTEXT):
        return _check(solution, problem)


def _check(solution: str, problem: str) -> ArithmeticCheck:
    annotations = _ANNOTATION.findall(solution)
    text = _ANNOTATION.sub("", solution) if annotations else solution
    chains = read_chains(text)
    equations = list(_equations(chains, _unknowns(chains), strict=False))
    if annotations:
        equations += _equations(read_chains("\n".join(annotations)), {}, strict=True)
    wrong = [_describe(equation) for equation in equations if not equation.holds]
    if annotations:
        wrong += _miscopied(solution)
    stated = {value for chain in chains for side in chain if (value := _single(side)) is not None}
    stated.update(equation.result for equation in equations)
    final, before = _final(text)
    return ArithmeticCheck(
        len(equations),
        tuple(wrong),
        _unexplained(equations, stated, problem) if problem else (),
        final,
        None if final is None else _is_reached(final, equations, stated, before),
    )


def steps(text: str) -> list[Step]:
    """All steps of a text with whether they are right."""
    chains = read_chains(_ANNOTATION.sub("", text))
    with localcontext(CONTEXT):
        return [
            Step(tuple(_numbers(equation.left)), equation.result, equation.holds)
            for equation in _equations(chains, _unknowns(chains), strict=False)
            if len(equation.left.items) > 1
        ]


def final_number(text: str) -> Decimal | None:
    """The last answer after "Final answer:", "The answer is", "Answer:" or "####", or in a LaTeX box."""
    return _final(text)[0]


def number(text: str) -> Decimal:
    """A number as written, with or without thousands separators."""
    return Decimal(text.replace(",", ""))


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


def _equations(chains: Iterable[Sequence[Side]], unknowns: Mapping[str, Decimal], strict: bool) -> Iterator[_Equation]:
    """All pairs of neighbouring sides that can be compared.

    Args:
        chains: what was read.
        unknowns: values by letter.
        strict: whether there is no doubt about what was meant.
    """
    for chain in chains:
        previous: Side | None = None
        for place, side in enumerate(chain):
            if not _has_number(side):
                continue
            if previous is not None and (equation := _compare(previous, side, unknowns, strict, place > 1)):
                yield equation
            previous = side


def _compare(left: Side, right: Side, unknowns: Mapping[str, Decimal], strict: bool, later: bool) -> _Equation | None:
    exact, value, first = evaluate(left.items, unknowns), evaluate(right.items, unknowns), _leading(right)
    if exact is None or (value is None and first is None):
        return None
    run_on = value is None or (first == exact and len(right.items) > 2)  # 3 * 4 = 12 + 5 = 17
    result = first if run_on else value
    assert result is not None
    if exact == result or any(_agree(one, other, right) for one, other in _readings(left, right, unknowns)):
        return _Equation(left, right, exact, result, True)
    doubtful = value is None or right.loose or _has_free_letter(left, right, unknowns)
    if not strict and (doubtful or _only_names(left, right, result, later)):
        return None
    return _Equation(left, right, exact, result, False)


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


def _single(side: Side) -> Decimal | None:
    item = side.items[0] if len(side.items) == 1 else None
    return item if isinstance(item, Decimal) else None


def _has_number(side: Side) -> bool:
    return any(isinstance(item, Decimal) for item in side.items)


def _has_free_letter(left: Side, right: Side, unknowns: Mapping[str, Decimal]) -> bool:
    return any(kind == LETTER and word not in unknowns for kind, _, word in (*left.marks, *right.marks))


def _agree(exact: Decimal, value: Decimal, right: Side) -> bool:
    if len(right.items) == 1:
        return is_rounding(value, exact, right.about)
    if not exact.is_finite() or not value.is_finite():
        return False
    difference = abs(CONTEXT.subtract(exact, value))
    rounded = any(one != one.to_integral_value() for one in _numbers(right))  # 10 / 3 * 2 = 3.33 * 2
    return difference <= CONTEXT.multiply(_NEAR if rounded else _SLACK, abs(exact))


def _numbers(side: Side) -> Iterator[Decimal]:
    return (item for item in side.items if isinstance(item, Decimal))


def _leading(side: Side) -> Decimal | None:
    first = side.items[0]
    if isinstance(first, Decimal):
        return first
    second = side.items[1] if first == "~" and len(side.items) > 1 else None
    return second.copy_negate() if isinstance(second, Decimal) else None


def _readings(left: Side, right: Side, unknowns: Mapping[str, Decimal]) -> Iterator[tuple[Decimal, Decimal]]:
    """Values of both sides in the usual ways to read them, the literal way first."""
    lefts, rights = (
        _values(_dresses(left, False, unknowns), unknowns),
        _values(_dresses(right, True, unknowns), unknowns),
    )
    first = _leading(right)
    if first is not None and len(right.items) > 2:
        rights.append(first)
    yield from ((one, other) for one in lefts for other in rights)
    if any(kind == UNIT for kind, _, _ in (*left.marks, *right.marks)):
        scaled = _values([_scaled(left), _scaled(right)], unknowns)
        if len(scaled) == 2:
            yield scaled[0], scaled[1]


def _values(expressions: Iterable[Sequence[Item]], unknowns: Mapping[str, Decimal]) -> list[Decimal]:
    return [value for items in expressions if (value := evaluate(items, unknowns)) is not None]


def _dresses(side: Side, is_right: bool, unknowns: Mapping[str, Decimal]) -> Iterator[list[Item]]:
    """Expressions that a side may stand for."""
    yield side.items
    kinds = {kind for kind, _, _ in side.marks}
    if PERCENT in kinds:
        yield _with_bare_percents(side)
        yield _with_added_percent(side)
    if LETTER in kinds:
        yield _with_letters(side, unknowns)
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


def _with_letters(side: Side, unknowns: Mapping[str, Decimal]) -> list[Item]:
    """2x as a product."""
    items = list(side.items)
    for kind, place, letter in reversed(side.marks):
        if kind == LETTER and letter in unknowns:
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


def _unknowns(chains: Iterable[Sequence[Side]]) -> dict[str, Decimal]:
    """Values of the letters on which the equations of a text, where they are linear, agree."""
    votes: dict[str, Counter[Decimal]] = {}
    for chain in chains:
        for left, right in pairwise(chain):
            letters = _letters(left) | _letters(right)
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


def _letters(side: Side) -> set[str]:
    """Letters that stand for numbers on a side."""
    letters = {item for item in side.items if isinstance(item, str) and len(item) == 1 and item.isalpha()}
    if side.marks:
        letters |= {word for kind, _, word in side.marks if kind == LETTER and word}
    return letters


def _root(left: Side, right: Side, letter: str) -> Decimal | None:
    """Where an equation that is linear in a letter holds, to 12 digits."""
    differences = []
    for value in (_ZERO, _ONE, _TWO):
        names = {letter: value}
        sides = _values([_with_letters(left, names), _with_letters(right, names)], names)
        if len(sides) < 2:
            return None
        differences.append(CONTEXT.subtract(sides[0], sides[1]))
    start, middle, end = differences
    slope = CONTEXT.subtract(middle, start)
    if not slope or not end.is_finite() or CONTEXT.subtract(end, middle) != slope:
        return None
    return _COARSE.divide(-start, slope)


def _describe(equation: _Equation) -> str:
    left = "".join(_show(item) for item in equation.left.items)
    text = f"{left}={_show(equation.result)}"
    text = text if len(text) <= _SHOWN else "…" + text[1 - _SHOWN :]
    return f"{text} (is {_show(_BRIEF.plus(equation.exact))})"


def _show(item: Item) -> str:
    if isinstance(item, str):
        return {"~": "-", "·": "*"}.get(item, item)
    if not item.is_finite():
        return "undefined"
    text = f"{item:f}" if abs(item.adjusted()) < _SHOWN else str(item)
    return text.rstrip("0").rstrip(".") if "." in text and "E" not in text else text


def _miscopied(solution: str) -> Iterator[str]:
    """Annotations whose result is not the number that follows them."""
    for result, shown in _ANNOTATED.findall(solution):
        if result != shown:
            value, copy = (parse_number(numeral.lstrip("-")) for numeral in (result, shown))
            if value is not None and copy is not None and not is_rounding(copy, value):
                yield f"<<={result}>>{shown}"[:_SHOWN]


def _final(text: str) -> tuple[Decimal | None, str]:
    """The final answer, and the text before it."""
    answers = list(_FINAL.finditer(text))
    if not answers:
        return None, text
    last = answers[-1]
    said = (last["hash"] or last["box"] or last["said"] or "")[:200].rpartition("=")[2]
    found = _FINAL_NUMBER.search(_LATEX_FRACTION.sub(r"\1/\2", said) if "\\" in said else said)
    if not found or not found["whole"]:
        return None, text[: last.start()]
    value = number(found["whole"].rstrip(","))
    if found["under"]:
        value = CONTEXT.divide(value, Decimal(found["under"]))
    return (-value if found["sign"] else value), text[: last.start()]


def _is_reached(final: Decimal, equations: Iterable[_Equation], stated: Collection[Decimal], before: str) -> bool:
    """Whether the final answer is a result, a number that an equation or the last sentence states, or one rounded."""
    if final in stated:
        return True
    reached = {*stated, *(equation.exact for equation in equations)}
    if "%" in before or "percent" in before or "$" in before or "cent" in before:
        reached |= {CONTEXT.multiply(value, _HUNDRED) for value in reached}
    said = before.rstrip().rpartition("\n")[2].rpartition(". ")[2]
    if "=" not in said:
        reached |= {number(numeral.rstrip(",")) for numeral in _NUMERAL.findall(said)}
    return final in reached or any(is_rounding(final, value) for value in reached)


def _unexplained(equations: Sequence[_Equation], stated: Collection[Decimal], problem: str) -> tuple[Decimal, ...]:
    """Operands that are no constants, not in the problem, no results, and not one easy step from these."""
    known = {number(numeral.rstrip(",")) for numeral in _NUMERAL.findall(problem)}
    strange: dict[Decimal, int] = {}
    for place, equation in enumerate(equations):
        for side in (equation.left, equation.right):
            if len(side.items) > 1 and not _letters(side):
                for value in _numbers(side):
                    if value not in known and value not in _CONSTANTS and abs(value) not in stated:
                        strange.setdefault(value, place)
    if not strange:
        return ()
    known |= _more_known(problem)
    first = list(strange.items())[:_MOST_STRANGE]
    return tuple(value for value, place in first if value not in _derived(known, equations[:place]))


def _more_known(problem: str) -> set[Decimal]:
    """Numbers of a problem in words, times of day, 10 000 and 3 million, and sums of a few that follow each other."""
    known = {number(re.sub("[ :]", "", numeral)) for numeral in _SPLIT_NUMERAL.findall(problem)}
    known |= {number(numeral.rstrip(",")) * SCALES[scale] for numeral, scale in _SCALED_NUMERAL.findall(problem)}
    known |= {_NUMBER_WORDS[word] for word in _WORD.findall(problem.lower()) if word in _NUMBER_WORDS}
    listed = [number(numeral.rstrip(",")) for numeral in _NUMERAL.findall(problem)[:_MOST_KNOWN]]
    return known | {sum(listed[i:j], _ZERO) for i, j in combinations(range(len(listed) + 1), 2) if 2 < j - i < 7}


def _derived(given: Collection[Decimal], equations: Sequence[_Equation]) -> set[Decimal]:
    """Numbers and what is one easy step from them: percents, what these leave, sums, differences, products, shares."""
    results = {abs(equation.result) for equation in equations[-_MOST_KNOWN:]}
    known = sorted(value for value in {*list(given)[:_MOST_KNOWN], *results} if value.is_finite())
    derived = set(known)
    for value in (*known, *_CONSTANTS):
        share = CONTEXT.divide(value, _HUNDRED)
        derived |= {
            value * _HUNDRED,
            share,
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
