"""The language of an answer and of its source."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, split_words
from synth_platform.languages import detect_language
from synth_platform.quality.detectors.rows import Rows

_ENGLISH = "the and of to that with for are this from was were which their have has not"
_ENGLISH_SHARE = 0.12
_LEAST_LETTERS = 60
_LEAST_SCORE = 0.75
_EXCERPT = 400


def measure_language(rows: Rows) -> Mapping[str, Any]:
    """``language`` and ``source_language``: codes as in ISO 639; null where there is too little text to tell.

    Texts with many English function words are English; only the others are looked at by a model.
    """
    return {
        "language": _languages(rows.texts, rows.words),
        "source_language": _languages(rows.sources, rows.source_words),
    }


def _languages(texts: pl.Series, words: Words) -> pl.Series:
    count = np.diff(words.bounds)
    english = np.bincount(words.text[np.isin(words.hashes, _english())], minlength=len(texts))
    plain = english >= np.maximum(_ENGLISH_SHARE * count, 3)
    found = ["en" if sure else _detect(text) for sure, text in zip(plain, texts, strict=True)]
    return pl.Series(found, dtype=pl.String())


def _detect(text: str) -> str | None:
    letters = "".join(part if part.isalpha() else " " for part in text[: 4 * _EXCERPT])
    letters = " ".join(letters.split())[:_EXCERPT]
    if len(letters) < _LEAST_LETTERS:
        return None
    code, score = detect_language(letters)
    return code if score >= _LEAST_SCORE else None


@cache
def _english() -> np.ndarray:
    return split_words([_ENGLISH]).hashes
