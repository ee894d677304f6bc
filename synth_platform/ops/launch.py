"""Run a dataset's job in this process, and say in a few words why it failed if it did."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.utils import make_new_run_id

from synth_platform.config import check_name
from synth_platform.dataset.definitions import benchmark_definitions, dataset_definitions
from synth_platform.dataset.installed import Installed, find_installed
from synth_platform.dataset.jobs import job_name
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec
from synth_platform.errors import SpecError
from synth_platform.ops.containers import container_tags
from synth_platform.ops.cycles import LoneCycle, check_cycle
from synth_platform.ops.doctor.runs import worker_tag
from synth_platform.ops.failures import failure_beside_gates, was_stopped
from synth_platform.ops.resources import WorkspaceResource, resources
from synth_platform.ops.stage import FRESH_TAG
from synth_platform.ops.tags import run_tags
from synth_platform.workspace import Workspace

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Launched:
    """How a run ended."""

    run_id: str
    success: bool
    problems: list[str] = field(default_factory=list)


def find_dataset(name: str, workspace: Workspace) -> tuple[DatasetSpec, Path]:
    """The spec of a dataset, by its name or the path of its file, and the folder of the file.

    Raises:
        SpecError: there is none, or it is invalid.
    """
    path = Path(name)
    if _is_path(name):
        file = path / SPEC_FILE if path.is_dir() else path
        return load_spec(file), file.absolute().parent
    check_name(name, "dataset name")
    installed = find_installed(workspace)
    for one in installed.refused:
        if name == one.name or (name == one.path.parent.name and name not in installed.datasets):
            raise one.error
    if name in installed.datasets:
        return installed.datasets[name]
    _refuse_other_name(name, installed)
    unread = [str(one.path) for one in installed.refused if one.name is None]
    raise SpecError(
        f"there is no dataset {name!r}" + (f", unless one of these is meant: {', '.join(unread)}" if unread else ""),
        fix=(f"write ./{name} for the folder of that name here; else " if (path / SPEC_FILE).is_file() else "")
        + f"use one of {', '.join(sorted(installed.datasets))}, or the path of a {SPEC_FILE}; your own datasets go to"
        f" {workspace.datasets}/<name>/{SPEC_FILE}",
    )


def _refuse_other_name(folder: str, installed: Installed) -> None:
    """Say so where a folder of this name is there, and the file in it has another name."""
    for spec, base in installed.own.values():
        if base.name == folder:
            raise SpecError(
                f"there is no dataset {folder!r}: the file in the folder of that name names itself {spec.name!r}",
                where=str(base / SPEC_FILE),
                fix=f"use {spec.name}, or write name: {folder} in the file",
            )


def _is_path(name: str) -> bool:
    """Whether a name can only be meant as a path."""
    return name.isprintable() and ("/" in name or name in (".", "..") or name.endswith((".yaml", ".yml")))


def run_dataset(
    spec: DatasetSpec,
    base: Path,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    *,
    partition: str | None = None,
    fresh: bool = False,
    job: str | None = None,
    why: str = "by hand",
    any_cycle: bool = False,
) -> Launched:
    """Materialize a dataset with its checks, in this process.

    Args:
        spec: the dataset.
        base: folder of its spec.
        workspace: where it lives.
        instance: of Dagster.
        partition: the cycle, for datasets with a cadence.
        fresh: make everything anew.
        job: name of one of its jobs; None: the one that makes all of it.
        why: for what reason, a tag of the run.
        any_cycle: whether the cycle may be one that the cadence has no more.

    Raises:
        SpecError: the partition does not exist, or is needed and missing.
        KeyboardInterrupt: the run was stopped, by Ctrl+C or SIGTERM.
    """
    definitions = dg.Definitions.merge(
        dataset_definitions(spec, base, LoneCycle(partition) if any_cycle else None),
        benchmark_definitions([(spec, base)]),
        dg.Definitions(resources=resources(WorkspaceResource(home=str(workspace.home), data=workspace.data))),
    )
    chosen = definitions.resolve_job_def(job or job_name(spec.name))
    if not any_cycle and (chosen.partitions_def is not None or partition is not None):
        check_cycle(spec, partition)
    run_id = make_new_run_id()
    with _log_helpers_shielded(instance):
        result = chosen.execute_in_process(
            run_id=run_id,
            run_config=_QUIET,
            instance=instance,
            partition_key=partition,
            raise_on_error=False,
            tags={
                **run_tags(spec, partition, why),
                **worker_tag(run_id),
                **container_tags(),
                **({FRESH_TAG: "true"} if fresh else {}),
            },
        )
    if any(was_stopped(event) for event in result.all_events):
        raise KeyboardInterrupt  # which Dagster has taken for a failure like any other
    return Launched(result.run_id, result.success, list(_problems(result)))


@contextmanager
def _log_helpers_shielded(instance: dg.DagsterInstance) -> Iterator[None]:
    """Have the helpers that Dagster starts for a run's logs not hear Ctrl+C, which they answer with a traceback each.

    What a thread blocks stays blocked in the processes that it starts; Dagster ends these by another signal.
    """
    manager = instance.compute_log_manager
    capture = manager.capture_logs

    @contextmanager
    def capture_unheard(log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        with ExitStack() as stack:
            with _interrupts_blocked():
                context = stack.enter_context(capture(log_key))
            yield context

    manager.capture_logs = capture_unheard
    try:
        yield
    finally:
        manager.capture_logs = capture


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """An interrupt that comes meanwhile is heard afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _problems(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What the user has to know, each thing once."""
    seen: set[str] = set()
    for event in result.all_events:
        text = failure_beside_gates(event) if event.is_step_failure else None
        if text and text not in seen:
            seen.add(text)
            yield text
