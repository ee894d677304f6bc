"""A run that Dagster launched and whose worker was killed: noticed, failed, repeated once, and no answer paid twice."""

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster._scheduler.scheduler import launch_scheduled_runs

from synth_platform.ops.doctor.runs import PROCESS_IS_GONE, PROCESS_TAG
from synth_platform.ops.instance import open_instance
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.sweep import sweep_sensor
from synth_platform.ops.tags import CYCLE_TAG
from synth_platform.processes import start_time
from synth_platform.workspace import Workspace
from synth_platform_tests.deploy.deployment import PATIENCE, wait_for
from synth_platform_tests.pipeline import Engine, dataset, mock_engine, write_spec
from synth_platform_tests.processes import descendants, living, parent

DOCUMENTS, IN_FLIGHT = 12, 2


class Daemon:
    """The loops of Dagster's daemon, each a turn at a time."""

    def __init__(self, context: WorkspaceProcessContext) -> None:
        self.context, self.instance = context, context.instance
        self._queue, self._retries = QueuedRunCoordinatorDaemon(1), EventLogConsumerDaemon()
        self.repeat_runs()  # what failed before the first look of all is history

    def tick_schedule(self, name: str) -> None:
        """The tick of a schedule that was missed an hour ago."""
        location = self.context.create_request_context().get_code_location("synth_platform")
        schedule = next(iter(location.get_repositories().values())).get_schedule(name)
        now = datetime.now(UTC)
        missed = ScheduleInstigatorData(schedule.cron_schedule, (now - timedelta(days=2)).timestamp())
        origin = schedule.get_remote_origin()
        state = InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, missed)
        self.instance.add_instigator_state(state)
        _all(launch_scheduled_runs(self.context, logging.getLogger("daemon"), now, {}))

    def launch_runs(self) -> None:
        """Whatever is in the queue."""
        _all(self._queue.run_iteration(self.context))

    def repeat_runs(self) -> None:
        """Failed ones, as the instance's policy says."""
        _all(self._retries.run_iteration(self.context))


def _all(turns: Iterable[Any]) -> None:
    for _ in turns:
        pass


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with mock_engine(tmp_path, latency=1.0) as running:
        yield running


@pytest.fixture
def start_daemon(
    workspace: Workspace, engine: Engine, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[Daemon]]:
    """Daemons with a code server, over a dataset that is made each day."""
    monkeypatch.setenv("SYNTH_HOME", str(workspace.home))
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    attributes = dataset(
        engine.url,
        tokenizer_folder,
        sources=[
            {"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": {"sample": {"documents": DOCUMENTS}}}
        ],
        recipes=[{"name": "faq", "chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}}],
        benchmarks=None,
        cadence={"every": "day", "start": (datetime.now(UTC) - timedelta(days=7)).date().isoformat()},
    )
    attributes["engine"]["concurrency"] = IN_FLIGHT
    write_spec(workspace.datasets / "small", attributes)
    target = ModuleTarget("synth_platform.definitions", None, None, "synth_platform")

    @contextmanager
    def start() -> Iterator[Daemon]:
        with open_instance(workspace) as instance, create_test_daemon_workspace_context(target, instance) as context:
            yield Daemon(context)

    return start


def test_a_run_that_died_with_its_launcher_is_repeated_once_and_its_steps_do_not_outlive_it(
    start_daemon: Callable[[], AbstractContextManager[Daemon]], engine: Engine, workspace: Workspace
) -> None:
    """A code server notices the death of a run that it launched; nobody notices when it dies too."""
    with start_daemon() as daemon:
        daemon.tick_schedule("small_cycle")
        daemon.launch_runs()
        wait_for(lambda: len(engine.requests()) > IN_FLIGHT + 1, PATIENCE, "nothing is generated")
        (run,) = daemon.instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        worker = int(run.tags[PROCESS_TAG].split(":")[2])
        below = descendants(worker)
        assert len(below) >= 3, "a fork server, a resource tracker, and the process of a step"
        assert tick(daemon.instance, workspace) == "Nothing is dead."
        for pid in (parent(worker), worker):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not living(below), PATIENCE, "a step lives on")
        asked = engine.requests()
        assert len(asked) < DOCUMENTS, "it was to be killed in the middle"
        wait_for(lambda: start_time(worker) is None, PATIENCE, "the worker lives on")
        assert slots(daemon.instance) == {run.run_id}
        assert f"its process {worker} is gone" in tick(daemon.instance, workspace)
        assert slots(daemon.instance) == set()
        failed = daemon.instance.get_run_by_id(run.run_id)
        assert failed is not None and failed.status == dg.DagsterRunStatus.FAILURE
        (why,) = daemon.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert PROCESS_IS_GONE in f"{why.message} {why.user_message}"

    with start_daemon() as daemon:
        for _ in range(2):
            daemon.repeat_runs()
        repeated, _ = daemon.instance.get_runs()
        assert repeated.parent_run_id == run.run_id
        assert repeated.tags[CYCLE_TAG] == run.tags[CYCLE_TAG] == repeated.tags["dagster/partition"]
        assert repeated.tags[PROCESS_TAG] == failed.tags[PROCESS_TAG], "inherited, until it says where it lives"
        daemon.launch_runs()
        assert tick(daemon.instance, workspace) == "Nothing is dead."
        wait_for(lambda: daemon.instance.get_runs()[0].is_finished, PATIENCE, "the repeated run does not end")
        assert [one.status.value for one in daemon.instance.get_runs()] == ["SUCCESS", "FAILURE"]
        assert slots(daemon.instance) == set()
    again = [one for one in engine.requests()[len(asked) :] if one in asked]
    assert len(set(engine.requests())) == DOCUMENTS and len(again) <= IN_FLIGHT


def slots(instance: dg.DagsterInstance) -> set[str]:
    """Runs that hold a place in the engine's pool."""
    return set(instance.event_log_storage.get_concurrency_info("gpu").active_run_ids)


def tick(instance: dg.DagsterInstance, workspace: Workspace) -> str:
    """What the sensor of the sweep says."""
    resources = {"workspace": WorkspaceResource(home=str(workspace.home))}
    context = dg.build_sensor_context(instance=instance, resources=resources)
    return sweep_sensor().evaluate_tick(context).skip_message or ""
