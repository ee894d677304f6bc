"""The Dagster instance of a workspace."""

import os
from collections.abc import Callable
from importlib.resources import files

import dagster as dg

from synth_platform.ops.sweep import sweep
from synth_platform.workspace import Workspace

WORKSPACE_FILE = "workspace.yaml"


def prepare_instance(workspace: Workspace) -> None:
    """Make the instance's folder with the platform's settings, and have this process and its children use it.

    Settings that are there already are the user's and stay.
    """
    home = workspace.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    for name in ("dagster.yaml", WORKSPACE_FILE):
        if not (home / name).exists():
            (home / name).write_text((files("synth_platform.ops") / name).read_text("utf-8"), "utf-8")
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["SYNTH_HOME"] = str(workspace.home)
    os.environ.setdefault("DO_NOT_TRACK", "1")


def migrate(workspace: Workspace, tell: Callable[[str], None]) -> None:
    """Make the instance's database where it is missing, and bring an older one up to date.

    Sweeps nothing: runs may live in other containers, whose processes are not seen from here.
    """
    prepare_instance(workspace)
    with dg.DagsterInstance.from_config(str(workspace.dagster_home)) as instance:
        instance.upgrade(tell)


def open_instance(workspace: Workspace) -> dg.DagsterInstance:
    """The instance, made where it is not there yet, and swept of runs whose process is gone."""
    prepare_instance(workspace)
    instance = dg.DagsterInstance.from_config(str(workspace.dagster_home))
    sweep(instance)
    return instance
