"""Tell processes apart for good (a pid alone may be given away again), and let none outlive the one it works for."""

import ctypes
import multiprocessing
import os
import signal
import socket
import threading
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


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


def began_this_container() -> bool:
    """Whether this process descends from the first one of its container, and was not brought in from outside."""
    pid = os.getpid()
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, IndexError):
            return False
    return pid == 1


def this_host() -> str:
    """The name under which processes of this machine (or container) are recorded."""
    return socket.gethostname()


@cache
def end_with_parent() -> None:
    """Have this process killed as soon as the one that it was started from by `multiprocessing` is gone.

    The parent's end of a pipe tells: the kernel closes it however the parent ends. (The signal at a parent's death is
    of no use here: the parent by the kernel's count is a fork server, which lives as long as its last child.)
    """
    if (parent := multiprocessing.parent_process()) is not None:

        def wait() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=wait, name="end-with-parent", daemon=True).start()


def die_with_parent() -> None:
    """In a child before it becomes another program: have the kernel end it when its parent dies, however that is."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
