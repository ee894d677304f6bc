"""What commands share that run a job of a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from synth_platform.cli.base import teller
from synth_platform.errors import SynthError
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec


def run_job(
    workspace: Workspace, console: Console, spec: "DatasetSpec", base: Path, job: str, *, failure: str, **options: Any
) -> None:
    """Run one of a dataset's jobs and show how it gets on.

    Raises:
        SynthError: it failed; the message starts with ``failure``.
    """
    from synth_platform import terminal
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import run_dataset

    with open_instance(workspace, teller(console)) as instance, terminal.progress(console):
        ended = run_dataset(spec, base, workspace, instance, job=job, **options)
    if not ended.success:
        raise SynthError(f"{failure}:\n  " + "\n  ".join(ended.problems))


def install_engine(
    workspace: Workspace, console: Console, spec: "DatasetSpec", base: Path, partition: str | None
) -> None:
    """Make the environment of vLLM where the dataset needs it and it is not there.

    Raises:
        SynthError: the run that it is made for would fail before it needs an engine; nothing is installed.
    """
    from synth_platform.dataset.graph import dataset_stages
    from synth_platform.generation.config import VllmEngine
    from synth_platform.generation.servers.environment import install, locate
    from synth_platform.ops.plan import Planner

    if isinstance(spec.engine, VllmEngine) and spec.engine.runs_here and locate(workspace.engine) is None:
        if obstacles := Planner(dataset_stages(spec, base), workspace.at_rest()).obstacles(partition):
            raise SynthError("\n".join(obstacles))
        install(workspace.engine, teller(console))
