"""Look at versions: list, trace, compare, prove."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth_platform.cli.base import (
    FAILED,
    LOOK,
    AssetOrAll,
    Home,
    Json,
    app,
    checked,
    open_console,
    open_workspace,
    print_json,
)
from synth_platform.errors import SynthError
from synth_platform.naming import EVALS_GROUP

if TYPE_CHECKING:
    from synth_platform.snapshots import Snapshot, Snapshots
    from synth_platform.snapshots.manifest import RefRecord

_Place = tuple[str, str | None]
"""Asset and partition."""
_Entry = tuple[_Place, "RefRecord", "Snapshot | None"]
"""Of a history, and the version that it names."""


@app.command(rich_help_panel=LOOK)
def versions(
    dataset: AssetOrAll = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List the versions of each asset, the current one last; of a dataset, also of the test sets it was checked for."""
    from synth_platform import terminal

    snapshots = open_workspace(home).snapshots
    places = snapshots.assets(dataset)
    rows: list[dict[str, Any]] = []
    named: set[_Place] = set()
    for place, record, snapshot in _history(snapshots, places):
        rows.append(_row(place, record, snapshot))
        named |= _test_sets(snapshot)
    if dataset and "/" not in dataset:
        rows += [_row(*one) for one in _history(snapshots, sorted(named.difference(places), key=str))]
    if as_json:
        print_json(rows)
    else:
        whole, spare = ("asset", "partition", "snapshot"), ("digest", "run")
        terminal.show_rows(open_console(False), rows, "nothing has been made yet", whole=whole, spare=spare)


@app.command(rich_help_panel=LOOK)
def trace(
    row_id: Annotated[str, typer.Argument(help="Id of a row.")],
    dataset: Annotated[
        str,
        typer.Option(help="Whose row, where several datasets have one of this id.", callback=checked("dataset name")),
    ] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Follow a row back to its document, prompt, model and verdicts, and forward to what was made of it."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.tracing import trace as trace_row

    found = trace_row(open_workspace(home).snapshots, row_id, dataset)
    print_json(asdict(found)) if as_json else terminal.show_trace(open_console(False), found)


@app.command(rich_help_panel=LOOK)
def diff(
    before: Annotated[
        str, typer.Argument(help="Id of the earlier version, or its start.", callback=checked("snapshot id"))
    ],
    after: Annotated[
        str, typer.Argument(help="Id of the later version, or its start.", callback=checked("snapshot id"))
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Compare two versions of an asset: rows, tokens, settings and inputs."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.catalog import diff as compare

    snapshots = open_workspace(home).snapshots
    found = compare(_version(snapshots, before), _version(snapshots, after))
    print_json(asdict(found)) if as_json else terminal.show_diff(open_console(False), found)


@app.command(rich_help_panel=LOOK)
def verify(
    dataset: AssetOrAll = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Prove the current versions: digests, accounting, and that all they were made from is there."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.verify import verify as verify_versions

    snapshots, console = open_workspace(home).snapshots, open_console(as_json)
    heads = [head for asset, part in snapshots.assets(dataset) if (head := snapshots.head(asset, part)) is not None]
    if not heads:
        raise SynthError(f"there are no versions{f' of {dataset!r}' if dataset else ''}", fix="materialize it first")
    with terminal.progress(console):
        report = verify_versions(snapshots, heads)
    print_json(asdict(report)) if as_json else terminal.show_report(console, report)
    if report.problems:
        raise typer.Exit(FAILED)


def _history(snapshots: "Snapshots", places: Iterable[_Place]) -> Iterator[_Entry]:
    """Asset by asset, each version that was the current one, and what is left of it."""
    for place in places:
        for record in snapshots.history(*place):
            yield place, record, snapshots.recall(*place, record.snapshot_id)


def _row(place: _Place, record: "RefRecord", snapshot: "Snapshot | None") -> dict[str, Any]:
    return {
        "asset": place[0],
        "partition": place[1],
        "snapshot": record.snapshot_id,
        "rows": snapshot.manifest.rows if snapshot else None,
        "digest": record.digest,
        "current_since": record.at.isoformat(timespec="seconds"),
        "run": record.run_id,
        "removed": snapshot.removal.why if snapshot and snapshot.removal else None,
    }


def _test_sets(snapshot: "Snapshot | None") -> set[_Place]:
    """The test sets that a version was made from; they belong to no dataset."""
    inputs = snapshot.manifest.inputs if snapshot else ()
    return {(ref.asset, ref.partition) for ref in inputs if ref.asset.startswith(f"{EVALS_GROUP}/")}


def _version(snapshots: "Snapshots", given: str) -> "Snapshot":
    """The version of this id, or of the only one that begins so."""
    from synth_platform.snapshots.identity import SHORTEST_PREFIX, complete_id

    for asset, partition in snapshots.assets(""):
        if found := snapshots.open(asset, partition, given):
            return found
    kept = snapshots.keys() if len(given) >= SHORTEST_PREFIX else ()
    keys = {key[2]: key for key in kept}
    whole = complete_id(given, keys)
    found = snapshots.open(*keys[whole]) if whole else None
    if found is None:
        fix = f"`synth versions` lists them; {SHORTEST_PREFIX} characters of an id are enough"
        raise SynthError(f"there is no version {given!r}", fix=fix)
    return found
