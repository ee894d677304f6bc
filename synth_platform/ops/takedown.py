"""Take documents down: find what was made of them, bar their way in, release patches, and erase what is left."""

import getpass
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.digest import digest
from synth_platform.errors import SynthError
from synth_platform.ops.launch import find_dataset, run_dataset
from synth_platform.ops.rescan import patch_job_name
from synth_platform.ops.sweep import refuse_while_running
from synth_platform.release.publish import withdraw
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.descent import Descent, find_descent
from synth_platform.snapshots.findings import taken_down_rows, write_finding
from synth_platform.snapshots.listing import SILENT_ELSEWHERE
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.retention import clear, find_leftovers
from synth_platform.snapshots.tombstones import TakenDown, Tombstone, add_tombstone, read_tombstones
from synth_platform.workspace import Workspace


@dataclass(frozen=True)
class Request:
    """What is to be taken down.

    Args:
        documents: ids.
        urls: patterns, where ``*`` stands for any characters.
        reason: why, in the words of who asks for it.
        by: who; default: the user of this process.
    """

    documents: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""

    @property
    def wanted(self) -> TakenDown:
        """The documents."""
        return TakenDown(frozenset(self.documents), self.urls)


@dataclass
class PatchedRelease:
    """A current release that had rows of the documents, and the patch without them."""

    dataset: str
    partition: str | None
    release: str
    rows: int
    patch: str | None = None


@dataclass
class Held:
    """A version that has the text of a document, or something that was said of it."""

    asset: str
    partition: str | None
    snapshot: str
    erased: bool = False


@dataclass
class Report:
    """What a takedown found and did."""

    takedown: str | None
    """Id; None: nothing was done."""
    documents: list[str]
    rows: dict[str, int]
    """Rows that were made of them, by stage."""
    releases: list[PatchedRelease] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    """Versions that still hold them, or held them until they were erased."""
    erased_bytes: int = 0
    withdrawn: list[str] = field(default_factory=list)
    """Published versions that were removed, and where."""
    problems: list[str] = field(default_factory=list)


