"""Dates of texts, in English, German, French and Spanish: with day, month and year, or two of them."""

from functools import cache

import numpy as np
import polars as pl

from synth_platform.patterns import fast

_MONTHS = """
jan january januar janvier enero; feb february februar février fevrier febrero; mar march märz mars marzo
apr april avril abril; may mai mayo; jun june juni juin junio; jul july juli juillet julio; aug august août aout agosto
sep sept september septembre septiembre; oct october oktober octobre octubre okt
nov november novembre noviembre; dec december dezember décembre decembre diciembre dez
"""
_DAY = r"(\d{1,2})(?:st|nd|rd|th|er|\.)?"
_YEAR = r"(\d{4})"
_DAY_MONTH, _MONTH_DAY, _MONTH_YEAR, _ISO, _DOTTED = "day month", "month day", "month year", "iso", "dotted"


def find_dates(texts: pl.Series) -> pl.DataFrame:
    """Dates: ``row``, ``written``, ``year``, ``month``, ``day``; year or day is 0 where it is not given."""
    return pl.concat([_find(texts, shape) for shape in _patterns()])


def without_dates(texts: pl.Series) -> pl.Series:
    """Texts without dates that are written in digits only."""
    for shape in (_ISO, _DOTTED):
        texts = texts.str.replace_all(_patterns()[shape][0], " ")
    return texts


def said(dates: pl.DataFrame) -> pl.DataFrame:
    """What each date says as one number, ``value``: as much as is given."""
    return dates.with_columns(_number().alias("value"))


def implied(dates: pl.DataFrame) -> pl.DataFrame:
    """Everything that dates imply: 3 March 1999 is a 3 March, and in March 1999."""
    without_year = dates.with_columns(pl.lit(0, pl.Int64()).alias("year"))
    without_day = dates.with_columns(pl.lit(0, pl.Int64()).alias("day"))
    return pl.concat([said(one) for one in (dates, without_year, without_day)])


def _number() -> pl.Expr:
    return (pl.col("year") * 10_000 + pl.col("month") * 100 + pl.col("day")).cast(pl.Float64())


def _find(texts: pl.Series, shape: str) -> pl.DataFrame:
    pattern, groups = _patterns()[shape]
    found = pl.DataFrame({"written": texts.str.extract_all(pattern)})
    found = found.with_columns(pl.Series("row", np.arange(len(texts), dtype=np.int64)))
    found = found.filter(pl.col("written").list.len() > 0).explode("written")
    parts = [_part(pattern, groups.index(name) + 1, name) for name in ("year", "month", "day") if name in groups]
    missing = [pl.lit(0, pl.Int64()).alias(name) for name in ("year", "month", "day") if name not in groups]
    if "more" in groups:  # May 1.5 million
        found = found.filter(pl.col("written").str.extract(pattern, groups.index("more") + 1).is_null())
    return found.select("row", "written", *parts, *missing).select("row", "written", "year", "month", "day")


def _part(pattern: str, group: int, name: str) -> pl.Expr:
    text = pl.col("written").str.extract(pattern, group)
    if name == "month":
        number = text.str.to_lowercase().replace_strict(_month_numbers(), default=0, return_dtype=pl.Int64())
    else:
        number = text.cast(pl.Int64(), strict=False)
    return number.fill_null(0).alias(name)


@cache
def _month_numbers() -> dict[str, int]:
    lists = _MONTHS.strip().replace("\n", ";").split(";")
    named = {spelling: number for number, some in enumerate(lists, 1) for spelling in some.split()}
    return (
        named | {f"{number:02}": number for number in range(1, 13)} | {str(number): number for number in range(1, 13)}
    )


@cache
def _patterns() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Pattern of each shape, and what its groups are."""
    months = "|".join(sorted((one for one in _month_numbers() if one.isalpha()), key=len, reverse=True))
    month = rf"({months})\b\.?"
    shapes = {
        _DAY_MONTH: (rf"(?i)\b{_DAY} (?:of |de )?{month}(?:,? (?:de |del )?{_YEAR}\b)?", ("day", "month", "year")),
        _MONTH_DAY: (
            rf"(?i)\b{month} (\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? {_YEAR}\b)?([.,]\d)?",
            ("month", "day", "year", "more"),
        ),
        _MONTH_YEAR: (rf"(?i)\b{month},? (?:of |de |del )?{_YEAR}\b", ("month", "year")),
        _ISO: (r"\b(\d{4})-(\d{2})-(\d{2})\b", ("year", "month", "day")),
        _DOTTED: (r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b", ("day", "month", "year")),
    }
    return {name: (fast(pattern), groups) for name, (pattern, groups) in shapes.items()}
