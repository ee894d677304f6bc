"""Reads the equations that people and models write between words, in one pass over the tokens of a text."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from synth_platform.quality.arithmetic.expression import (
    AMOUNTS,
    LABELS,
    MIXED_FRACTION,
    SIGNS,
    UNIT_LETTERS,
    Expression,
    is_letter,
)
from synth_platform.quality.arithmetic.numerals import LONGEST_NUMERAL
from synth_platform.quality.arithmetic.sides import (
    FRACTION,
    IMPLIED,
    JOINED,
    PART,
    PERCENT,
    UNKNOWN,
    Item,
    Mark,
    Side,
)
from synth_platform.quality.arithmetic.tokens import BREAKS, CLAUSES, TOKEN, plain_text

_NAMES = "sqrt log ln exp sin cos tan abs max min gcd lcm floor ceil unknown"
_FUNCTIONS = frozenset(_NAMES.split())


def read_chains(text: str) -> list[list[Side]]:
    """The equations of a text, each as the sides between its signs of equality: two, or more in ``a = b = c``."""
    if "=" not in text and "≈" not in text and "equal" not in text and "\\approx" not in text:
        return []
    return _Reader().read(plain_text(text))


class _Reader(Expression):
    """What has been read of an equation: whole sides, and the expression of the side that is being read."""

    __slots__ = ("chains", "outer")

    def __init__(self) -> None:
        self.chains: list[list[Side]] = []
        self.outer: list[tuple[list[Side], list[Item], list[Mark], list[int], bool, bool, bool]] = []
        self._begin()

    def read(self, text: str) -> list[list[Side]]:
        """All equations of a text."""
        find = _HANDLERS.get
        for token in TOKEN.findall(text):
            handle = find(token)
            if handle is not None:
                handle(self, token)
            elif token[0] in "0123456789.":
                self._number(token)
            elif token[0] == "\n":
                self._end_line(token)
            else:
                if not self.words:
                    self.first_word = token
                    if not self.need:
                        self._unit(token)
                self.words += 1
                self.last_word = token
        self._end_line("")
        return self.chains

    def _begin(self) -> None:
        self.chain: list[Side] = []
        self.lead = self.about = False
        self._begin_side()

    def _number(self, token: str) -> None:
        if not self.need:
            self._end(token)
        if self.words:
            self._enter()
            if self.last_word in LABELS:  # Day 2, and Day 2:50 + 20
                token = token.partition(":")[2] or UNKNOWN
            self.words = 0
        self.need = False
        if token.isdigit() and token[0] != "0" and len(token) <= LONGEST_NUMERAL:
            self.items.append(Decimal(token))
        elif "/" in token:
            self._fraction(token)
        else:
            self._numeral(token)

    def _enter(self) -> None:
        """The first number after words."""
        if self.items[-2:] == [IMPLIED, "("]:  # a remark, as in 12 (from 3 miles)
            del self.items[-2:], self.opens[-1:]
            self._remark()
        elif not self.items:
            self.lead = self.lead or not self.chain
            self.loose = bool(self.chain)

    def _fraction(self, token: str) -> None:
        found = MIXED_FRACTION.fullmatch(token)
        if not found or len(token) > LONGEST_NUMERAL:
            self.items.append(UNKNOWN)
            return
        whole, over, under = found.groups()
        parts: list[Item] = [Decimal(over), "/", Decimal(under)]
        if whole and int(over) < int(under):
            self.marks.append((JOINED, len(self.items), token))
            self.items += ["(", Decimal(whole), "+", *parts, ")"]
            return
        if whole:
            self.items.append(Decimal(whole))
            self._end(token)
            self.need = False
        self.marks.append((FRACTION, len(self.items), ""))
        self.items += parts

    def _operator(self, token: str) -> None:
        sign = SIGNS[token]
        self._start_over()
        if self.need and not self._fill_in():
            if sign == "-":
                self.items.append("~")
            elif sign != "+":
                self.items += [UNKNOWN, sign]
            return
        self.items.append(sign)
        self.need = True
        self.words = 0

    def _start_over(self) -> None:
        """After "5 and x", what comes next belongs to x."""
        if self.words > 1 and not self.need and is_letter(name := self.last_word):
            self._end(name)
            self.words, self.first_word, self.last_word = 1, name, name

    def _of(self, token: str) -> None:
        kind, place, _ = self.marks[-1] if self.marks else ("", 0, "")
        last = len(self.items) - 1
        share = (kind == PERCENT and place == last) or (kind == FRACTION and place == last - 2)
        named = self.need and self.words and self.last_word.lower() in AMOUNTS
        if named or (share and not self.need and not self.words):
            self._operator("*")
            self.marks.append((PART, len(self.items), ""))
        else:
            self.words += 1
            self.last_word = token

    def _open(self, token: str) -> None:
        if not self.need and self.words:
            self._remark()
            return
        if not self.need:
            self.items.append(IMPLIED)
        elif self.words and (self.last_word in _FUNCTIONS or (self.words == 1 and is_letter(self.last_word))):
            self.items += [self.last_word, IMPLIED]
        self.lead = self.lead or (self.words > 0 and not self.chain and not self.items)
        self.opens.append(len(self.items))
        self.items.append("(")
        self.need = True
        self.words = 0

    def _open_words(self, token: str) -> None:
        if self.need and not (self.words and self._fill_in()):
            self._open(token)
        else:
            self._remark()

    def _remark(self) -> None:
        """What was begun is put aside until the parenthesis closes."""
        self.outer.append((self.chain, self.items, self.marks, self.opens, self.lead, self.loose, self.about))
        self._begin()

    def _close(self, token: str) -> None:
        if self.opens:
            self._close_inner(self.opens.pop())
        elif self.outer:
            self._end_remark()
        else:
            self._end(token)

    def _end_remark(self) -> None:
        """Go on with what was begun, unless it was no remark: 500 grams are left, (2/5) * 500 = 200 were eaten."""
        outer = self.outer.pop()
        if len(self.items) > 2 and not (self.chain or self.need or self.words):
            self._cut_front(-1)
            self.items.append(")")
            return
        self._end("")
        self.chain, self.items, self.marks, self.opens, self.lead, self.loose, self.about = outer
        self.need = False
        self.words = 1

    def _equals(self, token: str) -> None:
        self._start_over()
        if self.need and not self._fill_in():
            self.items.append(UNKNOWN)
        if self.opens:
            before = self.items[self.opens[0] - 1 : self.opens[0]]
            if before and before != [IMPLIED]:  # 100 + (100 * 0.1 = 110
                self.items += ")" * len(self.opens)
            else:
                self._cut_front(self.opens[-1] + 1)
        self._end_side()
        self.about = token in ("≈", "≃", "≅", "~=")
        self._begin_side()

    def _end(self, token: str) -> None:
        """What was begun is all of an equation, or nothing: a sentence, a clause or a new number follows."""
        if self.chain:
            self._finish_side()
            if len(self.chain) > 1:
                self.chains.append(self.chain)
        self._begin()

    def _finish_side(self) -> None:
        if self.opens:
            self._cut_back(self.opens[0])
        per = self.items[-1:] == ["/"] and self.first_word in UNIT_LETTERS  # 24 km/h
        if self.need and self.words and is_letter(self.first_word) and not per:  # 24/Y
            self.items.append(self.first_word)
        count = len(self.items)
        while count and isinstance(item := self.items[count - 1], str) and item in "+-*·/^~(":
            count -= 1
        if count < len(self.items):
            self._cut_back(count)
        if self.items:
            self._end_side()

    def _end_clause(self, token: str) -> None:
        """At a word such as "because"."""
        if self.chain or self.items:
            self._end(token)
        self.words += 1
        self.last_word = token

    def _end_line(self, token: str) -> None:
        self._end(token)
        while self.outer:
            self._end_remark()
            self._end(token)


_HANDLERS: Mapping[str, Callable[[_Reader, str], None]] = {
    **dict.fromkeys(SIGNS, _Reader._operator),
    **dict.fromkeys(["=", "≈", "≃", "≅", "~=", "equals ", "is equal to "], _Reader._equals),
    **dict.fromkeys(["about", "approximately", "roughly", "around", "nearly", "almost"], _Reader._about),
    **dict.fromkeys(["%", "percent"], _Reader._percent),
    **dict.fromkeys(CLAUSES.split(), _Reader._end_clause),
    **dict.fromkeys(BREAKS, _Reader._end),
    **dict.fromkeys("²³", _Reader._power),
    **dict.fromkeys("([{", _Reader._open),
    **dict.fromkeys(")]}", _Reader._close),
    " (": _Reader._open_words,
    "of": _Reader._of,
}
