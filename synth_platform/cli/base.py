"""What all commands share: the application, its options, and errors that people can read."""

import atexit
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from synth_platform.config import check_name
from synth_platform.errors import SynthError
from synth_platform.secrecy import reveals, scrub
from synth_platform.workspace import Workspace

LOOK, KEEP = "Look and prove", "Keep it going"
"""Headings of the commands in the help; those that make something stand first."""


class _Commands(TyperGroup):
    """All commands; Typer itself would end with Ctrl+C without a word."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _stop()


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Versioned, gated, traceable synthetic pretraining data.",
)


def collect_rarely() -> None:
    """Imports make a million objects that stay: going through them after every 700 is a tenth of a short command.

    At the end they go with the process: looking for those of no use once more took a second of a large plan.
    """
    gc.set_threshold(_OBJECTS)
    atexit.register(gc.freeze)


def checked(kind: str) -> Callable[[str | None], str | None]:
    """Have a name checked, each part of a key, before any command does anything with it."""

    def check(value: str | None) -> str | None:
        for part in (value or "").split("/") if value else ():
            check_name(part, kind)
        return value

    return check


Home = Annotated[Path | None, typer.Option(help="Folder for everything (SYNTH_HOME, default ./.synth).")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of tables.")]
Dataset = Annotated[str, typer.Argument(help="Name of a dataset, or path of its defs.yaml.")]
Partition = Annotated[
    str | None, typer.Option(help="Cycle, for datasets with a cadence.", callback=checked("partition"))
]
DatasetOrAll = Annotated[str, typer.Argument(help="Dataset; all if left out.", callback=checked("dataset name"))]
AssetOrAll = Annotated[
    str, typer.Argument(help="Dataset, or the key of one of its assets.", callback=checked("asset name"))
]

FAILED = 1
"""Exit status: the command ran, and what it made or looked at is not right."""
_INVALID, _INTERRUPTED = 2, 130
_OBJECTS = 100_000
"""New objects after which the garbage collector looks for some that are of no use."""
_UNCUT = 10_000
"""Width in characters where no terminal has one: a file or a program is to get all of every cell, on one line."""


@contextmanager
def errors_for_people() -> Iterator[None]:
    """Show problems that the user can mend as messages, never as tracebacks, and exit."""
    try:
        yield
    except SynthError as error:
        _show_error(str(error))
        sys.exit(_INVALID)
    except KeyboardInterrupt:
        _stop()
    except OSError as error:
        _show_error(scrub(str(error)))
        sys.exit(_INVALID)
    except Exception as error:
        if not reveals(error):
            raise
        sys.stderr.write(scrub("".join(traceback.format_exception(error))))
        sys.exit(FAILED)


def _stop() -> NoReturn:
    Console(stderr=True).print("stopped; the same command goes on where it was")
    sys.exit(_INTERRUPTED)


def _show_error(text: str) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    console.print(f"[red]error:[/red] {escape(text)}")


def open_workspace(home: Path | None) -> Workspace:
    """The workspace of `--home`, or of the environment.

    Raises:
        SynthError: what is there is no folder.
    """
    if home is not None:
        os.environ["SYNTH_HOME"] = str(home.expanduser().absolute())
    workspace = Workspace.from_env()
    if workspace.home.exists() and not workspace.home.is_dir():
        raise SynthError("the home is no folder", where=str(workspace.home), fix="choose another SYNTH_HOME")
    return workspace


def open_console(as_json: bool) -> Console:
    """Where to write for people: standard error where JSON goes to standard output."""
    console = Console(stderr=as_json, highlight=False, soft_wrap=True, emoji=False)
    if not console.is_terminal:
        console.width = _UNCUT
    return console


def teller(console: Console) -> Callable[[str], None]:
    """Prints lines as they are, whatever brackets are in them."""
    return lambda line: console.print(line, markup=False)


def print_json(value: Any) -> None:
    """Print one JSON value."""
    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n")
