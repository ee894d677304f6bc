"""The ways in which Dagster starts runs, as its interface and its daemon do it, but in this process."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs
from dagster_graphql.test.utils import execute_dagster_graphql

DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-01", end_date="2026-01-04")
NEWEST = "2026-01-03"
_DUE = datetime(2026, 1, 4, tzinfo=UTC)
"""When the schedule makes the newest day."""
_LOCATION = "here"
_LAUNCH = """mutation($run: ExecutionParams!) { launchRun(executionParams: $run) { __typename
    ... on PythonError { message } ... on InvalidSubsetError { message } } }"""
_BACKFILL = """mutation($backfill: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $backfill) {
    __typename ... on PythonError { message } } }"""
_daemon = logging.getLogger("daemon")
_loaded: list[dg.Definitions] = []


@dg.definitions
def loaded() -> dg.Definitions:
    """What Dagster loads: the definitions of the test that runs."""
    return _loaded[-1]


@dataclass(frozen=True)
class Ways:
    """Where runs of one asset are started, for the newest day.

    Args:
        key: of the asset, which is eager.
        definitions: the asset, what it reads, a schedule and a sensor.
        context: the workspace that has them loaded.
        cursor: what the conditions of assets had seen at the beginning.
    """

    key: dg.AssetKey
    definitions: dg.Definitions
    context: WorkspaceProcessContext
    cursor: Any

    @property
    def instance(self) -> dg.DagsterInstance:
        """All runs and events."""
        return self.context.instance

    def by_hand(self) -> None:
        """The asset is chosen in the interface."""
        selector = {
            "repositoryLocationName": _LOCATION,
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": self.key.path}],
            "assetCheckSelection": [],
        }
        tags = [{"key": "dagster/partition", "value": NEWEST}]
        self._ask(_LAUNCH, run={"selector": selector, "executionMetadata": {"tags": tags}})

    def backfill(self) -> None:
        """A backfill is asked for in the interface, and the daemon looks at it once."""
        self._ask(_BACKFILL, backfill={"assetSelection": [{"path": self.key.path}], "partitionNames": [NEWEST]})
        failures = [one for one in execute_backfill_iteration(self.context, _daemon) if one is not None]
        assert not failures, failures

    def schedule(self) -> None:
        """The schedule is due."""
        repositories = self.context.create_request_context().get_code_location(_LOCATION).get_repositories()
        (schedule,) = next(iter(repositories.values())).get_schedules()
        since = ScheduleInstigatorData(schedule.cron_schedule, (_DUE - timedelta(hours=1)).timestamp())
        state = InstigatorState(schedule.get_remote_origin(), InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, since)
        self.instance.add_instigator_state(state)
        list(launch_scheduled_runs(self.context, _daemon, _DUE + timedelta(minutes=1), {}))

    def sensor(self) -> None:
        """The sensor is asked."""
        list(execute_sensor_iteration(self.context, _daemon, None, None))

    def automation(self) -> None:
        """The conditions of assets are looked at; what they ask for is started."""
        found = _evaluate(self.definitions, self.instance, self.cursor)
        for _ in range(found.get_num_requested(self.key)):
            self.by_hand()

    def launch_queued(self) -> None:
        """The daemon launches what waits."""
        workspace = self.context.create_request_context()
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])):
            self.instance.launch_run(run.run_id, workspace)

    def _ask(self, query: str, **variables: Mapping[str, Any]) -> None:
        data = execute_dagster_graphql(self.context.create_request_context(), query, variables).data
        assert all(answer["__typename"].endswith("Success") for answer in data.values()), data


@contextmanager
def ways(key: dg.AssetKey, definitions: dg.Definitions, instance: dg.DagsterInstance) -> Iterator[Ways]:
    """Load an asset and all that can start it while the block lasts.

    Args:
        key: of the asset.
        definitions: the asset, and what it reads.
        instance: executes in this process what is launched.
    """
    whole = dg.Definitions.merge(definitions, _starters(key))
    target = LoadableTargetOrigin(module_name=__name__, attribute="loaded")
    origin = InProcessCodeLocationOrigin(target, location_name=_LOCATION)
    _loaded.append(whole)
    try:
        with WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(origin)) as context:
            yield Ways(key, whole, context, _evaluate(whole, instance).cursor)
    finally:
        _loaded.pop()


def _evaluate(definitions: dg.Definitions, instance: dg.DagsterInstance, cursor: Any = None) -> Any:
    """Look at the conditions of all assets once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # of Dagster's own code
        return dg.evaluate_automation_conditions(definitions, instance, cursor=cursor)


def _starters(key: dg.AssetKey) -> dg.Definitions:
    """A job of one asset, and a schedule and a sensor that ask for it."""
    job = dg.define_asset_job("alone", dg.AssetSelection.assets(key).without_checks())

    @dg.schedule(job=job, cron_schedule="0 0 * * *")
    def nightly() -> dg.RunRequest:
        return dg.RunRequest(partition_key=NEWEST)

    @dg.sensor(job=job, default_status=dg.DefaultSensorStatus.RUNNING)
    def watch() -> dg.RunRequest:
        return dg.RunRequest(partition_key=NEWEST)

    return dg.Definitions(jobs=[job], schedules=[nightly], sensors=[watch], executor=dg.in_process_executor)
