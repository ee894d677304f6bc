"""Find test items that were copied: word for word, re-wrapped, marked up, or with words left out or put in.

Rare word triples lead to the places worth a look, after the idea of AllenAI's decon (hits of n-grams grown to
clusters and weighed by rarity); there the longest common subsequence of words says how much of the item is found.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from rapidfuzz.distance import LCSseq

from synth_platform.contamination.config import ExactSpec
from synth_platform.contamination.word_index import BRIEF, SHORT_TRIPLE, Index
from synth_platform.contamination.words import Words, ngram_hashes, squeeze

_DENSE_HITS, _DENSE_WORDS = 3, 9
"""A place is looked at when so many triples begin within so many words."""
_CLUSTER_GAP = 20
"""Triples of one part further apart than this belong to different copies."""
_LEAST_COVER, _LEAST_BRIEF_COVER, _LEAST_SHORT_COVER = 0.25, 0.25, 0.7
"""Share of the information that triples must show before words are compared: of a part, of one of few words, and of
a short question."""
_HOPEFUL = 0.35
"""Share of a part's information that must match word by word before the rest is looked at closely."""
_GROUP_GAP = 8
"""Matched words further apart than this belong to different stretches."""
_LEAST_DENSITY = 0.45
"""Share of the words in the stretch that must match."""
_SLACK = 6
_LEFT_OUT = 0.6
"""What a word counts that was left out between two that match: nothing else stands in its place."""
_OTHER_NUMBERS, _SOME_NUMBERS = 0.25, 2
"""What the score loses when all numbers of a part with so many are others."""
_MOSTLY = 0.55
"""Share of a part's words that must match for others to count as left out."""
_WHOLE, _PARTIAL_FACTOR = 0.9, 1.2
"""A find of less of an item than this must say more by this factor."""


@dataclass(frozen=True)
class Match:
    """A part of a test item found in a text.

    Args:
        text: number of the text in the batch.
        part: number of the part in the index.
        score: share of the part's information that was found.
        mass: nats that were found.
        first: first word of the batch that matches.
        last: last word that matches.
        part_first: first word of the part that was found.
        part_last: last word.
    """

    text: int
    part: int
    score: float
    mass: float
    first: int
    last: int
    part_first: int
    part_last: int


