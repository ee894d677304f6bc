"""What could give a document away: its entities and its word 10-grams, as hashes, for a bounded sample of documents."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.contamination.words import ngram_hashes, split_words

SPAN_WORDS = 10
"""Words of a span."""


def span_hashes(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Distinct word 10-grams of each text: number of the text (int64), and hash (uint64)."""
    words = split_words(texts)
    hashes = ngram_hashes(words.hashes, *range(1, SPAN_WORDS))
    first = words.text[: len(hashes)]
    inside = first == words.text[SPAN_WORDS - 1 :][: len(hashes)]
    return _distinct(first[inside].astype(np.int64), hashes[inside])


def entity_hashes(found: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Distinct entities of each text: number of the text (int64), and digest as uint64."""
    pairs = found.select("row", "digest").unique(maintain_order=True)
    hashes = np.array([int(value, 16) for value in pairs["digest"]], np.uint64)
    return pairs["row"].to_numpy().astype(np.int64), hashes


def _distinct(texts: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((hashes, texts))
    texts, hashes = texts[order], hashes[order]
    new = np.ones(len(texts), bool)
    new[1:] = (texts[1:] != texts[:-1]) | (hashes[1:] != hashes[:-1])
    return texts[new], hashes[new]


@dataclass(frozen=True)
class Features:
    """Features of one kind of the sampled documents, and what the passes learn about each.

    Args:
        keys: uint64, ascending, distinct.
        owner: the sampled document that each is of.
        documents: documents that have it, of all that were counted.
        from_own: whether an output made from its document has it.
        from_others: whether an output made from another document has it.
    """

    keys: np.ndarray
    owner: np.ndarray
    documents: np.ndarray
    from_own: np.ndarray
    from_others: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> "Features":
        """From pairs of owners and hashes; what two sampled documents share is not rare, and left out."""
        owners = np.concatenate([part[0] for part in parts] or [np.empty(0, np.int64)]).astype(np.int32)
        hashes = np.concatenate([part[1] for part in parts] or [np.empty(0, np.uint64)])
        order = np.argsort(hashes, kind="stable")
        keys, first, counts = np.unique(hashes[order], return_index=True, return_counts=True)
        single = counts == 1
        keys, owner = keys[single], owners[order][first[single]]
        return cls(keys, owner, *(np.zeros(len(keys), kind) for kind in (np.int32, bool, bool)))

    def count(self, texts: np.ndarray, hashes: np.ndarray) -> None:
        """Count documents, given as pairs of a text's number and a hash, distinct."""
        at, _ = self._find(texts, hashes)
        np.add.at(self.documents, at, 1)

    def mark(self, texts: np.ndarray, hashes: np.ndarray, made_from: np.ndarray) -> None:
        """Note which features outputs have; ``made_from``: the sampled document of each output, or -1."""
        at, texts = self._find(texts, hashes)
        own = self.owner[at] == made_from[texts]
        self.from_own[at[own]] = True
        self.from_others[at[~own]] = True

    def _find(self, texts: np.ndarray, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(self.keys):
            return np.empty(0, np.int64), texts[:0]
        at = np.minimum(np.searchsorted(self.keys, hashes), len(self.keys) - 1)
        known = self.keys[at] == hashes
        return at[known], texts[known]
