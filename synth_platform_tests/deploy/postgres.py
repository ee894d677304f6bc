"""A PostgreSQL server from the machine's own programs, as a user that is not root."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_USER = "postgres"


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest version first; None where they are not installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if installed:
        return installed[0].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


@dataclass
class Postgres:
    """A server that can be killed and started again."""

    programs: Path
    folder: Path
    port: int
    user: str
    password: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers when this returns."""
        data = self.folder / "data"
        log = self.folder / "log"
        command = [*_as_user(), str(self.programs / "postgres"), "-D", str(data), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.folder}"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        ready = [str(self.programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "30"]
        for _ in range(100):
            if subprocess.run(ready, capture_output=True, check=False).returncode == 0:
                return
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
                break
        raise AssertionError(log.read_text("utf-8", "replace"))

    def kill(self) -> None:
        """SIGKILL to the server and everything it started: a power cut."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def forget(self, table: str) -> None:
        """Lose all rows of a table, and what refers to them."""
        self.run("psql", "-d", self.user, "-c", f"TRUNCATE {table} CASCADE")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs against the server."""
        server = ["-h", "127.0.0.1", "-p", str(self.port), "-U", self.user]
        _run([str(self.programs / program), *server, *arguments], {"PGPASSWORD": self.password})


@contextmanager
def postgres(programs: Path, port: int, user: str, password: str) -> Iterator[Postgres]:
    """A new server with one user and a database of the same name."""
    folder = Path(tempfile.mkdtemp(prefix="synth-postgres-"))
    server = Postgres(programs, folder, port, user, password)
    try:
        (folder / "password").write_text(password)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, _USER)
        initdb = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", user, "-A", "scram-sha-256", "--no-sync"]
        _run([*_as_user(), *initdb, f"--pwfile={folder / 'password'}"])
        server.start()
        server.run("createdb", user)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _as_user() -> list[str]:
    """What to put before a command that root may not run."""
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"] if os.getuid() == 0 else []


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, done.stderr
