"""Find the terms of a lexicon in a batch of texts, and tell those that are spoken of from those that are used."""

from dataclasses import dataclass

import numpy as np

from synth_platform.bias.lexicon import CAPITAL, CAPITALS, EITHER, TITLE, WITH, Lexicon, Phrases, Reason, phrase_hashes
from synth_platform.contamination.words import Words

MENTION_WORDS = 6
"""A term so near to "the word", "a slur" and the like, in the same sentence, is spoken of."""
CUES_IN_TEXT = 3
"""So many cues make a whole document one of medicine, law, software ..."""
_PREFIX_BITS = 18
_QUOTE, _TICK = ord('"'), ord("`")
_IN_WORD = np.array([byte >= 0x80 or chr(byte).isalnum() for byte in range(256)])
_OPENING, _CLOSING = (0xE2, 0x80, 0x9C), (0xE2, 0x80, 0x9D)


@dataclass(frozen=True)
class Hits:
    """Terms found in a batch, in the order of the texts.

    Args:
        first: number of the first word of each.
        after: number of the word after its last.
        term: number of the term.
        label: number of its label.
        text: number of the text.
        sentence: number of the sentence, over the batch.
    """

    first: np.ndarray
    after: np.ndarray
    term: np.ndarray
    label: np.ndarray
    text: np.ndarray
    sentence: np.ndarray

    def __len__(self) -> int:
        return len(self.first)

    def only(self, kept: np.ndarray) -> "Hits":
        """Those at the given places, or where a mask is true."""
        return Hits(*(getattr(self, name)[kept] for name in self.__dataclass_fields__))


def find(words: Words, lexicon: Lexicon) -> Hits:
    """All terms in a batch, without everyday words in texts on software.

    Longer terms hide the shorter ones of their family that they overlap, fixed phrases those of all families.
    """
    places = _in_vocabulary(words.hashes, lexicon)
    hashes, sentence = words.hashes[places], words.sentence[places]
    covered = np.zeros(len(places), np.int64)
    found = []
    for phrases in lexicon.phrases:
        start, form = _forms_at(places, hashes, sentence, phrases)
        families = phrases.families[form]
        taken = covered[start]
        for offset in range(1, phrases.size):
            taken = taken | covered[start + offset]
        free = families & ~taken
        kept = free > 0
        start, form, families, free = start[kept], form[kept], families[kept], free[kept]
        for offset in range(phrases.size):
            covered[start + offset] |= families
        found.append(_terms_of(places[start], form, free, phrases, words, lexicon))
    first, after, term = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((term, first))
    first, after, term = first[order], after[order], term[order]
    hits = Hits(first, after, term, lexicon.term_label[term], words.text[first], words.sentence[first])
    return _without_everyday(hits, lexicon)


def reasons_of(toxic: Hits, every: Hits, words: Words, lexicon: Lexicon) -> dict[Reason, np.ndarray]:
    """Where each context is to be seen around terms of toxicity, whether or not it excuses them.

    Args:
        toxic: the terms of toxicity among ``every``.
        every: all terms of the batch, cues too.
        words: the batch.
        lexicon: that they were found with.
    """
    mention = every.only(every.label == lexicon.label("context", "mention"))
    return {
        "quoted": _quoted(toxic, words),
        "mention": _near(toxic, mention),
        "subject": _in_context(toxic, every, lexicon.label("context", "subject")),
    }


def join(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of places with equal keys.

    Args:
        one: keys.
        other: keys, ascending.
    """
    low, high = np.searchsorted(other, one, "left"), np.searchsorted(other, one, "right")
    counts = high - low
    left = np.repeat(np.arange(len(one)), counts)
    return left, np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts - low, counts)


def _in_vocabulary(hashes: np.ndarray, lexicon: Lexicon) -> np.ndarray:
    """Places of the words that some term has: first by a bit of their hash, then for sure."""
    shift = np.uint64(64 - _PREFIX_BITS)
    table = np.zeros(1 << _PREFIX_BITS, bool)
    table[lexicon.words >> shift] = True
    places = np.flatnonzero(table[(hashes >> shift).view(np.int64)])
    at = np.minimum(np.searchsorted(lexicon.words, hashes[places]), len(lexicon.words) - 1)
    return places[lexicon.words[at] == hashes[places]]


def _forms_at(
    places: np.ndarray, hashes: np.ndarray, sentence: np.ndarray, phrases: Phrases
) -> tuple[np.ndarray, np.ndarray]:
    """Where forms begin, as indices of ``places``, and which: words side by side in one sentence."""
    last = phrases.size - 1
    count = max(len(places) - last, 0)
    if not count or not len(phrases.hashes):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    start = np.arange(count)
    if last:
        start = np.flatnonzero((places[last:] - places[:count] == last) & (sentence[last:] == sentence[:count]))
    wanted = phrase_hashes(hashes[start[:, None] + np.arange(phrases.size)])
    form = np.minimum(np.searchsorted(phrases.hashes, wanted), len(phrases.hashes) - 1)
    same = phrases.hashes[form] == wanted
    return start[same], form[same]


def _terms_of(
    first: np.ndarray, form: np.ndarray, free: np.ndarray, phrases: Phrases, words: Words, lexicon: Lexicon
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First words, words after the last, and terms, of the forms whose families are free and that are so written."""
    counts = phrases.first[form + 1] - phrases.first[form]
    which = np.repeat(np.arange(len(form)), counts)
    entry = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts - phrases.first[form], counts)
    first, term = first[which], phrases.term[entry]
    kept = (free[which] >> lexicon.label_family[lexicon.term_label[term]]) & 1 > 0
    kept &= _written_so(first, lexicon.case[term], words)
    if phrases.size == 1:
        # A word has lost its apostrophe on the way to its form if it takes more bytes in the text.
        has = words.ends[first] - words.starts[first] > phrases.letters[form][which]
        wanted = phrases.apostrophe[entry]
        kept &= (wanted == EITHER) | (has == (wanted == WITH))
    return first[kept], first[kept] + phrases.size, term[kept]


