"""A process that dies between two writes to a store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from synth_platform.snapshots.store import Store


@contextmanager
def dying_after(writes: int, store: type[Store], *methods: str) -> Iterator[None]:
    """Let so many calls of the store's methods succeed; the next one raises KeyboardInterrupt instead of writing."""
    left = writes

    def mortal(work: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return work(*arguments)

        return write

    with pytest.MonkeyPatch.context() as patch:
        for name in methods:
            patch.setattr(store, name, mortal(getattr(store, name)))
        yield
