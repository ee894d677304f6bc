"""Texts as streams of hashed words: what two texts must have in common to count as the same words.

Case, punctuation, markup, accents, apostrophes and the commas of 1,000 make no difference; each Chinese or Japanese
character is a word. Everything is done for a whole batch of texts at once, with no loop over words.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import polars as pl

_SEPARATOR, _DROPPED, _WIDE = 0, 1, 2
"""Codes of bytes: between words; not there; a character beyond ASCII. Others are the byte itself, in lower case."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_LONGEST_TAG = 200
_LONGEST_ENTITY = 10
_APOSTROPHES = "\u2019\u02bc\uff07"
_COMBINING = frozenset({"Mn", "Me", "Cf"})
_UNSET, _SINGLE = np.uint32(0xFFFFFFFF), np.uint32(1 << 24)
"""Marks of folded characters: not looked up yet; a word of its own."""


@dataclass(frozen=True)
class Words:
    """The words of a batch of texts, one after the other.

    Args:
        hashes: uint64 per word.
        starts: byte where each word begins in ``buffer``.
        ends: byte after each word.
        bounds: the words of text i are ``bounds[i]`` to ``bounds[i + 1]``.
        buffer: UTF-8 of all texts, a newline after each.
        text_starts: byte where each text begins in ``buffer``, and the end of the last.
    """

    hashes: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    bounds: np.ndarray
    buffer: np.ndarray
    text_starts: np.ndarray
    _characters: "_Characters"

    @cached_property
    def stems(self) -> np.ndarray:
        """Hash of each word without its English inflection."""
        return self._characters.hashes(stems=True)

    @cached_property
    def text(self) -> np.ndarray:
        """Number of the text that each word is in."""
        return np.repeat(np.arange(len(self.bounds) - 1, dtype=np.int32), np.diff(self.bounds))

    @cached_property
    def sentence(self) -> np.ndarray:
        """Number of the sentence or line that each word is in, ascending over the batch."""
        buffer = self.buffer
        stops = np.flatnonzero(_ENDS_SENTENCE[buffer])
        following = buffer[np.minimum(stops + 1, len(buffer) - 1)]
        stops = stops[(buffer[stops] == ord("\n")) | (following <= ord(" "))]
        return np.searchsorted(stops, self.starts).astype(np.int32)

    def excerpt(self, first: int, last: int, characters: int) -> str:
        """The text from word ``first`` to word ``last``, on one line and cut short."""
        raw = self.buffer[self.starts[first] : self.ends[last]][: 4 * characters].tobytes()
        return shorten(raw.decode("utf-8", "ignore"), characters)

    def slice(self, first: int, last: int) -> str:
        """The text from word ``first`` to word ``last``."""
        return self.buffer[self.starts[first] : self.ends[last]].tobytes().decode("utf-8", "ignore")

    def place(self, first: int, last: int) -> tuple[int, int]:
        """Bytes of its text in which the words ``first`` to ``last`` lie."""
        start = self.text_starts[np.searchsorted(self.text_starts, self.starts[first], "right") - 1]
        return int(self.starts[first] - start), int(self.ends[last] - start)


def shorten(text: str, characters: int) -> str:
    """A text on one line, cut after so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def squeeze(text: str) -> str:
    """The letters and digits of a text, without case and accents."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    return "".join(part for part in plain.casefold() if part.isalnum())


def split_words(texts: pl.Series | Sequence[str | None]) -> Words:
    """Words of a batch of texts."""
    series = pl.Series(texts, dtype=pl.String()).fill_null("") if not isinstance(texts, pl.Series) else texts
    buffer, text_starts = _buffer(series.fill_null(""))
    codes = _CODES[buffer]
    wide = _fold_wide(buffer, codes)
    _drop_thousands(buffer, codes)
    _blank_markup(buffer, codes)
    kept = np.flatnonzero(codes != _DROPPED)
    stream = codes[kept]
    values = _VALUES[stream]
    single = None
    if len(wide.places):
        at = np.searchsorted(kept, wide.places)
        values[at] = mix(wide.characters.astype(np.uint64))
        single = at[wide.single]
    characters = _Characters(stream, values, *_word_bounds(stream, single))
    starts, ends = kept[characters.first], kept[characters.after - 1] + 1
    for _ in range(3):  # to the end of a character of several bytes
        ends += (buffer[ends] & 0xC0) == 0x80
    bounds = np.concatenate([np.searchsorted(starts, text_starts[:-1]), [len(starts)]]).astype(np.int64)
    return Words(characters.hashes(), starts, ends, bounds, buffer, text_starts, characters)


