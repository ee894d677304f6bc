"""Publish a release, or go back to an earlier one."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_platform.cli.base import Dataset, Home, Json, Partition, app, open_console, open_workspace, print_json
from synth_platform.errors import SpecError, SynthError

if TYPE_CHECKING:
    from pathlib import Path

    import dagster as dg

    from synth_platform.dataset.spec import DatasetSpec
    from synth_platform.snapshots import Snapshot
    from synth_platform.workspace import Workspace


@app.command()
def publish(
    dataset: Dataset,
    version: Annotated[str | None, typer.Option(help="A release that is still kept; default: the current one.")] = None,
    partition: Partition = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring a release to the destinations of the spec, and point readers to it."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import find_dataset

    spec, base = find_dataset(dataset, workspace)
    if not spec.release.publish:
        raise SpecError(f"the dataset {spec.name!r} has no destinations", fix="name some in release.publish")
    with open_instance(workspace) as instance, terminal.progress(console):
        if version is None:
            rows = _publish_current(workspace, spec, base, instance, partition)
        else:
            rows = _publish_earlier(workspace, spec, base, instance, partition, version)
    print_json(rows) if as_json else terminal.show_rows(console, rows, "nothing was published")


def _publish_current(
    workspace: "Workspace", spec: "DatasetSpec", base: "Path", instance: "dg.DagsterInstance", partition: str | None
) -> list[dict[str, Any]]:
    from synth_platform.dataset.jobs import publish_job_name
    from synth_platform.ops.launch import run_dataset

    job = publish_job_name(spec.name)
    ended = run_dataset(spec, base, workspace, instance, partition=partition, job=job, fresh=True)
    if not ended.success:
        raise SynthError("the release could not be published:\n  " + "\n  ".join(ended.problems))
    published = workspace.snapshots.current(f"{spec.name}/published", partition)
    return published.scan().collect().to_dicts() if published else []


def _publish_earlier(
    workspace: "Workspace",
    spec: "DatasetSpec",
    base: "Path",
    instance: "dg.DagsterInstance",
    partition: str | None,
    version: str,
) -> list[dict[str, Any]]:
    from synth_platform.dataset.graph import dataset_checks
    from synth_platform.ops.gating import blocking_names
    from synth_platform.ops.guard import never_passed
    from synth_platform.release.publish import find_release, publish

    asset = f"{spec.name}/release"
    release: Snapshot = find_release(workspace.snapshots, asset, partition, version)
    closed = never_passed(instance, release, blocking_names(dataset_checks(spec, base)[asset]))
    if closed:
        raise SynthError(f"{asset} {version} never passed the gates {', '.join(closed)}")
    return publish(workspace.snapshots, release, spec.release.publish, base, lambda line: None).to_dicts()
