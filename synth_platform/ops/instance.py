"""The Dagster instance of a workspace."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files

import dagster as dg
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from synth_platform.errors import StorageError
from synth_platform.ops.doctor.home import note_host
from synth_platform.ops.sweep import sweep
from synth_platform.workspace import Workspace

WORKSPACE_FILE = "workspace.yaml"
_LOCK_FILE = ".opening"
_UNUSABLE_DATABASE = (
    "free some space, or make it writable or reachable again; then run again: what was committed is kept"
)
_OTHER_DATABASE = (
    "it is that of a newer Dagster, or its first start was disturbed: use the newer Dagster, or restore a backup;"
    " without one move the folder away and run again: versions and answers are kept, runs and what gates said are lost"
)


def prepare_instance(workspace: Workspace) -> None:
    """Make the instance's folder with the platform's settings, and have this process and its children use it.

    Settings that are there already are the user's and stay.
    """
    home = workspace.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", WORKSPACE_FILE):
        if not (home / name).exists():
            aside = home / f".{name}.{os.getpid()}"
            aside.write_text((files("synth_platform.ops") / name).read_text("utf-8"), "utf-8")
            aside.replace(home / name)  # whoever reads it meanwhile finds all of it, or none
    note_host(workspace)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["SYNTH_HOME"] = str(workspace.home)
    os.environ.setdefault("DO_NOT_TRACK", "1")


@contextmanager
def connect(workspace: Workspace) -> Iterator[dg.DagsterInstance]:
    """The instance as it is, made where it is not there yet.

    Raises:
        StorageError: its folder or database cannot be used, now or while the block lasts.
    """
    with _database_errors(workspace), ExitStack() as stack:
        try:
            with _one_at_a_time(workspace):
                prepare_instance(workspace)
                instance = stack.enter_context(dg.DagsterInstance.from_config(str(workspace.dagster_home)))
                _make_databases(instance)
        except OSError as error:
            raise StorageError(
                f"the home cannot be written: {error.strerror or error}",
                where=str(workspace.dagster_home),
                fix="free some space, make it writable, or choose another SYNTH_HOME",
            ) from error
        yield instance


@contextmanager
def _one_at_a_time(workspace: Workspace) -> Iterator[None]:
    """Where several processes make SQLite databases at once, Dagster leaves them with two heads, for good.

    The lock is not in Dagster's own folder, which may be part of an image.
    """
    workspace.home.mkdir(parents=True, exist_ok=True)
    with (workspace.home / _LOCK_FILE).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_databases(instance: dg.DagsterInstance) -> None:
    """Ask each storage for something: a database is made when it is first used."""
    instance.get_runs(limit=1)
    instance.event_log_storage.get_maximum_record_id()
    instance.all_instigator_state()


@contextmanager
def open_instance(workspace: Workspace, tell: Callable[[str], None] = lambda _: None) -> Iterator[dg.DagsterInstance]:
    """The instance, swept of what dead runs left behind.

    Args:
        workspace: whose instance.
        tell: hears what was mended.

    Raises:
        StorageError: see `connect`.
    """
    with connect(workspace) as instance:
        for mended in sweep(workspace, instance):
            tell(f"mended: {mended.what} ({mended.where})")
        yield instance


@contextmanager
def _database_errors(workspace: Workspace) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if (cause := _of_database(error)) is None:
            raise
        broken = isinstance(cause, CommandError)
        raise StorageError(
            f"Dagster's database cannot be used: {str(cause if broken else cause.orig).splitlines()[0]}",
            where=str(workspace.dagster_home),
            fix=_OTHER_DATABASE if broken else _UNUSABLE_DATABASE,
        ) from error


def _of_database(error: BaseException | None) -> DBAPIError | CommandError | None:
    """The database's own error, or that of its schema, behind another one."""
    while error is not None and not isinstance(error, DBAPIError | CommandError):
        error = error.__cause__ or error.__context__
    return error


def migrate(workspace: Workspace, tell: Callable[[str], None]) -> None:
    """Make the instance's database where it is missing, and bring an older one up to date.

    Sweeps nothing: runs may live in other containers, whose processes are not seen from here.
    """
    with connect(workspace) as instance:
        instance.upgrade(tell)
