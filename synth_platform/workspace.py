"""SYNTH_HOME: the one folder that holds everything a deployment makes."""

import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from synth_platform.file_digests import FileDigests
from synth_platform.snapshots import Snapshots
from synth_platform.snapshots.at_rest import SnapshotsAtRest
from synth_platform.snapshots.store import open_store

T = TypeVar("T")


@dataclass(frozen=True)
class Workspace:
    """Places of one deployment.

    Args:
        home: folder for everything local; made when first used.
        data: root of the snapshots, a folder or ``s3://bucket/prefix``; default ``<home>/data``.
    """

    home: Path
    data: str = ""

    @classmethod
    def from_env(cls) -> "Workspace":
        """The workspace that SYNTH_HOME (default ``./.synth``) and SYNTH_DATA name."""
        home = Path(os.environ.get("SYNTH_HOME") or ".synth").expanduser().absolute()
        return cls(home, os.environ.get("SYNTH_DATA", ""))

    @cached_property
    def snapshots(self) -> Snapshots:
        """The versions of every asset."""
        return Snapshots(open_store(self._root), self.home / "cache")

    def at_rest(self) -> "WorkspaceAtRest":
        """The same workspace, to be looked at only."""
        return WorkspaceAtRest(self.home, self.data)

    def once(self, what: tuple[Hashable, ...], find: Callable[[], T]) -> T:
        """What ``find`` gives now; a workspace at rest finds each thing once."""
        return find()

    @cached_property
    def file_digests(self) -> FileDigests:
        """Digests of sources, test sets and models."""
        return FileDigests(self.home / "cache")

    @property
    def _root(self) -> str:
        return self.data or str(self.home / "data")

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder; SYNTH_DAGSTER names one that is part of an image."""
        return Path(os.environ.get("SYNTH_DAGSTER") or self.home / "dagster").expanduser().absolute()

    @property
    def datasets(self) -> Path:
        """The user's own dataset specs, one folder each; SYNTH_DATASETS names another place."""
        return Path(os.environ.get("SYNTH_DATASETS") or self.home / "datasets").expanduser().absolute()

    @property
    def engine(self) -> Path:
        """The environments of the generation engine; SYNTH_ENGINE shares one between homes."""
        return Path(os.environ.get("SYNTH_ENGINE") or self.home / "engine").expanduser().absolute()

    @property
    def encoders(self) -> Path:
        """Sentence encoders that were fetched; SYNTH_ENCODERS shares them between homes."""
        return Path(os.environ.get("SYNTH_ENCODERS") or self.home / "encoders").expanduser().absolute()

    @property
    def logs(self) -> Path:
        """Logs of engine processes."""
        return self.home / "logs"

    def engine_logs(self, dataset: str) -> Path:
        """Logs of a dataset's servers, and the records by which orphans are found."""
        return self.logs / "engine" / dataset

    @property
    def status(self) -> Path:
        """What each dataset's engine is doing, or last did."""
        return self.home / "status"

    @property
    def scratch(self) -> Path:
        """Files that only a running stage needs."""
        return self.home / "scratch"


class WorkspaceAtRest(Workspace):
    """A workspace that is only looked at: versions and files are taken to stay as they were found first.

    A plan over thousands of cycles would otherwise read the same things for each of them.
    """

    @cached_property
    def snapshots(self) -> SnapshotsAtRest:
        """The versions of every asset, each read once."""
        return SnapshotsAtRest(open_store(self._root), self.home / "cache")

    @cached_property
    def _found(self) -> dict[tuple[Hashable, ...], Any]:
        return {}

    @cached_property
    def _finding(self) -> threading.RLock:
        return threading.RLock()

    def once(self, what: tuple[Hashable, ...], find: Callable[[], T]) -> T:
        """What ``find`` gave when it was first asked for."""
        with self._finding:
            if what not in self._found:
                self._found[what] = find()
            return self._found[what]
