"""`synth`: make datasets, look at them, and prove them, from the terminal."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from synth_platform.errors import SynthError
from synth_platform.workspace import Workspace

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Versioned, gated, traceable synthetic pretraining data.",
)
engine_app = typer.Typer(no_args_is_help=True, help="The environment that vLLM lives in.")
app.add_typer(engine_app, name="engine")
contamination_app = typer.Typer(no_args_is_help=True, help="Look for test questions in any files.")
app.add_typer(contamination_app, name="contamination")

Home = Annotated[Path | None, typer.Option(help="Folder for everything (SYNTH_HOME, default ./.synth).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of tables.")]
Dataset = Annotated[str, typer.Argument(help="Name of a dataset, or path of its defs.yaml.")]
Partition = Annotated[str | None, typer.Option(help="Cycle, for datasets with a cadence.")]

_FAILED, _INVALID, _INTERRUPTED = 1, 2, 130


@app.command()
def quickstart(
    home: Home = None,
    documents: Annotated[int, typer.Option(min=10, max=100_000, help="Documents to rewrite.")] = 120,
    as_json: Json = False,
) -> None:
    """Make the first dataset: from documents to a verified release, with a model that comes along."""
    workspace, console = _workspace(home), _console(as_json)
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
    workspace, console = _workspace(home), _console(as_json)
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
    from synth_platform.dataset.graph import dataset_gates
    from synth_platform.generation.config import VllmEngine
    from synth_platform.generation.environment import install, locate
    from synth_platform.ops.guard import judgements
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import run_dataset
    from synth_platform.snapshots.verify import verify as verify_versions
    from synth_platform.summary import summarise

    started = time.monotonic()
    if isinstance(spec.engine, VllmEngine) and spec.engine.runs_here and locate(workspace.engine) is None:
        install(workspace.engine, console.print)
    console.print(f"[bold]{spec.name}[/bold] in {workspace.home}")
    with open_instance(workspace) as instance:
        with terminal.progress(console):
            ended = run_dataset(spec, base, workspace, instance, partition=partition, fresh=fresh)
        heads = _heads(workspace, spec.name, partition)
        gates = dataset_gates(spec)
        names = {asset: [gate.name for gate in some] for asset, some in gates.items()}
        blocking = [(asset, gate.name) for asset, some in gates.items() for gate in some if gate.severity == "critical"]
        judged = judgements(instance, heads, names)
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
        _print_json(summary.as_json())
    else:
        terminal.show_summary(console, summary, workspace)
    if not summary.ok:
        raise typer.Exit(_FAILED)


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
    workspace, console = _workspace(home), _console(as_json)
    from synth_platform import terminal
    from synth_platform.ops.forecast import forecast, take_sample
    from synth_platform.ops.launch import find_dataset

    spec, base = find_dataset(dataset, workspace)
    sampled: dict[str, Any] = {}
    units = 1.0
    if pilot:
        _make_prompts(workspace, console, spec, base, partition)
        with terminal.progress(console):
            sampled, units = take_sample(spec, base, workspace, pilot, partition=partition, tell=console.print)
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
    _print_json(found.as_json()) if as_json else terminal.show_estimate(console, spec.name, found)


def _make_prompts(workspace: Workspace, console: Console, spec: Any, base: Path, partition: str | None) -> None:
    """Have the dataset's prompts rendered, and the engine installed."""
    from synth_platform import terminal
    from synth_platform.dataset.graph import prompts_job_name
    from synth_platform.generation.config import VllmEngine
    from synth_platform.generation.environment import install, locate
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import run_dataset

    if isinstance(spec.engine, VllmEngine) and spec.engine.runs_here and locate(workspace.engine) is None:
        install(workspace.engine, console.print)
    with open_instance(workspace) as instance, terminal.progress(console):
        ended = run_dataset(spec, base, workspace, instance, partition=partition, job=prompts_job_name(spec.name))
    if not ended.success:
        raise SynthError("the prompts could not be made:\n  " + "\n  ".join(ended.problems))


