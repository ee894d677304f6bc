"""Runs whose worker is gone, and places in the pools that ended runs still hold.

Dagster notices neither: after a hard kill a run stays STARTED, and its engine slot stays taken.
"""

import os
import re
import time
from collections.abc import Iterator
from functools import partial

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG

from synth_platform.ops.doctor.finding import Finding
from synth_platform.processes import start_time, this_host

PROCESS_TAG = "synth/process"
"""Run tag: host, pid and start time of the process that a run lives in."""

PROCESS_IS_GONE = "The process of this run is gone. What it committed is kept."
"""Why a dead run failed, in its log."""

_STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def this_process() -> str:
    """Value of the tag for runs in this process."""
    return f"{this_host()}:{os.getpid()}:{start_time(os.getpid())}"


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
    return list(instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED)))


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    now = instance.get_run_by_id(run.run_id)
    if now is not None and not now.is_finished:
        instance.report_run_failed(now, PROCESS_IS_GONE)
    instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _why_dead(instance: dg.DagsterInstance, record: RunRecord) -> str | None:
    """Why a run is certainly dead; None if it may be alive.

    A process of another host cannot be looked at: its run is dead once it is older than a run may become.
    """
    run = record.dagster_run
    pids = _launched_as(instance, run)
    # A run that was launched (again) from the web interface may carry the tag of the run that it repeats.
    launched = pids or run.parent_run_id or run.status == dg.DagsterRunStatus.STARTING
    if (tag := run.tags.get(PROCESS_TAG)) and not launched:
        host, pid, started = tag.rsplit(":", 2)
        if host == this_host():
            return f"its process {pid} is gone" if start_time(int(pid)) != started else None
        return _too_old(instance, record, f"it began on {host}")
    if not _on_one_host(instance):
        return _too_old(instance, record, "it began on some host")
    if pids:  # no start time is known: a process that was given the pid since is left alone
        return f"its process {pids[-1]} is gone" if start_time(pids[-1]) is None else None
    waited = time.time() - record.create_timestamp.timestamp()
    if run.status == dg.DagsterRunStatus.STARTING and waited > instance.run_monitoring_start_timeout_seconds:
        return f"no process was started for it in {waited / 60:.0f} minutes"
    return None


def _launched_as(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[int]:
    """Pids of the processes that Dagster's launcher started for a run."""
    return [
        int(found.group(1))
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if (found := _STARTED.search(entry.message or entry.user_message))
    ]


def _too_old(instance: dg.DagsterInstance, record: RunRecord, began: str) -> str | None:
    limit = float(
        record.dagster_run.tags.get(MAX_RUNTIME_SECONDS_TAG) or instance.run_monitoring_max_runtime_seconds or "inf"
    )
    age = time.time() - (record.start_time or record.create_timestamp.timestamp())
    return f"{began} {age / 3600:.1f} hours ago, and may take {limit / 3600:.1f}" if age > limit else None


def _on_one_host(instance: dg.DagsterInstance) -> bool:
    """Whether all of the instance's runs are of this host: a database in files is not shared."""
    return instance.is_ephemeral or isinstance(instance.run_storage, SqliteRunStorage)
