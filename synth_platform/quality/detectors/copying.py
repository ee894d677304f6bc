"""What an answer took over word for word: from its source, and from the instructions."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from synth_platform.contamination.words import split_words
from synth_platform.quality.detectors.rows import Grams, Rows, are_in, of_row, row_grams

_COPY_WORDS, _ECHO_WORDS = 8, 12


def measure_copying(rows: Rows) -> Mapping[str, Any]:
    """``copied_share``: share of the answer's word 8-grams that its source has. ``reproduced_share``: the reverse.

    ``longest_copied``: words of the longest stretch that both have. ``prompt_echo``: words of the longest stretch that
    the instructions have too, from twelve words on.
    """
    answer, source = row_grams(rows.words, _COPY_WORDS), row_grams(rows.source_words, _COPY_WORDS)
    copied = are_in(answer.keys, source.keys)
    reproduced = are_in(source.keys, answer.keys[copied])
    return {
        "copied_share": _share(rows, answer, copied),
        "reproduced_share": _share(rows, source, reproduced),
        "longest_copied": _longest(rows, answer, np.flatnonzero(copied), _places(answer, source, copied), _COPY_WORDS),
        "prompt_echo": _echo(rows),
    }


def _share(rows: Rows, grams: Grams, found: np.ndarray) -> np.ndarray:
    return rows.per_row(grams.row[found]) / np.maximum(rows.per_row(grams.row), 1)


def _places(answer: Grams, source: Grams, copied: np.ndarray) -> np.ndarray:
    """Where the source has each copied n-gram first."""
    order = np.argsort(source.keys, kind="stable")
    return source.first[order[np.searchsorted(source.keys[order], answer.keys[copied])]] if copied.any() else order[:0]


def _longest(rows: Rows, grams: Grams, found: np.ndarray, there: np.ndarray, n: int) -> np.ndarray:
    """Words per row of the longest run of n-grams that follow one another here and there."""
    longest = np.zeros(rows.height, np.int64)
    if not len(found):
        return longest
    first, row = grams.first[found], grams.row[found]
    breaks = np.ones(len(found), bool)
    breaks[1:] = (np.diff(first) != 1) | (np.diff(there) != 1) | (np.diff(row) != 0)
    starts = np.flatnonzero(breaks)
    lengths = np.diff(np.append(starts, len(found))) + n - 1
    np.maximum.at(longest, row[starts], lengths)
    return longest


def _echo(rows: Rows) -> np.ndarray:
    instructions = row_grams(split_words(rows.instructions), _ECHO_WORDS)
    answer = row_grams(rows.words, _ECHO_WORDS)
    # The instructions belong to all rows: the keys are compared without the row's part.
    asked, said = _plain(instructions), _plain(answer)
    found = np.flatnonzero(are_in(said, asked))
    order = np.argsort(asked, kind="stable")
    there = instructions.first[order[np.searchsorted(asked[order], said[found])]] if len(found) else found
    return _longest(rows, answer, found, there, _ECHO_WORDS)


def _plain(grams: Grams) -> np.ndarray:
    return of_row(grams.keys, -grams.row.astype(np.int64))
