"""See what other limits would do to stored generations, before anything is made."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from synth_platform.cli.base import Dataset, Home, Json, Partition, app, open_console, open_workspace, print_json
from synth_platform.cli.jobs import run_job
from synth_platform.errors import SynthError
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--what-if",
        help="quality.RECIPE.LIMIT=VALUE (* for all recipes) or privacy.output.ENTITY=POLICY; several times.",
    ),
]


@app.command()
def screen(
    dataset: Dataset,
    what_if: Changes = None,
    apply: Annotated[bool, typer.Option("--apply", help="Judge by the spec as it is now, and release.")] = False,
    home: Home = None,
    partition: Partition = None,
    as_json: Json = False,
) -> None:
    """Judge stored generations by the spec as it is now, with changes to try: what is won and lost, by reason."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.what_if import with_changes
    from synth_platform.ops.cycles import check_cycle
    from synth_platform.ops.launch import find_dataset
    from synth_platform.quality.config import QualitySpec
    from synth_platform.quality.replay import replay

    if apply and what_if:
        raise SynthError("--apply goes by the spec", fix="write the limits into the spec, then leave --what-if out")
    spec, base = find_dataset(dataset, workspace)
    check_cycle(spec, partition)
    changed = with_changes(spec, what_if or [])
    with terminal.progress(console):
        found = [
            replay(
                workspace.snapshots,
                spec.name,
                partition,
                recipe,
                changed.quality.get(recipe.name, QualitySpec()),
                changed.privacy,
                workspace.encoders,
            )
            for recipe in changed.recipes
        ]
    if apply:
        _apply(workspace, console, spec, base, partition)
    print_json([asdict(one) for one in found]) if as_json else terminal.show_replays(console, found)


def _apply(workspace: Workspace, console: Console, spec: "DatasetSpec", base: Path, partition: str | None) -> None:
    from synth_platform.dataset.jobs import screen_job_name

    failure = "the dataset could not be screened"
    run_job(workspace, console, spec, base, screen_job_name(spec.name), failure=failure, partition=partition)
