"""See what other limits would do to stored generations, before anything is made."""

from dataclasses import asdict
from typing import Annotated

import typer

from synth_platform.cli.base import Dataset, Home, Json, Partition, app, open_console, open_workspace, print_json

Changes = Annotated[
    list[str] | None,
    typer.Option("--what-if", help="quality.RECIPE.LIMIT=VALUE; * for all recipes. May be given several times."),
]


@app.command()
def screen(
    dataset: Dataset, what_if: Changes = None, home: Home = None, partition: Partition = None, as_json: Json = False
) -> None:
    """Judge stored generations by the spec as it is now, with changes to try: what is won and lost, by reason."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.changes import with_quality_changes
    from synth_platform.ops.launch import find_dataset
    from synth_platform.quality.config import QualitySpec
    from synth_platform.quality.replay import replay

    spec, _ = find_dataset(dataset, workspace)
    changed = with_quality_changes(spec, what_if or [])
    with terminal.progress(console):
        found = [
            replay(
                workspace.snapshots,
                spec.name,
                partition,
                recipe,
                changed.quality.get(recipe.name, QualitySpec()),
                changed.privacy,
            )
            for recipe in changed.recipes
        ]
    print_json([asdict(one) for one in found]) if as_json else terminal.show_replays(console, found)
