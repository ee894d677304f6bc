"""What a deployment for a team needs beside runs: a start in good order, and copies of its versions."""

from typing import Annotated

import typer

from synth_platform.cli.base import KEEP, Home, app, open_console, open_workspace, teller


@app.command(rich_help_panel=KEEP)
def prepare(home: Home = None) -> None:
    """Make and migrate Dagster's database, make the bucket, and prove that the store keeps create-only writes."""
    workspace, tell = open_workspace(home), teller(open_console(False))
    from synth_platform.ops.instance import migrate
    from synth_platform.snapshots.probe import prove_create_only
    from synth_platform.snapshots.store import ensure_bucket

    if workspace.data.startswith("s3://") and ensure_bucket(workspace.data):
        tell(f"made the bucket of {workspace.data}")
    store = workspace.snapshots.store
    prove_create_only(store)
    tell(f"{store.url}: of several writers of a name, one wins")
    migrate(workspace, tell)
    tell(f"the database of {workspace.dagster_home} is ready")


@app.command("mirror", rich_help_panel=KEEP)
def mirror_command(
    source: Annotated[str, typer.Argument(help="Root of all versions: a folder or s3://bucket/prefix.")],
    target: Annotated[str, typer.Argument(help="Root of the copy.")],
) -> None:
    """Copy all versions that the target does not have: a backup, its return, or a move."""
    from synth_platform.snapshots.mirror import mirror
    from synth_platform.snapshots.store import open_store

    done = mirror(open_store(source), open_store(target))
    open_console(False).print(f"copied {done.copied} files, {done.bytes:,} bytes; {done.present} were there already")
