"""What Dagster loads: the shipped datasets, the user's own in SYNTH_HOME, and the benchmarks they share."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from synth_platform.dataset.definitions import alert_definitions, benchmark_definitions, dataset_definitions
from synth_platform.dataset.installed import Installed, Refused, find_installed
from synth_platform.dataset.refused import refused_definitions
from synth_platform.dataset.spec import SPEC_FILE
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops.executor import run_executor
from synth_platform.ops.resources import WorkspaceResource, resources
from synth_platform.ops.sweep import sweep_sensor
from synth_platform.workspace import Workspace


@dg.definitions
def defs() -> dg.Definitions:
    """All datasets of this deployment."""
    installed = find_installed(Workspace.from_env().datasets)
    shipped = dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
    own, unbuilt = _own_definitions(installed, shipped)
    refused = [*installed.refused, *unbuilt]
    usable = [*installed.shipped.values(), *(installed.own[name] for name in own)]
    return dg.Definitions.merge(
        shipped,
        *own.values(),
        refused_definitions(refused),
        benchmark_definitions(usable),
        alert_definitions(usable, refused),
        dg.Definitions(
            sensors=[sweep_sensor()], resources=resources(WorkspaceResource.from_env()), executor=run_executor
        ),
    )


def _own_definitions(installed: Installed, shipped: dg.Definitions) -> tuple[dict[str, dg.Definitions], list[Refused]]:
    """The graphs of the user's own datasets, and those that cannot be built, or not beside the others."""
    built: dict[str, dg.Definitions] = {}
    refused: list[Refused] = []
    taken = dict.fromkeys(_names(shipped), "a shipped dataset")
    for spec, base in installed.own.values():
        try:
            made = dataset_definitions(spec, base)
            names = list(_names(made))
            if doubled := next((name for name in names if name in taken), None):
                raise SpecError(
                    f"the dataset {spec.name!r} needs the name {doubled!r} in Dagster, which {taken[doubled]} has",
                    where=str(base / SPEC_FILE),
                    fix="give it another name; `-` and `_` are the same there",
                )
        except SynthError as error:
            refused.append(Refused(base / SPEC_FILE, error, spec.name))
        except dg.DagsterError as error:  # what only Dagster objects to must not stop the other datasets either
            refused.append(Refused(base / SPEC_FILE, SpecError(f"Dagster refuses it: {error}"), spec.name))
        else:
            taken |= dict.fromkeys(names, f"the dataset {spec.name!r}")
            built[spec.name] = made
    return built, refused


def _names(definitions: dg.Definitions) -> Iterator[str]:
    """Names that only one job, schedule or sensor may have, and only one of what makes or checks assets."""
    for one in (*(definitions.jobs or ()), *(definitions.schedules or ()), *(definitions.sensors or ())):
        yield one.name
    for made in (*(definitions.assets or ()), *(definitions.asset_checks or ())):
        if isinstance(made, dg.AssetsDefinition):
            yield made.node_def.name
