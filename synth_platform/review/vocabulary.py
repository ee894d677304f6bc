"""Differences of two vocabularies that were counted in hashed slots."""

import math
from dataclasses import dataclass

import numpy as np

from synth_platform.review.drift_sketch import SLOTS, RecipeCounts
from synth_platform.review.statistics import Distance, distance_test

_REST = 256
"""Groups of slots in which rarer words are compared."""
_PRIOR_WORDS = 10_000.0
"""Weight of the prior, in words: a word needs about one count in ten thousand to stand out."""
_SHOWN = 16
_PER = 1_000_000
_FEWEST = 20
"""Occurrences on both sides together from which a word is compared by itself."""


@dataclass(frozen=True)
class WordChange:
    """A word whose frequency changed.

    Args:
        word: in lower case.
        old: occurrences per million words before.
        new: occurrences per million words after.
        z: log odds ratio in standard errors, above 0 where the word became more frequent. Words come in bursts, so it
            is for ranking, not for testing.
    """

    word: str
    old: float
    new: float
    z: float


def vocabulary_bins(new: np.ndarray, old: np.ndarray, words: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the commonest slots one by one, and of the rest in groups.

    Args:
        new: counts, groups of rows by slots.
        old: the same of what it is compared with.
        words: slots to keep.
    """
    both = new.sum(0) + old.sum(0)
    order = np.lexsort((np.arange(SLOTS), -both))
    alone = min(words, int((both >= _FEWEST).sum()))
    target = np.empty(SLOTS, np.int64)
    target[order[:alone]] = np.arange(alone)
    target[order[alone:]] = words + order[alone:] % _REST
    binned = []
    for counts in (new, old):
        bins = np.zeros((len(counts), words + _REST), np.int64)
        for row, group in zip(bins, counts, strict=True):
            np.add.at(row, target, group)
        binned.append(bins)
    return binned[0], binned[1]


def vocabulary_test(new: np.ndarray, old: np.ndarray, *, draws: int, seed: int) -> Distance:
    """Jensen-Shannon divergence of two vocabularies in bits, what two samples of one would have, and the p-value.

    The test is made on the divergence's second-order term, as only of that the noise of rare words is known without
    bias; what it exceeds its own expectation by is the excess of the divergence.

    Args:
        new: counts, groups of rows by words.
        old: the same of what it is compared with.
        draws: bootstrap draws.
        seed: of the draws.
    """
    value = jensen_shannon(new.sum(0), old.sum(0))
    test = distance_test(new, old, _second_order, draws=draws, seed=seed)
    return Distance(value, max(value - (test.value - test.expected), 0.0), test.p)


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of the distributions that two lists of counts have; 0 if one is empty."""
    if not one.sum() or not other.sum():
        return 0.0
    one, other = one / one.sum(), other / other.sum()
    return max(_entropy((one + other) / 2) - (_entropy(one) + _entropy(other)) / 2, 0.0)


def changed_words(new: RecipeCounts, old: RecipeCounts, shown: int = _SHOWN) -> tuple[WordChange, ...]:
    """The words that changed most, by log odds with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008).

    The prior are the frequencies of both sides together. Only words whose names are known are compared.
    """
    names = old.names.by_slot(SLOTS) | new.names.by_slot(SLOTS)
    counts = [side.vocabulary.sum(0).astype(float) for side in (new, old)]
    totals = [float(side.sum()) for side in counts]
    slots = np.array(sorted(names), np.int64)
    if not all(totals) or not len(slots):
        return ()
    prior = (counts[0] + counts[1])[slots] / sum(totals) * _PRIOR_WORDS
    odds, variance = np.zeros(len(slots)), np.zeros(len(slots))
    for sign, side, total in zip((1, -1), counts, totals, strict=True):
        with_prior = side[slots] + prior
        odds += sign * np.log(with_prior / (total + _PRIOR_WORDS - with_prior))
        variance += 1 / np.maximum(with_prior, 1e-9)
    z = odds / np.sqrt(variance)
    chosen = np.lexsort((slots, -np.abs(z)))[:shown]
    chosen = chosen[np.argsort(-z[chosen], kind="stable")]
    rates = [side[slots] / total * _PER for side, total in zip(counts, totals, strict=True)]
    return tuple(
        WordChange(names[int(slots[at])], float(rates[1][at]), float(rates[0][at]), float(z[at])) for at in chosen
    )


def _second_order(differences: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    weights = np.where(pooled > 0, 1 / np.maximum(8 * math.log(2) * pooled, 1e-300), 0.0)
    return differences**2 @ weights


def _entropy(shares: np.ndarray) -> float:
    return float(-(shares * np.log2(np.maximum(shares, 1e-300))).sum())
