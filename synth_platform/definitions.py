"""What Dagster loads: the shipped datasets, the user's own in SYNTH_HOME, and the benchmarks they share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from synth_platform.dataset.definitions import alert_definitions, benchmark_definitions, dataset_definitions
from synth_platform.dataset.installed import Known, Refused, find_installed
from synth_platform.dataset.refused import refused_definitions
from synth_platform.dataset.spec import SPEC_FILE
from synth_platform.errors import SpecError
from synth_platform.ops.executor import run_executor
from synth_platform.ops.resources import WorkspaceResource, resources
from synth_platform.ops.sweep import sweep_sensor
from synth_platform.workspace import Workspace


@dataclass(frozen=True)
class Loaded:
    """The datasets as Dagster gets them.

    Args:
        graphs: those of the platform, and one for each dataset of the user's.
        datasets: all that can be used.
        refused: specs that cannot.
    """

    graphs: Sequence[dg.Definitions]
    datasets: Sequence[Known]
    refused: Sequence[Refused]


def load_datasets(workspace: Workspace) -> Loaded:
    """Build the graphs of all datasets; those that cannot be built, or not beside the others, are refused."""
    installed = find_installed(workspace)
    shipped = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    graphs, datasets, refused = [shipped], [*installed.shipped.values()], [*installed.refused]
    taken = dict.fromkeys(_names(shipped), "a shipped dataset")
    for spec, base in installed.own.values():
        try:
            made = dataset_definitions(spec, base)
            names = list(_names(made))
            if doubled := next((name for name in names if name in taken), None):
                raise SpecError(
                    f"the dataset {spec.name!r} needs the name {doubled!r} in Dagster, which {taken[doubled]} has",
                    where=str(base / SPEC_FILE),
                    fix="give it another name",
                )
        except Exception as error:  # foreseen or not: a mistake in one spec must not stop the other datasets
            refused.append(Refused.because_of(error, base / SPEC_FILE, spec.name))
        else:
            taken |= dict.fromkeys(names, f"the dataset {spec.name!r}")
            graphs.append(made)
            datasets.append((spec, base))
    return Loaded(graphs, datasets, refused)


@dg.definitions
def defs() -> dg.Definitions:
    """All datasets of this deployment."""
    return _kept[-1] if _kept else _build()


def keep() -> None:
    """Build the definitions now, for this process and those forked from it: they see no later change of a spec."""
    built = _build()
    built.get_repository_def()
    _kept.append(built)


_kept: list[dg.Definitions] = []


def _build() -> dg.Definitions:
    loaded = load_datasets(Workspace.from_env())
    return dg.Definitions.merge(
        *loaded.graphs,
        refused_definitions(loaded.refused),
        benchmark_definitions(loaded.datasets),
        alert_definitions(loaded.datasets, loaded.refused),
        dg.Definitions(
            sensors=[sweep_sensor()], resources=resources(WorkspaceResource.from_env()), executor=run_executor
        ),
    )


def _names(definitions: dg.Definitions) -> Iterator[str]:
    """Names that only one job, schedule or sensor may have, and only one of what makes or checks assets."""
    for one in (*(definitions.jobs or ()), *(definitions.schedules or ()), *(definitions.sensors or ())):
        yield one.name
    for made in (*(definitions.assets or ()), *(definitions.asset_checks or ())):
        if isinstance(made, dg.AssetsDefinition):
            yield made.node_def.name
