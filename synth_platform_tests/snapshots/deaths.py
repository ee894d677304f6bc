"""A process that dies, or that another one overtakes, between two calls."""

from collections.abc import Callable, Iterator, Sequence
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


@contextmanager
def overtaken_before(call: int, kind: type, methods: Sequence[str], work: Callable[[], Any]) -> Iterator[list[str]]:
    """Do some work just before one of the calls of a class's methods, counted from 0; names of the calls so far."""
    calls: list[str] = []

    def overtaking(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **named: Any) -> Any:
            calls.append(name)
            if len(calls) == call + 1:
                work()
            return method(*arguments, **named)

        return made

    with pytest.MonkeyPatch.context() as patch:
        for name in methods:
            patch.setattr(kind, name, overtaking(name, getattr(kind, name)))
        yield calls
