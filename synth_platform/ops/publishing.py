"""Publish a dataset's releases by hand: the current one by its job, an earlier one if its gates passed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl

from synth_platform.dataset.graph import dataset_checks
from synth_platform.dataset.jobs import publish_job_name
from synth_platform.dataset.stage_gates import STAGE_GATES
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops.cycles import check_cycle
from synth_platform.ops.gating import blocking_names
from synth_platform.ops.guard import never_passed
from synth_platform.ops.launch import run_dataset
from synth_platform.quality.gates import UNREMOVABLE
from synth_platform.release.publish import PUBLISHED, find_release, publish
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec


def publish_release(
    spec: "DatasetSpec",
    base: Path,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    partition: str | None,
    version: str | None,
) -> pl.DataFrame:
    """Bring a release to the destinations of the spec, and point readers to it; `PUBLISHED`.

    Args:
        spec: the dataset.
        base: folder of its spec.
        workspace: where it lives.
        instance: of Dagster; it knows which gates passed.
        partition: the cycle, for datasets with a cadence.
        version: id of a release that is still kept, or its beginning; None: the current one.

    Raises:
        SpecError: the dataset has no destinations, or the cycle is missing, too much, or none of its own.
        SynthError: a gate never passed on it, or it did not arrive everywhere.
    """
    if not spec.release.publish:
        raise SpecError(f"the dataset {spec.name!r} has no destinations", fix="name some in release.publish")
    check_cycle(spec, partition)
    if version is None:
        return _publish_current(spec, base, workspace, instance, partition)
    release = find_release(workspace.snapshots, f"{spec.name}/release", partition, version)
    check_gates(spec, base, instance, release)
    return publish(workspace.snapshots, release, spec.release.publish, base, lambda line: None, back=True)


def check_gates(spec: "DatasetSpec", base: Path, instance: dg.DagsterInstance, release: Snapshot) -> None:
    """Make sure that a release may be published.

    Raises:
        SynthError: a gate never passed on it.
    """
    m = release.manifest
    today = blocking_names(dataset_checks(spec, base)[m.asset])
    closed = never_passed(instance, release, _gates_of(release, today))
    if closed:
        raise SynthError(f"{m.asset} {m.snapshot_id} never passed the gates {', '.join(closed)}")


def _gates_of(release: Snapshot, today: Sequence[str]) -> list[str]:
    """Gates that a release must have passed: those of its own day (later ones never judged it), and its proofs.

    Args:
        release: the release; older ones do not say what their gates were.
        today: what they would be now.
    """
    proofs = (gate.name for gate in STAGE_GATES["release"] if gate.name in UNREMOVABLE)
    return sorted({*release.manifest.details.get("blocking", today), *proofs})


def _publish_current(
    spec: "DatasetSpec", base: Path, workspace: Workspace, instance: dg.DagsterInstance, partition: str | None
) -> pl.DataFrame:
    """By the dataset's own job, so that the gates hold and the interface shows it."""
    job = publish_job_name(spec.name)
    ended = run_dataset(spec, base, workspace, instance, partition=partition, job=job, fresh=True)
    if not ended.success:
        raise SynthError("the release could not be published:\n  " + "\n  ".join(ended.problems))
    published = workspace.snapshots.current(f"{spec.name}/published", partition)
    return published.scan().collect() if published else PUBLISHED.to_frame()
