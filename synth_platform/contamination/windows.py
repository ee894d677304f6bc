"""Windows of texts: stretches of whole sentences at several lengths, so that a question inside a page stands out."""

from dataclasses import dataclass

import numpy as np

from synth_platform.contamination.words import Words

_LENGTHS = (14, 28, 56, 112)
"""Words in a window, about; each test item is compared with windows of any length."""
_LONGEST_UNIT = 24
"""A sentence of more words is cut."""
_LEAST_WORDS = 5
_LEAST_FIT = 0.6
"""A window about another is no less than this of the length asked for, nor is that of it."""


@dataclass(frozen=True)
class Windows:
    """Stretches of a batch's words.

    Args:
        text: number of the text that each lies in.
        first: its first word in the batch.
        after: the word after its last.
    """

    text: np.ndarray
    first: np.ndarray
    after: np.ndarray


def make_windows(words: Words) -> Windows:
    """Windows that overlap by about half; a text shorter than a window is one by itself."""
    units = unit_starts(words)
    if not len(units):
        empty = np.empty(0, np.int64)
        return Windows(empty, empty, empty)
    spans = np.unique(np.concatenate([_at_length(words, units, length) for length in _LENGTHS]), axis=0)
    spans = spans[spans[:, 1] - spans[:, 0] >= _LEAST_WORDS]
    return Windows(words.text[spans[:, 0]].astype(np.int64), spans[:, 0], spans[:, 1])


def windows_around(words: Words, first: int, after: int, length: int) -> list[tuple[int, int]]:
    """Stretches of whole sentences about a window that are about as long as asked, each (first, after)."""
    text = words.text[first]
    low, high = int(words.bounds[text]), int(words.bounds[text + 1])
    units = unit_starts(words, max(low, first - length), min(high, after + length))
    edges = [*units.tolist(), min(high, after + length)]
    return [
        (start, end)
        for start in edges
        for end in edges
        if _LEAST_FIT * length <= end - start <= length / _LEAST_FIT and start < after and end > first
    ]


def unit_starts(words: Words, low: int = 0, high: int | None = None) -> np.ndarray:
    """First words of sentences, lines, and of pieces of long ones, among some words of the batch."""
    sentence, text = words.sentence[low:high], words.text[low:high]
    count = len(sentence)
    if not count:
        return np.empty(0, np.int64)
    fresh = np.ones(count, bool)
    fresh[1:] = (sentence[1:] != sentence[:-1]) | (text[1:] != text[:-1])
    first = np.flatnonzero(fresh)
    within = np.arange(count) - np.repeat(first, np.diff(np.append(first, count)))
    return np.flatnonzero(within % _LONGEST_UNIT == 0) + low


def _at_length(words: Words, units: np.ndarray, length: int) -> np.ndarray:
    """Windows of whole units nearest to a length, from every unit at about every half length: (windows, 2)."""
    edges = np.append(units, len(words.hashes))
    step = np.append(-1, (units - words.bounds[words.text[units]]) // max(length // 2, 1))
    starts = units[(np.diff(step) != 0) | np.append(True, np.diff(words.text[units]) != 0)]
    limit = words.bounds[words.text[starts] + 1]
    after = edges[np.minimum(np.searchsorted(edges, starts + length), len(edges) - 1)]
    before = edges[np.maximum(np.searchsorted(edges, starts + length) - 1, 0)]
    nearer = (starts + length - before < after - starts - length) & (before > starts)
    ends = np.minimum(np.where(nearer, before, after), limit)
    # What would be left over at the end of the text and says little alone belongs to the window before it.
    ends = np.where(limit - ends < length // 4, limit, ends)
    return np.stack([starts, ends], axis=1)
