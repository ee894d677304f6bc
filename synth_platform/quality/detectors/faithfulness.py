"""Faithfulness to the source: numbers, quantities, dates and names that the source lacks, or that are lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from synth_platform.contamination.weights import common_words
from synth_platform.contamination.words import split_words
from synth_platform.patterns import fast
from synth_platform.quality.detectors.numerals import (
    find_dates,
    find_implied_numbers,
    find_number_words,
    find_numbers,
)
from synth_platform.quality.detectors.rows import Rows, are_in, of_row

_STRUCTURE = (
    r"(?im)^[ \t>*#|-]*\d{1,3}[.):]\s|\b(?:step|question|answer|part|chapter|section|figure|example|item|q|a)\s?#?\d+\b"
)
"""Numbers that only count the parts of an answer."""
_NAME = r"[\p{Ll}\p{N},;)] (\p{Lu}[\p{L}\p{N}'\u2019-]+)"
_CELL_NAME = r"[^|\s] *\| *\**(\p{Lu}[\p{L}'\u2019-]+)"
"""The first word of a cell that is not the first of its row."""
_HEADER = r"(?m)^[^\n]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-{2,}[-:| \t]*$"
"""The first two lines of a table."""
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
    ``source_names``: the same for capitalised words inside sentences. ``invented_dates``: full dates that the source
    does not give. ``changed_units``: numbers of the source with a unit that they do not have there. ``invented``: what
    was invented, the first few.

    Whole numbers up to ten without a unit are not judged, nor those that only count steps or questions. Numbers in
    words, with a scale (3 million) or rounded (about 3,000 for 2,987) are the same numbers.
    """
    texts = rows.judged_texts.str.replace_all(fast(_STRUCTURE), " ")
    answer, source = find_numbers(texts), find_numbers(rows.sources)
    numbers, names = _numbers(rows, texts, answer, source), _names(rows)
    dates = _missing(find_dates(texts), find_dates(rows.sources))
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


def _numbers(rows: Rows, texts: pl.Series, answer: pl.DataFrame, source: pl.DataFrame) -> _Compared:
    words, source_words = find_number_words(texts), find_number_words(rows.sources)
    known = _keys(
        pl.concat(
            [
                source.select("row", "value"),
                source.select("row", pl.col("plain").alias("value")),
                source_words.select("row", "value"),
                find_implied_numbers(rows.sources),
            ]
        )
    )
    small = (pl.col("value") <= _SMALL) & (pl.col("value") % 1 == 0)
    judged = pl.concat(
        [
            answer.filter(~small | pl.col("unit").is_not_null()).select("row", "written", "value", "near"),
            words.filter(pl.col("value") > _SMALL).select("row", "written", "value", pl.lit(False).alias("near")),
        ]
    )
    missing = judged.filter(~pl.Series(are_in(_keys(judged), known), dtype=pl.Boolean()))
    missing = missing.filter(~_nearly_known(missing, source))
    stated = np.concatenate([_keys(answer), _keys(words)])
    distinct = source.filter(~small).select("row", "value").unique(maintain_order=True)
    lost = distinct.filter(~pl.Series(are_in(_keys(distinct), stated), dtype=pl.Boolean()))
    return _compared(rows, judged, missing, lost, distinct)


def _nearly_known(missing: pl.DataFrame, source: pl.DataFrame) -> pl.Series:
    """Which numbers that are said to be approximate are close to one of the source."""
    near = missing.with_row_index("place").filter(pl.col("near"))
    pairs = near.join(source.select("row", pl.col("value").alias("other")), on="row")
    close = pairs.filter((pl.col("value") - pl.col("other")).abs() <= _NEARLY * pl.col("other").abs())
    found = np.zeros(missing.height, bool)
    found[close["place"].to_numpy()] = True
    return pl.Series(found)


def _missing(answer: pl.DataFrame, source: pl.DataFrame) -> pl.DataFrame:
    if answer.is_empty():
        return answer.select("row", "written")
    known = are_in(_keys(answer), _keys(source)) if source.height else np.zeros(answer.height, bool)
    return answer.filter(~pl.Series(known)).select("row", "written")


def _changed_units(answer: pl.DataFrame, source: pl.DataFrame) -> pl.DataFrame:
    """Numbers with a unit, of a value that the source only has with other units."""
    there = source.filter(pl.col("unit").is_not_null()).select("row", "value", pl.col("unit").alias("other"))
    here = answer.filter(pl.col("unit").is_not_null()).with_row_index("place")
    pairs = here.join(there, on=["row", "value"])
    alike = pairs.group_by("place").agg((pl.col("unit") == pl.col("other")).any().alias("same"))
    # A number that the source also has without a unit may stand for anything.
    bare = source.filter(pl.col("unit").is_null()).select("row", "value").unique()
    changed = here.join(alike.filter(~pl.col("same")), on="place", how="semi").join(
        bare, on=["row", "value"], how="anti"
    )
    return changed.sort("place").select("row", (pl.col("written") + " " + pl.col("unit")).alias("written"))


def _names(rows: Rows) -> _Compared:
    texts = rows.judged_texts.str.replace_all(_HEADER, "")
    inside, cells = _capitals(texts, _NAME), _capitals(texts, _CELL_NAME)
    # The first word of a cell may be any word with a capital: only rare ones are names.
    answer = pl.concat([inside, cells.filter(~pl.col("written").str.to_lowercase().is_in(list(common_words())))])
    known = of_row(rows.source_words.stems, rows.source_words.text)
    missing = answer.filter(~pl.Series(_words_in(answer, known), dtype=pl.Boolean()))
    source = _capitals(rows.sources, _NAME).unique(maintain_order=True)
    said = of_row(rows.words.stems, rows.words.text)
    lost = source.filter(~pl.Series(_words_in(source, said), dtype=pl.Boolean()))
    return _compared(rows, answer, missing, lost, source)


def _capitals(texts: pl.Series, pattern: str) -> pl.DataFrame:
    found = pl.DataFrame({"written": texts.str.extract_all(pattern)})
    found = found.with_columns(pl.Series("row", np.arange(len(texts), dtype=np.int64)))
    found = found.filter(pl.col("written").list.len() > 0).explode("written")
    return found.select("row", pl.col("written").str.extract(r"(\p{Lu}[\p{L}\p{N}'\u2019-]+)$", 1))


def _words_in(found: pl.DataFrame, known: np.ndarray) -> np.ndarray:
    """Whether every part of each name (Anna-Marie has two) is among the known stems of its row."""
    words = split_words(found["written"])
    row = found["row"].to_numpy()[words.text] if found.height else words.text
    there = are_in(of_row(words.stems, row), known) if len(words.hashes) else np.empty(0, bool)
    return np.bincount(words.text[~there], minlength=found.height) == 0


def _keys(found: pl.DataFrame) -> np.ndarray:
    return of_row(found["value"].to_numpy().astype(np.float64).view(np.uint64), found["row"].to_numpy())


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
