"""Numbers and dates of a text, read plainly: what the labels are checked with, apart from any detector."""

import re
from fractions import Fraction

_SEPARATORS = {"en": (",", "."), "de": (r"\.", ","), "es": (r"\.", ","), "fr": (r"[ \u00a0\u202f]", ",")}
"""Pattern of the mark between thousands, and the decimal mark."""
_WORDS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty",
    "de": "null eine zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "fr": "zéro une deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
    "es": "cero una dos tres cuatro cinco seis siete ocho nueve diez once doce",
}
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_MILLION = re.compile(r"\s*(?:million|millions|millionen|millones)\b", re.IGNORECASE)
_MONTHS = {
    "en": "january february march april may june july august september october november december",
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}


def _pattern(thousands: str, point: str) -> re.Pattern[str]:
    fraction = rf"(?:{re.escape(point)}\d+)?"
    return re.compile(rf"\d{{1,3}}(?:{thousands}\d{{3}})+(?!\d){fraction}|\d+{fraction}")


NUMBERS = {language: _pattern(*marks) for language, marks in _SEPARATORS.items()}
"""A number in digits, by language."""
Date = tuple[int | None, int, int | None]
"""Day, month, year."""


def numbers(text: str, language: str = "en") -> set[Fraction]:
    """Values of the numbers in digits and in words; of "2.2 million" both 2.2 and 2,200,000."""
    known = {word: value for value, word in enumerate(_WORDS[language].split())} | _TENS
    values = [(read(match[0], language), match.end()) for match in NUMBERS[language].finditer(text)]
    words = [(match[0].lower(), match.end()) for match in re.finditer(r"\w+", text)]
    values += [(Fraction(known[word]), end) for word, end in words if word in known]
    millions = {value * 1_000_000 for value, end in values if _MILLION.match(text, end)}
    return {value for value, _ in values} | millions


def read(digits: str, language: str = "en") -> Fraction:
    """The value of a number in a language's notation."""
    thousands, point = _SEPARATORS[language]
    return Fraction(re.sub(thousands, "", digits).replace(point, "."))


def dates(text: str, language: str = "en") -> set[Date]:
    """Dates with a month's name and a day or a year; those with both also without the year."""
    names = _MONTHS[language].split()
    month = "|".join(names)
    pattern = re.compile(rf"(?:\b(\d{{1,2}})\.? (?:de )?)?\b({month})\b(?: (?:de )?(\d{{4}}))?", re.IGNORECASE)
    found: set[Date] = set()
    for day, name, year in pattern.findall(text):
        number = names.index(name.lower()) + 1
        if day or year:
            found.add((int(day) if day else None, number, int(year) if year else None))
        if day and year:
            found.add((int(day), number, None))
    return found
