"""Names of the commonest words among all that were hashed, in a fixed amount of memory."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from synth_platform.contamination.words import mix
from synth_platform.review.blocks import Block

_MOST = 4096
_LONGEST = 40


class WordNames:
    """A bottom-k sample of words (Cohen 2018): the more rows hold a word, the surer it is kept.

    Each word in each row has a random key, the hash of both. A word's key is the smallest of its rows, and the words
    with the smallest keys stay. Words of many rows have small keys; samples of parts merge to that of the whole.
    """

    def __init__(self) -> None:
        self._words = np.empty(0, np.uint64)
        self._keys = np.empty(0, np.uint64)
        self._names: list[str] = []

    def add(self, block: Block, chosen: np.ndarray) -> None:
        """Offer some words of a block, by their numbers."""
        words = block.words
        hashes = words.hashes[chosen]
        keys = mix(hashes ^ block.id_hashes[words.text[chosen]])
        near = np.flatnonzero(keys <= self._bar())
        near = near[keys[near] <= self._known_keys(hashes[near])]
        near = near[np.argsort(keys[near], kind="stable")]
        fresh, first = np.unique(hashes[near], return_index=True)
        near = near[first]
        names = [words.slice(word, word).lower()[:_LONGEST] for word in chosen[near].tolist()]
        self._take(fresh, keys[near], names)

    def merge(self, other: "WordNames") -> None:
        """Take in the words of other rows."""
        self._take(other._words, other._keys, other._names)

    def by_slot(self, slots: int) -> dict[int, str]:
        """The commonest word of each slot that has any, by the last bits of its hash."""
        order = np.argsort(self._keys, kind="stable")[::-1]
        places = (self._words[order] & np.uint64(slots - 1)).tolist()
        return {slot: self._names[at] for slot, at in zip(places, order.tolist(), strict=True)}

    def columns(self) -> dict[str, Iterable[object]]:
        """Words, keys and names as columns of a table."""
        return {"word": self._words, "key": self._keys, "name": self._names}

    def read(self, table: pl.DataFrame) -> None:
        """Take in words from such a table."""
        self._take(table["word"].to_numpy(), table["key"].to_numpy(), table["name"].to_list())

    def _bar(self) -> np.uint64:
        """Keys above it do not get in."""
        return self._keys.max() if len(self._keys) >= _MOST else np.uint64(np.iinfo(np.uint64).max)

    def _known_keys(self, hashes: np.ndarray) -> np.ndarray:
        """Key of each word so far; the largest number for a new one."""
        highest = np.full(len(hashes), np.iinfo(np.uint64).max, np.uint64)
        if not len(self._words):
            return highest
        places = np.minimum(np.searchsorted(self._words, hashes), len(self._words) - 1)
        return np.where(self._words[places] == hashes, self._keys[places], highest)

    def _take(self, words: np.ndarray, keys: np.ndarray, names: list[str]) -> None:
        """Keep the smallest key of each word, and the words with the smallest ones."""
        if not len(words):
            return
        all_words, all_keys = np.concatenate([self._words, words]), np.concatenate([self._keys, keys])
        all_names = [*self._names, *names]
        order = np.argsort(all_keys, kind="stable")
        kept = np.sort(np.unique(all_words[order], return_index=True)[1])[:_MOST]
        kept = order[kept]
        kept = kept[np.argsort(all_words[kept])]
        self._words, self._keys = all_words[kept], all_keys[kept]
        self._names = [all_names[at] for at in kept.tolist()]