class ExactMatcher:
    """Searches batches of texts for copies of the parts of an index."""

    def __init__(self, index: Index, spec: ExactSpec) -> None:
        self._index, self._spec = index, spec

    def find(self, words: Words) -> list[Match]:
        """Parts found in a batch, the best place of each in each text, in order of text and part."""
        best: dict[tuple[int, int], Match] = {}
        for cluster in self._clusters(words):
            match = self._compare(words, cluster)
            if match is not None:
                key = (match.text, match.part)
                if key not in best or best[key].score < match.score:
                    best[key] = match
        return [best[key] for key in sorted(best)]

    def _clusters(self, words: Words) -> Iterator["_Cluster"]:
        place, entry = self._follow(words)
        if not len(place):
            return
        anchors = self._index.anchors
        part, inside = anchors.part[entry], anchors.words[entry]
        key = words.text[place].astype(np.int64) * len(self._index.lengths) + part
        order = np.lexsort((place, key))
        key, place, part, inside = key[order], place[order], part[order], inside[order]
        starts = np.ones(len(key), bool)
        starts[1:] = (np.diff(key) != 0) | (np.diff(place) > _CLUSTER_GAP)
        first = np.flatnonzero(starts)
        after = np.append(first[1:], len(key))
        needed = self._needed(part[first])
        # Most clusters are one chance triple; only of those that may hold enough are the words told apart.
        triple = self._index.word_weights[self._index.offsets[part][:, None] + inside].sum(axis=1)
        sums = np.concatenate([[0.0], np.cumsum(triple)])
        enough = np.flatnonzero(sums[after] - sums[first] >= needed)
        size = (after - first)[enough]
        rows = np.repeat(first[enough], size) + _count_up(size)
        covered = self._covers(part[rows], inside[rows], np.repeat(np.arange(len(enough)), size), len(enough))
        enough = enough[covered >= needed[enough]]
        columns = (
            part[first],
            place[first],
            place[after - 1],
            np.minimum.reduceat(inside[:, 0], first),
            np.maximum.reduceat(inside[:, 2], first),
        )
        for values in zip(*(column[enough].tolist() for column in columns), strict=True):
            yield _Cluster(*values)

    def _follow(self, words: Words) -> tuple[np.ndarray, np.ndarray]:
        """Where triples of the index begin in dense places of the batch, and the entries they lead to."""
        anchors = self._index.anchors
        hashes = ngram_hashes(words.hashes, 1, 2)
        kind = anchors.may_hold(hashes)
        place = np.flatnonzero(kind)
        place = place[words.text[place] == words.text[place + 2]]
        # A short question has too few triples to make a dense place.
        place = place[_dense(place) | (kind[place] == SHORT_TRIPLE)]
        number = anchors.find(hashes[place])
        place, number = place[number >= 0], number[number >= 0]
        near = _dense(place) | (kind[place] == SHORT_TRIPLE)
        place, number = place[near], number[near]
        first = anchors.offsets[number]
        many = anchors.offsets[number + 1] - first
        return np.repeat(place, many), np.repeat(first, many) + _count_up(many)

    def _covers(self, part: np.ndarray, inside: np.ndarray, cluster: np.ndarray, clusters: int) -> np.ndarray:
        """Nats of the distinct words that the triples of each cluster show.

        Args:
            part: part of each triple.
            inside: the triple's three words in the part.
            cluster: number of the triple's cluster.
            clusters: how many there are.
        """
        weights = self._index.word_weights
        word = (self._index.offsets[part][:, None] + inside).ravel()
        number, word = np.divmod(np.unique(np.repeat(cluster, 3) * len(weights) + word), len(weights))
        return np.bincount(number, weights[word], clusters)

    def _needed(self, part: np.ndarray) -> np.ndarray:
        """Nats that a part's triples must show: a share of it, or a stretch that chance does not give."""
        share = np.where(self._index.lengths[part] <= BRIEF, _LEAST_BRIEF_COVER, _LEAST_COVER)
        share = np.where(self._index.question_words[part] > 0, _LEAST_SHORT_COVER, share)
        return np.minimum(share * self._index.asked_masses[part], self._spec.long_stretch)

    def _compare(self, words: Words, cluster: "_Cluster") -> Match | None:
        """The best stretch of the cluster's surroundings, or None if it says too little."""
        part = cluster.part
        wanted, weights = self._index.part_words(part), self._index.part_weights(part)
        text = int(words.text[cluster.first])
        low = max(int(words.bounds[text]), cluster.first - int(1.3 * cluster.part_first) - _SLACK)
        rest = len(wanted) - cluster.part_last
        high = min(int(words.bounds[text + 1]), cluster.last + 3 + int(1.3 * rest) + _SLACK)
        near = words.hashes[low:high].tolist()
        question = int(self._index.question_words[part])
        company = _company(near, wanted, weights, question) if question else 1.0
        if company < self._spec.suspect:
            return None
        blocks = LCSseq.opcodes(wanted.tolist(), near).as_matching_blocks()
        pairs = [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]
        stretch = _best_stretch(pairs, weights)
        matched = float(weights[[index for index, _ in stretch]].sum())
        if matched < min(_HOPEFUL * float(self._index.asked_masses[part]), self._spec.long_stretch):
            return None
        shares = self._shares(words, part, low, stretch, len(wanted))
        mass = float(weights @ shares)
        score = mass / float(weights.sum()) - self._other_numbers(part, shares)
        if question:
            asked = float(weights[:question] @ shares[:question]) / max(float(weights[:question].sum()), 1e-9)
            score = min(asked, company)
        elif len(stretch) < _LEAST_DENSITY * (stretch[-1][1] - stretch[0][1] + 1):
            return None
        least = self._spec.least_information * (1 if score >= _WHOLE else _PARTIAL_FACTOR)
        if mass < least or (score < self._spec.suspect and mass < self._spec.long_stretch):
            return None
        first, last = low + stretch[0][1], low + stretch[-1][1]
        return Match(text, part, score, mass, first, last, stretch[0][0], stretch[-1][0])

    def _shares(self, words: Words, part: int, low: int, stretch: list[tuple[int, int]], length: int) -> np.ndarray:
        """How far each word of a part is there: matched 1, left out between two matches `_LEFT_OUT`, else 0."""
        shares = np.zeros(length)
        shares[[index for index, _ in stretch]] = 1.0
        mostly_there = len(stretch) >= _MOSTLY * length
        for (index, place), (next_index, next_place) in pairwise(stretch):
            missing = slice(index + 1, next_index)
            if next_index - index == 1:
                continue
            if next_place - place == 1 and mostly_there:
                shares[missing] = _LEFT_OUT
            elif self._same_characters(words, part, missing, slice(low + place + 1, low + next_place)):
                shares[missing] = 1.0
        end, end_place = stretch[-1][0] + 1, low + stretch[-1][1] + 1
        if end < length and self._same_characters(words, part, slice(end, length), slice(end_place, end_place + 4)):
            shares[end:] = 1.0
        return shares

    def _other_numbers(self, part: int, shares: np.ndarray) -> float:
        """What the score loses because the text has other numbers: the question is then another of its kind."""
        numbers = [index for index, word in enumerate(self._index.part_text(part)) if word.isdecimal()]
        return _OTHER_NUMBERS * float(1 - shares[numbers].mean()) if len(numbers) >= _SOME_NUMBERS else 0.0

    def _same_characters(self, words: Words, part: int, wanted: slice, there: slice) -> bool:
        """Whether words differ only in how they are divided, as f(x) and fx are: by what punctuation left."""
        text = self._index.part_text(part)
        if not text or there.start >= len(words.starts):
            return False
        asked = "".join(text[wanted])
        last = min(there.stop, len(words.starts)) - 1
        found = squeeze(words.slice(there.start, last))
        return asked == found or (wanted.stop == len(text) and found.startswith(asked))


