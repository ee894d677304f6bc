"""Dagster resource that hands the workspace to every asset and check."""

from pathlib import Path

import dagster as dg

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

    def open(self) -> Workspace:
        """The workspace itself."""
        return Workspace(Path(self.home), self.data)
