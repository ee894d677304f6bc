"""Intervals and tests for two sets of documents: shares, their ratio, odds ratios, and many tests at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

Z = 1.96
"""Normal quantile of the intervals: 95%, each by itself."""
_LARGE = 10.0
"""Expected documents in each cell from which the normal approximation does."""


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def share_ratio(hits: int, total: int, other_hits: int, other_total: int) -> Estimate:
    """Ratio of two shares, with the log interval of Katz et al. (1978).

    Half a document is added to every count where one of the shares is 0 (Walter 1975).
    """
    half = 0.5 if not hits or not other_hits else 0.0
    one, all_of_one, other, all_of_other = (number + half for number in (hits, total, other_hits, other_total))
    log = math.log(one / all_of_one) - math.log(other / all_of_other)
    return _from_log(log, math.sqrt(max(1 / one - 1 / all_of_one + 1 / other - 1 / all_of_other, 0.0)))


def share_p(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """Two-sided p-value of two shares being the same: score test, or Fisher's exact test where counts are small."""
    both, every = hits + other_hits, total + other_total
    expected = min(both, every - both) * min(total, other_total) / every
    if not expected:
        return 1.0
    if expected < _LARGE:
        return _fisher_p(hits, total, both, every)
    pooled = both / every
    spread = math.sqrt(pooled * (1 - pooled) * (1 / total + 1 / other_total))
    return two_sided((hits / total - other_hits / other_total) / spread)


def log_odds_ratio(table: Sequence[int]) -> tuple[float, float]:
    """Natural log of the odds ratio of a table (a, b; c, d) and its standard error, half a document added to each cell
    (Haldane 1956, Anscombe 1956)."""
    a, b, c, d = (number + 0.5 for number in table)
    return math.log(a * d / (b * c)), math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)


def odds_ratio(log: float, error: float) -> Estimate:
    """An odds ratio with its interval, from its log."""
    return _from_log(log, error)


def two_sided(z: float) -> float:
    """p-value of a normal deviate."""
    return math.erfc(abs(z) / math.sqrt(2))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which tests of a family are significant, with at most this chance of any false one (Holm 1979)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    passed = [False] * len(p_values)
    for rank, number in enumerate(order):
        if p_values[number] > level / (len(p_values) - rank):
            break
        passed[number] = True
    return passed


def _fisher_p(hits: int, total: int, both: int, every: int) -> float:
    """Sum of the chances of all tables that are no likelier than this one."""
    possible = np.arange(max(0, both + total - every), min(both, total) + 1)
    chances = _hypergeometric(possible, every, both, total)
    own = _hypergeometric(hits, every, both, total)
    return float(min(1.0, chances[chances <= own * (1 + 1e-7)].sum()))


def _from_log(log: float, error: float) -> Estimate:
    return Estimate(math.exp(log), math.exp(log - Z * error), math.exp(log + Z * error))


def _hypergeometric(hits: Any, every: int, marked: int, drawn: int) -> Any:
    """Chance of so many marked ones among those drawn; scipy.stats has it, and takes two seconds to import."""
    logs = _log_choose(marked, hits) + _log_choose(every - marked, drawn - hits) - _log_choose(every, drawn)
    return np.exp(logs)


def _log_choose(among: Any, chosen: Any) -> Any:
    return gammaln(among + 1) - gammaln(chosen + 1) - gammaln(among - chosen + 1)
