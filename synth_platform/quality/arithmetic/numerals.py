"""Numbers as they are written."""

import re
from collections.abc import Mapping
from decimal import Decimal

LONGEST_NUMERAL = 40
_DIGITS = re.compile(r"(?:0|[1-9]\d*)?(?:\.\d+)?(?<=\d)")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")
SPACED = re.compile(r"(?<![\w.,])\d{1,3}(?:[ \xa0\u202f]\d{3}){1,6}+(?![\w-]|[.,]\d)")


_MAY_BE_CONTINENTAL = re.compile(r"\d(?:,\d|\.\d{3}(?!\d)|[ \xa0\u202f]\d{3}|\{,\}\d)")
_ALONE, _ENDED = r"(?<![\w.,])", r"(?![.,]?\d)"
_SURE_COMMA = re.compile(rf"{_ALONE}(?:0,\d++|\d{{1,3}}(?:\.\d{{3}})++,\d++|\d{{1,3}}(?:\.\d{{3}}){{2,}}+){_ENDED}")
_SURE_POINT = re.compile(
    rf"{_ALONE}(?:\d{{1,3}}(?:,\d{{3}})++\.\d++|\d{{1,3}}(?:,\d{{3}}){{2,}}+|0?\.\d++|\d++\.(?:\d\d?|\d{{4,}}+)){_ENDED}"
)
_LIKELY_COMMA = re.compile(rf"{_ALONE}\d++,(?:\d\d?|\d{{4,}}+){_ENDED}")
_CONTINENTAL_NUMERAL = re.compile(
    rf"{_ALONE}(?:\d{{1,3}}(?:(?:\.\d{{3}})++|(?:[ \xa0\u202f]\d{{3}}){{1,6}}+)(?:,\d++)?+|\d++,\d++){_ENDED}"
)
_GROUP_OF_POINT = re.compile(rf"{_ALONE}[1-9]\d{{0,2}}\.\d{{3}}{_ENDED}")
_GROUP_OF_COMMA = re.compile(rf"{_ALONE}[1-9]\d{{0,2}},\d{{3}}{_ENDED}")
_CONTINENTAL_WORD = re.compile(
    r"\b(?:der|die|das|den|und|ist|sind|eine?|von|mit|wie|viele?|pro|werden|f\xfcr|im"
    r"|le|la|les|de|des|une?|du|est|et|par|combien|pour|dans|chaque"
    r"|el|los|las|una|del|es|por|cu\xe1nt[oa]s?|para|con|que|cada)\b",
    re.IGNORECASE,
)
_ENGLISH_WORD = re.compile(r"\b(?:the|of|and|is|are|how|many|much|each|for|with|to)\b", re.IGNORECASE)
_LANGUAGE_IS_KNOWN_AFTER = 10_000  # characters
_COUNTED = (
    "one,two twice double half,three thrice triple third thirds,four quarter fourth,five fifth fifths,six sixth,"
    "seven seventh,eight eighth,nine ninth,ten tenth,eleven,twelve dozen,thirteen,fourteen,fifteen,sixteen,seventeen,"
    "eighteen,nineteen,twenty"
)
_TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety hundred"
NUMBER_WORDS: Mapping[str, Decimal] = {
    **{word: Decimal(10 * tens) for tens, word in enumerate(_TENS.split(), start=1)},
    **{word: Decimal(value) for value, words in enumerate(_COUNTED.split(","), start=1) for word in words.split()},
}


def with_points(text: str, beside: str = "") -> str:
    """The text with a decimal point and without thousands separators, if it writes 1.824,5 or 1 824,5.

    Which it does is decided by the numerals that can be read in one way only (0,96 and 1.824,5 against 0.96 and
    1,824.5), and, where there are none or as many of both, by the language of the text: German, French and Spanish
    write so.

    Args:
        text: what to read.
        beside: more text of the same writer that counts as evidence.
    """
    if not (_MAY_BE_CONTINENTAL.search(text) and _uses_comma(f"{beside}\n{text}".replace("{,}", ","))):
        return text
    return _CONTINENTAL_NUMERAL.sub(_with_point, text.replace("{,}", ","))


def _uses_comma(text: str) -> bool:
    commas, points = len(_SURE_COMMA.findall(text)), len(_SURE_POINT.findall(text))
    start = text[:_LANGUAGE_IS_KNOWN_AFTER]
    continental = {word.lower() for word in _CONTINENTAL_WORD.findall(start)}
    english = {word.lower() for word in _ENGLISH_WORD.findall(start)}
    if len(continental) > max(1, len(english)):
        commas += len(_LIKELY_COMMA.findall(text)) + len(_GROUP_OF_POINT.findall(text))
        return commas >= points + len(_GROUP_OF_COMMA.findall(text))
    return commas > points


def spaced_groups(text: str) -> list[Decimal]:
    """Numbers that are written as 10 000."""
    return [Decimal(re.sub(r"\s", "", numeral)) for numeral in SPACED.findall(text)]


def _with_point(numeral: re.Match[str]) -> str:
    return re.sub(r"[. \xa0\u202f]", "", numeral[0]).replace(",", ".")


def parse_number(text: str) -> Decimal | None:
    """The number that digits with commas and a point stand for; None if they are a code or a list instead."""
    if "," in text:
        if not _GROUPED.fullmatch(text):
            return None
        text = text.replace(",", "")
    if len(text) > LONGEST_NUMERAL or not _DIGITS.fullmatch(text):
        return None
    return Decimal(text)


def number(text: str) -> Decimal:
    """A number as written, with or without thousands separators."""
    return Decimal(text.replace(",", ""))