def _written_so(first: np.ndarray, case: np.ndarray, words: Words) -> np.ndarray:
    if not len(first):
        return np.zeros(0, bool)
    start = words.starts[first]
    capital, second = _is_capital(words.buffer[start]), _is_capital(words.buffer[start + 1])
    good = np.where(case == CAPITAL, capital, True)
    good = np.where(case == CAPITALS, capital & second, good)
    return np.where(case == TITLE, capital & ~second, good)


def _is_capital(characters: np.ndarray) -> np.ndarray:
    return (characters >= ord("A")) & (characters <= ord("Z"))


def _without_everyday(hits: Hits, lexicon: Lexicon) -> Hits:
    """Without the children, drivers and natives of texts on software."""
    everyday = np.flatnonzero(lexicon.everyday[hits.term])
    technical = _in_context(hits.only(everyday), hits, lexicon.label("context", "technical"))
    kept = np.ones(len(hits), bool)
    kept[everyday[technical]] = False
    return hits.only(kept)


def _in_context(hits: Hits, every: Hits, cue: int) -> np.ndarray:
    """Which hits share a sentence with a cue, or a text with several."""
    cues = every.only(every.label == cue)
    texts, counts = np.unique(cues.text, return_counts=True)
    return np.isin(hits.sentence, cues.sentence) | np.isin(hits.text, texts[counts >= CUES_IN_TEXT])


def _near(hits: Hits, cues: Hits) -> np.ndarray:
    """Which hits have a cue close by in their sentence: the last one before, or the first one after."""
    near = np.zeros(len(hits), bool)
    if not len(cues):
        return near
    following = np.searchsorted(cues.first, hits.first)
    for cue in (np.maximum(following - 1, 0), np.minimum(following, len(cues) - 1)):
        gap = np.maximum(cues.first[cue] - hits.after, hits.first - cues.after[cue])
        near |= (gap < MENTION_WORDS) & (cues.sentence[cue] == hits.sentence)
    return near


def _quoted(hits: Hits, words: Words) -> np.ndarray:
    """Which hits stand in quotation marks or in code, opened and closed on their line."""
    buffer = words.buffer
    start, end = words.starts[hits.first], words.ends[hits.after - 1]
    breaks = np.flatnonzero(buffer == ord("\n"))
    line = np.searchsorted(breaks, start)
    line_start = np.concatenate([[0], breaks + 1])[line]
    line_end = breaks[np.minimum(line, len(breaks) - 1)]

    def between(marks: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        return np.searchsorted(marks, high) - np.searchsorted(marks, low)

    quoted = np.zeros(len(hits), bool)
    for mark in (_QUOTE, _TICK):
        marks = np.flatnonzero(buffer == mark)
        quoted |= (between(marks, line_start, start) % 2 > 0) & (between(marks, end, line_end) > 0)
    for opening, closing in ((_sequence(buffer, _OPENING), _sequence(buffer, _CLOSING)), _single_quotes(buffer)):
        opened = between(opening, line_start, start) > between(closing, line_start, start)
        quoted |= opened & (between(closing, end, line_end) > 0)
    return quoted


def _single_quotes(buffer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Apostrophes that open and close a quotation: before a word and after one, not inside."""
    marks = np.flatnonzero(buffer == ord("'"))
    before, after = _IN_WORD[buffer[np.maximum(marks - 1, 0)]], _IN_WORD[buffer[np.minimum(marks + 1, len(buffer) - 1)]]
    before &= marks > 0
    return marks[~before & after], marks[~after]


def _sequence(buffer: np.ndarray, sequence: tuple[int, ...]) -> np.ndarray:
    """Where a sequence of bytes begins."""
    places = np.flatnonzero(buffer[: max(len(buffer) - len(sequence) + 1, 0)] == sequence[0])
    for offset, byte in enumerate(sequence[1:], 1):
        places = places[buffer[places + offset] == byte]
    return places
