"""How long an answer is, and whether it stops in the middle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from synth_platform.quality.detectors.rows import Rows

_OPEN_END = r"[\p{L},;:\-\u2013(\[]\s*\z"
_CLOSED_LINE = (
    r"(?:^|\n)[ \t]*(?:[#|>*\-+]|\d{1,3}[.)]|(?i:final answer|answer|a|question|q|\**[\w ]{1,24}\**)\s*:)[^\n]*\z"
)
_SENTENCE_WORDS = 8


def measure_size(rows: Rows) -> Mapping[str, Any]:
    """``characters``, ``words``, ``length_ratio`` to the source in characters, and ``cut_off``.

    An answer is cut off when its last line is a sentence of eight words and more that ends with a letter, a comma or an
    opened bracket; headings, list items, table rows and labelled lines may end so.
    """
    text = rows.texts
    characters = text.str.len_chars()
    last = text.str.strip_chars_end().str.extract(r"([^\n]*)\z", 1)
    open_end = last.str.contains(_OPEN_END) & ~last.str.contains(_CLOSED_LINE)
    long_enough = last.str.count_matches(r"\S+") >= _SENTENCE_WORDS
    return {
        "characters": characters.cast(pl.Int64()),
        "words": np.diff(rows.words.bounds),
        "length_ratio": characters / rows.sources.str.len_chars().clip(lower_bound=1),
        "cut_off": open_end & long_enough,
    }
