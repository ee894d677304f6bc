"""Work in progress: bars in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from synth_platform.progress import Listener, Task, listen

_PLAIN_SECONDS = 10.0


@contextmanager
def progress(console: Console) -> Iterator[None]:
    """Show all work done inside the block: bars in a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        with listen(_plain(console)):
            yield
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
        transient=True,
    )
    with bars, listen(_bars(bars, console)):
        yield


def _plain(console: Console) -> Listener:
    started: dict[int, float] = {}

    def hear(task: Task, finished: bool) -> None:
        now = time.monotonic()
        if finished or now - started.setdefault(id(task), now) >= _PLAIN_SECONDS:
            started[id(task)] = now
            console.print(f"  {escape(task.describe())}")

    return hear


def _bars(bars: Progress, console: Console) -> Listener:
    shown: dict[int, TaskID] = {}

    def hear(task: Task, finished: bool) -> None:
        rate = escape(" · ".join(task.describe().split(" · ")[1:]))
        if id(task) not in shown:
            shown[id(task)] = bars.add_task(task.stage, total=task.total, rate=rate)
        bars.update(shown[id(task)], completed=task.done, total=task.total, rate=rate)
        if finished:
            bars.remove_task(shown.pop(id(task)))
            console.print(f"  [green]✓[/green] {escape(task.describe())}")

    return hear
