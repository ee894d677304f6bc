"""Look for test questions in any files, without a dataset."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from synth_platform.cli.base import FAILED, LOOK, Home, Json, app, open_console, open_workspace, print_json, teller
from synth_platform.errors import SynthError

contamination_app = typer.Typer(no_args_is_help=True, help="Look for test questions in any files.")
app.add_typer(contamination_app, name="contamination", rich_help_panel=LOOK)


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
    workspace, console = open_workspace(home), open_console(as_json)
    from synth_platform import terminal
    from synth_platform.contamination.config import METHODS, Method
    from synth_platform.contamination.files import scan_files

    methods: tuple[Method, ...] = METHODS if method == _Method.all else (method.value,)
    with terminal.progress(console):
        found = scan_files(
            documents,
            evals,
            out,
            methods=methods,
            encoder=encoder,
            calibration=calibration,
            cache=workspace.encoders,
            tell=teller(console),
        )
    print_json(found.as_json()) if as_json else terminal.show_scan(console, found)
    if found.unread:
        raise typer.Exit(FAILED)


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
    workspace, console = open_workspace(home), open_console(as_json)
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
            tell=teller(console),
        )
    if out is not None:
        out.write_text(found.calibration.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if as_json:
        print_json(
            {
                "calibration": found.calibration.model_dump(),
                "recalls": found.recalls,
                "top_negatives": found.top_negatives,
            }
        )
    else:
        terminal.show_calibration(console, found)
