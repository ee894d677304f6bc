"""Intervals and p-values for figures from samples and from random groups of rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from synth_platform.statistics import wilson

"""Standard errors either side of a 95% interval."""


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval; ``low`` and ``high`` are the figure where it cannot be told."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Interval":
        """The same in another unit."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def __str__(self) -> str:
        return f"{self.value:.3g} ({self.low:.3g} to {self.high:.3g})"


def share_interval(hits: int, total: int) -> Interval:
    """A share with its Wilson score interval."""
    low, high = wilson(hits, total)
    return Interval(hits / total if total else 0.0, low, high)


def mean_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """A mean with Student's interval."""
    array = np.asarray(values, dtype=float)
    if len(array) < 2:
        value = float(array.mean()) if len(array) else 0.0
        return Interval(value, value, value)
    value = float(array.mean())
    half = float(special.stdtrit(len(array) - 1, 0.975) * array.std(ddof=1) / math.sqrt(len(array)))
    return Interval(value, value - half, value + half)


def jackknife_interval(value: float, without: Sequence[float]) -> Interval:
    """A figure with the interval of the delete-a-group jackknife.

    Args:
        value: of all groups.
        without: the same figure with each group left out.
    """
    count = len(without)
    if count < 2:
        return Interval(value, value, value)
    spread = np.asarray(without) - np.mean(without)
    half = float(special.stdtrit(count - 1, 0.975) * math.sqrt((count - 1) / count * float(spread @ spread)))
    return Interval(value, value - half, value + half)


def ratio_with_variance(parts: np.ndarray, wholes: np.ndarray) -> tuple[float, float]:
    """Ratio of two sums over random groups, and its variance (the groups' own, so dependence within them counts)."""
    total, count = float(wholes.sum()), len(wholes)
    if not total:
        return 0.0, 0.0
    ratio = float(parts.sum()) / total
    residual = parts - ratio * wholes
    return ratio, count / (count - 1) * float(residual @ residual) / total**2


def difference_p(one: tuple[float, float], other: tuple[float, float], groups: int) -> float:
    """Two-sided p-value that two ratios with variances differ by chance (Student's t)."""
    variance = one[1] + other[1]
    if variance <= 0:
        return 1.0 if one[0] == other[0] else 0.0
    t = abs(one[0] - other[0]) / math.sqrt(variance)
    return float(2 * special.stdtr(2 * (groups - 1), -t))


@dataclass(frozen=True)
class Distance:
    """How far two distributions are apart, and how far two samples of one distribution would be."""

    value: float
    expected: float
    p: float


Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Of differences of two distributions, row by row, and of the pooled one."""


def distance_test(one: np.ndarray, other: np.ndarray, statistic: Statistic, *, draws: int, seed: int) -> Distance:
    """Distance of two distributions with its p-value, by a wild bootstrap over random groups of rows.

    If both versions are samples of one distribution, their difference is noise. Noise of the right size, with all
    dependence between words of a document in it, comes from the versions themselves: the deviations of their groups
    from their mean, each with a random sign (Cameron, Gelbach and Miller 2008).

    Args:
        one: counts, groups by bins.
        other: counts, groups by bins.
        statistic: the distance.
        draws: bootstrap draws.
        seed: of the draws.
    """
    sizes = float(one.sum()), float(other.sum())
    if not all(sizes):
        return Distance(0.0, 0.0, 1.0)
    difference = one.sum(0) / sizes[0] - other.sum(0) / sizes[1]
    pooled = (one.sum(0) + other.sum(0)) / sum(sizes)
    value = float(statistic(difference[None], pooled)[0])
    noise = np.concatenate([_deviations(one), _deviations(other)])
    rng = np.random.default_rng(seed)
    null = np.empty(draws)
    for start in range(0, draws, 100):  # a few at a time: there may be thousands of bins
        signs = rng.choice((-1.0, 1.0), size=(min(100, draws - start), len(noise)))
        null[start : start + 100] = statistic(signs @ noise, pooled)
    return Distance(value, float(null.mean()), float((1 + (null >= value * (1 - 1e-12)).sum()) / (1 + draws)))


def _deviations(counts: np.ndarray) -> np.ndarray:
    groups, total = len(counts), counts.sum()
    mean = counts.sum(0) / total
    return (counts - counts.sum(1, keepdims=True) * mean) / total * math.sqrt(groups / (groups - 1))
