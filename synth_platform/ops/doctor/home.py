"""The home itself: room on its disks, whether it can be written, and who else has opened it."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from synth_platform.ops.doctor.finding import Finding
from synth_platform.processes import this_host
from synth_platform.workspace import Workspace

_LEAST_BYTES = 1_000_000_000
_LEAST_FILES = 10_000
_LATELY = timedelta(days=1)


def note_host(workspace: Workspace) -> None:
    """Leave word in the home that this host uses it."""
    folder = _hosts(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / this_host()).touch()


def home_findings(workspace: Workspace) -> Iterator[Finding]:
    """What is wrong with the folders of an installation that has been used."""
    problems = {folder: _why_read_only(folder) for folder in _folders(workspace)}
    for folder, problem in problems.items():
        if problem:
            yield Finding(
                "read_only",
                f"a folder cannot be written: {problem}",
                str(folder),
                "runs fail as soon as they keep something there",
                "mount it writable, free some space, or change its owner or mode; or choose another SYNTH_HOME",
            )
    yield from _little_space(list(problems))
    yield from _several_hosts(workspace)


def _folders(workspace: Workspace) -> list[Path]:
    """Those that are there, each once."""
    local = workspace.snapshots.store.local
    wanted = [workspace.home, workspace.dagster_home, workspace.scratch, *([local] if local else [])]
    return list(dict.fromkeys(folder for folder in wanted if folder.is_dir()))


def _why_read_only(folder: Path) -> str | None:
    """Only writing tells: a mode says nothing to root, nor of a file system that is mounted read-only or full."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as probe:
            probe.write(b"x" * 4096)
            probe.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _little_space(folders: list[Path]) -> Iterator[Finding]:
    disks = {folder.stat().st_dev: folder for folder in reversed(folders)}
    for folder in disks.values():
        free, files = shutil.disk_usage(folder).free, os.statvfs(folder)
        short_of_files = files.f_files > 0 and files.f_favail < _LEAST_FILES
        if free < _LEAST_BYTES or short_of_files:
            left = f"{free / 1e6:,.0f} MB" + (f" and {files.f_favail:,} files" if short_of_files else "")
            yield Finding(
                "disk_space",
                f"the disk has room for only {left}",
                str(folder),
                "a full disk ends a run; what was committed stays whole",
                f"free some space: {_LEAST_BYTES / 1e9:.0f} GB is the least that makes sense",
            )


def _several_hosts(workspace: Workspace) -> Iterator[Finding]:
    since = time.time() - _LATELY.total_seconds()
    folder = _hosts(workspace)
    hosts = [file.name for file in sorted(folder.glob("*")) if file.stat().st_mtime > since]
    others = [host for host in hosts if host != this_host()]
    in_files = (workspace.dagster_home / "history" / "runs.db").exists()
    if others and in_files:
        yield Finding(
            "several_hosts",
            f"other hosts have opened this home in the last day: {', '.join(others[:5])}",
            str(workspace.dagster_home),
            "Dagster's database lies in files there; written by several hosts at once, SQLite breaks",
            "give each host a SYNTH_HOME of its own with a common SYNTH_DATA, or put Dagster's storage into Postgres"
            f" (see docker/instance/common.yaml); if those hosts are gone, remove their names from {folder}",
        )


def _hosts(workspace: Workspace) -> Path:
    return workspace.home / "hosts"