def ngram_hashes(hashes: np.ndarray, *steps: int) -> np.ndarray:
    """Hash of the words at i, i + steps[0], i + steps[1], ... for every i at which they all lie in the array."""
    count = max(len(hashes) - max(steps), 0)
    mixed = hashes[:count].copy()
    for step in steps:
        mixed *= _BASE
        mixed ^= mixed >> np.uint64(32)
        mixed += hashes[step : step + count]
    return mix(mixed)


class _Characters:
    """The characters of all words, hashed so that the hash of any stretch is the difference of two sums.

    Args:
        stream: code per character.
        values: uint64 per character; overwritten.
        first: where each word begins.
        after: where it has ended.
    """

    def __init__(self, stream: np.ndarray, values: np.ndarray, first: np.ndarray, after: np.ndarray) -> None:
        self._stream, self.first, self.after = stream, first, after
        powers, inverse = _powers(len(stream))
        values *= powers[: len(stream)]
        self._sums = np.empty(len(stream) + 1, np.uint64)
        self._sums[0] = 0
        np.cumsum(values, out=self._sums[1:])
        self._begin, self._scale = self._sums[first], inverse[first]

    def hashes(self, stems: bool = False) -> np.ndarray:
        """uint64 per word, or per stem."""
        ends = _stem_ends(self._stream, self.first, self.after) if stems else self.after
        return mix((self._sums[ends] - self._begin) * self._scale)