@dataclass(frozen=True)
class _Cluster:
    """Triples of one part close together: places in the batch and in the part."""

    part: int
    first: int
    last: int
    part_first: int
    part_last: int


def _company(near: list[int], wanted: np.ndarray, weights: np.ndarray, question: int) -> float:
    """Share of what a short question's choices say that is near, in whatever order."""
    there = set(near)
    company = wanted[question:].tolist()
    found = [weight for word, weight in zip(company, weights[question:].tolist(), strict=True) if word in there]
    return sum(found) / max(float(weights[question:].sum()), 1e-9)


def _dense(place: np.ndarray) -> np.ndarray:
    """Which places, ascending, have enough others near."""
    near = np.zeros(len(place), bool)
    step = _DENSE_HITS - 1
    together = np.flatnonzero(place[step:] - place[: len(place) - step] < _DENSE_WORDS) if len(place) > step else []
    for offset in range(_DENSE_HITS):
        near[np.asarray(together, np.int64) + offset] = True
    return near


def _best_stretch(pairs: list[tuple[int, int]], weights: np.ndarray) -> list[tuple[int, int]]:
    """Of matched pairs (word of the part, word of the text), the stretch without wide gaps that says most."""
    best: list[tuple[int, int]] = []
    mass = 0.0
    current: list[tuple[int, int]] = []
    for pair in [*pairs, None]:
        if pair is not None and (not current or pair[1] - current[-1][1] <= _GROUP_GAP):
            current.append(pair)
            continue
        found = float(sum(weights[index] for index, _ in current))
        if found > mass:
            best, mass = current, found
        current = [pair] if pair is not None else []
    return best


def _count_up(many: np.ndarray) -> np.ndarray:
    """0, 1, ... many[0]-1, 0, 1, ... many[1]-1, and so on."""
    ends = np.cumsum(many)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - many, many)
