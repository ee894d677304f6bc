"""Run a dataset's job in this process, and say in a few words why it failed if it did."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from synth_platform.dataset.graph import benchmark_definitions, dataset_definitions
from synth_platform.dataset.jobs import job_name
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec
from synth_platform.definitions import SHIPPED, load_specs
from synth_platform.errors import SpecError
from synth_platform.ops.doctor.runs import PROCESS_TAG, this_process
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import FRESH_TAG
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
    if path.suffix in (".yaml", ".yml") or path.is_dir():
        file = path / SPEC_FILE if path.is_dir() else path
        return load_spec(file), file.absolute().parent
    known = {**load_specs(SHIPPED), **load_specs(workspace.datasets)}
    if name not in known:
        raise SpecError(
            f"there is no dataset {name!r}",
            fix=f"use one of {', '.join(sorted(known))}, or the path of a {SPEC_FILE}; your own datasets go to"
            f" {workspace.datasets}/<name>/{SPEC_FILE}",
        )
    return known[name]


def run_dataset(
    spec: DatasetSpec,
    base: Path,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    *,
    partition: str | None = None,
    fresh: bool = False,
    job: str | None = None,
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

    Raises:
        SpecError: the partition does not exist, or is needed and missing.
    """
    definitions = dg.Definitions.merge(
        dataset_definitions(spec, base),
        benchmark_definitions([(spec, base)]),
        dg.Definitions(resources={"workspace": WorkspaceResource(home=str(workspace.home), data=workspace.data)}),
    )
    chosen = definitions.resolve_job_def(job or job_name(spec.name))
    _check_partition(spec, chosen.partitions_def, partition)
    result = chosen.execute_in_process(
        run_config=_QUIET,
        instance=instance,
        partition_key=partition,
        raise_on_error=False,
        tags={PROCESS_TAG: this_process(), **({FRESH_TAG: "true"} if fresh else {})},
    )
    return Launched(result.run_id, result.success, list(_problems(result)))


def _check_partition(spec: DatasetSpec, partitions: dg.PartitionsDefinition | None, partition: str | None) -> None:
    if partitions is None:
        if partition is not None:
            raise SpecError(f"the dataset {spec.name!r} has no cadence, so no partition {partition!r}")
        return
    keys = list(partitions.get_partition_keys())
    if partition is None:
        latest = f", for example --partition {keys[-1]}" if keys else ""
        raise SpecError(
            f"the dataset {spec.name!r} has a cadence: say which cycle to make", fix=f"add --partition{latest}"
        )
    if partition not in keys:
        raise SpecError(
            f"the dataset {spec.name!r} has no cycle {partition[:60]!r}",
            fix=f"use one of: {', '.join(keys[-5:]) or 'none has ended yet'}",
        )


def _problems(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What the user has to know, each thing once: failures for people as they are, others by their first cause."""
    seen: set[str] = set()
    for event in result.all_events:
        if not event.is_step_failure:
            continue
        data = event.step_failure_data
        text = data.user_failure_data.description if data.user_failure_data else None
        if not text and data.error is not None:
            cause = data.error.cause or data.error
            text = cause.message.strip()
        if text and "check" in text and "blocking" in text.lower():
            continue  # the gates are listed by themselves
        if text and text not in seen:
            seen.add(text)
            yield text
