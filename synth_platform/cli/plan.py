"""Say what a run would make, and why, before it is started."""

from typing import Annotated

import typer

from synth_platform.cli.base import (
    FAILED,
    Dataset,
    Home,
    Json,
    Partition,
    app,
    open_console,
    open_workspace,
    print_json,
)
from synth_platform.errors import SynthError

AllPartitions = Annotated[bool, typer.Option("--all-partitions", help="Every cycle that was made or has ended.")]


@app.command()
def plan(
    dataset: Dataset,
    partition: Partition = None,
    all_partitions: AllPartitions = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what a run would make anew, why, and what it would ask of the engine; it makes nothing."""
    workspace, console = open_workspace(home).at_rest(), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.graph import dataset_stages
    from synth_platform.ops.cycles import check_cycle, newest_cycle, partitions_of
    from synth_platform.ops.forecast import bill_of
    from synth_platform.ops.launch import find_dataset
    from synth_platform.ops.plan import Planner

    spec, base = find_dataset(dataset, workspace)
    cycles = partitions_of(spec.cadence)
    if partition is not None and all_partitions:
        raise SynthError("--partition and --all-partitions exclude each other", fix="leave one out")
    if partition is None and cycles is not None:
        partition = newest_cycle(cycles)
    planner = Planner(dataset_stages(spec, base), workspace)
    wanted: list[str | None] = [partition]
    if all_partitions and cycles is not None:
        wanted = [*sorted({*cycles.get_partition_keys(), *planner.cycles_made()})]
    else:
        check_cycle(spec, partition)
    plans = list(planner.plans(wanted))
    bill = bill_of(plans, spec, base, workspace)
    obstacles = planner.obstacles(partition) if len(plans) == 1 else []
    if as_json:
        changing = [one.as_json() for one in plans if not one.is_current or len(plans) == 1]
        current = sum(one.is_current for one in plans)
        found = {"dataset": spec.name, "current": current, "plans": changing, "engine": bill.as_json()}
        print_json({**found, "problems": obstacles})
    else:
        terminal.show_plan(console, spec.name, plans, bill, obstacles)
    if obstacles:
        raise typer.Exit(FAILED)
