"""The tree of processes, as tests look at it."""

from contextlib import suppress
from pathlib import Path

from synth_platform.processes import is_alive, start_time


def descendants(pid: int) -> dict[int, str | None]:
    """All processes below one, with their start times."""
    found: dict[int, str | None] = {}
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # it has just ended
        return found
    for child in map(int, children):
        found |= {child: start_time(child), **descendants(child)}
    return found


def living(known: dict[int, str | None]) -> list[int]:
    """Those of some processes that still run."""
    return [pid for pid, started in known.items() if is_alive(pid, started)]


def parent(pid: int) -> int:
    """Pid of the process that started one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def with_variable(name: str, value: str) -> list[int]:
    """All processes that were started with a variable in their environment."""
    wanted, found = f"{name}={value}".encode(), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
    return found
