"""Faithfulness to the source: numbers, quantities, dates and names that the source lacks, or that are lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from synth_platform.contamination.words import split_words
from synth_platform.patterns import fast
from synth_platform.quality.detectors.dates import find_dates, implied, said, without_dates
from synth_platform.quality.detectors.names import find_names, without_titles
from synth_platform.quality.detectors.numerals import find_implied_numbers, find_numbers
from synth_platform.quality.detectors.rows import Rows, are_in, of_row
from synth_platform.quality.detectors.units import bases

_STRUCTURE = (
    r"(?im)^[ \t>*#|-]*\d{1,3}[.):]\**\s|\b(?:step|question|answer|part|chapter|section|figure|example|item|schritt"
    r"|étape|paso)\s?#?\d+\b|^[ \t>*#|-]*[qa]\d+\b"
)
"""Numbers that only count the parts of an answer."""
_NOUNS_HAVE_CAPITALS = ("de", "lb")
"""Languages in which a capital is no sign of a name."""
_RANGE_WORDS = ("to", "and", "or", "bis", "und", "a", "à", "et", "y")
_FUNCTION_WORDS = frozenset(
    (
        "to and or of in on at by for from with as is was were are the a an that which who when where while but than if"
        " so per times more less between after before since until had has"
        " bis und oder im am et ou de du en y o que se"
    ).split()
)
"""Words after a number that are not what it counts."""
_SMALL = 10.0
_NEARLY = 0.1
_SHOWN = 5


@dataclass(frozen=True)
class _Compared:
    """How many things of a kind each row states, invents and loses, and what was invented."""

    stated: np.ndarray
    invented: np.ndarray
    lost: np.ndarray
    of_source: np.ndarray
    examples: pl.DataFrame


def measure_faithfulness(rows: Rows) -> Mapping[str, Any]:
    """Counts per row.

    ``numbers`` that are stated, ``invented_numbers`` that the source does not have, ``lost_numbers`` of the source that
    the answer does not have, out of ``source_numbers``. ``names``, ``invented_names``, ``lost_names`` and
    ``source_names``: the same for capitalised words that are no titles and begin no sentence. ``invented_dates``: dates
    that the source does not give. ``changed_units``: numbers of the source with a unit that they do not have there.
    ``invented``: what was invented, the first few.

    Whole numbers up to ten without a unit are not judged, nor those that only count steps or questions. Numbers in
    words, with a scale (3 million), in another metric unit, or rounded (about 3,000 for 2,987) are the same numbers.
    """
    texts = rows.judged_texts.str.replace_all(fast(_STRUCTURE), " ")
    answer, source = find_numbers(without_dates(texts)), find_numbers(rows.sources)
    source_dates = find_dates(rows.sources)
    numbers, names = _numbers(rows, answer, source, source_dates, texts), _names(rows)
    dates = _missing(said(find_dates(texts)), implied(source_dates))
    units = _changed_units(answer, source)
    examples = pl.concat([numbers.examples, names.examples, dates, units])
    return {
        "numbers": numbers.stated,
        "invented_numbers": numbers.invented,
        "lost_numbers": numbers.lost,
        "source_numbers": numbers.of_source,
        "names": names.stated,
        "invented_names": names.invented,
        "lost_names": names.lost,
        "source_names": names.of_source,
        "invented_dates": rows.per_row(dates["row"].to_numpy()).astype(np.int64),
        "changed_units": rows.per_row(units["row"].to_numpy()).astype(np.int64),
        "invented": _first_of_each(rows, examples),
    }


def _numbers(
    rows: Rows, answer: pl.DataFrame, source: pl.DataFrame, dates: pl.DataFrame, texts: pl.Series
) -> _Compared:
    parts = [pl.col(part).cast(pl.Float64()).alias("value") for part in ("year", "month", "day")]
    columns = ("value", "plain", "other")
    known = _keys(
        pl.concat(
            [
                *(source.select("row", pl.col(name).alias("value")) for name in columns),
                *(dates.select("row", part) for part in parts),
                find_implied_numbers(rows.sources),
            ]
        )
    )
    small = (pl.col("value") <= _SMALL) & (pl.col("value") % 1 == 0)
    judged = answer.filter(~small | (pl.col("unit").is_not_null() & ~pl.col("words")))
    there = [are_in(_keys(judged.select("row", pl.col(name).alias("value"))), known) for name in ("value", "other")]
    missing = judged.filter(~pl.Series(there[0] | there[1], dtype=pl.Boolean()))
    missing = missing.filter(~_nearly_known(missing, source) & ~_converted(missing, source))
    stated = np.concatenate([_keys(answer.select("row", pl.col(name).alias("value"))) for name in columns])
    stated = np.concatenate([stated, _keys(find_implied_numbers(texts))])
    distinct = source.filter(~small).select("row", "value").unique(maintain_order=True)
    lost = distinct.filter(~pl.Series(are_in(_keys(distinct), stated), dtype=pl.Boolean()))
    return _compared(rows, judged, missing, lost, distinct)


def _nearly_known(missing: pl.DataFrame, source: pl.DataFrame) -> pl.Series:
    """Which numbers that are said to be approximate, and are round, are close to one of the source."""
    scale = 10.0 ** (pl.col("value").abs().clip(lower_bound=1e-9).log10().floor() - 1)
    round_number = (pl.col("value") / scale - (pl.col("value") / scale).round()).abs() < 1e-6
    near = missing.with_row_index("place").filter(pl.col("near") & round_number)
    pairs = near.join(source.select("row", pl.col("value").alias("known")), on="row")
    close = pairs.filter((pl.col("value") - pl.col("known")).abs() <= _NEARLY * pl.col("known").abs())
    return _at(close["place"], missing.height)


def _converted(missing: pl.DataFrame, source: pl.DataFrame) -> pl.Series:
    """Which quantities the source has in another unit of the same kind."""
    here, there = (_in_base(frame) for frame in (missing.with_row_index("place"), source.with_row_index("place")))
    pairs = here.join(there.select("row", "base", pl.col("amount").alias("known")), on=["row", "base"])
    same = pairs.filter((pl.col("amount") - pl.col("known")).abs() <= 1e-6 * pl.col("known").abs())
    return _at(same["place"], missing.height)


def _in_base(frame: pl.DataFrame) -> pl.DataFrame:
    factors = {unit: factor for unit, (factor, _) in bases().items()}
    names = {unit: base for unit, (_, base) in bases().items()}
    base = pl.col("unit").replace_strict(names, default=None, return_dtype=pl.String())
    factor = pl.col("unit").replace_strict(factors, default=None, return_dtype=pl.Float64())
    return frame.with_columns(base.alias("base"), (pl.col("value") * factor).alias("amount")).drop_nulls("base")


def _at(places: pl.Series, height: int) -> pl.Series:
    found = np.zeros(height, bool)
    found[places.to_numpy()] = True
    return pl.Series(found)


def _missing(answer: pl.DataFrame, source: pl.DataFrame) -> pl.DataFrame:
    if answer.is_empty():
        return answer.select("row", "written")
    known = are_in(_keys(answer), _keys(source)) if source.height else np.zeros(answer.height, bool)
    return answer.filter(~pl.Series(known)).select("row", "written")


def _changed_units(answer: pl.DataFrame, source: pl.DataFrame) -> pl.DataFrame:
    """Numbers with a unit that they do not have in the source: they have another, or count something there."""
    source = source.with_columns(_unit_of_range().alias("unit"))
    values = pl.concat(
        [source.select("row", pl.col(name).alias("value"), "unit", "next") for name in ("value", "other")]
    )
    nothing = pl.col("unit").is_null() & (pl.col("next").is_null() | pl.col("next").is_in(list(_FUNCTION_WORDS)))
    there = values.filter(~nothing).select("row", "value", pl.col("unit").alias("known"))
    here = answer.filter(pl.col("unit").is_not_null()).with_row_index("place")
    here = here.filter(~_converted(here.drop("place"), source))
    pairs = here.join(there, on=["row", "value"])
    alike = pairs.group_by("place").agg(
        (pl.col("unit") == pl.col("known")).any().alias("same"), pl.col("known").is_not_null().any().alias("measured")
    )
    # A number that the source has without anything may stand for anything, unless it has a unit there as well.
    bare = values.filter(nothing).select("row", "value").unique()
    other = here.join(alike.filter(~pl.col("same").fill_null(False) & pl.col("measured")), on="place", how="semi")
    counted = here.join(alike.filter(~pl.col("measured")), on="place", how="semi")
    counted = counted.join(bare, on=["row", "value"], how="anti")
    changed = pl.concat([other, counted]).sort("place")
    return changed.select("row", (pl.col("written") + " " + pl.col("unit")).alias("written"))


def _unit_of_range() -> pl.Expr:
    """The unit of each number; of *12* in *12 to 18 km* that of the 18."""
    following = pl.col("unit").shift(-1).over("row")
    opens = pl.col("unit").is_null() & pl.col("next").is_in(list(_RANGE_WORDS)) & ~pl.col("words")
    return pl.when(opens).then(following).otherwise(pl.col("unit"))


def _names(rows: Rows) -> _Compared:
    texts = without_titles(rows.judged_texts)
    nouns = rows.languages.is_in(list(_NOUNS_HAVE_CAPITALS)).fill_null(False)
    english = (rows.languages == "en").fill_null(True)
    answer = find_names(pl.select(pl.when(nouns).then(pl.lit("")).otherwise(texts)).to_series(), english)
    missing = answer.filter(~_words_in(answer, rows.source_words))
    source = find_names(rows.sources, english).unique(maintain_order=True)
    lost = source.filter(~_words_in(source, rows.words))
    return _compared(rows, answer, missing, lost, source)


def _words_in(found: pl.DataFrame, known: Any) -> pl.Series:
    """Whether every part of each name (Anna-Marie has two) is among the words of its row, or their stems."""
    words = split_words(found["written"])
    row = found["row"].to_numpy()[words.text] if found.height else words.text
    there = np.zeros(len(words.hashes), bool)
    for mine, theirs in ((words.hashes, known.hashes), (words.stems, known.stems)):
        if len(mine):
            there |= are_in(of_row(mine, row), of_row(theirs, known.text))
    return pl.Series(np.bincount(words.text[~there], minlength=found.height) == 0, dtype=pl.Boolean())


def _keys(found: pl.DataFrame) -> np.ndarray:
    values = found["value"].fill_null(float("nan")).to_numpy().astype(np.float64)
    return of_row(values.view(np.uint64), found["row"].to_numpy())


def _compared(
    rows: Rows, judged: pl.DataFrame, missing: pl.DataFrame, lost: pl.DataFrame, source: pl.DataFrame
) -> _Compared:
    counts = [rows.per_row(frame["row"].to_numpy()).astype(np.int64) for frame in (judged, missing, lost, source)]
    return _Compared(counts[0], counts[1], counts[2], counts[3], missing.select("row", "written"))


def _first_of_each(rows: Rows, examples: pl.DataFrame) -> pl.Series:
    first = examples.group_by("row", maintain_order=True).agg(
        pl.col("written").unique(maintain_order=True).head(_SHOWN)
    )
    every = pl.DataFrame({"row": np.arange(rows.height, dtype=np.int64)})
    listed = every.join(first, on="row", how="left", maintain_order="left")["written"]
    return listed.fill_null(pl.Series([[]], dtype=pl.List(pl.String())))
