"""Builds one side of an equation from its tokens."""

import re
from collections.abc import Mapping
from decimal import Decimal

from synth_platform.quality.arithmetic.numerals import parse_number
from synth_platform.quality.arithmetic.sides import (
    CONTEXT,
    IMPLIED,
    JOINED,
    LETTER,
    PERCENT,
    SCALES,
    SYMBOL,
    UNIT,
    UNKNOWN,
    Item,
    Mark,
    Side,
)
from synth_platform.quality.arithmetic.tokens import DASHES, TIMES_SIGN

_HUNDREDTH = Decimal("0.01")
MIXED_FRACTION = re.compile(r"(?:(\d+) (?:and )?)?(\d+)/(\d+)")
AMOUNTS: Mapping[str, Decimal] = {
    "half": Decimal("0.5"),
    "third": CONTEXT.divide(Decimal(1), Decimal(3)),
    "quarter": Decimal("0.25"),
    "fourth": Decimal("0.25"),
    "fifth": Decimal("0.2"),
    "tenth": Decimal("0.1"),
}
LABELS = frozenset(
    ["Week", "Weeks", "Day", "Days", "Night", "Month", "Year", "Round", "Part", "Group", "Room", "Box", "Store", "√"]
    + [name for word in ("step", "question", "problem", "chapter", "page", "no") for name in (word, word.capitalize())]
)
SIGNS: Mapping[str, str] = {
    **{sign: sign for sign in "+-*/^"},
    **dict.fromkeys([TIMES_SIGN, "·", "⋅", "∙", "times ", "multiplied by "], "*"),
    **dict.fromkeys(["÷", "divided by "], "/"),
    **dict.fromkeys([*DASHES, "minus "], "-"),
    "plus ": "+",
}


UNIT_LETTERS = "hsmdgLl"
"""Units that are one letter, of time, length, weight and volume."""
_SYMBOLS = frozenset(UNIT_LETTERS + "CFKWVJNA")


def is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha() and word not in "aI"


class Expression:
    """The side of an equation that is being read."""

    __slots__ = (
        "about", "chain", "first_word", "items", "last_word", "lead", "loose", "marks", "need", "opens", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.chain: list[Side] = []  # the sides before it
        self.lead = self.about = False
        self._begin_side()

    def _begin_side(self) -> None:
        self.items: list[Item] = []
        self.marks: list[Mark] = []
        self.opens: list[int] = []  # places of parentheses that are not closed yet
        self.need = True  # of an operand
        self.loose = False
        self.words, self.first_word, self.last_word = 0, "", ""  # since the last number or sign

    def _numeral(self, token: str) -> None:
        place = len(self.items)
        if " " in token:
            self.marks.append((JOINED, place, token))
            token = token.replace(" ", "")
        elif token[-1].isalpha() and token[:-1].isdigit():
            self.marks.append((LETTER, place, token[-1]))
            token = token[:-1]
        elif self.chain:  # = 5:00 pm, = 2nd
            token = token.removesuffix(":00").rstrip("stndrh")
        value = parse_number(token)
        self.items.append(UNKNOWN if value is None else value)

    def _unit(self, word: str) -> None:
        if word in SCALES:
            self.marks.append((UNIT, len(self.items) - 1, word))
        if is_letter(word):
            self.marks.append((SYMBOL if word in _SYMBOLS else LETTER, len(self.items) - 1, word))

    def _fill_in(self) -> bool:
        """Whether words stand where an operand is missing: then they are one, or the unit of 5 miles / hour."""
        if not self.words:
            return False
        if self.items and self.items[-1] == "/" and (len(self.first_word) > 1 or self.first_word in UNIT_LETTERS):
            self.items.pop()
        else:
            word = self.first_word if self.items else self.last_word
            self.items.append(AMOUNTS.get(word.lower(), word))
        return True

    def _percent(self, token: str) -> None:
        value, place = self.items[-1] if self.items else UNKNOWN, len(self.items) - 1
        twice = bool(self.marks) and self.marks[-1][:2] == (PERCENT, place)
        if isinstance(value, Decimal) and not (self.need or self.words or twice):
            self.items[-1] = CONTEXT.multiply(value, _HUNDREDTH)
            self.marks.append((PERCENT, place, ""))

    def _power(self, token: str) -> None:
        if not self.need and not self.words:
            self.items += ["^", Decimal(2 if token == "²" else 3)]

    def _close_inner(self, start: int) -> None:
        if self.need and start == len(self.items) - 1 and self.items[start - 1 : start] == [IMPLIED]:  # 5(five)
            self._cut_back(start - 1)
            if self.marks[-1:] != [(LETTER, start - 2, "")]:
                self.marks.append((LETTER, start - 2, ""))
        else:
            if self.need and not self._fill_in():
                self.items.append(UNKNOWN)
            self.items.append(")")
        self.need = False
        self.words = 0

    def _cut_front(self, count: int) -> None:
        self.items = self.items[count:] if count > 0 else ["(", *self.items]
        self.marks = [(kind, place - count, word) for kind, place, word in self.marks if place >= count]

    def _cut_back(self, count: int) -> None:
        del self.items[count:]
        while self.marks and self.marks[-1][1] >= count:
            self.marks.pop()

    def _about(self, token: str) -> None:
        self.about = self.about or bool(self.chain)
        if not (self.chain and self.need and not self.items):
            self.words += 1

    def _end_side(self) -> None:
        if len(self.items) == 2 and self.items[0] == "~" and isinstance(value := self.items[1], Decimal):
            self._cut_front(1)
            self.items = [value.copy_negate()]
        self.chain.append(Side(self.items, self.marks, self.words > 0 or self.lead, self.loose, self.about))
        self.lead = False
