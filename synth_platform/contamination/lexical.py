"""Which test items share enough rare words with a stretch of text to be worth a closer look: TF-IDF on word stems."""

import numpy as np
from scipy import sparse

from synth_platform.contamination.weights import Weights, count_texts
from synth_platform.contamination.words import Words

_COMMON_STEM = 0.015
"""A stem of a larger share of the segments than this leads to none; for those found it counts like any other."""
_FEW_SEGMENTS = 400
"""A stem of no more segments than this always leads to them."""
_HALF_WAY = 0.12
"""Cosine over the leading stems alone from which a pair is looked at with all stems."""
_PAIRS_AT_ONCE = 65_536


class LexicalIndex:
    """Cosine of stretches of text and the segments of test items.

    Args:
        words: the words of all segments, one text each.
    """

    def __init__(self, words: Words) -> None:
        count = len(words.bounds) - 1
        self._stems, counts = count_texts(words.stems, words.text)
        self._weights = Weights(self._stems, counts, count)
        self._segments = self._rows(words.stems, words.text, count)
        self._leading = sparse.diags((counts <= max(_COMMON_STEM * count, _FEW_SEGMENTS)).astype(np.float32))
        self._postings = sparse.csr_matrix((self._segments @ self._leading).T)

    def candidates(
        self, words: Words, first: np.ndarray, after: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pairs of a stretch of text and a segment that may be alike.

        Args:
            words: the batch.
            first: first word of each stretch.
            after: the word after its last.

        Returns:
            Numbers of stretches, numbers of segments, and their cosines.
        """
        rows = self._stretches(words, first, after)
        product = ((rows @ self._leading) @ self._postings).tocoo()
        kept = product.data >= _HALF_WAY
        row, segment = product.row[kept], product.col[kept]
        return row, segment, self._cosines(rows, row, segment)

    def compare(self, words: Words, first: np.ndarray, after: np.ndarray, segment: np.ndarray) -> np.ndarray:
        """Cosine of each stretch of text with a segment of its own."""
        return self._cosines(self._stretches(words, first, after), np.arange(len(first)), segment)

    def _stretches(self, words: Words, first: np.ndarray, after: np.ndarray) -> sparse.csr_matrix:
        lengths = after - first
        stretch = np.repeat(np.arange(len(first)), lengths)
        place = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)
        return self._rows(words.stems[place], stretch, len(first))

    def _cosines(self, rows: sparse.csr_matrix, row: np.ndarray, segment: np.ndarray) -> np.ndarray:
        parts = [np.empty(0, np.float32)]
        for start in range(0, len(row), _PAIRS_AT_ONCE):
            some = slice(start, start + _PAIRS_AT_ONCE)
            parts.append(np.asarray(rows[row[some]].multiply(self._segments[segment[some]]).sum(axis=1)).ravel())
        return np.concatenate(parts)

    def _rows(self, stems: np.ndarray, text: np.ndarray, count: int) -> sparse.csr_matrix:
        """Unit TF-IDF rows of texts, each stem once; a stem of no segment has no column but counts in the length."""
        order = np.lexsort((stems, text))
        stems, text = stems[order], text[order]
        distinct = np.ones(len(stems), bool)
        distinct[1:] = (stems[1:] != stems[:-1]) | (text[1:] != text[:-1])
        stems, text = stems[distinct], text[distinct]
        weight = self._weights.of(stems)
        norm = np.sqrt(np.bincount(text, weight**2, minlength=count))
        column = np.minimum(np.searchsorted(self._stems, stems), max(len(self._stems) - 1, 0))
        known = self._stems[column] == stems if len(self._stems) else np.zeros(len(stems), bool)
        values = (weight / np.maximum(norm[text], 1e-9))[known].astype(np.float32)
        return sparse.csr_matrix((values, (text[known], column[known])), shape=(count, max(len(self._stems), 1)))
