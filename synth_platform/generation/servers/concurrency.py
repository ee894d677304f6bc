"""How many requests one server gets at a time: additive increase, multiplicative decrease (Chiu and Jain 1989)."""

import time
from collections.abc import Callable

_CUT = 0.7
_SMOOTHING = 0.05
_LATE = 0.5
"""Share of the time limit above which answers count as late."""
_LONG_QUEUE = 0.5
"""Share of the running requests above which a server's own queue counts as long."""
_PATIENT_LOOKS = 3
"""Looks in a row at a much longer queue before the limit is cut: at the start everything waits for its prefill."""


class AdaptiveLimit:
    """A limit that grows while answers come and is cut, once per round trip, when the server falls behind.

    It doubles each round until the first trouble (slow start), then grows by one per round.

    Args:
        most: never more than this.
        start: limit to begin with.
        late_seconds: the time limit of a request; answers that come near it are trouble too.
        clock: seconds, monotonic.
    """

    def __init__(self, most: int, start: int, late_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._late_seconds, self._clock = most, late_seconds, clock
        self._limit = float(min(start, most))
        self._steady = float(most)
        """Up to here it doubles, beyond it grows by one."""
        self._latency: float | None = None
        self._last_cut = -1e9
        self._held = False
        self._overfull = 0

    @property
    def limit(self) -> int:
        """Requests that may be in flight now; at least one."""
        return max(int(self._limit), 1)

    @property
    def latency(self) -> float | None:
        """Smoothed seconds from request to answer."""
        return self._latency

    def answered(self, seconds: float, in_flight: int) -> None:
        """An answer came after so many seconds, while so many requests were in flight."""
        old = self._latency
        self._latency = seconds if old is None else old + _SMOOTHING * (seconds - old)
        if self._latency > _LATE * self._late_seconds:
            self.cut()
        elif not self._held and in_flight >= self.limit:
            self._limit = min(self._limit + (1.0 if self._limit < self._steady else 1.0 / self._limit), self._most)

    def cut(self) -> None:
        """The server pushed back (429, 503) or is late: ask less of it."""
        now = self._clock()
        if now - self._last_cut >= max(self._latency or 0.0, 0.25):
            self._last_cut = now
            self._limit = self._steady = max(self._limit * _CUT, 1.0)

    def queue(self, running: float, waiting: float) -> None:
        """The server's own counts: a queue that is long beside what it runs only costs memory and latency."""
        self._held = waiting > max(_LONG_QUEUE * running, 8)
        self._overfull = self._overfull + 1 if waiting > max(2 * running, 32) else 0
        if self._overfull >= _PATIENT_LOOKS:
            self.cut()
