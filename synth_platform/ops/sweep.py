"""The startup sweep: runs whose process is gone are failed, and their places in the pools given back.

Dagster notices neither: after a hard kill such a run stays STARTED, and its engine slot stays taken.
"""

import os
import re
import socket

import dagster as dg

from synth_platform.processes import start_time

PROCESS_TAG = "synth/process"
"""Run tag: host, pid and start time of the process that a run lives in."""

_STARTED = re.compile(r"Started process for run \(pid: (\d+)\)")
_UNFINISHED = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def this_process() -> str:
    """Value of the tag for runs in this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{start_time(os.getpid())}"


def sweep(instance: dg.DagsterInstance) -> list[str]:
    """Fail the runs of this host whose process is gone; their ids."""
    ended: list[str] = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        if _is_gone(instance, run):
            instance.report_run_failed(run, "The process of this run is gone. What it committed is kept.")
            ended.append(run.run_id)
    for run_id in ended:
        instance.event_log_storage.free_concurrency_slots_for_run(run_id)
    return ended


def _is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run's process is known, was on this host, and is there no more."""
    if tag := run.tags.get(PROCESS_TAG):
        host, pid, started = tag.rsplit(":", 2)
        return host == socket.gethostname() and start_time(int(pid)) != started
    if instance.run_launcher.supports_check_run_worker_health:
        return False  # runs in containers of their own: their pids mean nothing here, and the daemon watches them
    pids = [
        int(found.group(1))
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
        if (found := _STARTED.search(entry.message or entry.user_message))
    ]
    # Runs of the web interface say only their pid: a process that was given it since is left alone.
    return bool(pids) and start_time(pids[-1]) is None
