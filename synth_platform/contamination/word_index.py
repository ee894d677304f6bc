"""The index over test items: their parts as hashed words, weighed, and the rare word triples that lead to them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from synth_platform.contamination.schema import INDEX_PARTS
from synth_platform.contamination.weights import Weights, count_texts
from synth_platform.contamination.words import ngram_hashes, split_words, squeeze

_LONG_ANSWER = 13
"""Answers of so many words are looked for by themselves."""
_LEAST_PASSAGE = 8
NO_TRIPLE, TRIPLE, SHORT_TRIPLE = 0, 1, 2
BRIEF = 12
"""A part of so few words has too few triples, once some words are left out, to make a dense place."""
_TRIPLES = ((1, 2), (1, 3), (2, 3))
"""Words of an item that make a triple: three in a row, or with one left out, as a copy may have left it out."""
_COMMON_TRIPLE = 30
"""A triple of more parts than this leads to none, unless a part has few others."""
_LEADS_AT_LEAST = 4
_FILTER_BITS = 25
_BUCKET_BITS = 21


@dataclass(frozen=True)
class Anchors:
    """Word triples by hash, and the parts they occur in.

    Args:
        hashes: distinct hashes, ascending.
        offsets: the entries of hash k are ``offsets[k]`` to ``offsets[k + 1]``.
        part: part of each entry.
        words: per entry, the places in the part of its three words; int32 (entries, 3).
        filter: for the leading bits of a hash, whether any triple has them, and whether one of a short question.
    """

    hashes: np.ndarray
    offsets: np.ndarray
    part: np.ndarray
    words: np.ndarray
    filter: np.ndarray

    def may_hold(self, hashes: np.ndarray) -> np.ndarray:
        """What triple a hash may be of: `NO_TRIPLE` (certain), `TRIPLE`, or `SHORT_TRIPLE` of a short question."""
        return self.filter[(hashes >> np.uint64(64 - _FILTER_BITS)).view(np.int64)]

    def find(self, hashes: np.ndarray) -> np.ndarray:
        """Number of each hash; -1 where it is of no triple."""
        number = np.full(len(hashes), -1)
        bucket = (hashes >> np.uint64(64 - _BUCKET_BITS)).view(np.int64)
        at, end = self.buckets[bucket], self.buckets[bucket + 1]
        open = np.flatnonzero(at < end)
        while len(open):  # as often as the fullest bucket has entries: a handful of times
            found = self.hashes[at[open]] == hashes[open]
            number[open[found]] = at[open[found]]
            open = open[~found]
            at[open] += 1
            open = open[at[open] < end[open]]
        return number

    @cached_property
    def buckets(self) -> np.ndarray:
        """Where the hashes begin that have given leading bits."""
        leading = np.arange((1 << _BUCKET_BITS) + 1, dtype=np.uint64)
        edges = leading[:-1] << np.uint64(64 - _BUCKET_BITS)
        return np.append(np.searchsorted(self.hashes, edges), len(self.hashes))


class Index:
    """Parts of test items, ready to be looked for.

    Args:
        parts: `INDEX_PARTS`; the row number is the part's number.
        english: the words are of plain language, not of code.
    """

    def __init__(self, parts: pl.DataFrame, english: bool = True) -> None:
        self.parts, self._english = parts, english
        self.offsets = np.concatenate([[0], np.cumsum(parts["words"].list.len().to_numpy())]).astype(np.int64)
        self.words = parts["words"].explode(empty_as_null=False).to_numpy().astype(np.uint64)
        self.lengths = np.diff(self.offsets)
        self.question_words = parts["question_words"].to_numpy().astype(np.int64)
        self.kinds = parts["part"].to_list()
        self._texts: dict[int, list[str]] = {}
        self._part_of_word = np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def weights(self) -> Weights:
        """Information of words, by how many parts have them."""
        vocabulary, counts = count_texts(self.words, self._part_of_word)
        return Weights(vocabulary, counts, len(self.lengths), self._english)

    @cached_property
    def word_weights(self) -> np.ndarray:
        """Nats of each word of `words`."""
        return self.weights.of(self.words)

    @cached_property
    def masses(self) -> np.ndarray:
        """Nats of each part."""
        return np.bincount(self._part_of_word, self.word_weights, minlength=len(self.lengths))

    @cached_property
    def asked_masses(self) -> np.ndarray:
        """Nats of what each part asks: of a short question its own words, without its company."""
        place = np.arange(len(self.words)) - self.offsets[self._part_of_word]
        asked = self.question_words[self._part_of_word]
        own = (asked == 0) | (place < asked)
        return np.bincount(self._part_of_word[own], self.word_weights[own], minlength=len(self.lengths))

    def part_words(self, part: int) -> np.ndarray:
        """Hashed words of a part."""
        return self.words[self.offsets[part] : self.offsets[part + 1]]

    def part_text(self, part: int) -> list[str]:
        """Words of a part as letters and digits; nothing where the index keeps no text."""
        if part not in self._texts:
            self._texts[part] = _letters(self.parts["text"][part])
        return self._texts[part]

    def part_weights(self, part: int) -> np.ndarray:
        """Nats of the words of a part."""
        return self.word_weights[self.offsets[part] : self.offsets[part + 1]]

    @cached_property
    def anchors(self) -> Anchors:
        """The triples of all parts."""
        hashes, parts, words = self._triples()
        order = np.argsort(hashes, kind="stable")
        hashes, parts, words = hashes[order], parts[order], words[order]
        filter = np.zeros(1 << _FILTER_BITS, np.uint8)
        leading_bits = (hashes >> np.uint64(64 - _FILTER_BITS)).view(np.int64)
        filter[leading_bits] = TRIPLE
        filter[leading_bits[(self.question_words[parts] > 0) | (self.lengths[parts] <= BRIEF)]] = SHORT_TRIPLE
        leading = self._leading(hashes, parts)
        distinct = np.unique(hashes)
        offsets = np.concatenate([[0], np.searchsorted(hashes[leading], distinct, "right")])
        return Anchors(distinct, offsets, parts[leading].astype(np.int32), words[leading].astype(np.int32), filter)

    def _triples(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hashes, parts, words = [], [], []
        for steps in _TRIPLES:
            found = ngram_hashes(self.words, *steps)
            first = np.arange(len(found))
            same = self._part_of_word[first] == self._part_of_word[first + steps[-1]]
            first = first[same]
            place = first - self.offsets[self._part_of_word[first]]
            hashes.append(found[same])
            parts.append(self._part_of_word[first])
            words.append(np.stack([place, *(place + step for step in steps)], axis=1))
        return np.concatenate(hashes), np.concatenate(parts), np.concatenate(words)

    def _leading(self, hashes: np.ndarray, parts: np.ndarray) -> np.ndarray:
        """Which entries are followed: those of rare triples, and the rarest few of every part."""
        _, number, counts = np.unique(hashes, return_inverse=True, return_counts=True)
        shared = counts[number]
        order = np.lexsort((shared, parts))
        rank = np.empty(len(parts), np.int64)
        first = np.concatenate([[0], np.flatnonzero(np.diff(parts[order])) + 1])
        sizes = np.diff(np.concatenate([first, [len(parts)]]))
        rank[order] = np.arange(len(parts)) - np.repeat(first, sizes)
        return (shared <= _COMMON_TRIPLE) | (rank < _LEADS_AT_LEAST)


def build_parts(items: pl.DataFrame) -> pl.DataFrame:
    """Parts by which items are recognised: `INDEX_PARTS`.

    A short question stands with its choices, or else its answer, and counts only in their company; a long answer and
    a passage are parts of their own.

    Args:
        items: `EVAL_ITEMS`.
    """
    count = pl.col("question_words").list.len()
    offered = pl.col("choices_words").list.eval(pl.element().explode()).fill_null([])
    has_choices = offered.list.len() > 0
    company = pl.when(has_choices).then(offered).otherwise("answer_words")
    named = pl.when(has_choices).then(pl.col("choices").list.join("\n")).otherwise("answer")
    question = items.select(
        "eval",
        pl.col("id").alias("eval_id"),
        pl.lit("question").alias("part"),
        pl.when("short").then(pl.col("question_words").list.concat(company)).otherwise("question_words").alias("words"),
        pl.when("short").then(count).otherwise(0).cast(pl.Int32).alias("question_words"),
        pl.when("short").then(pl.concat_str("question", named, separator="\n")).otherwise("question").alias("text"),
    )
    others = [_own_part(items, "answer", _LONG_ANSWER), _own_part(items, "passage", _LEAST_PASSAGE)]
    return pl.concat([question, *others]).match_to_schema(INDEX_PARTS)


def _own_part(items: pl.DataFrame, part: str, words: int) -> pl.DataFrame:
    return items.filter(pl.col(f"{part}_words").list.len() >= words).select(
        "eval",
        pl.col("id").alias("eval_id"),
        pl.lit(part).alias("part"),
        pl.col(f"{part}_words").alias("words"),
        pl.lit(0, pl.Int32).alias("question_words"),
        pl.col(part).alias("text"),
    )


def _letters(text: str | None) -> list[str]:
    if not text:
        return []
    words = split_words([text])
    return [squeeze(words.slice(index, index)) for index in range(len(words.hashes))]
