"""Make datasets, and say beforehand what that takes."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from synth_platform.cli.base import (
    FAILED,
    KEEP,
    Dataset,
    DatasetOrAll,
    Home,
    Json,
    Partition,
    app,
    open_console,
    open_workspace,
    print_json,
    teller,
)
from synth_platform.cli.jobs import install_engine, run_job
from synth_platform.errors import SynthError
from synth_platform.workspace import Workspace

engine_app = typer.Typer(no_args_is_help=True, help="The environment that vLLM lives in.")
app.add_typer(engine_app, name="engine", rich_help_panel=KEEP)


@app.command()
def quickstart(
    home: Home = None,
    documents: Annotated[int, typer.Option(min=10, max=100_000, help="Documents to rewrite.")] = 120,
    as_json: Json = False,
) -> None:
    """Make the first dataset: from documents to a verified release, with a model that comes along."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform.ops.launch import find_dataset

    spec, base = find_dataset("quickstart", workspace)
    sources = [
        source.model_copy(update={"documents": documents}) if source.type == "playground" else source
        for source in spec.sources
    ]
    _materialize(workspace, console, spec.model_copy(update={"sources": sources}), base, as_json=as_json, verify=True)


@app.command()
def materialize(
    dataset: Dataset,
    home: Home = None,
    partition: Partition = None,
    fresh: Annotated[bool, typer.Option(help="Make everything anew, even where an equal version exists.")] = False,
    as_json: Json = False,
) -> None:
    """Make a dataset, or go on where a stopped run was."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform.ops.launch import find_dataset

    spec, base = find_dataset(dataset, workspace)
    _materialize(workspace, console, spec, base, partition=partition, fresh=fresh, as_json=as_json)


def _materialize(
    workspace: Workspace,
    console: Console,
    spec: Any,
    base: Path,
    *,
    partition: str | None = None,
    fresh: bool = False,
    as_json: bool = False,
    verify: bool = False,
) -> None:
    from synth_platform import terminal
    from synth_platform.dataset.graph import dataset_checks
    from synth_platform.ops.cycles import check_cycle
    from synth_platform.ops.guard import judgements
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import run_dataset
    from synth_platform.snapshots.verify import verify as verify_versions
    from synth_platform.summary import summarise

    started = time.monotonic()
    check_cycle(spec, partition)  # before minutes go into the engine
    install_engine(workspace, console, spec, base, partition)
    console.print(f"[bold]{spec.name}[/bold] in {escape(str(workspace.home))}")
    with open_instance(workspace, teller(console)) as instance:
        with terminal.progress(console):
            ended = run_dataset(spec, base, workspace, instance, partition=partition, fresh=fresh)
        heads = current_versions(workspace, spec.name, partition)
        gates = dataset_checks(spec, base)
        names = {asset: [gate.name for gate in some] for asset, some in gates.items()}
        blocking = [(asset, gate.name) for asset, some in gates.items() for gate in some if gate.severity == "critical"]
        judged = judgements(instance, heads, names, ended.run_id)
    problems = list(ended.problems)
    if verify and ended.success:
        with terminal.progress(console):
            problems += verify_versions(workspace.snapshots, heads).problems
    summary = summarise(
        spec.name,
        partition,
        heads,
        judged,
        blocking,
        seconds=time.monotonic() - started,
        success=ended.success and not problems,
        problems=problems,
    )
    if as_json:
        print_json(summary.as_json())
    else:
        terminal.show_summary(console, summary, workspace)
    if not summary.ok:
        raise typer.Exit(FAILED)


@app.command()
def estimate(
    dataset: Dataset,
    home: Home = None,
    partition: Partition = None,
    documents: Annotated[int | None, typer.Option(min=1, help="Documents to reckon with; default: all.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="Of one GPU hour; default: the spec's.")] = None,
    pilot: Annotated[int, typer.Option(min=0, help="Prompts per recipe to measure now; the run keeps them.")] = 0,
    as_json: Json = False,
) -> None:
    """Say what generating a dataset will take: prompts, tokens, engine hours, money, and what that rests on."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.graph import DatasetGraph
    from synth_platform.ops.forecast import forecast
    from synth_platform.ops.launch import find_dataset
    from synth_platform.ops.sample import take_sample

    spec, base = find_dataset(dataset, workspace)
    sampled: dict[str, Any] = {}
    units = 1.0
    if pilot:
        _make_prompts(workspace, console, spec, base, partition)
        context = DatasetGraph.of(spec, base).context
        with terminal.progress(console):
            sampled, units = take_sample(spec, context, workspace, pilot, partition=partition, tell=teller(console))
    found = forecast(
        spec,
        base,
        workspace,
        partition=partition,
        documents=documents,
        price_per_hour=price,
        sampled=sampled,
        units=units,
    )
    print_json(found.as_json()) if as_json else terminal.show_estimate(console, spec.name, found)