def take_down(
    request: Request,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    *,
    specs: Sequence[str] = (),
    dry_run: bool = False,
    erase: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Take documents down. Asked again after a crash or a failed patch, it goes on.

    Args:
        request: which documents, and why.
        workspace: where everything lies.
        instance: of Dagster.
        specs: paths of specs that are not among the workspace's own, for their patches.
        dry_run: only look.
        erase: remove the files of all versions that hold the documents, once patches are released.
        tell: hears what is being done.

    Raises:
        SynthError: nothing was asked for, or a run is active.
    """
    if not request.wanted:
        raise SynthError("nothing to take down", fix="give --document or --url")
    refuse_while_running(instance, "nothing can be taken down")
    snapshots = workspace.snapshots
    descent = find_descent(snapshots, request.wanted)
    report = _report(descent)
    if dry_run:
        report.releases = [one for one, _ in _to_patch(snapshots, [_tombstone(request, descent)])]
        return report
    tombstone = _record(snapshots, request, descent)
    report.takedown = tombstone.id
    known = {spec.name: (spec, base) for spec, base in (find_dataset(path, workspace) for path in specs)}
    tombstones = read_tombstones(snapshots)
    for patched, release in _to_patch(snapshots, tombstones):
        tell(f"{patched.dataset}: a patch of {patched.release} without {patched.rows:,} rows")
        report.releases.append(patched)
        try:
            _patch(patched, release, tombstones, workspace, instance, known)
        except SynthError as error:
            report.problems.append(f"{patched.dataset}: {error}")
    if erase:
        _erase(snapshots, request, tombstone, report, tell)
        _erase_leftovers(workspace, tombstone, report, tell)
        _withdraw(workspace, report, known)
    return report


def _report(descent: Descent) -> Report:
    held = [Held(m.asset, m.partition, m.snapshot_id) for m in (one.manifest for one in descent.holders)]
    rows = {stage: len(ids) for stage, ids in descent.rows.items()}
    return Report(None, sorted(descent.documents), rows, held=held)


def _record(snapshots: Snapshots, request: Request, descent: Descent) -> Tombstone:
    """Write the tombstone, unless earlier ones say it all."""
    new = _tombstone(request, descent)
    for one in read_tombstones(snapshots):
        if one.covers(new):
            return one
    add_tombstone(snapshots, new)
    return new


def _tombstone(request: Request, descent: Descent) -> Tombstone:
    now = datetime.now(UTC)
    return Tombstone(
        id=f"{now:%Y%m%d}-{digest(request.documents, request.urls, now.isoformat())[:10]}",
        at=now,
        by=request.by or getpass.getuser(),
        reason=request.reason,
        documents=request.documents,
        urls=request.urls,
        found=tuple(sorted(descent.documents)),
        assets=descent.assets,
        rows={stage: tuple(sorted(ids)) for stage, ids in descent.rows.items()},
    )


def _to_patch(snapshots: Snapshots, tombstones: list[Tombstone]) -> Iterator[tuple[PatchedRelease, Snapshot]]:
    """Current releases with rows that are taken down."""
    for release in _current_releases(snapshots):
        rows = taken_down_rows(release, tombstones).height
        if rows:
            m = release.manifest
            yield PatchedRelease(m.asset.split("/")[0], m.partition, m.snapshot_id, rows), release


def _current_releases(snapshots: Snapshots) -> Iterator[Snapshot]:
    for asset, partition in snapshots.assets():
        if kind_of(asset) == "release":
            release = snapshots.current(asset, partition)
            if release is not None:
                yield release


def _patch(
    patched: PatchedRelease,
    release: Snapshot,
    tombstones: list[Tombstone],
    workspace: Workspace,
    instance: dg.DagsterInstance,
    known: Mapping[str, tuple[DatasetSpec, Path]],
) -> None:
    """Release a patch, and look whether it is one.

    Raises:
        SynthError: there is no spec, the patch could not be made, or it still has such rows.
    """
    snapshots = workspace.snapshots
    spec, base = known.get(patched.dataset) or find_dataset(patched.dataset, workspace)
    write_finding(snapshots, release, taken_down_rows(release, tombstones), workspace.scratch)
    job = patch_job_name(spec.name)
    ended = run_dataset(spec, base, workspace, instance, partition=patched.partition, job=job)
    patch = snapshots.current(release.manifest.asset, patched.partition)
    clean = patch is not None and not taken_down_rows(patch, tombstones).height
    patched.patch = patch.manifest.snapshot_id if patch is not None and clean else None
    if not ended.success:
        what = "published" if clean else "released"
        raise SynthError(f"the patch could not be {what}:\n  " + "\n  ".join(ended.problems))
    if not clean:
        raise SynthError(
            "what was released still has rows that are taken down",
            fix=f"the mixture has changed since the release: synth materialize {patched.dataset}",
        )


def _erase(
    snapshots: Snapshots, request: Request, tombstone: Tombstone, report: Report, tell: Callable[[str], None]
) -> None:
    """Remove the files of all versions that hold the documents, current releases excepted: those are patched first."""
    current = {one.ref for one in _current_releases(snapshots)}
    wanted = TakenDown(frozenset((*request.documents, *tombstone.found)), request.urls)
    report.held = []
    for holder in find_descent(snapshots, wanted, tombstone.rows).holders:
        m = holder.manifest
        held = Held(m.asset, m.partition, m.snapshot_id)
        report.held.append(held)
        if holder.ref in current:
            report.problems.append(f"{m.asset} {m.snapshot_id} is the current release and has no patch: it is kept")
            continue
        tell(f"erasing {m.asset} {m.snapshot_id}")
        report.erased_bytes += remove(snapshots, holder, "taken_down", tombstone.id)
        held.erased = True


def _erase_leftovers(workspace: Workspace, tombstone: Tombstone, report: Report, tell: Callable[[str], None]) -> None:
    """Delete work that was begun on the documents: without them it is other work, so nobody can go on with it."""
    for asset, partition in tombstone.assets:
        for waste in find_leftovers(workspace.snapshots, asset.split("/")[0], partition):
            if waste.kind == "unfinished" and workspace.data and datetime.now(UTC) - waste.changed < SILENT_ELSEWHERE:
                hours = SILENT_ELSEWHERE // timedelta(hours=1)
                why = "was written to lately, maybe by another installation: it is kept"
                report.problems.append(f"{waste.folder} {why}; run the command again in {hours} hours")
            elif clear(workspace.snapshots, waste):
                tell(f"erasing {waste.folder}: {waste.kind}")
                report.erased_bytes += waste.bytes
    shutil.rmtree(workspace.scratch, ignore_errors=True)


def _withdraw(workspace: Workspace, report: Report, known: Mapping[str, tuple[DatasetSpec, Path]]) -> None:
    """Remove releases that were erased, now or before, from where they were published."""
    erased: dict[str, list[str]] = {}
    for asset, partition in workspace.snapshots.assets():
        if kind_of(asset) == "release":
            erased.setdefault(asset.split("/")[0], []).extend(_taken_down(workspace.snapshots, asset, partition))
    for dataset, versions in ((dataset, versions) for dataset, versions in erased.items() if versions):
        try:
            spec, base = known.get(dataset) or find_dataset(dataset, workspace)
        except SynthError as error:
            report.problems.append(f"{dataset}: published versions were not looked for: {error}")
            continue
        for what, problem in withdraw(spec.release.publish, base, versions):
            report.withdrawn.append(what) if problem is None else report.problems.append(f"{what}: {problem}")


def _taken_down(snapshots: Snapshots, asset: str, partition: str | None) -> Iterator[str]:
    """Ids of an asset's versions that takedowns have erased."""
    for snapshot_id in dict.fromkeys(record.snapshot_id for record in snapshots.history(asset, partition)):
        found = snapshots.recall(asset, partition, snapshot_id)
        if found is not None and found.removal is not None and found.removal.why == "taken_down":
            yield snapshot_id
