"""The instance of a home: many first starts at once, and a database that no start can use."""

import multiprocessing
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from dagster._core.scheduler import DagsterDaemonScheduler

from synth_platform.errors import StorageError
from synth_platform.ops.instance import connect
from synth_platform.workspace import Workspace

PROCESSES = 8


def open_at_once(home: Path, barrier: Any, said: Any) -> None:
    try:
        barrier.wait(60)
        with connect(Workspace(home)) as instance:
            instance.get_runs(limit=1)
            said.put(f"run monitoring: {instance.run_monitoring_enabled}")
    except Exception as error:
        said.put(repr(error))


def test_of_many_first_starts_at_once_one_makes_the_databases_and_all_work(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synth_platform.ops.instance"])
    barrier, said = context.Barrier(PROCESSES), context.Queue()
    started = [context.Process(target=open_at_once, args=(tmp_path / "home", barrier, said)) for _ in range(PROCESSES)]
    for process in started:
        process.start()
    assert [said.get(timeout=120) for _ in started] == ["run monitoring: True"] * PROCESSES
    for process in started:
        process.join()
    databases = list((tmp_path / "home").rglob("*.db"))
    assert len(databases) == 3
    for database in databases:
        with sqlite3.connect(database) as opened:
            assert opened.execute("select count(*) from alembic_version").fetchone() == (1,), database


def test_a_database_with_another_schema_is_refused_with_what_to_do(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    with connect(workspace):
        pass
    (runs,) = workspace.dagster_home.rglob("runs.db")
    with sqlite3.connect(runs) as opened:
        opened.execute("insert into alembic_version values ('of_a_newer_one')")
    with pytest.raises(StorageError, match="more than one head") as error, connect(workspace):
        pass
    assert error.value.where == str(workspace.dagster_home) and "restore a backup" in error.value.fix


def test_a_tick_of_a_schedule_that_fails_is_repeated(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    with connect(workspace) as instance:
        assert isinstance(instance.scheduler, DagsterDaemonScheduler) and instance.scheduler.max_tick_retries == 5
