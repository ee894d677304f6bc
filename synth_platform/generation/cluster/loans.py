"""A budget of tokens that several workers share: each borrows what its next shard may need, and returns the rest."""

import asyncio
import time
from collections.abc import Callable

_SILENT_SECONDS = 60.0
"""A worker that was not heard of for so long is gone, and what it had borrowed counts as spent."""
_LOOK_SECONDS = 5.0


class TokenLoans:
    """Lends tokens; what all borrow together never exceeds what there is.

    Args:
        tokens: how many there are; None: no limit.
        clock: seconds, monotonic.
    """

    def __init__(self, tokens: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._left, self._clock = tokens, clock
        self._borrowed: dict[str, int] = {}
        self._heard: dict[str, float] = {}
        self._returned = asyncio.Condition()

    def heard_of(self, worker: str) -> None:
        """A worker is alive."""
        self._heard[worker] = self._clock()

    async def borrow(self, worker: str, wanted: int, least: int) -> int:
        """Lend tokens, once there are enough of them.

        Args:
            worker: who asks.
            wanted: what a shard needs if every answer is as long as it may be.
            least: what a single request needs.

        Returns:
            ``wanted``; less, but not less than ``least``, if nobody else will return any; 0 if there are not even
            so many.
        """
        self.heard_of(worker)
        if self._left is None:
            return wanted
        async with self._returned:
            while self._left < wanted and any(tokens > 0 for tokens in self._borrowed.values()):
                try:
                    await asyncio.wait_for(self._returned.wait(), _LOOK_SECONDS)
                except TimeoutError:
                    self._write_off()
            granted = min(self._left, wanted)
            if granted < least:
                return 0
            self._left -= granted
            self._borrowed[worker] = self._borrowed.get(worker, 0) + granted
            return granted

    async def give_back(self, worker: str, unused: int, used: int) -> None:
        """A worker returns what it did not use, and says what it did."""
        self.heard_of(worker)
        if self._left is None:
            return
        async with self._returned:
            self._left += unused
            self._borrowed[worker] = self._borrowed.get(worker, 0) - unused - used
            self._returned.notify_all()

    def _write_off(self) -> None:
        for worker, heard in self._heard.items():
            if self._clock() - heard > _SILENT_SECONDS:
                self._borrowed.pop(worker, None)
