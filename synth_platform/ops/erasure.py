"""Erase what a takedown leaves: earlier versions that have the documents, and work that was begun on them."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl

from synth_platform.errors import SynthError
from synth_platform.ops.sweep import runs_of_others
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.descent import Descent, committed_since, has_rows
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.listing import SILENT_ELSEWHERE
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.retention import Waste, clear, find_leftovers
from synth_platform.snapshots.tombstones import TakenDown, Tombstone
from synth_platform.workspace import Workspace

UNREADABLE = (SynthError, OSError, pl.exceptions.PolarsError)
"""What damaged versions and stores that do not answer raise; what is not damaged is taken down all the same."""


@dataclass
class Held:
    """A version that has the text of a document, or something that was said of it."""

    asset: str
    partition: str | None
    snapshot: str
    erased: bool = False


@dataclass
class Erased:
    """What was erased, and what could not be."""

    held: list[Held]
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


class Erasure:
    """Removes the files of what still holds documents that were taken down.

    Args:
        workspace: where everything lies.
        instance: of Dagster.
        descent: what there is of the documents.
        since: number of the last run that was asked for before anybody looked for them.
        tell: hears what is being done.
    """

    def __init__(
        self,
        workspace: Workspace,
        instance: dg.DagsterInstance,
        descent: Descent,
        since: int,
        tell: Callable[[str], None],
    ) -> None:
        self._workspace, self._snapshots, self._instance = workspace, workspace.snapshots, instance
        self._descent, self._since, self._tell = descent, since, tell

    def has_begun_work(self, tombstone: Tombstone) -> bool:
        """Whether work was begun on the documents, as far as anybody knows."""
        try:
            return any(self._is_begun_on_them(waste, tombstone) for waste in find_leftovers(self._snapshots))
        except UNREADABLE:
            return True

    def run(self, tombstone: Tombstone) -> Erased:
        """Remove all versions that hold the documents, and work that was begun on them."""
        erased = Erased(held=[])
        self._erase_versions(tombstone, erased)
        self._erase_leftovers(tombstone, erased)
        return erased

    def made_meanwhile(self) -> list[str]:
        """What a run made meanwhile may hold the documents: it may have read them before they went."""
        if not (runs := runs_of_others(self._instance, self._since)):
            return []
        named = ", ".join(sorted({f"{run.job_name} ({run.run_id[:8]})" for run in runs}))
        return [f"something was being made meanwhile: {named}: run it again"]

    def _erase_versions(self, tombstone: Tombstone, erased: Erased) -> None:
        """Remove the files of all versions that hold the documents, current releases excepted: those want a patch."""
        since, problems = committed_since(self._snapshots, self._descent)
        erased.problems += problems
        for holder in (*self._descent.holders, *since):
            m = holder.manifest
            erased.held.append(Held(m.asset, m.partition, m.snapshot_id))
            try:
                if kind_of(m.asset) == "release" and self._snapshots.current_ref(m.asset, m.partition) == holder.ref:
                    raise SynthError("it is the current release and has no patch")
                self._tell(f"erasing {m.asset} {m.snapshot_id}")
                erased.bytes += remove(self._snapshots, holder, "taken_down", tombstone.id)
            except UNREADABLE as error:
                erased.problems.append(f"{m.asset} {m.snapshot_id} is kept: {error}")
            else:
                erased.held[-1].erased = True

    def _erase_leftovers(self, tombstone: Tombstone, erased: Erased) -> None:
        """Delete work that was begun on the documents: without them it is other work, so nobody can go on with it."""
        for waste in find_leftovers(self._snapshots):
            try:
                if not self._is_begun_on_them(waste, tombstone):
                    continue
                if self._may_be_of_others(waste):
                    hours = SILENT_ELSEWHERE // timedelta(hours=1)
                    raise SynthError(
                        "another machine may have written to it lately", fix=f"run it again in {hours} hours"
                    )
                if clear(self._snapshots, waste):
                    self._tell(f"erasing {waste.folder}: {waste.kind}")
                    erased.bytes += waste.bytes
            except UNREADABLE as error:
                erased.problems.append(f"{waste.folder} ({waste.kind}) is kept: {error}")
        shutil.rmtree(self._workspace.scratch, ignore_errors=True)

    def _may_be_of_others(self, waste: Waste) -> bool:
        """Whether a machine that shares the versions may be at work on it."""
        shared = waste.kind == "unfinished" and bool(self._workspace.data)
        return shared and datetime.now(UTC) - waste.changed < SILENT_ELSEWHERE

    def _is_begun_on_them(self, waste: Waste, tombstone: Tombstone) -> bool:
        """Whether it belongs to a cycle that had them, or its files have rows of them."""
        asset, partition, _ = waste.key
        dataset = dataset_of(asset)
        if (f"{dataset}/documents", partition) in tombstone.assets:
            return True
        wanted, names = TakenDown.of([tombstone], dataset), self._descent.names.get(dataset, ())
        paths = [entry.path for entry in waste.files if entry.path.endswith(".parquet")]
        return any(has_rows(pl.scan_parquet(self._local(path), glob=False), wanted, names) for path in paths)

    def _local(self, path: str) -> Path:
        """A file of no version on this machine."""
        store = self._snapshots.store
        if store.local is not None:
            return store.local / path
        self._workspace.scratch.mkdir(parents=True, exist_ok=True)
        target = self._workspace.scratch / "leftover.parquet"
        store.fetch(path, target)
        return target
