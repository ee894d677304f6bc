"""The numbers of texts, in digits or words, with their scale and unit."""

import re
from functools import cache, lru_cache

import numpy as np
import polars as pl

from synth_platform.patterns import fast
from synth_platform.quality.detectors.units import CURRENCIES, phrases, spellings

_NUMBER = r"\d{1,3}(?:[,\x{202f}\x{a0} ]\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:[.,]\d+)?"
"""1,000.5 and 1 000.5, then 1.000,5, then 1000.5 and 1000,5."""
_NEAR = "about|approximately|nearly|almost|around|roughly|over|some|more than|less than|under|up to|at least"
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "dozen": 12.0}
_SCALES |= {"millionen": 1e6, "millones": 1e6, "millions": 1e6, "milliarden": 1e9, "mil": 1e3, "mille": 1e3}
_SUFFIXES = {"k": 1e3, "mn": 1e6, "bn": 1e9, "m": 1e6, "b": 1e9}
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_TO_NINE = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_ONES = _TO_NINE + _TEENS
_WORD_VALUES = {word: float(value) for value, word in enumerate(_ONES)}
_WORD_VALUES |= {word: 10.0 * value for value, word in enumerate(_TENS, 2)}
_PARTS = {"half": (0.5, 50.0), "quarter": (0.25, 25.0), "third": (33.0, 3.0), "fifth": (20.0, 5.0)}
_PARTS |= {"double": (2.0,), "triple": (3.0,), "twice": (2.0,), "pair": (2.0,), "couple": (2.0,), "hundred": (100.0,)}
_PARTS |= {"thousand": (1000.0,), "dozen": (12.0,), "decade": (10.0,), "century": (100.0,), "million": (1e6,)}
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh")
_ORDINALS += ("twelfth", *(f"{word}th" for word in _TEENS[3:]))
_TENTHS = {f"{word[:-1]}ieth": 10.0 * value for value, word in enumerate(_TENS, 2)}


def find_numbers(texts: pl.Series) -> pl.DataFrame:
    """Every number, in digits or in words.

    Columns: ``row``; ``written``; ``plain``, the number, and ``value``, with its scale; ``other``: what it is where the
    point is a comma; ``unit``, one spelling for each, null where there is none; ``next``: the word after it; ``near``:
    whether a word like *about* stands before it; ``words``: whether it is in words.
    """
    digits = _occurrences(texts, _digits_pattern())
    parts = [pl.col("written").str.extract(_digits_pattern(), number).alias(name) for number, name in _GROUPS.items()]
    digits = digits.select("row", *parts).with_columns(pl.lit(False).alias("words"))
    words = _occurrences(texts, _words_pattern())
    spelled = pl.col("written").str.extract(_words_pattern(), 1).alias("number")
    unit = pl.col("written").str.extract(_words_pattern(), 2).alias("unit")
    words = words.select("row", spelled, unit).with_columns(
        pl.Series("value", [_value_of(one.lower()) for one in words.select(spelled)["number"]], dtype=pl.Float64())
    )
    return pl.concat([_from_digits(digits), _from_words(words)])


def find_implied_numbers(texts: pl.Series) -> pl.DataFrame:
    """What words such as *half*, *dozen*, *thirtieth* and hours of the afternoon say: ``row``, ``value``."""
    found = _occurrences(texts, fast(rf"(?i)\b(?:{'|'.join(_implied())})s?\b"))
    word = pl.col("written").str.to_lowercase()
    bare = pl.coalesce(
        word.replace_strict(_implied(), default=None, return_dtype=pl.List(pl.Float64())),
        word.str.strip_suffix("s").replace_strict(_implied(), default=None, return_dtype=pl.List(pl.Float64())),
    )
    said = found.select("row", bare.alias("value")).explode("value").drop_nulls()
    times = _occurrences(texts, fast(r"(?i)\b\d{1,2}(?:[:.]\d{2})? ?p\.?m\b"))
    hour = pl.col("written").str.extract(r"^(\d+)", 1).cast(pl.Float64()) + 12
    return pl.concat([said, times.select("row", hour.alias("value"))])


_GROUPS = {1: "near", 2: "currency", 3: "number", 4: "scale", 5: "unit"}


