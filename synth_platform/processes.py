"""Tell processes apart for good: a pid alone may be given away again."""

import socket
from pathlib import Path


def start_time(pid: int) -> str | None:
    """Start time of a process in clock ticks since boot; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return None if fields[0] == "Z" else fields[19]


def is_alive(pid: int, started: str | None) -> bool:
    """Whether that very process is still there."""
    return started is not None and start_time(pid) == started


def this_host() -> str:
    """The name under which processes of this machine (or container) are recorded."""
    return socket.gethostname()