@app.command()
def tune(
    dataset: Dataset,
    home: Home = None,
    partition: Annotated[str | None, typer.Option(help="Cycle to render, if none has prompts yet.")] = None,
    prompts: Annotated[int | None, typer.Option(min=9, help="Prompts of the last round; default: the spec's.")] = None,
    candidates: Annotated[int | None, typer.Option(min=2, help="Settings to try; default: the spec's.")] = None,
    fresh: Annotated[bool, typer.Option(help="Measure anew, even where an equal profile exists.")] = False,
    as_json: Json = False,
) -> None:
    """Find the engine's fastest settings on a dataset's own prompts; `engine.tuned: true` uses them."""
    workspace, console = _workspace(home), _console(as_json)
    from synth_platform import terminal
    from synth_platform.dataset.graph import tune_job_name
    from synth_platform.generation.config import VllmEngine
    from synth_platform.generation.profile import profile_asset, read_profile, trial_rows
    from synth_platform.ops.instance import open_instance
    from synth_platform.ops.launch import find_dataset, run_dataset

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
    with open_instance(workspace) as instance, terminal.progress(console):
        ended = run_dataset(spec, base, workspace, instance, job=tune_job_name(spec.name), fresh=fresh)
    if not ended.success:
        raise SynthError("the engine could not be tuned:\n  " + "\n  ".join(ended.problems))
    found = workspace.snapshots.head(profile_asset(spec.name), None)
    assert found is not None
    profile, trials = read_profile(found), trial_rows(found)
    if as_json:
        _print_json(profile.model_dump() | {"gain": profile.gain, "trials": trials})
    else:
        terminal.show_profile(console, spec.name, profile, trials)


