"""Publish a release, or go back to an earlier one."""

from typing import Annotated

import typer

from synth_platform.cli.base import Dataset, Home, Json, Partition, app, open_console, open_workspace, print_json


@app.command()
def publish(
    dataset: Dataset,
    version: Annotated[
        str | None, typer.Option(help="A release that is still kept, or the start of its id; default: the current one.")
    ] = None,
    partition: Partition = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bring a release to the destinations of the spec, and point readers to it."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import find_dataset
    from synth_platform.ops.publishing import publish_release

    spec, base = find_dataset(dataset, workspace)
    with open_instance(workspace) as instance, terminal.progress(console):
        rows = publish_release(spec, base, workspace, instance, partition, version).to_dicts()
    if as_json:
        print_json(rows)
    else:
        terminal.show_rows(console, rows, "nothing was published", whole=("destination", "version"))
