"""Dagster's web server and daemon on a home: one pair of them at a time."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from dagster_shared.ipc import get_ipc_shutdown_pipe, send_ipc_shutdown_message

from synth_platform.errors import SynthError
from synth_platform.ops.instance import WORKSPACE_FILE
from synth_platform.processes import die_with_parent
from synth_platform.workspace import Workspace

HOST = "127.0.0.1"
_LOOK_SECONDS = 0.2
_LOCK_FILE = ".serving"
_NOT_FOR_PEOPLE = ("Function `dev_command` is superseded", "Parameter `execution_type` of function")
"""How warnings begin that Dagster gives of its own code and command, and that nobody here can do anything about."""


def address_of(port: int) -> str:
    """Where the interface is found."""
    return f"http://{HOST}:{port}"


@contextmanager
def only_interface(workspace: Workspace, port: int) -> Iterator[None]:
    """While the block lasts, no other interface starts on this home: two daemons would launch the same things twice.

    A lock of the kernel's tells, which goes with its process: after a daemon's death its heartbeat counts for a while.

    Raises:
        SynthError: there is one, or the port is not free.
    """
    workspace.home.mkdir(parents=True, exist_ok=True)
    with (workspace.home / _LOCK_FILE).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise _is_served(workspace, file.read().strip()) from None
        _check_port(port)
        file.truncate(0)
        file.write(address_of(port))
        file.flush()
        yield


def serve(workspace: Workspace, port: int) -> None:
    """Serve until Ctrl+C or SIGTERM.

    In a process group of their own the servers do not hear Ctrl+C: they are told to end by Dagster's own pipe. From
    then on nothing that they say is shown: those that still start answer with tracebacks.

    Raises:
        SynthError: they ended by themselves.
    """
    told, telling = get_ipc_shutdown_pipe()
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace.dagster_home / WORKSPACE_FILE)]
    command += ["--host", HOST, "--port", str(port), "--shutdown-pipe", str(told)]
    servers = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONWARNINGS": _warnings()},
        pass_fds=[told],
        process_group=0,
        preexec_fn=die_with_parent,
    )
    os.close(told)
    ending = threading.Event()
    threading.Thread(target=_show, args=(servers.stdout, ending), daemon=True).start()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while servers.poll() is None:
            time.sleep(_LOOK_SECONDS)  # a wait without an end is not woken where a thread of a library hears Ctrl+C
    except KeyboardInterrupt:
        ending.set()
        send_ipc_shutdown_message(telling)
        servers.wait()
    else:
        raise SynthError("the interface has ended by itself", fix="what is said above tells why")


def _warnings() -> str:
    """Which warnings are shown, as Python's environment variable has it: those of the user's, and not these."""
    given = os.environ.get("PYTHONWARNINGS")
    return ",".join([*([given] if given else []), *(f"ignore:{one}" for one in _NOT_FOR_PEOPLE)])


def _show(said: IO[bytes], ending: threading.Event) -> None:
    for line in said:
        if not ending.is_set():
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()


def _is_served(workspace: Workspace, address: str) -> SynthError:
    at = f", at {address}" if address else ""
    return SynthError(
        f"an interface of this home runs already{at}",
        where=str(workspace.home),
        fix="use that one, or stop it first: two would launch scheduled runs twice",
    )


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: its predecessor may be gone
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SynthError(
                f"port {port} cannot be used: {error.strerror}", where=HOST, fix="choose another one with --port"
            ) from error