@app.command()
def status(
    dataset: Annotated[str, typer.Argument(help="Dataset; all if left out.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what the engine of a dataset is doing, or how far it came before it stopped."""
    from synth_platform import terminal
    from synth_platform.generation.meter import read_status

    found = read_status(_workspace(home).status, dataset)
    if not found:
        of = f" for {dataset!r}" if dataset else ""
        raise SynthError(f"nothing was generated{of} yet", fix="materialize it first")
    _print_json(found) if as_json else terminal.show_status(_console(False), found)


@app.command()
def ui(
    home: Home = None,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Start Dagster's web interface and daemon on the same home."""
    workspace = _workspace(home)
    from synth_platform.ops.instance import WORKSPACE_FILE, open_instance

    with open_instance(workspace):
        pass  # one process makes the database before several open it
    _console(False).print(f"Dagster on http://127.0.0.1:{port} for {workspace.home} (stop with Ctrl+C)")
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(workspace.dagster_home / WORKSPACE_FILE)]
    os.execv(sys.executable, [*command, "--host", "127.0.0.1", "--port", str(port)])


@engine_app.command("install")
def engine_install(home: Home = None) -> None:
    """Make the environment of vLLM: the CPU build, or the GPU build where there is a GPU."""
    from synth_platform.generation.environment import install

    workspace, console = _workspace(home), _console(False)
    found = install(workspace.engine, console.print)
    console.print(f"ready: {found.package} {found.version} in {found.folder}")


class _Method(StrEnum):
    exact = "exact"
    paraphrase = "paraphrase"
    code = "code"
    all = "all"


Evals = Annotated[list[str], typer.Option(help="Test sets: files with id, question, optional choices, answer.")]
EncoderName = Annotated[str, typer.Option("--encoder", help="Folder or hub name of a sentence-transformers model.")]


@contamination_app.command("scan")
def contamination_scan(
    documents: Annotated[list[str], typer.Option(help="Files of JSON lines or Parquet with id and text.")],
    evals: Evals,
    out: Annotated[Path, typer.Option(help="Parquet file for the hits.")],
    method: Annotated[_Method, typer.Option(help="How to look.")] = _Method.all,
    encoder: EncoderName = "all-MiniLM-L6-v2",
    calibration: Annotated[str | None, typer.Option(help="File that `calibrate` wrote.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Find copies, rewordings and translated programs of test items in documents."""
    workspace, console = _workspace(home), _console(as_json)
    from synth_platform import terminal
    from synth_platform.contamination.config import METHODS, Method
    from synth_platform.contamination.files import scan_files

    methods: tuple[Method, ...] = METHODS if method == _Method.all else (method.value,)  # type: ignore[assignment]
    with terminal.progress(console):
        found = scan_files(
            documents,
            evals,
            out,
            methods=methods,
            encoder=encoder,
            calibration=calibration,
            cache=workspace.encoders,
            tell=console.print,
        )
    _print_json(found.as_json()) if as_json else terminal.show_scan(console, found)
    if found.unread:
        raise typer.Exit(_FAILED)


@contamination_app.command("calibrate")
def contamination_calibrate(
    positives: Annotated[list[str], typer.Option(help="Rewordings: files with id, text, eval_id.")],
    negatives: Annotated[list[str], typer.Option(help="Other texts of the kind: files with id, text.")],
    evals: Evals,
    encoder: EncoderName = "all-MiniLM-L6-v2",
    suspect: Annotated[float | None, typer.Option(help="Measure this threshold instead of setting one.")] = None,
    contaminated: Annotated[float | None, typer.Option(help="The same for contaminated.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the calibration.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Set or measure an encoder's thresholds on labelled rewordings."""
    workspace, console = _workspace(home), _console(as_json)
    from synth_platform import terminal
    from synth_platform.contamination.files import calibrate_files

    if (suspect is None) != (contaminated is None):
        raise SynthError("one threshold without the other", fix="give both --suspect and --contaminated, or neither")
    thresholds = None if suspect is None or contaminated is None else (suspect, contaminated)
    with terminal.progress(console):
        found = calibrate_files(
            positives,
            negatives,
            evals,
            encoder=encoder,
            cache=workspace.encoders,
            thresholds=thresholds,
            tell=console.print,
        )
    if out is not None:
        out.write_text(found.calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if as_json:
        _print_json(
            {
                "calibration": found.calibration.model_dump(),
                "recalls": found.recalls,
                "top_negatives": found.top_negatives,
            }
        )
    else:
        terminal.show_calibration(console, found)


@app.command()
def versions(
    dataset: Annotated[str, typer.Argument(help="Dataset, or the key of one of its assets.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List the versions of each asset, the current one last."""
    from synth_platform import terminal

    workspace = _workspace(home)
    snapshots = workspace.snapshots
    rows: list[dict[str, Any]] = []
    for asset, partition in snapshots.assets(dataset):
        for record in snapshots.history(asset, partition):
            snapshot = snapshots.open(asset, partition, record.snapshot_id)
            rows.append(
                {
                    "asset": asset,
                    "partition": partition,
                    "snapshot": record.snapshot_id,
                    "rows": snapshot.manifest.rows if snapshot else None,
                    "digest": record.digest,
                    "current_since": record.at.isoformat(timespec="seconds"),
                    "run": record.run_id,
                }
            )
    _print_json(rows) if as_json else terminal.show_rows(_console(False), rows, "nothing has been made yet")


@app.command()
def trace(
    row_id: Annotated[str, typer.Argument(help="Id of a row.")], home: Home = None, as_json: Json = False
) -> None:
    """Follow a row back to its document, prompt, model and verdicts, and forward to what was made of it."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.catalog import Catalog, ancestors

    snapshots = _workspace(home).snapshots
    heads = [head for asset, part in snapshots.assets("") if (head := snapshots.head(asset, part)) is not None]
    found = Catalog(ancestors(snapshots, heads)).trace(row_id)
    _print_json(asdict(found)) if as_json else terminal.show_trace(_console(False), found)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="Snapshot id of the earlier version.")],
    after: Annotated[str, typer.Argument(help="Snapshot id of the later version.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Compare two versions of an asset: rows, tokens, settings and inputs."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.catalog import diff as compare

    snapshots = _workspace(home).snapshots
    found = compare(_version(snapshots, before), _version(snapshots, after))
    _print_json(asdict(found)) if as_json else terminal.show_diff(_console(False), found)


@app.command()
def verify(
    dataset: Annotated[str, typer.Argument(help="Dataset; all if left out.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Prove the current versions: digests, accounting, and that all they were made from is there."""
    from dataclasses import asdict

    from synth_platform import terminal
    from synth_platform.snapshots.verify import verify as verify_versions

    snapshots, console = _workspace(home).snapshots, _console(as_json)
    heads = [head for asset, part in snapshots.assets(dataset) if (head := snapshots.head(asset, part)) is not None]
    if not heads:
        raise SynthError(f"there are no versions{f' of {dataset!r}' if dataset else ''}", fix="materialize it first")
    with terminal.progress(console):
        report = verify_versions(snapshots, heads)
    _print_json(asdict(report)) if as_json else terminal.show_report(console, report)
    if report.problems:
        raise typer.Exit(_FAILED)


def main() -> None:
    """Run `synth`; problems the user can mend are shown as messages, never as tracebacks."""
    with _errors_for_people():
        app()


@contextmanager
def _errors_for_people() -> Iterator[None]:
    try:
        yield
    except SynthError as error:
        _show_error(str(error))
        sys.exit(_INVALID)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command goes on where it was")
        sys.exit(_INTERRUPTED)
    except OSError as error:
        _show_error(str(error))
        sys.exit(_INVALID)


def _show_error(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]error:[/red] {escape(text)}")


def _workspace(home: Path | None) -> Workspace:
    if home is not None:
        os.environ["SYNTH_HOME"] = str(home.expanduser().absolute())
    return Workspace.from_env()


def _console(as_json: bool) -> Console:
    return Console(stderr=as_json, highlight=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")


def _heads(workspace: Workspace, dataset: str, partition: str | None) -> list[Any]:
    snapshots = workspace.snapshots
    mine = [(asset, part) for asset, part in snapshots.assets(dataset) if part == partition]
    return [head for asset, part in mine if (head := snapshots.head(asset, part)) is not None]


def _version(snapshots: Any, snapshot_id: str) -> Any:
    for asset, partition in snapshots.assets(""):
        if found := snapshots.open(asset, partition, snapshot_id):
            return found
    raise SynthError(f"there is no version {snapshot_id!r}", fix="`synth versions` lists them")
