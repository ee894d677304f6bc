"""Take documents down, everywhere and for good."""

from dataclasses import asdict
from typing import Annotated

import typer

from synth_platform.cli.base import FAILED, KEEP, Home, Json, app, open_console, open_workspace, print_json, teller


@app.command(rich_help_panel=KEEP)
def takedown(
    document: Annotated[list[str] | None, typer.Option(help="Id of a document. May be given several times.")] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(help="Dataset whose documents the ids name; all, unless it is given. May be given several times."),
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(help="Address of documents; * stands for any characters. May be given several times."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; kept with the tombstone, and nowhere else.")] = "",
    by: Annotated[str, typer.Option(help="Who asked for it; default: you.")] = "",
    spec: Annotated[
        list[str] | None, typer.Option(help="Path of the defs.yaml of a dataset that SYNTH_HOME does not have.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    erase: Annotated[
        bool, typer.Option("--erase", help="Then remove the files of every version that holds the documents.")
    ] = False,
    in_advance: Annotated[
        bool, typer.Option("--in-advance", help="Bar documents that nothing here has, too: they may come later.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take documents out of every release, keep them out, and erase what was made of them."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.takedown import Request, take_down

    request = Request(tuple(document or ()), tuple(url or ()), reason, by, tuple(dataset or ()))
    with open_instance(workspace) as instance, terminal.progress(console):
        report = take_down(
            request,
            workspace,
            instance,
            specs=spec or (),
            dry_run=dry_run,
            erase=erase,
            in_advance=in_advance,
            tell=teller(console),
        )
    print_json(asdict(report)) if as_json else terminal.show_takedown(console, report)
    if report.problems:
        raise typer.Exit(FAILED)
