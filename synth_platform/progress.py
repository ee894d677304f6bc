"""Progress of long work, told to whoever listens: the terminal, Dagster's log, or nobody."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Task:
    """Counts of one piece of work; `advance` it and the listeners hear about it."""

    stage: str
    total: int | None
    unit: str
    done: int = 0
    kept: int = 0
    """Of those done, how many were so before; no part of the rate."""
    tokens: int = 0
    note: str = ""
    started: float = field(default_factory=time.monotonic)

    def advance(self, count: int = 1, *, tokens: int = 0, note: str | None = None) -> None:
        """Add to the counts and tell the listeners."""
        self.done += count
        self.tokens += tokens
        if note is not None:
            self.note = note
        _tell(self, finished=False)

    def set(self, done: int, *, kept: int, tokens: int, note: str) -> None:
        """Replace the counts and tell the listeners."""
        self.done, self.kept, self.tokens, self.note = done, kept, tokens, note
        _tell(self, finished=False)

    @property
    def seconds(self) -> float:
        """Seconds since the work began."""
        return max(time.monotonic() - self.started, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the end, at the rate so far; None while unknown."""
        new = self.done - self.kept
        if not self.total or not new:
            return None
        return self.seconds / new * max(self.total - self.done, 0)

    def describe(self) -> str:
        """One line: counts, rate, tokens per second and time left."""
        total = f"/{self.total:,}" if self.total is not None else ""
        parts = [f"{self.stage}: {self.done:,}{total} {self.unit}", f"{(self.done - self.kept) / self.seconds:,.1f}/s"]
        if self.tokens:
            parts.append(f"{self.tokens / self.seconds:,.0f} tokens/s")
        if self.seconds_left is not None and self.done < (self.total or 0):
            parts.append(f"{clock(self.seconds_left)} left")
        return " · ".join([*parts, *([self.note] if self.note else [])])


Listener = Callable[[Task, bool], None]
_listeners: ContextVar[tuple[Listener, ...]] = ContextVar("progress_listeners", default=())


@contextmanager
def track(stage: str, total: int | None = None, unit: str = "rows") -> Iterator[Task]:
    """Announce a piece of work; the listeners hear of its start, its advances and its end."""
    task = Task(stage, total, unit)
    _tell(task, finished=False)
    try:
        yield task
    finally:
        _tell(task, finished=True)


@contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Have ``listener(task, finished)`` called for all work done inside the block."""
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


def log_listener(log: Callable[[str], None], every_seconds: float = 5.0) -> Listener:
    """A listener that writes a line at most every few seconds, and one when the work ends."""
    last: dict[int, float] = {}

    def hear(task: Task, finished: bool) -> None:
        now = time.monotonic()
        if finished or now - last.setdefault(id(task), now) >= every_seconds:
            last[id(task)] = now
            log(task.describe())

    return hear


def _tell(task: Task, *, finished: bool) -> None:
    for listener in _listeners.get():
        listener(task, finished)


def clock(seconds: float) -> str:
    """A span of time for people."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
