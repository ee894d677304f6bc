"""The numbers of texts, in digits or words, with their scale, currency or unit; and full dates."""

from functools import cache, lru_cache

import numpy as np
import polars as pl

from synth_platform.patterns import fast

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_NEAR = "about|approximately|nearly|almost|around|roughly|over|some|more than|less than|under|up to|at least"
_FOUND = (
    rf"(?i)(?:(\b(?:{_NEAR})\s|~\s?))?([$€£¥₹]\s?)?({_NUMBER})"
    r"(?:[\s-]?(hundred|thousand|million|billion|trillion|dozen)\b)?"
    r"(?:[ -]?(per cent|percentage points?|degrees (?:celsius|fahrenheit)|[a-z%°]+))?"
)
_GROUPS = ("near", "currency", "number", "scale", "unit")
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_SUFFIXES = {"k": 1e3, "mn": 1e6, "bn": 1e9, "m": 1e6, "b": 1e9}
_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "₹": "rupee"}
_SPELLINGS = """
percent: % percent|per cent|percentage point|percentage points; km: km kilometer kilometers kilometre kilometres
mile: mile miles; cm: cm centimeter centimeters centimetre centimetres; mm: mm millimeter millimeters millimetre
metre: m meter meters metre metres; foot: foot feet ft; inch: inch inches; kg: kg kilogram kilograms kilo kilos
mg: mg milligram milligrams; gram: g gram grams; tonne: tonne tonnes ton tons; pound: lb lbs pound pounds
litre: l liter liters litre litres; ml: ml milliliter milliliters millilitre millilitres
ms: ms millisecond milliseconds; second: second seconds sec secs; minute: minute minutes min mins
hour: hour hours hr hrs; day: day days; week: week weeks; month: month months; year: year years yr yrs
celsius: °c celsius|degrees celsius; fahrenheit: °f fahrenheit|degrees fahrenheit; dollar: dollar dollars usd
euro: euro euros eur; yen: yen jpy; rupee: rupee rupees inr; byte: byte bytes; kb: kb kilobyte kilobytes
mb: mb megabyte megabytes; gb: gb gigabyte gigabytes; watt: watt watts; kw: kw kilowatt kilowatts
mw: mw megawatt megawatts; volt: volt volts; hertz: hz hertz; mhz: mhz; ghz: ghz; acre: acre acres
hectare: hectare hectares ha
"""
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TO_NINE = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_ONES = _TO_NINE + _TEENS
_WORD_VALUES = {word: float(value) for value, word in enumerate(_ONES)}
_WORD_VALUES |= {word: 10.0 * value for value, word in enumerate(_TENS, 2)}
_PARTS = {"half": (0.5, 50.0), "quarter": (0.25, 25.0), "dozen": (12.0,), "decade": (10.0,), "century": (100.0,)}
_PARTS |= {"double": (2.0,), "triple": (3.0,), "twice": (2.0,), "pair": (2.0,), "couple": (2.0,), "hundred": (100.0,)}
_PARTS |= {"thousand": (1000.0,), "third": (33.0,), "fifth": (20.0,)}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_DATES = (
    rf"(?i)\b(?P<month>{_MONTH})\.? (?P<day>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<year>\d{{4}})\b",
    rf"(?i)\b(?P<day>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<month>{_MONTH})\.?,? (?P<year>\d{{4}})\b",
    r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b",
)


