"""Skeletons of texts: the kinds of their first lines and the function words in them, with all content masked."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from synth_platform.contamination.words import Words, mix, shorten, split_words

_LINE_WORDS = 12
"""Words of a line that count: a long paragraph never is like another one to its end."""
_LABEL_WORDS = 3
"""Most words before a colon that are a label ("Final answer:"), which is part of the form and not masked."""
_MASK = np.uint64(0x5BD1E9955BD1E995)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_KINDS = ("", "# ", "- ", "| ", "1. ", "**")
_PLAIN, _HEADING, _BULLET, _TABLE, _NUMBERED, _BOLD = range(len(_KINDS))
_QUESTION = 8
"""Added to the kind of a line that asks something."""
_FUNCTION_WORDS = """
a about above after again against all also although always am among an and another any are around as at away back be
because become been before being below between both but by can cannot could did do does doing down during each either
else ever every few first for from further had has have having he her here hers him his how however i if in into is it
its itself just last least less let like many may me might more most much must my near neither never next no nor not
now of off often on once one only onto or other our out over own per please rather same she should since so some such
than that the their them then there therefore these they this those though through thus to together too toward two
under until up upon us very was we were what when where whether which while who whom whose why will with within
without would yet you your
"""


@dataclass(frozen=True)
class _Lines:
    """The first lines of texts that are not blank, and their words with runs of content words made one mask.

    Args:
        text: number of its text, per line.
        rank: number within its text, per line.
        kind: per line.
        line: number of its line, per word that is left.
        word: number of the word.
        masked: whether it stands for content.
    """

    text: np.ndarray
    rank: np.ndarray
    kind: np.ndarray
    line: np.ndarray
    word: np.ndarray
    masked: np.ndarray


def line_tokens(words: Words, lines: int) -> np.ndarray:
    """Hash of the skeleton of each of the first lines of each text; 0 where a text has fewer."""
    found = _first_lines(words, lines)
    values = np.where(found.masked, _MASK, words.hashes[found.word])
    places = np.arange(len(found.line)) - np.searchsorted(found.line, found.line)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(mix(values + places.astype(np.uint64) * _STEP), dtype=np.uint64)])
    bounds = np.searchsorted(found.line, np.arange(len(found.text) + 1))
    hashes = mix((sums[bounds[1:]] - sums[bounds[:-1]]) ^ mix(found.kind.astype(np.uint64) + np.uint64(1)))
    tokens = np.zeros((len(words.bounds) - 1, lines), np.uint64)
    tokens[found.text, found.rank] = hashes | np.uint64(1)
    return tokens


def show_lines(words: Words, start: int, end: int) -> str:
    """The skeleton of some lines of the first text, content as an ellipsis."""
    found = _first_lines(words, end)
    shown = []
    for line in np.flatnonzero((found.text == 0) & (found.rank >= start)):
        here = found.line == line
        parts = [
            "…" if masked else words.slice(word, word).lower()
            for word, masked in zip(found.word[here].tolist(), found.masked[here].tolist(), strict=True)
        ]
        kind = int(found.kind[line])
        shown.append(_KINDS[kind % _QUESTION] + (" ".join(parts) or "---") + ("?" if kind >= _QUESTION else ""))
    return shorten(" ⏎ ".join(shown), 200)


def _first_lines(words: Words, lines: int) -> _Lines:
    buffer = words.buffer
    ends = np.flatnonzero(buffer == ord("\n"))
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else ends
    seen = np.flatnonzero(buffer > ord(" "))
    first = np.append(seen, len(buffer))[np.searchsorted(seen, starts)]
    starts, ends, first = (part[first < ends] for part in (starts, ends, first))
    text = np.searchsorted(words.text_starts, starts, "right") - 1
    rank = np.arange(len(text)) - np.searchsorted(text, text)
    kept = rank < lines
    text, rank, ends, first = (part[kept] for part in (text, rank, ends, first))
    return _Lines(text, rank, _kinds(buffer, first, ends), *_masked(words, first, ends))


def _kinds(buffer: np.ndarray, first: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Kinds of lines, from their first bytes; the newline at the end of the buffer bounds what is read."""
    bytes_ = [buffer[np.minimum(first + offset, ends)] for offset in range(3)]
    digits = [(part >= ord("0")) & (part <= ord("9")) for part in bytes_]
    closes = [(part == ord(".")) | (part == ord(")")) for part in bytes_]
    kinds = np.full(len(first), _PLAIN)
    kinds[np.isin(bytes_[0], np.frombuffer(b"-*+", np.uint8)) & (bytes_[1] == ord(" "))] = _BULLET
    kinds[(bytes_[0] == 0xE2) & (bytes_[1] == 0x80) & (bytes_[2] == 0xA2)] = _BULLET  # •
    kinds[(bytes_[0] == ord("*")) & (bytes_[1] == ord("*"))] = _BOLD
    kinds[bytes_[0] == ord("#")] = _HEADING
    kinds[bytes_[0] == ord("|")] = _TABLE
    kinds[digits[0] & (closes[1] | (digits[1] & closes[2]))] = _NUMBERED
    marks = np.flatnonzero(buffer == ord("?"))
    asks = np.searchsorted(marks, ends) > np.searchsorted(marks, first)
    return kinds + _QUESTION * asks


def _masked(words: Words, first: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The words of lines, with one mask for each run of content words: line, word, whether masked."""
    opens, closes = np.searchsorted(words.starts, first), np.searchsorted(words.starts, ends)
    counts = np.minimum(closes - opens, _LINE_WORDS)
    line = np.repeat(np.arange(len(first)), counts)
    rank = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)
    word = opens[line] + rank
    masked = ~_are_function_words(words.hashes[word]) & (rank >= _label_words(words, first, ends, opens)[line])
    again = np.zeros(len(line), bool)
    again[1:] = masked[1:] & masked[:-1] & (line[1:] == line[:-1])
    return line[~again], word[~again], masked[~again]


def _label_words(words: Words, first: np.ndarray, ends: np.ndarray, opens: np.ndarray) -> np.ndarray:
    """Words of the label that each line begins with."""
    colons = np.append(np.flatnonzero(words.buffer == ord(":")), len(words.buffer))
    colon = colons[np.searchsorted(colons, first)]
    labels = np.searchsorted(words.starts, colon) - opens
    return np.where((colon < ends) & (labels <= _LABEL_WORDS), labels, 0)


def _are_function_words(hashes: np.ndarray) -> np.ndarray:
    known = _function_words()
    return known[np.minimum(np.searchsorted(known, hashes), len(known) - 1)] == hashes


@cache
def _function_words() -> np.ndarray:
    return np.unique(split_words([_FUNCTION_WORDS]).hashes)
