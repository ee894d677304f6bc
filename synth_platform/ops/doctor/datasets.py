"""The datasets: specs that cannot be read, cycles whose last run failed, gates that judged another version."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from synth_platform.dataset.graph import dataset_checks
from synth_platform.dataset.installed import Known
from synth_platform.definitions import load_datasets
from synth_platform.errors import SnapshotError, SynthError
from synth_platform.ops.doctor.finding import Finding
from synth_platform.ops.doctor.runs import PROCESS_IS_GONE
from synth_platform.ops.failures import failure_text, was_stopped
from synth_platform.ops.guard import why_closed
from synth_platform.ops.tags import DATASET_TAG
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.identity import dataset_of
from synth_platform.workspace import Workspace

_FAILED = "failed"
_MOST_RUNS = 2000
_SHOWN = 3
_Cycle = tuple[str, str | None]
"""A dataset and one of its partitions, or None."""


def spec_findings(workspace: Workspace) -> Iterator[Finding]:
    """Specs that cannot be used."""
    for refused in load_datasets(workspace).refused:
        yield _unusable(refused.path, refused.error)


def dataset_findings(workspace: Workspace, instance: dg.DagsterInstance) -> Iterator[Finding]:
    """What went wrong with the datasets that are shipped or lie in the home."""
    last_runs, loaded = _last_runs(instance), load_datasets(workspace)
    named = {spec.name for spec, _ in loaded.datasets} | {one.name or one.path.parent.name for one in loaded.refused}
    for (dataset, partition), run in last_runs.items():
        if run.status == dg.DagsterRunStatus.FAILURE:
            yield _failed_partition(dataset, partition, run, _failures(instance, run), named=dataset in named)
    for one in loaded.datasets:
        yield from _stale_checks(workspace.snapshots, instance, one, last_runs)


def _unusable(path: Path, error: SynthError) -> Finding:
    return Finding(
        "unreadable_spec",
        f"the spec of a dataset is wrong: {error.what}",
        error.where or str(path),
        "the dataset is not made, and its schedule rests",
        error.fix or "correct it, or move it away",
    )


def _last_runs(instance: dg.DagsterInstance) -> dict[_Cycle, dg.DagsterRun]:
    """The last run of each dataset and cycle."""
    found: dict[_Cycle, dg.DagsterRun] = {}
    for run in instance.get_runs(limit=_MOST_RUNS):
        if dataset := run.tags.get(DATASET_TAG):
            found.setdefault((dataset, run.tags.get(PARTITION_NAME_TAG)), run)
    return found


def _failed_partition(
    dataset: str, partition: str | None, run: dg.DagsterRun, failures: Sequence[dg.DagsterEvent], *, named: bool
) -> Finding:
    """A run that was only stopped has no cause to mend; what no spec here names, nobody need make again."""
    reason = _reason(failures)
    interrupted = any(was_stopped(one) for one in failures)
    stopped = interrupted or PROCESS_IS_GONE in reason
    what = dataset if named else "PATH"
    again = f"synth materialize {what}{f' --partition {partition}' if partition else ''}"
    fix = f"{again} goes on where it was" if stopped else f"mend the cause, then run: {again}"
    return Finding(
        "failed_partition",
        f"the last run of {dataset}{f' [{partition}]' if partition else ''}"
        f" {'was stopped' if interrupted else f'failed: {reason}'}",
        f"run {run.run_id}",
        "what it was to make is not there, or older than its inputs",
        fix if named else f"no spec here names it; if it is still wanted, PATH is that of its defs.yaml: {fix}",
        note=stopped or not named,
    )


def _failures(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterEvent]:
    """The failures of a run, those of its steps first."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    events = [entry.dagster_event for entry in instance.all_logs(run.run_id, of_type=kinds) if entry.dagster_event]
    return sorted(events, key=lambda one: not one.is_step_failure)


def _reason(failures: Sequence[dg.DagsterEvent]) -> str:
    """The first line of the first failure; the run's own where no step failed."""
    for event in failures:
        text = failure_text(event) if event.is_step_failure else event.message
        if text and text.strip():
            return text.strip().splitlines()[0][:200]
    return "no reason was recorded"


def _stale_checks(
    snapshots: Snapshots, instance: dg.DagsterInstance, known: Known, last_runs: Mapping[_Cycle, dg.DagsterRun]
) -> Iterator[Finding]:
    """Gates that did not judge the current version: what comes after does not start before they have."""
    spec, base = known
    gates = dataset_checks(spec, base)
    stale: dict[str | None, list[str]] = {}
    for head in _heads(snapshots, spec.name):
        names = [gate.name for gate in gates.get(head.manifest.asset, ())]
        closed = {name: why for name, why in why_closed(instance, head, names).items() if why != _FAILED}
        if closed:
            stale.setdefault(head.manifest.partition, []).append(_say_closed(head, closed))
    for partition, assets in stale.items():
        yield _stale(spec.name, partition, assets, last_runs.get((spec.name, partition)))


def _say_closed(head: Snapshot, closed: Mapping[str, str]) -> str:
    name, why = next(iter(closed.items()))
    more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
    return f"{head.manifest.asset} {head.manifest.snapshot_id} ({name!r} {why}{more})"


def _stale(dataset: str, partition: str | None, assets: Sequence[str], last: dg.DagsterRun | None) -> Finding:
    """After a run that did not come to its end that is to be expected, and known from elsewhere."""
    more = f" and {len(assets) - _SHOWN} more" if len(assets) > _SHOWN else ""
    cycle = f" --partition {partition}" if partition else ""
    return Finding(
        "stale_checks",
        f"gates have not judged current versions of {dataset}{f' [{partition}]' if partition else ''}",
        ", ".join(assets[:_SHOWN]) + more,
        "a gate that has not judged a version is closed: nothing is made from it",
        f"synth materialize {dataset}{cycle}",
        note=last is not None and last.status != dg.DagsterRunStatus.SUCCESS,
    )


def _heads(snapshots: Snapshots, dataset: str) -> Iterator[Snapshot]:
    for asset, partition in snapshots.assets(dataset):
        try:
            head = snapshots.head(asset, partition)
        except SnapshotError:
            continue  # found where the storage is looked at
        if head is not None and dataset_of(asset) == dataset:
            yield head