def find_numbers(texts: pl.Series) -> pl.DataFrame:
    """Every number in digits.

    Columns: ``row``; ``written``; ``plain``, the number, and ``value``, with its scale; ``unit``, one spelling for
    each, null where there is none; ``near``: whether a word like *about* stands before it.
    """
    parts = _occurrences(texts, _FOUND).select(
        "row",
        *(pl.col("written").str.extract(fast(_FOUND), number).alias(name) for number, name in enumerate(_GROUPS, 1)),
    )
    word = pl.col("unit").str.to_lowercase()
    suffix = pl.when(word.is_in(["k", "mn", "bn"]) | (pl.col("currency").is_not_null() & word.is_in(["m", "b"])))
    plain = pl.col("number").str.replace_all(",", "", literal=True).cast(pl.Float64())
    scale = pl.col("scale").str.to_lowercase().replace_strict(_SCALES, default=1.0, return_dtype=pl.Float64())
    suffixed = suffix.then(word.replace_strict(_SUFFIXES, default=1.0, return_dtype=pl.Float64())).otherwise(1.0)
    currency = pl.col("currency").str.strip_chars().replace_strict(_CURRENCIES, default=None, return_dtype=pl.String())
    unit = suffix.then(None).otherwise(word).replace_strict(_units(), default=None, return_dtype=pl.String())
    return parts.select(
        "row",
        pl.concat_str(
            pl.col("currency").fill_null(""), "number", pl.lit(" ") + pl.col("scale"), ignore_nulls=True
        ).alias("written"),
        plain.alias("plain"),
        (plain * scale * suffixed).alias("value"),
        pl.coalesce(currency, unit).alias("unit"),
        pl.col("near").is_not_null().alias("near"),
    )


def find_number_words(texts: pl.Series) -> pl.DataFrame:
    """Numbers in words: ``row``, ``written``, ``value``. *Three hundred and five* is one number."""
    found = _occurrences(texts, _number_words_pattern())
    values = pl.Series("value", [_value_of(written.lower()) for written in found["written"]], dtype=pl.Float64())
    return found.with_columns(values)


def find_implied_numbers(texts: pl.Series) -> pl.DataFrame:
    """What words such as *half*, *dozen* and *twice* say: ``row``, ``value``; *half* is 0.5 and 50 percent."""
    found = _occurrences(texts, rf"(?i)\b(?:{'|'.join(_PARTS)})s?\b")
    word = pl.col("written").str.to_lowercase().str.strip_suffix("s")
    said = word.replace_strict(_PARTS, default=None, return_dtype=pl.List(pl.Float64()))
    return found.select("row", said.alias("value")).explode("value").drop_nulls()


def find_dates(texts: pl.Series) -> pl.DataFrame:
    """Full dates: ``row``, ``written``, ``value`` as year, month and day in one number."""
    month = pl.col("month").str.to_lowercase().str.slice(0, 3)
    numbers = {name: number for number, name in enumerate(_MONTHS, 1)} | {f"{one:02}": one for one in range(1, 13)}
    frames = []
    for pattern in _DATES:
        found = _occurrences(texts, pattern)
        parts = found.with_columns(pl.col("written").str.extract_groups(fast(pattern)).struct.unnest())
        day = pl.col("year").cast(pl.Int64()) * 10_000 + pl.col("day").cast(pl.Int64())
        value = day + 100 * month.replace_strict(numbers, default=0, return_dtype=pl.Int64())
        frames.append(parts.select("row", "written", value.cast(pl.Float64()).alias("value")))
    return pl.concat(frames)


def _occurrences(texts: pl.Series, pattern: str) -> pl.DataFrame:
    found = pl.DataFrame({"written": texts.str.extract_all(fast(pattern))})
    found = found.with_columns(pl.Series("row", np.arange(len(texts), dtype=np.int64)))
    return found.filter(pl.col("written").list.len() > 0).explode("written")


@cache
def _units() -> dict[str, str]:
    units: dict[str, str] = {}
    for line in _SPELLINGS.strip().replace("\n", ";").split(";"):
        name, _, spellings = line.strip().partition(": ")
        first, *phrases = spellings.split("|")
        units |= dict.fromkeys([*first.split(), *phrases], name)
    return units


@cache
def _number_words_pattern() -> str:
    plain = "|".join(sorted([*_TENS, *_ONES], key=len, reverse=True))
    any_word = f"(?:{plain}|{'|'.join(_SCALES)})"
    return rf"(?i)\b(?:{plain})(?:(?:-| and | ){any_word})*\b"


@lru_cache(maxsize=10_000)
def _value_of(written: str) -> float:
    """The number that a sequence of number words says."""
    total = current = 0.0
    for word in written.replace("-", " ").split():
        if word in _SCALES and _SCALES[word] >= 1000:
            total, current = total + max(current, 1.0) * _SCALES[word], 0.0
        elif word in _SCALES:
            current = max(current, 1.0) * _SCALES[word]
        elif word != "and":
            current += _WORD_VALUES[word]
    return total + current
