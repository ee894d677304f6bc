"""Shares with confidence intervals, and the difference of two."""

import math
from dataclasses import dataclass

from synth_platform.statistics import wilson


@dataclass(frozen=True)
class Share:
    """Hits of a total, with a 95% interval (Wilson 1927)."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share; 0 if there is nothing to share."""
        return self.hits / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95% confidence."""
        return wilson(self.hits, self.total)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.2%} ({low:.2%} to {high:.2%}), {self.hits:,} of {self.total:,}" if self.total else "none"


@dataclass(frozen=True)
class Difference:
    """One share less another, with a 95% interval (Newcombe 1998, method 10: hybrid score)."""

    one: Share
    other: Share

    @property
    def value(self) -> float:
        """The difference."""
        return self.one.value - self.other.value

    @property
    def interval(self) -> tuple[float, float]:
        """95% confidence; everything is possible if one of the groups is empty."""
        if not self.one.total or not self.other.total:
            return -1.0, 1.0
        (low, high), (other_low, other_high) = self.one.interval, self.other.interval
        below = math.hypot(self.one.value - low, other_high - self.other.value)
        above = math.hypot(high - self.one.value, self.other.value - other_low)
        return max(-1.0, self.value - below), min(1.0, self.value + above)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:+.2%} ({low:+.2%} to {high:+.2%})"