def _make_prompts(workspace: Workspace, console: Console, spec: Any, base: Path, partition: str | None) -> None:
    """Have the dataset's prompts rendered, and the engine installed."""
    from synth_platform.dataset.jobs import prompts_job_name
    from synth_platform.ops.cycles import check_cycle

    check_cycle(spec, partition)
    install_engine(workspace, console, spec, base, partition)
    failure = "the prompts could not be made"
    run_job(workspace, console, spec, base, prompts_job_name(spec.name), failure=failure, partition=partition)


@app.command()
def tune(
    dataset: Dataset,
    home: Home = None,
    partition: Partition = None,
    prompts: Annotated[int | None, typer.Option(min=9, help="Prompts of the last round; default: the spec's.")] = None,
    candidates: Annotated[int | None, typer.Option(min=2, help="Settings to try; default: the spec's.")] = None,
    fresh: Annotated[bool, typer.Option(help="Measure anew, even where an equal profile exists.")] = False,
    as_json: Json = False,
) -> None:
    """Find the engine's fastest settings on a dataset's own prompts; `engine.tuned: true` uses them."""
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.jobs import tune_job_name
    from synth_platform.generation.config import VllmEngine
    from synth_platform.generation.tuning.profile import profile_key, read_profile, trial_rows
    from synth_platform.ops.launch import find_dataset

    spec, base = find_dataset(dataset, workspace)
    if not isinstance(spec.engine, VllmEngine):
        raise SynthError(
            "only servers of our own can be tuned",
            where="engine.type: endpoint",
            fix="tune them where they are started",
        )
    given = {"prompts": prompts, "candidates": candidates}
    changes = {name: value for name, value in given.items() if value is not None}
    spec = spec.model_copy(update={"tuning": spec.tuning.model_copy(update=changes)})
    _make_prompts(workspace, console, spec, base, partition)
    failure = "the engine could not be tuned"
    run_job(workspace, console, spec, base, tune_job_name(spec.name), failure=failure, fresh=fresh)
    found = workspace.snapshots.head(profile_key(spec.name), None)
    assert found is not None
    profile, trials = read_profile(found), trial_rows(found)
    if as_json:
        print_json(profile.model_dump() | {"gain": profile.gain, "trials": trials})
    else:
        terminal.show_profile(console, spec.name, profile, trials)


@app.command()
def status(
    dataset: DatasetOrAll = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what the engine of a dataset is doing, or how far it came before it stopped."""
    from synth_platform import terminal
    from synth_platform.generation.run.meter import read_status

    found = read_status(open_workspace(home).status, dataset)
    if not found:
        of = f" for {dataset!r}" if dataset else ""
        raise SynthError(f"nothing was generated{of} yet", fix="materialize it first")
    print_json(found) if as_json else terminal.show_status(open_console(False), found)


@app.command()
def ui(
    home: Home = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Start Dagster's web interface and daemon on the same home."""
    workspace = open_workspace(home)
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.interface import address_of, only_interface, serve

    tell = teller(open_console(False))
    with only_interface(workspace, port):
        with open_instance(workspace, tell):
            pass  # one process makes the database before several open it
        tell(f"Dagster on {address_of(port)} for {workspace.home} (stop with Ctrl+C)")
        serve(workspace, port)


@engine_app.command("install")
def engine_install(home: Home = None) -> None:
    """Make the environment of vLLM: the CPU build, or the GPU build where there is a GPU."""
    from synth_platform.generation.servers.environment import install

    workspace, tell = open_workspace(home), teller(open_console(False))
    found = install(workspace.engine, tell)
    tell(f"ready: {found.package} {found.version} in {found.folder}")


def current_versions(workspace: Workspace, dataset: str, partition: str | None) -> list[Any]:
    snapshots = workspace.snapshots
    mine = [(asset, part) for asset, part in snapshots.assets(dataset) if part == partition]
    return [head for asset, part in mine if (head := snapshots.current(asset, part)) is not None]