def _buffer(series: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    if not len(series):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    array = (series + "\n").to_arrow(compat_level=pl.CompatLevel.oldest())
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return np.frombuffer(data, np.uint8)[starts[0] : starts[-1]], starts - starts[0]


@dataclass(frozen=True)
class _Wide:
    """Characters beyond ASCII that are parts of words: their bytes' places, folded, and whether words of their own."""

    places: np.ndarray
    characters: np.ndarray
    single: np.ndarray


def _fold_wide(buffer: np.ndarray, codes: np.ndarray) -> _Wide:
    """Give the characters beyond ASCII their codes: accents off, wide forms narrow, punctuation between words."""
    leads = np.flatnonzero(buffer >= 0xC0)
    if not len(leads):
        return _Wide(leads, leads, leads.astype(bool))
    folded = _folded(_code_points(buffer, leads))
    plain = folded & (_SINGLE - np.uint32(1))
    codes[leads] = np.where(plain < 0x80, plain, _WIDE)
    wide = plain >= 0x80
    return _Wide(leads[wide], plain[wide], (folded[wide] & _SINGLE) > 0)


def _code_points(buffer: np.ndarray, leads: np.ndarray) -> np.ndarray:
    """Code points of the UTF-8 sequences that begin at ``leads``."""
    padded = np.concatenate([buffer, np.zeros(3, np.uint8)]).astype(np.uint32, copy=False)
    first, second, third, fourth = (padded[leads + offset] for offset in range(4))
    two = ((first & 0x1F) << 6) | (second & 0x3F)
    three = ((first & 0x0F) << 12) | ((second & 0x3F) << 6) | (third & 0x3F)
    four = ((first & 0x07) << 18) | ((second & 0x3F) << 12) | ((third & 0x3F) << 6) | (fourth & 0x3F)
    return np.where(first >= 0xF0, four, np.where(first >= 0xE0, three, two))


@cache
def _folding() -> np.ndarray:
    return np.full(0x200000, _UNSET, np.uint32)


def _folded(points: np.ndarray) -> np.ndarray:
    table = _folding()
    folded = table[points]
    unknown = np.unique(points[folded == _UNSET])
    if len(unknown):
        table[unknown] = [_fold(int(point)) for point in unknown]
        folded = table[points]
    return folded


def _fold(point: int) -> int:
    """Code of one character: a separator, dropped, or its folded code point, marked if it is a word of its own."""
    if point > 0x10FFFF:
        return _SEPARATOR
    character = chr(point)
    if character in _APOSTROPHES or unicodedata.category(character) in _COMBINING:
        return _DROPPED
    plain = "".join(
        part for part in unicodedata.normalize("NFKD", character).casefold() if unicodedata.category(part) != "Mn"
    )
    letter = next((part for part in plain if part.isalnum()), "")
    if not letter:
        return _SEPARATOR
    name = unicodedata.name(letter, "")
    single = name.startswith(("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR"))
    return ord(letter) | (int(_SINGLE) if single else 0)


def _drop_thousands(buffer: np.ndarray, codes: np.ndarray) -> None:
    """Take the commas out of 1,000 and 12,345,678."""
    commas = np.flatnonzero(buffer == ord(","))
    commas = commas[(commas > 0) & (commas < len(buffer) - 4)]
    grouped = _IS_DIGIT[buffer[commas - 1]] & ~_IS_DIGIT[buffer[commas + 4]]
    for offset in (1, 2, 3):
        grouped &= _IS_DIGIT[buffer[commas + offset]]
    codes[commas[grouped]] = _DROPPED


def _blank_markup(buffer: np.ndarray, codes: np.ndarray) -> None:
    """Take out ``<b>``, ``</td>`` and ``&nbsp;``: their letters are no words."""
    tags = np.flatnonzero(buffer == ord("<"))
    tags = tags[_OPENS_TAG[buffer[np.minimum(tags + 1, len(buffer) - 1)]]]
    _blank(codes, tags, np.flatnonzero(buffer == ord(">")), _LONGEST_TAG)
    entities = np.flatnonzero(buffer == ord("&"))
    entities = entities[_OPENS_ENTITY[buffer[np.minimum(entities + 1, len(buffer) - 1)]]]
    _blank(codes, entities, np.flatnonzero(buffer == ord(";")), _LONGEST_ENTITY)


def _blank(codes: np.ndarray, opens: np.ndarray, closes: np.ndarray, longest: int) -> None:
    if not len(opens) or not len(closes):
        return
    following = closes[np.minimum(np.searchsorted(closes, opens), len(closes) - 1)]
    closed = (following > opens) & (following - opens <= longest)
    for start, end in zip(opens[closed].tolist(), following[closed].tolist(), strict=True):
        codes[start : end + 1] = _SEPARATOR


def _word_bounds(stream: np.ndarray, single: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin, and where they have ended, in the stream of codes."""
    inside = np.empty(len(stream) + 2, bool)
    inside[0] = inside[-1] = False
    np.greater(stream, _DROPPED, out=inside[1:-1])
    opens = inside[1:] & ~inside[:-1]
    closes = inside[:-1] & ~inside[1:]
    if single is not None and len(single):
        opens[single] = True
        closes[single + 1] = True
        closes[single] |= inside[single]
        opens[single + 1] |= inside[single + 2]
    return np.flatnonzero(opens), np.flatnonzero(closes)


def _stem_ends(stream: np.ndarray, first: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where words end without -s, -es, -ed, -ing, -ly and a silent -e, if enough of them is left."""
    if not len(first):
        return after
    last, second, third = (stream[np.maximum(after - offset, first)] for offset in (1, 2, 3))
    cut = np.zeros(len(first), np.int64)
    cut[last == ord("s")] = 1
    cut[(last == ord("s")) & (second == ord("s"))] = 0
    cut[(last == ord("s")) & (second == ord("e"))] = 2
    cut[(last == ord("d")) & (second == ord("e"))] = 2
    cut[(last == ord("y")) & (second == ord("l"))] = 2
    cut[(last == ord("g")) & (second == ord("n")) & (third == ord("i"))] = 3
    cut[last == ord("e")] = 1
    return np.where(after - first - cut >= 3, after - cut, after)


def mix(values: np.ndarray) -> np.ndarray:
    """Spread every bit over all others (splitmix64's finalizer)."""
    values = values ^ (values >> np.uint64(30))
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


_power_tables: list[tuple[np.ndarray, np.ndarray]] = []


def _powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers of the base, and of its inverse modulo 2**64, from 0 to at least ``count``."""
    if not _power_tables or len(_power_tables[0][0]) <= count:
        size = max(1 << 20, 1 << (count + 1).bit_length())
        inverse = np.uint64(pow(int(_BASE), -1, 1 << 64))
        tables = []
        for factor in (_BASE, inverse):
            table = np.full(size, factor, np.uint64)
            table[0] = 1
            tables.append(np.cumprod(table, dtype=np.uint64))
        _power_tables[:] = [(tables[0], tables[1])]
    return _power_tables[0]


def _code_table() -> np.ndarray:
    codes = np.zeros(256, np.uint8)
    for byte in range(128):
        if chr(byte).isalnum():
            codes[byte] = ord(chr(byte).lower())
    codes[ord("'")] = _DROPPED
    codes[0x80:0xC0] = _DROPPED  # the rest of a character whose first byte tells what it is
    return codes


def _bytes_of(characters: str) -> np.ndarray:
    table = np.zeros(256, bool)
    table[[ord(character) for character in characters]] = True
    return table


_CODES = _code_table()
_VALUES = mix(np.arange(1, 257, dtype=np.uint64))
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_IS_DIGIT = _bytes_of("0123456789")
_OPENS_TAG = _bytes_of(_LETTERS + _LETTERS.upper() + "/!")
_OPENS_ENTITY = _bytes_of(_LETTERS + _LETTERS.upper() + "#")
_ENDS_SENTENCE = _bytes_of(".!?\n")
