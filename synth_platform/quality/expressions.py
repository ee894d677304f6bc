"""Reads the equations that people and models write between words, in one pass over the tokens of a text."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import TypeAlias

Item: TypeAlias = Decimal | str
"""A number, one of ``+ - * / ^ ( )``, ``·`` for a product without a sign, ``~`` for the sign of a negative number, or
the name of what is not known."""

Mark: TypeAlias = tuple[str, int, str]
"""How the number at a place of an expression was written: a kind, the place, and a unit, a letter or a part of it."""

PERCENT, UNIT, LETTER, FRACTION, JOINED, PART = "percent", "unit", "letter", "fraction", "joined", "part"
"""Kinds of marks: with %; before a unit; as in 2x; 1/2 without spaces; as in 2 1/2 or 10 000; what follows "of"."""

CONTEXT = Context(prec=40, traps=[])
"""All arithmetic is done in it: bounded in time and space whatever a text says, and without exceptions."""

IMPLIED = "·"
UNKNOWN = "?"
_HUNDREDTH = Decimal("0.01")
_LONGEST_NUMERAL = 40
_LONGEST_LINE = 20_000
_TIMES_SIGN, _DASHES = "\u00d7", "\u2212\u2013"  # multiplication sign; minus sign and en dash

_TOKEN = re.compile(
    rf"""
    (?=[A-Za-z]) (?:
        (?: plus | minus | times | equals | divided[ ]by | multiplied[ ]by | is[ ]equal[ ]to )[ ]
            (?= [$€£(]{{0,6}}\.?\d )
        | (?: lbs? | oz | ft | sq | hrs? | mins? | yds? | gal | kg | km | cm )\. (?=[ ][a-z])
        | [A-Za-z]{{4,}}+ (?=\d)
        | [A-Za-z] [\w'\u2019]*+ (?: -[A-Za-z]\w*+ )*+
    )
    | (?=[\d.]) (?:
        (?:19|20)\d\d-\d\d-\d\d\b | \d\d?/\d\d?/(?:19|20)\d\d\b | 97[89](?:-\d++)+ | \d{{3}}-\d{{4}}\b  # dates, codes
        | \d++ (?: (?::\d++)++ (?! [ ]?[*/\u00d7÷] | [-+]\d++(?!:) )                               # 5:00
                 | (?:\.\d++){{2,}}+ | (?:st|nd|rd|th)\b )                                        # 1.2.3 and 2nd
        | (?: \d{{1,4}}[ ](?:and[ ])?(?=\d{{1,2}}/\d) )? \d++/\d++ (?! [./:,-]?\d )                 # 1/2 and 2 1/2
        | \d{{1,3}} (?: [ ]\d{{3}} )++ (?! [.,]?\d )                                              # 10 000
        | \d++ (?: [A-Za-z]\b | (?: ,\d++ )*+ (?: \.\d++ )?+ ) | \.\d++                            # 2x and 1,000.50
        | \. (?! [ ]{{0,2}}[-+*/\u00d7÷=] )
    )
    | \n (?: [ \t]{{0,9}} (?: [-*+•\u2013] | \d{{1,3}}[.)] ) (?=[ \t]) | (?! [ \t]{{0,20}} &? = ) )    # not before "="
    | (?<=\S)[ ]\((?=[A-Za-z]{{2}})                                                                # (a remark)
    | ==+ | => | = | ~= | [≈≃≅] | [!<>:+*]= | -(?: [>=] | (?<=\d-)[a-z]\w++ )? | /(?: = | (?<=[\w)]/)[A-Za-z]\w++ )?
    | [+*\u00d7÷·⋅∙{_DASHES}^()\[\]{{}}%¢√²³;:,!?|<>\u2014…] | &(?![ ]?=)
    | [^\W\d] [\w'\u2019]*+
    """,
    re.VERBOSE,
)
_DIGITS = re.compile(r"(?:0|[1-9]\d*)?(?:\.\d+)?(?<=\d)")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_FRACTION = re.compile(r"(?:(\d+) (?:and )?)?(\d+)/(\d+)")
_TIMES = re.compile(r"(?<![A-Za-z])[xX](?=[$€£( \t]{0,6}\.?\d)")
_POWER_STARS = re.compile(r"(?<=[\d)])\*\*(?=[\d(])")
_CHARACTERS = str.maketrans(
    {
        "½": " 1/2",
        "⅓": " 1/3",
        "⅔": " 2/3",
        "¼": " 1/4",
        "¾": " 3/4",
        "⅕": " 1/5",
        "⅛": " 1/8",
        "\xa0": " ",
        "\u202f": " ",
    }
)
_LATEX = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\[dt]?frac\s*\{([^{}]{0,200})\}\s*\{([^{}]{0,200})\}", r"((\1)/(\2))"),
        (r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]{0,200})\}", r" \1 "),
        (r"\\(?:times|cdot|ast)(?![A-Za-z])", f" {_TIMES_SIGN} "),
        (r"\\div(?![A-Za-z])", " ÷ "),
        (r"\\(?:approx|simeq|cong)(?![A-Za-z])", " ≈ "),
        (r"\\(?:left|right|quad|qquad|displaystyle|boxed)(?![A-Za-z])|\\[,;! $]", " "),
        (r"\\\\|\\[\[\]()]", "\n"),
        (r"\{,\}", ","),
        (r"\\%", "%"),
        (r"\\[A-Za-z]+", " unknown "),
    )
)
_AMOUNTS: Mapping[str, Decimal] = {
    "half": Decimal("0.5"),
    "third": CONTEXT.divide(Decimal(1), Decimal(3)),
    "quarter": Decimal("0.25"),
    "fourth": Decimal("0.25"),
    "fifth": Decimal("0.2"),
    "tenth": Decimal("0.1"),
}
_LABELS = frozenset(
    ["Week", "Weeks", "Day", "Days", "Night", "Month", "Year", "Round", "Part", "Group", "Room", "Box", "Store", "√"]
    + [name for word in ("step", "question", "problem", "chapter", "page", "no") for name in (word, word.capitalize())]
)
_FUNCTIONS = frozenset("sqrt log ln exp sin cos tan abs max min gcd lcm floor ceil unknown".split())  # noqa: SIM905
SCALES: Mapping[str, Decimal] = {
    form: Decimal(scale)
    for scale, names in (
        ("0.01", "cent cents ¢"),
        ("12", "dozen dozens foot feet ft"),
        ("16", "pound pounds lb lbs"),
        ("36", "yard yards"),
        ("60", "minute minutes min"),
        ("100", "hundred"),
        ("1000", "thousand k K kg kilogram kilograms kilometer kilometers km liter liters l L"),
        ("3600", "hour hours hr hrs"),
        ("86400", "day days"),
        ("604800", "week weeks"),
        ("1000000", "million M"),
        ("1000000000", "billion"),
    )
    for name in names.split()
    for form in (name, "-" + name)
}
"""How many of the smaller unit, named or not, are in a unit that may stand after a number."""


@dataclass(slots=True)
class Side:
    """One side of an equation.

    Args:
        items: the expression; a number with a percent sign is in hundredths.
        marks: how its numbers were written.
        worded: other words stand before or after its numbers.
        loose: words stand between the sign of equality and the first number.
        about: its sign of equality says that it is only about equal.
    """

    items: list[Item]
    marks: list[Mark]
    worded: bool
    loose: bool
    about: bool


def read_chains(text: str) -> list[list[Side]]:
    """The equations of a text, each as the sides between its signs of equality: two, or more in ``a = b = c``."""
    if "=" not in text and "≈" not in text and "equal" not in text and "\\approx" not in text:
        return []
    return _Reader().read(_plain(text))


def parse_number(text: str) -> Decimal | None:
    """The number that digits with commas and a point stand for; None if they are a code or a list instead."""
    if "," in text:
        if not _GROUPED.fullmatch(text):
            return None
        text = text.replace(",", "")
    if len(text) > _LONGEST_NUMERAL or not _DIGITS.fullmatch(text):
        return None
    return Decimal(text)


def _plain(text: str) -> str:
    """The text without LaTeX, bold marks and overlong lines."""
    if len(text) > _LONGEST_LINE:
        text = "\n".join(line for line in text.split("\n") if len(line) <= _LONGEST_LINE)
    if "**" in text:
        text = _POWER_STARS.sub("^", text).replace("**", "")
    if "\\" in text:
        for pattern, replacement in _LATEX:
            text = pattern.sub(replacement, text)
    if not text.isascii():
        text = text.translate(_CHARACTERS)
    return "\n" + _TIMES.sub(_TIMES_SIGN, text)


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha() and word not in "aI"


class _Reader:
    """What has been read of an equation: whole sides, and the expression of the side that is being read."""

    __slots__ = (
        "about", "chain", "chains", "first_word", "items", "last_word", "lead", "loose", "marks", "need", "opens",
        "outer", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.chains: list[list[Side]] = []
        self.outer: list[tuple[list[Side], list[Item], list[Mark], list[int], bool, bool, bool]] = []
        self._begin()

    def read(self, text: str) -> list[list[Side]]:
        """All equations of a text."""
        find = _HANDLERS.get
        for token in _TOKEN.findall(text):
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

    def _begin_side(self) -> None:
        self.items: list[Item] = []
        self.marks: list[Mark] = []
        self.opens: list[int] = []  # places of parentheses that are not closed yet
        self.need = True  # of an operand
        self.loose = False
        self.words, self.first_word, self.last_word = 0, "", ""  # since the last number or sign

    def _number(self, token: str) -> None:
        if not self.need:
            self._end(token)
        if self.words:
            self._enter()
            if self.last_word in _LABELS:  # Day 2, and Day 2:50 + 20
                token = token.partition(":")[2] or UNKNOWN
            self.words = 0
        self.need = False
        if token.isdigit() and token[0] != "0" and len(token) <= _LONGEST_NUMERAL:
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

    def _fraction(self, token: str) -> None:
        found = _FRACTION.fullmatch(token)
        if not found or len(token) > _LONGEST_NUMERAL:
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

    def _unit(self, word: str) -> None:
        if word in SCALES:
            self.marks.append((UNIT, len(self.items) - 1, word))
        if _is_letter(word):
            self.marks.append((LETTER, len(self.items) - 1, word))

    def _about(self, token: str) -> None:
        self.about = self.about or bool(self.chain)
        if not (self.chain and self.need and not self.items):
            self.words += 1

    def _operator(self, token: str) -> None:
        sign = _SIGNS[token]
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
        if self.words > 1 and not self.need and _is_letter(name := self.last_word):
            self._end(name)
            self.words, self.first_word, self.last_word = 1, name, name

    def _fill_in(self) -> bool:
        """Whether words stand where an operand is missing: then they are one, or the unit of 5 miles / hour."""
        if not self.words:
            return False
        if self.items and self.items[-1] == "/" and (len(self.first_word) > 1 or self.first_word in "hsmdgLl"):
            self.items.pop()
        else:
            word = self.first_word if self.items else self.last_word
            self.items.append(_AMOUNTS.get(word.lower(), word))
        return True

    def _of(self, token: str) -> None:
        kind, place, _ = self.marks[-1] if self.marks else ("", 0, "")
        last = len(self.items) - 1
        share = (kind == PERCENT and place == last) or (kind == FRACTION and place == last - 2)
        named = self.need and self.words and self.last_word.lower() in _AMOUNTS
        if named or (share and not self.need and not self.words):
            self._operator("*")
            self.marks.append((PART, len(self.items), ""))
        else:
            self.words += 1
            self.last_word = token

    def _percent(self, token: str) -> None:
        value, place = self.items[-1] if self.items else UNKNOWN, len(self.items) - 1
        twice = bool(self.marks) and self.marks[-1][:2] == (PERCENT, place)
        if isinstance(value, Decimal) and not (self.need or self.words or twice):
            self.items[-1] = CONTEXT.multiply(value, _HUNDREDTH)
            self.marks.append((PERCENT, place, ""))

    def _power(self, token: str) -> None:
        if not self.need and not self.words:
            self.items += ["^", Decimal(2 if token == "²" else 3)]

    def _open(self, token: str) -> None:
        if not self.need and self.words:
            self._remark()
            return
        if not self.need:
            self.items.append(IMPLIED)
        elif self.words and (self.last_word in _FUNCTIONS or (self.words == 1 and _is_letter(self.last_word))):
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

    def _end_side(self) -> None:
        if len(self.items) == 2 and self.items[0] == "~" and isinstance(value := self.items[1], Decimal):
            self._cut_front(1)
            self.items = [value.copy_negate()]
        self.chain.append(Side(self.items, self.marks, self.words > 0 or self.lead, self.loose, self.about))
        self.lead = False

    def _cut_front(self, count: int) -> None:
        self.items = self.items[count:] if count > 0 else ["(", *self.items]
        self.marks = [(kind, place - count, word) for kind, place, word in self.marks if place >= count]

    def _cut_back(self, count: int) -> None:
        del self.items[count:]
        while self.marks and self.marks[-1][1] >= count:
            self.marks.pop()

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
        if self.need and self.words and _is_letter(self.first_word):  # 24/Y
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


_SIGNS: Mapping[str, str] = {
    **{sign: sign for sign in "+-*/^"},
    **dict.fromkeys([_TIMES_SIGN, "·", "⋅", "∙", "times ", "multiplied by "], "*"),
    **dict.fromkeys(["÷", "divided by "], "/"),
    **dict.fromkeys([*_DASHES, "minus "], "-"),
    "plus ": "+",
}
_CLAUSES = "because so since thus therefore then which means gives is are was were if that when or"
_BREAKS = [
    *";:,!?|<>&.…\u2014",
    "=>",
    "->",
    "!=",
    "<=",
    ">=",
    ":=",
    "+=",
    "*=",
    "/=",
    "-=",
    *("=" * n for n in range(2, 9)),
]
_HANDLERS: Mapping[str, Callable[[_Reader, str], None]] = {
    **dict.fromkeys(_SIGNS, _Reader._operator),
    **dict.fromkeys(["=", "≈", "≃", "≅", "~=", "equals ", "is equal to "], _Reader._equals),
    **dict.fromkeys(["about", "approximately", "roughly", "around", "nearly", "almost"], _Reader._about),
    **dict.fromkeys(["%", "percent"], _Reader._percent),
    **dict.fromkeys(_CLAUSES.split(), _Reader._end_clause),
    **dict.fromkeys(_BREAKS, _Reader._end),
    **dict.fromkeys("²³", _Reader._power),
    **dict.fromkeys("([{", _Reader._open),
    **dict.fromkeys(")]}", _Reader._close),
    " (": _Reader._open_words,
    "of": _Reader._of,
}
