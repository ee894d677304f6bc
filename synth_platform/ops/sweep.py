"""The sweep: what dead runs left behind and stands in the way of the next one is mended, at starts and from then on."""

from collections.abc import Iterator
from itertools import takewhile

import dagster as dg

from synth_platform.errors import SynthError
from synth_platform.ops.doctor.engines import orphan_engines
from synth_platform.ops.doctor.finding import Finding
from synth_platform.ops.doctor.runs import PROCESS_TAG, dead_runs, held_slots, living_runs, worker_tag
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.workspace import Workspace

SWEEP_SENSOR = "mend_dead_runs"
_SECONDS = 15
_MOST_RUNS = 200
"""Looked at of those that came in between."""


def startup_findings(workspace: Workspace, instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Runs whose process is gone, places that ended runs hold, engines without an owner: all quickly found."""
    yield from dead_runs(instance)
    yield from held_slots(instance)
    yield from orphan_engines(workspace)


def sweep(workspace: Workspace, instance: dg.DagsterInstance) -> list[Finding]:
    """Mend all of these; what was mended."""
    mended: list[Finding] = []
    for finding in startup_findings(workspace, instance):
        if finding.mend is not None:
            finding.mend()
            mended.append(finding)
    return mended


def sweep_sensor() -> dg.SensorDefinition:
    """Sweeps while Dagster's daemon runs, where the code location is: where runs live that no container holds."""

    def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SkipReason:
        mended = [f"{one.what} ({one.where})" for one in sweep(workspace.open(), context.instance)]
        for line in mended:
            context.log.warning(f"mended: {line}")
        return dg.SkipReason("; ".join(mended) or "Nothing is dead.")

    return dg.sensor(
        name=SWEEP_SENSOR,
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Fails runs whose process is gone, and frees what they hold: engines, and places in the pools.",
    )(watch)


def refuse_while_running(instance: dg.DagsterInstance, what: str) -> None:
    """Make sure that no run reads or writes versions now, or is about to.

    Raises:
        SynthError: one does.
    """
    queued = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))
    running = [*queued, *living_runs(instance)]
    if running:
        named = ", ".join(sorted({f"{run.job_name} ({run.run_id[:8]})" for run in running}))
        raise SynthError(f"{what} while something is being made: {named}", fix="wait until it has ended, or end it")


def newest_run(instance: dg.DagsterInstance) -> int:
    """Number of the run that was asked for last."""
    return max((record.storage_id for record in instance.get_run_records(limit=1)), default=0)


def runs_of_others(instance: dg.DagsterInstance, since: int) -> list[dg.DagsterRun]:
    """Runs that were asked for after that one and do not live in this process, ended or not.

    By their order and not by the time, which may be set back meanwhile.
    """
    own = worker_tag("")[PROCESS_TAG]
    after = takewhile(lambda record: record.storage_id > since, instance.get_run_records(limit=_MOST_RUNS))
    return [one.dagster_run for one in after if not one.dagster_run.tags.get(PROCESS_TAG, "").endswith(own)]
