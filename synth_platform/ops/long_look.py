"""Looks that may take longer than a tick of a sensor: they go on beside, and a later tick has what came of them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Generic, TypeVar

T = TypeVar("T")

_SECONDS = 3.0
"""How long a tick waits. Dagster cuts ticks off after 60 seconds, and what they had found is lost then."""


class LongLook(Generic[T]):
    """One look at a time, in a thread that ends with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = ""
        self._going_on: Future[T] | None = None

    def result(self, key: str, look: Callable[[], T]) -> T | None:
        """What a look gives; None as long as it goes on, or one that was begun for another reason does.

        Args:
            key: what the look is for: what another one gave is not taken.
            look: looks.
        """
        with self._lock:
            if self._going_on is None or (self._going_on.done() and self._key != key):
                self._key, self._going_on = key, _beside(look)
            begun = self._going_on
            if not wait([begun], _SECONDS).done or self._key != key:
                return None
            self._going_on = None
        return begun.result()


def _beside(look: Callable[[], T]) -> "Future[T]":
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(look())
        except BaseException as error:  # whatever it is, it is raised where the result is asked for
            found.set_exception(error)

    threading.Thread(target=run, name="look", daemon=True).start()
    return found
