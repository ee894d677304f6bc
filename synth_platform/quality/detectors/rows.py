"""A block of generations beside what they were made from, and word n-grams that belong to one row each."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, ngram_hashes, split_words
from synth_platform.languages import find_languages

_ROW_STEP = np.uint64(0xD6E8FEB86659FD93)
_BUCKETS = 1 << 20
_SOLUTION = (
    r"(?is)(?:\A|\n)[\s#*_]*(?:step-by-step )?"
    r"(?:(?:solution|answer|explanation)s?|l\u{f6}sung(?:sweg)?|soluci\u{f3}n|r\u{e9}ponse|respuesta|antwort)\b[\s*_]*:?(.*)\z"
)


@dataclass(frozen=True)
class Rows:
    """A block of generations.

    Args:
        frame: columns ``text``, ``source_text``, ``messages`` and ``metadata``, at least.
        computes: whether the answers may compute numbers that their sources do not have.
    """

    frame: pl.DataFrame
    computes: bool = False

    @property
    def height(self) -> int:
        """How many rows."""
        return self.frame.height

    @cached_property
    def texts(self) -> pl.Series:
        """The answers; an empty text where there is none."""
        return self.frame["text"].fill_null("")

    @cached_property
    def sources(self) -> pl.Series:
        """The texts that the prompts were made of."""
        return self.frame["source_text"].fill_null("")

    @cached_property
    def judged_texts(self) -> pl.Series:
        """What of each answer must come from its source: all of it, or of a worked problem what comes before the
        solution."""
        return self.texts.str.replace(_SOLUTION, "") if self.computes else self.texts

    @cached_property
    def solutions(self) -> pl.Series:
        """Of a worked problem, the solution; the whole answer where it is not marked."""
        return pl.select(pl.coalesce(self.texts.str.extract(_SOLUTION, 1), self.texts)).to_series()

    @cached_property
    def words(self) -> Words:
        """Words of the answers."""
        return split_words(self.texts)

    @cached_property
    def source_words(self) -> Words:
        """Words of the sources."""
        return split_words(self.sources)

    @cached_property
    def languages(self) -> pl.Series:
        """Languages of the answers."""
        return find_languages(self.texts, self.words)

    @cached_property
    def instructions(self) -> list[str]:
        """What the prompts say beside their sources, each text once."""
        pairs = zip(self.frame["messages"], self.sources, strict=True)
        return sorted({_beside(messages, source) for messages, source in pairs})

    def per_row(self, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum of weights (or count) by row, for places that belong to these rows."""
        return np.bincount(rows, weights, self.height)


@dataclass(frozen=True)
class Grams:
    """All word n-grams that lie within one row.

    Args:
        keys: uint64; equal for equal n-grams of the same row.
        first: number of each n-gram's first word in the block.
        row: row of each.
    """

    keys: np.ndarray
    first: np.ndarray
    row: np.ndarray


def row_grams(words: Words, n: int) -> Grams:
    """The word n-grams of every row."""
    keys = ngram_hashes(words.hashes, *range(1, n)) if n > 1 else words.hashes
    first = np.flatnonzero(words.text[: len(keys)] == words.text[n - 1 :]) if len(keys) else np.empty(0, np.int64)
    row = words.text[first]
    return Grams(of_row(keys[first], row), first, row)


def of_row(hashes: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Hashes that are equal only within the same row."""
    return hashes + row.astype(np.uint64) * _ROW_STEP


def are_in(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Whether each key is among the known ones. A table of buckets tells most that are not."""
    seen = np.zeros(_BUCKETS, bool)
    seen[(known & np.uint64(_BUCKETS - 1)).astype(np.int64)] = True
    found = seen[(keys & np.uint64(_BUCKETS - 1)).astype(np.int64)]
    maybe = np.flatnonzero(found)
    if len(maybe):
        ordered = np.sort(known)
        at = np.minimum(np.searchsorted(ordered, keys[maybe]), len(ordered) - 1)
        found[maybe] = ordered[at] == keys[maybe]
    return found


def repeated(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of keys that occur more than once, equal ones together in their order, and where each group begins."""
    bucket = (keys & np.uint64(_BUCKETS - 1)).astype(np.int64)
    places = np.flatnonzero(np.bincount(bucket, minlength=_BUCKETS)[bucket] > 1) if len(keys) else bucket
    places = places[np.argsort(keys[places], kind="stable")]
    ordered = keys[places]
    same = np.zeros(len(places) + 1, bool)
    same[1:-1] = ordered[1:] == ordered[:-1]
    several = same[1:] | same[:-1]
    starts = np.flatnonzero(~same[:-1][several])
    return places[several], starts


def _beside(messages: str | None, source: str) -> str:
    said = json.loads(messages) if messages else []
    text = "\n".join(str(message["content"]) for message in said)
    return text.replace(source, "\n") if source else text
