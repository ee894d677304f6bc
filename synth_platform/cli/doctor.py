"""Say what is wrong with an installation, and mend it."""

from typing import Annotated

import typer

from synth_platform.cli.base import FAILED, KEEP, Home, Json, app, open_console, open_workspace, print_json
from synth_platform.errors import SynthError


@app.command(rich_help_panel=KEEP)
def doctor(
    home: Home = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is certainly dead or has an equal copy.")] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Compare digests of all stored files, not only sizes.")] = False,
    as_json: Json = False,
) -> None:
    """Find what is wrong here: dead runs, orphaned engines, damaged versions, full disks; with --fix, mend it."""
    workspace, console = open_workspace(home), open_console(as_json)
    if not workspace.home.is_dir():
        raise SynthError("there is nothing here yet", where=str(workspace.home), fix="run: synth quickstart")
    from synth_platform import terminal
    from synth_platform.ops.doctor.examine import examine
    from synth_platform.ops.instance import connect

    with terminal.progress(console):
        found = examine(workspace, connect(workspace), deep=deep, fix=fix)
    print_json([one.as_json() for one in found]) if as_json else terminal.show_findings(console, found)
    if any(one.wrong for one in found):
        raise typer.Exit(FAILED)
