"""The startup sweep ends runs whose process is gone, and only those it can know of."""

import subprocess
import sys
from pathlib import Path
from unittest.mock import PropertyMock, patch

import dagster as dg
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus

from synth_platform.ops.sweep import PROCESS_TAG, sweep, this_process


@dg.job
def small() -> None:
    pass


@pytest.fixture
def gone() -> int:
    """Id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def started(instance: DagsterInstance, tags: dict[str, str], pid: int | None = None) -> DagsterRun:
    """A run that has started, in a process of which Dagster's own event says the id."""
    run = instance.create_run_for_job(small, status=DagsterRunStatus.STARTED, tags=tags)
    if pid is not None:
        instance.report_engine_event(f"Started process for run (pid: {pid}).", run)
    return run


def status(instance: DagsterInstance, run: DagsterRun) -> DagsterRunStatus:
    now = instance.get_run_by_id(run.run_id)
    assert now is not None
    return now.status


def test_runs_whose_process_is_gone_are_failed(tmp_path: Path, gone: int) -> None:
    with DagsterInstance.ephemeral(str(tmp_path)) as instance:
        host, own, since = this_process().rsplit(":", 2)
        by_event = started(instance, {}, gone)
        by_tag = started(instance, {PROCESS_TAG: f"{host}:{gone}:{since}"})
        elsewhere = started(instance, {PROCESS_TAG: f"other-host:{gone}:{since}"})
        alive = started(instance, {PROCESS_TAG: f"{host}:{own}:{since}"})
        assert set(sweep(instance)) == {by_event.run_id, by_tag.run_id}
        assert status(instance, by_event) == status(instance, by_tag) == DagsterRunStatus.FAILURE
        assert status(instance, elsewhere) == status(instance, alive) == DagsterRunStatus.STARTED


def test_runs_in_containers_of_their_own_are_left_to_the_daemon(tmp_path: Path, gone: int) -> None:
    with DagsterInstance.ephemeral(str(tmp_path)) as instance:
        run = started(instance, {}, gone)  # the id is one of the container's, and is long gone here
        watched = patch.object(
            type(instance.run_launcher),
            "supports_check_run_worker_health",
            new_callable=PropertyMock,
            return_value=True,
        )
        with watched:
            assert sweep(instance) == []
        assert status(instance, run) == DagsterRunStatus.STARTED