def _from_digits(parts: pl.DataFrame) -> pl.DataFrame:
    word = pl.col("unit").str.to_lowercase()
    suffix = pl.when(word.is_in(["k", "mn", "bn"]) | (pl.col("currency").is_not_null() & word.is_in(["m", "b"])))
    scale = pl.col("scale").str.to_lowercase().replace_strict(_SCALES, default=1.0, return_dtype=pl.Float64())
    suffixed = suffix.then(word.replace_strict(_SUFFIXES, default=1.0, return_dtype=pl.Float64())).otherwise(1.0)
    currency = pl.col("currency").str.strip_chars().replace_strict(CURRENCIES, default=None, return_dtype=pl.String())
    unit = suffix.then(None).otherwise(word).replace_strict(spellings(), default=None, return_dtype=pl.String())
    factor = scale * suffixed
    return parts.select(
        "row",
        pl.concat_str(pl.col("currency").fill_null(""), "number", (pl.lit(" ") + pl.col("scale")).fill_null("")).alias(
            "written"
        ),
        _english().alias("plain"),
        (_english() * factor).round(6).alias("value"),
        (_continental() * factor).round(6).alias("other"),
        pl.coalesce(currency, unit).alias("unit"),
        word.alias("next"),
        pl.col("near").is_not_null().alias("near"),
        "words",
    )


def _from_words(words: pl.DataFrame) -> pl.DataFrame:
    unit = pl.col("unit").str.to_lowercase().replace_strict(spellings(), default=None, return_dtype=pl.String())
    value = pl.col("value")
    return words.select(
        "row",
        pl.col("number").alias("written"),
        value.alias("plain"),
        value,
        value.alias("other"),
        unit.alias("unit"),
        pl.col("unit").str.to_lowercase().alias("next"),
        pl.lit(False).alias("near"),
        pl.lit(True).alias("words"),
    )


def _english() -> pl.Expr:
    """The number where a point is a point; 1.000.000 can only be a million."""
    spaced = pl.col("number").str.replace_all(r"[\x{202f}\x{a0} ]", "")
    dots = spaced.str.count_matches(r"\.") > 1
    plain = pl.when(dots).then(spaced.str.replace_all(".", "", literal=True)).otherwise(spaced)
    thousands = plain.str.contains(r"^\d{1,3}(?:,\d{3})+(?:\.|$)")
    as_written = (
        pl.when(thousands)
        .then(plain.str.replace_all(",", "", literal=True))
        .otherwise(plain.str.replace(",", ".", literal=True))
    )
    return as_written.cast(pl.Float64(), strict=False)


def _continental() -> pl.Expr:
    """The number where a comma is the point."""
    spaced = pl.col("number").str.replace_all(r"[\x{202f}\x{a0} ]", "")
    grouped = spaced.str.contains(r"^\d{1,3}(?:\.\d{3})+(?:,|$)")
    plain = pl.when(grouped).then(spaced.str.replace_all(".", "", literal=True)).otherwise(spaced)
    commas = plain.str.count_matches(",") > 1
    plain = pl.when(commas).then(plain.str.replace_all(",", "", literal=True)).otherwise(plain)
    return plain.str.replace(",", ".", literal=True).cast(pl.Float64(), strict=False).fill_null(_english())


def _occurrences(texts: pl.Series, pattern: str) -> pl.DataFrame:
    found = pl.DataFrame({"written": texts.str.extract_all(pattern)})
    found = found.with_columns(pl.Series("row", np.arange(len(texts), dtype=np.int64)))
    return found.filter(pl.col("written").list.len() > 0).explode("written")


def _unit_pattern() -> str:
    known = "|".join(re.escape(phrase) for phrase in phrases())
    return rf"({known}|[\p{{L}}]+)"


@cache
def _digits_pattern() -> str:
    unit = _unit_pattern()
    scales = "|".join(sorted(_SCALES, key=len, reverse=True))
    return fast(rf"(?i)(?:(\b(?:{_NEAR})\s|~\s?))?([$€£¥₹]\s?)?({_NUMBER})(?:[\s-]?({scales})\b)?(?:[ -]?{unit})?")


@cache
def _words_pattern() -> str:
    tens, ones, nine = ("|".join(sorted(some, key=len, reverse=True)) for some in (_TENS, _ONES, _TO_NINE))
    group = f"(?:(?:{tens})(?:[- ](?:{nine}))?|{ones})"
    larger = "(?:hundred|thousand|million|billion|trillion)"
    # "Three hundred and five" is one number, "between three and four" are two.
    number = f"{group}(?:[- ]{larger}(?:(?: and)?[- ]{group})?)*(?:[- ]{larger})*"
    return fast(rf"(?i)\b({number})\b(?:[ -]{_unit_pattern()})?")


@cache
def _implied() -> dict[str, list[float]]:
    ordinals = {word: [float(number)] for number, word in enumerate(_ORDINALS, 1)}
    parts = {word: list(values) for word, values in _PARTS.items()}
    return ordinals | {word: [value] for word, value in _TENTHS.items()} | parts


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
