"""Runs whose worker is gone, and places in the pools that ended runs still hold.

Dagster notices neither: after a hard kill a run stays STARTED, and its engine slot stays taken.
"""

import os
import time
from collections.abc import Iterator
from functools import partial

import dagster as dg
from dagster._core.storage.dagster_run import ACTIVE_RUN_STATUSES, RunRecord
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from synth_platform.ops.doctor.finding import Finding
from synth_platform.processes import is_alive, start_time, this_host

PROCESS_TAG = "synth/process"
"""Run tag: the run itself, then host, pid and start time of the process that it lives in. A run that repeats another
has that one's tags at first."""

PROCESS_IS_GONE = "The process of this run is gone. What it committed is kept."
"""Why a dead run failed, in its log."""


def worker_tag(run_id: str) -> dict[str, str]:
    """The tag of a run that lives in this process."""
    return {PROCESS_TAG: f"{run_id}:{this_host()}:{os.getpid()}:{start_time(os.getpid())}"}


def dead_runs(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Runs whose worker is certainly gone."""
    for record in _unfinished(instance):
        run = record.dagster_run
        if (reason := _why_dead(instance, record)) is not None:
            yield Finding(
                "dead_run",
                f"a run of {run.job_name} stands as {run.status.value.lower()}, but {reason}",
                f"run {run.run_id}",
                "it counts as running for ever and holds its place in the engine's pool",
                "mark it as failed and free its places; what it committed is kept, and the next run goes on there",
                partial(_end, instance, run),
            )


def living_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Runs that may be at work: all unfinished ones that are not certainly dead."""
    return [one.dagster_run for one in _unfinished(instance) if _why_dead(instance, one) is None]


def held_slots(instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Places in the pools that runs hold although they ended."""
    storage = instance.event_log_storage
    held: dict[str, list[str]] = {}
    for pool in sorted(storage.get_concurrency_keys()):
        info = storage.get_concurrency_info(pool)
        for run_id in sorted({step.run_id for step in (*info.claimed_slots, *info.pending_steps)}):
            held.setdefault(run_id, []).append(pool)
    for run_id, pools in held.items():
        run = instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            yield Finding(
                "held_slots",
                f"a run that {'was deleted' if run is None else 'has ended'} holds places in a pool",
                f"pool {', '.join(pools)}, run {run_id}",
                "other runs wait for these places and never get them",
                "free the places",
                partial(storage.free_concurrency_slots_for_run, run_id),
            )


def _unfinished(instance: dg.DagsterInstance) -> list[RunRecord]:
    return list(instance.get_run_records(dg.RunsFilter(statuses=ACTIVE_RUN_STATUSES)))


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    now = instance.get_run_by_id(run.run_id)
    if now is not None and now.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(now, PROCESS_IS_GONE)
    elif now is not None and not now.is_finished:
        instance.report_run_failed(now, PROCESS_IS_GONE)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _why_dead(instance: dg.DagsterInstance, record: RunRecord) -> str | None:
    """Why a run is certainly dead; None if it may be alive.

    A process of another host cannot be looked at: its run is dead once it is older than a run may become.
    """
    run = record.dagster_run
    run_id, host, pid, started = run.tags.get(PROCESS_TAG, ":::").rsplit(":", 3)
    if run_id != run.run_id:
        return _why_never_begun(instance, record)
    if host != this_host():
        return _too_old(instance, record, f"it began on {host}")
    return None if is_alive(int(pid), started) else f"its process {pid} is gone"


def _why_never_begun(instance: dg.DagsterInstance, record: RunRecord) -> str | None:
    """Why a run that has not said where it lives is certainly dead."""
    waited = time.time() - record.update_timestamp.timestamp()
    if record.dagster_run.status == dg.DagsterRunStatus.STARTING and (
        waited > instance.run_monitoring_start_timeout_seconds
    ):
        return f"no process was started for it in {waited / 60:.0f} minutes"
    return _too_old(instance, record, "it began somewhere")


def _too_old(instance: dg.DagsterInstance, record: RunRecord, began: str) -> str | None:
    limit = float(
        record.dagster_run.tags.get(MAX_RUNTIME_SECONDS_TAG) or instance.run_monitoring_max_runtime_seconds or "inf"
    )
    age = time.time() - (record.start_time or record.create_timestamp.timestamp())
    return f"{began} {age / 3600:.1f} hours ago, and may take {limit / 3600:.1f}" if age > limit else None
