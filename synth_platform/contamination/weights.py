"""How much a word says: its rarity in English and among the test items, in nats."""

from functools import cache
from pathlib import Path

import numpy as np

from synth_platform.contamination.words import split_words

_BACKGROUND_TEXTS = 5_000
"""The background's say, in texts of the size of a test item."""
_WORDS_PER_TEXT = 50
_TOP_SHARE = 0.08
"""Share of the commonest English word; the one of rank r has this over r (Zipf)."""
_CODE_TEXTS = 20
_RARE = 5e-4
"""Chance that a text has a given word that is not among the common ones."""


class Weights:
    """Information of words: the negative log of the share of texts that have them.

    The texts are the test items and, so that few items do not make every word look rare, as many texts of plain
    English as if the common words' ranks were counts (Zipf's law).

    Args:
        vocabulary: distinct word hashes, ascending.
        counts: texts that have each.
        texts: number of texts.
        english: the words are of plain language; else, of code, no word is known to be common or rare.
    """

    def __init__(self, vocabulary: np.ndarray, counts: np.ndarray, texts: int, english: bool = True) -> None:
        if not english:
            self._known = vocabulary
            self._weights = np.log((texts + _CODE_TEXTS) / (counts + 0.5))
            self._unknown = float(np.log((texts + _CODE_TEXTS) / 0.5))
            return
        common, chance = _background()
        known = np.union1d(vocabulary, common)
        expected = np.full(len(known), _RARE)
        expected[np.searchsorted(known, common)] = chance
        seen = np.zeros(len(known))
        seen[np.searchsorted(known, vocabulary)] = counts
        share = (seen + _BACKGROUND_TEXTS * expected) / (texts + _BACKGROUND_TEXTS)
        self._known = known
        self._weights = -np.log(np.minimum(share, 0.98))
        self._unknown = -np.log(_RARE * _BACKGROUND_TEXTS / (texts + _BACKGROUND_TEXTS))

    def of(self, hashes: np.ndarray) -> np.ndarray:
        """Nats per word, as float64."""
        if not len(hashes):
            return np.empty(0)
        place = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        return np.where(self._known[place] == hashes, self._weights[place], self._unknown)


def count_texts(hashes: np.ndarray, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct word hashes, ascending, and the number of texts that have each.

    Args:
        hashes: uint64 per word.
        text: number of the text that each word is in.
    """
    order = np.lexsort((text, hashes))
    ordered, texts = hashes[order], text[order]
    first = np.ones(len(ordered), bool)
    first[1:] = (ordered[1:] != ordered[:-1]) | (texts[1:] != texts[:-1])
    return np.unique(ordered[first], return_counts=True)


@cache
def _background() -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the common English words, ascending, and the chance that a text has each."""
    listed = _listed()
    hashes = split_words(listed).hashes
    chance = 1 - np.exp(-_WORDS_PER_TEXT * _TOP_SHARE / np.arange(1, len(hashes) + 1))
    order = np.argsort(hashes)
    return hashes[order], np.maximum(chance[order], _RARE)


@cache
def common_words() -> frozenset[str]:
    """The commonest English words."""
    return frozenset(_listed())


def _listed() -> list[str]:
    return (Path(__file__).parent / "common_words.txt").read_text(encoding="utf-8").split()
