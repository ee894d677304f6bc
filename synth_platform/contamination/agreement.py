"""Do two texts speak of the same numbers and names? A reworded question does; another of its kind has others."""

import re
from collections.abc import Set
from dataclasses import dataclass

from synth_platform.contamination.weights import common_words

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+|[a-z]+")
_NAME = re.compile(r"\b[A-Z][a-z]{2,}")
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_SPELLED = {word: str(value) for value, word in enumerate(_SMALL)} | {
    "single": "1", "once": "1", "first": "1", "twice": "2", "double": "2", "doubled": "2", "doubles": "2",
    "pair": "2", "couple": "2", "both": "2", "second": "2", "third": "3", "triple": "3", "tripled": "3",
    "thrice": "3", "fourth": "4", "quarter": "0.25", "half": "0.5", "halved": "0.5", "dozen": "12", "thirty": "30",
    "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90",
    "hundred": "100", "thousand": "1000", "million": "1000000",
}  # fmt: skip
_COMMON, _FREQUENT = (
    frozenset({"0", "0.5", "1", "2", "3"}),
    frozenset(map(str, [*range(4, 13), 15, *range(20, 101, 10)])),
)
_ENOUGH_NAMES = 2
_ENOUGH = 3.0
"""Weight of numbers from which their agreement counts in full: that of three numbers like 17 or 250."""


@dataclass(frozen=True)
class Facts:
    """Numbers and names in a text.

    Args:
        digits: numbers written in digits; 1,000 is 1000.
        numbers: these and those in words: twelve is 12.
        names: capitalised words, in lower case.
        words: all words that could be names of the other text.
    """

    digits: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]


def facts_of(text: str) -> Facts:
    """The numbers and names of a text."""
    digits, every = set(), set()
    for found in _NUMBER.findall(text.lower()):
        if found[0].isalpha():
            if found in _SPELLED:
                every.add(_SPELLED[found])
        else:
            digits.add(_plain(found))
    names = {name.lower() for name in _NAME.findall(text)} - common_words()
    return Facts(frozenset(digits), frozenset(digits | every), frozenset(names), frozenset(text.lower().split()))


def number_agreement(one: Facts, other: Facts) -> tuple[float, float]:
    """How far two texts have the same numbers, from -1 (none) to 1 (all), and how much that says, from 0 to 1."""
    wanted = _weight(one.digits) + _weight(other.digits)
    if not wanted:
        return 0.0, 0.0
    shared = _weight(one.digits & other.numbers) + _weight(other.digits & one.numbers)
    return 2 * shared / wanted - 1, min(1.0, wanted / 2 / _ENOUGH)


def name_agreement(item: Facts, text: Facts) -> tuple[float, float]:
    """How far a text has the names of a test item, from -1 to 1, and how much that says, from 0 to 1."""
    if not item.names:
        return 0.0, 0.0
    found = sum(any(name in word for word in text.words) for name in item.names)
    return 2 * found / len(item.names) - 1, min(1.0, len(item.names) / _ENOUGH_NAMES)


def _weight(numbers: Set[str]) -> float:
    return sum(0.25 if number in _COMMON else 0.5 if number in _FREQUENT else 1.0 for number in numbers)


def _plain(digits: str) -> str:
    whole = digits.replace(",", "")
    return f"{float(whole):g}" if len(whole) < 18 else whole
