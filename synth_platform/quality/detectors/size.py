"""How long an answer is, and whether it stops in the middle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from synth_platform.quality.detectors.ends import find_cut_off
from synth_platform.quality.detectors.rows import Rows


def measure_size(rows: Rows) -> Mapping[str, Any]:
    """``characters``, ``words``, ``length_ratio`` to the source in characters, and ``cut_off``."""
    text = rows.texts
    characters = text.str.len_chars()
    return {
        "characters": characters.cast(pl.Int64()),
        "words": np.diff(rows.words.bounds),
        "length_ratio": characters / rows.sources.str.len_chars().clip(lower_bound=1),
        "cut_off": find_cut_off(text, rows.sources),
    }
