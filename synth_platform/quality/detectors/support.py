"""Support by the source: how near in meaning each sentence of an answer comes to something that the source says."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from synth_platform.contamination.words import shorten
from synth_platform.encoder import Encode
from synth_platform.quality.detectors.rows import Rows
from synth_platform.quality.detectors.sentences import passages, statements

_DIGITS = 3
"""Decimals of a cosine: an encoder of 8 bits does not have more."""
_SHOWN = 200


def measure_support(rows: Rows, encode: Encode) -> Mapping[str, Any]:
    """Cosines per row, null where an answer states nothing, its source says nothing, or it may compute.

    ``sentence_support``: of each sentence, in order, the highest cosine with a sentence of the source or with two
    neighbouring ones. ``least_support``: the lowest of these, and ``least_supported`` its sentence, cut short.

    Args:
        rows: a block of generations.
        encode: the sentence encoder; it is given each sentence of the block once.
    """
    sources = [""] * rows.height if rows.computes else rows.sources
    pairs = [_sentences(text, source) for text, source in zip(rows.texts, sources, strict=True)]
    vectors = _Vectors((sentence for pair in pairs for part in pair for sentence in part), encode)
    scores = [_scores(vectors.of(said), vectors.of(known)) if said else None for said, known in pairs]
    return {
        "sentence_support": [None if one is None else one.tolist() for one in scores],
        "least_support": [None if one is None else float(one.min()) for one in scores],
        "least_supported": [
            None if one is None else shorten(said[int(one.argmin())], _SHOWN)
            for one, (said, _) in zip(scores, pairs, strict=True)
        ],
    }


def _sentences(text: str, source: str) -> tuple[Sequence[str], Sequence[str]]:
    """The sentences of an answer and of its source; nothing where one of them has none."""
    said = statements(text)
    known = passages(source) if said else []
    return (said, known) if known else ((), ())


class _Vectors:
    """Unit vectors of sentences, each encoded once."""

    def __init__(self, sentences: Iterable[str], encode: Encode) -> None:
        self._place = {sentence: place for place, sentence in enumerate(dict.fromkeys(sentences))}
        self._encode = encode

    @cached_property
    def _all(self) -> np.ndarray:
        return self._encode(list(self._place))

    def of(self, sentences: Sequence[str]) -> np.ndarray:
        """Vectors of some of the sentences, float32 (sentences, dimensions)."""
        return self._all[[self._place[sentence] for sentence in sentences]]


def _scores(said: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The highest cosine of each sentence with one of the source's, or with two that follow one another.

    Two sentences have the mean of their vectors: as good as encoding them together, which would take twice as long.
    """
    both = known[1:] + known[:-1]
    both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-9)
    highest = (said @ np.concatenate([known, both]).T).max(axis=1)
    return highest.astype(np.float64).round(_DIGITS)
