"""Collect garbage: what the retention of the datasets lets go, and what dead processes left behind."""

import shutil
from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.ops.sweep import refuse_while_running
from synth_platform.release.destinations import open_destination
from synth_platform.snapshots import Snapshots
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.local_copies import PARTIAL, copies_in, digest_of
from synth_platform.snapshots.retention import Key, Waste, clear, find_waste
from synth_platform.workspace import Workspace

_SCRATCH_GRACE = timedelta(days=7)


@dataclass(frozen=True)
class LocalWaste:
    """Files of this machine that nobody needs: scratch of dead processes, copies of remote parts."""

    path: Path
    why: str
    bytes: int


@dataclass(frozen=True)
class Garbage:
    """All that may go."""

    stored: Sequence[Waste]
    local: Sequence[LocalWaste]

    @property
    def bytes(self) -> int:
        """What deleting it frees."""
        return sum(one.bytes for one in self.stored) + sum(one.bytes for one in self.local)

    def of(self, datasets: Container[str]) -> "Garbage":
        """Without what is stored of other datasets."""
        return replace(self, stored=[one for one in self.stored if dataset_of(one.key[0]) in datasets])


def find_garbage(
    workspace: Workspace,
    specs: Sequence[tuple[DatasetSpec, Path]],
    *,
    dataset: str = "",
    now: datetime | None = None,
) -> Garbage:
    """What may go now; nothing is changed.

    Args:
        workspace: where everything lies.
        specs: datasets and the folders of their specs; those of others keep every version.
        dataset: only its versions.
        now: the time.

    Raises:
        SynthError: a destination cannot be asked which version its readers use.
    """
    now, snapshots = now or datetime.now(UTC), workspace.snapshots
    retention = {spec.name: spec.retention for spec, _ in specs}
    pinned = {key for spec, base in specs for key in _published(snapshots, spec, base)}
    stored = find_waste(snapshots, retention, now=now, pinned=pinned, dataset=dataset)
    local = [] if dataset else [*_old_scratch(workspace.scratch, now), *_unused_copies(workspace, stored, now)]
    return Garbage(stored, local)


def collect(workspace: Workspace, instance: dg.DagsterInstance, garbage: Garbage) -> int:
    """Delete garbage; bytes that were freed. What has come into use meanwhile stays.

    Raises:
        SynthError: a run is active.
    """
    freed = 0
    for waste in garbage.stored:
        refuse_while_running(instance, "nothing can be collected")
        freed += waste.bytes if clear(workspace.snapshots, waste) else 0
    refuse_while_running(instance, "nothing can be collected")
    for local in garbage.local:
        shutil.rmtree(local.path) if local.path.is_dir() else local.path.unlink(missing_ok=True)
        freed += local.bytes
    return freed


def _published(snapshots: Snapshots, spec: DatasetSpec, base: Path) -> Iterator[Key]:
    """Releases that readers of the destinations use now."""
    if spec.retention.keeps_all:
        return
    current = {one for place in spec.release.publish for one in open_destination(place, base).pointers().values()}
    for asset, partition in snapshots.assets(f"{spec.name}/release"):
        for record in snapshots.history(asset, partition):
            if record.snapshot_id in current:
                yield asset, partition, record.snapshot_id


def _old_scratch(folder: Path, now: datetime) -> Iterator[LocalWaste]:
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
        touched = max(one.stat().st_mtime for one in [path, *files])
        if _is_old(touched, now):
            yield LocalWaste(path, "scratch of a process that is gone", sum(one.stat().st_size for one in files))


def _unused_copies(workspace: Workspace, going: Collection[Waste], now: datetime) -> Iterator[LocalWaste]:
    """Local copies of remote parts that no version has, once the garbage is gone, and those that were broken off."""
    copies = list(copies_in(workspace.home / "cache"))
    if not copies:
        return
    gone = {waste.key for waste in going if waste.kind == "version"}
    used: set[str] = set()
    for one in workspace.snapshots.all():
        m = one.manifest
        if (m.asset, m.partition, m.snapshot_id) not in gone:
            used |= {entry.digest for entry in m.entries}
    for path in copies:
        with suppress(FileNotFoundError):  # it was on its way, and has arrived
            facts = path.stat()
            if digest_of(path) not in used:
                yield LocalWaste(path, "copy of a part that no version has", facts.st_size)
            elif path.name.endswith(PARTIAL) and _is_old(facts.st_mtime, now):
                yield LocalWaste(path, "copy of a part that was broken off", facts.st_size)


def _is_old(touched: float, now: datetime) -> bool:
    return now - datetime.fromtimestamp(touched, UTC) > _SCRATCH_GRACE
