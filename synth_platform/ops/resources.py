"""Dagster resources of every asset and check: the workspace, and an IO manager that keeps Dagster from pickling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg

from synth_platform.processes import end_with_parent
from synth_platform.workspace import Workspace


class WorkspaceResource(dg.ConfigurableResource[Workspace]):
    """The deployment's folders and snapshots."""

    home: str
    """Folder for everything local (SYNTH_HOME)."""
    data: str = ""
    """Root of the snapshots, a folder or an ``s3://`` prefix (SYNTH_DATA); default ``<home>/data``."""

    @classmethod
    def from_env(cls) -> "WorkspaceResource":
        """The resource that SYNTH_HOME and SYNTH_DATA name."""
        workspace = Workspace.from_env()
        return cls(home=str(workspace.home), data=workspace.data)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """In the process of a step: see that it does not outlive the run. A retry would work beside it."""
        if context.run is not None:
            end_with_parent()

    def open(self) -> Workspace:
        """The workspace itself."""
        return Workspace(Path(self.home), self.data)


class NoIOManager(dg.IOManager):
    """Takes the place of Dagster's own, which pickles what an asset returns and unpickles it for the next one."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> NoReturn:
        """Refuse a value; assets write snapshots and return a `MaterializeResult` without one."""
        name = "/".join(context.asset_key.path) if context.has_asset_key else context.name
        raise TypeError(f"{name} returned a {type(obj).__name__}; write a snapshot, and return none of its rows")

    def load_input(self, context: dg.InputContext) -> NoReturn:
        """Refuse to load; stages open the snapshots of their inputs."""
        name = "/".join(context.asset_key.path) if context.has_asset_key else context.name
        raise TypeError(f"{name} cannot be loaded as an input; open its snapshot")


def resources(workspace: WorkspaceResource) -> Mapping[str, Any]:
    """All resources of a code location."""
    return {"workspace": workspace, "io_manager": NoIOManager()}
