"""Give space back: versions past the retention, and what dead processes left."""

from typing import Annotated, Any

import typer

from synth_platform.cli.base import FAILED, KEEP, Home, Json, app, open_console, open_workspace, print_json, teller


@app.command("gc", rich_help_panel=KEEP)
def collect_garbage(
    dataset: Annotated[str, typer.Argument(help="Dataset, or path of its defs.yaml; all if left out.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Delete; without it, only show what would go.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show, or delete, what the retention of the specs lets go and what dead processes left behind."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.installed import find_installed
    from synth_platform.ops.garbage import collect, find_garbage
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import find_dataset

    installed = find_installed(workspace)
    refused = () if dataset else installed.refused
    specs = installed.datasets
    if dataset:
        chosen = find_dataset(dataset, workspace)
        dataset, specs = chosen[0].name, {**specs, chosen[0].name: chosen}
    garbage = find_garbage(workspace, list(specs.values()), dataset=dataset)
    if refused:
        garbage = garbage.of(specs)  # how long the others want to keep unfinished work is not known
    rows: list[dict[str, Any]] = [
        {"what": one.kind, "where": one.folder, "bytes": one.bytes, "why": one.why} for one in garbage.stored
    ]
    rows += [{"what": "file", "where": str(one.path), "bytes": one.bytes, "why": one.why} for one in garbage.local]
    freed = 0
    if apply and rows:
        with open_instance(workspace) as instance:
            freed = collect(workspace, instance, garbage)
    if as_json:
        kept = [{"path": str(one.path), "error": one.error.what} for one in refused]
        print_json({"garbage": rows, "bytes": garbage.bytes, "freed": freed, "refused": kept})
    else:
        terminal.show_rows(console, rows, "there is nothing to collect")
        if rows:
            said = f"{freed / 1e6:,.1f} MB freed" if apply else f"{garbage.bytes / 1e6:,.1f} MB; --apply deletes them"
            console.print(said)
        for one in refused:
            teller(console)(f"nothing of its dataset was collected: {one.path}: {one.error.what}")
    if refused:
        raise typer.Exit(FAILED)
