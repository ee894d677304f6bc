"""What Dagster loads: the shipped datasets, the user's own in SYNTH_HOME, and the benchmarks they share."""

from pathlib import Path

import dagster as dg

from synth_platform.dataset.definitions import alert_definitions, benchmark_definitions, dataset_definitions
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec
from synth_platform.errors import SpecError
from synth_platform.ops.executor import run_executor
from synth_platform.ops.resources import WorkspaceResource, resources
from synth_platform.ops.sweep import sweep_sensor
from synth_platform.workspace import Workspace

SHIPPED = Path(__file__).parent / "defs"


def load_specs(folder: Path) -> dict[str, tuple[DatasetSpec, Path]]:
    """Specs in the subfolders of a folder, with the folder of each, by dataset name."""
    found: dict[str, tuple[DatasetSpec, Path]] = {}
    for path in sorted(folder.glob(f"*/{SPEC_FILE}")):
        spec = load_spec(path)
        if spec.name in found:
            raise SpecError(
                f"two datasets are called {spec.name!r}", where=f"{path} and {found[spec.name][1] / SPEC_FILE}"
            )
        found[spec.name] = (spec, path.parent)
    return found


@dg.definitions
def defs() -> dg.Definitions:
    """All datasets of this deployment."""
    workspace = Workspace.from_env()
    shipped, own = load_specs(SHIPPED), load_specs(workspace.datasets)
    if doubled := sorted(set(shipped) & set(own)):
        raise SpecError(
            f"the dataset {doubled[0]!r} is shipped with the platform; a dataset of your own needs another name",
            where=str(own[doubled[0]][1] / SPEC_FILE),
        )
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        *(dataset_definitions(spec, base) for spec, base in own.values()),
        benchmark_definitions([*shipped.values(), *own.values()]),
        alert_definitions([*shipped.values(), *own.values()]),
        dg.Definitions(
            sensors=[sweep_sensor()], resources=resources(WorkspaceResource.from_env()), executor=run_executor
        ),
    )
