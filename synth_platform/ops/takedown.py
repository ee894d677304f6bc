"""Take documents down: find what was made of them, bar their way in, release patches, and erase what is left."""

import getpass
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from synth_platform.digest import digest
from synth_platform.errors import SynthError
from synth_platform.ops.erasure import UNREADABLE, Erasure, Held
from synth_platform.ops.launch import find_dataset, run_dataset
from synth_platform.ops.readers import Published, Readers, Specs
from synth_platform.ops.rescan import patch_job_name
from synth_platform.ops.sweep import newest_run, refuse_while_running
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.descent import Descent, LeftOut, find_descent
from synth_platform.snapshots.findings import taken_down_rows, write_finding
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.tombstones import Tombstone, add_tombstone, read_tombstones
from synth_platform.workspace import Workspace

_ASKED = ("documents", "datasets", "urls")
"""What of a request its tombstone has too."""


@dataclass(frozen=True)
class Request:
    """What is to be taken down.

    Args:
        documents: ids.
        urls: patterns, where ``*`` stands for any characters.
        reason: why, in the words of who asks for it.
        by: who; default: the user of this process.
        datasets: whose documents the ids name; none: those of every dataset.
    """

    documents: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    reason: str = ""
    by: str = ""
    datasets: tuple[str, ...] = ()

    def is_that_of(self, tombstone: Tombstone) -> bool:
        """Whether an earlier takedown was asked for the same."""
        return all(set(getattr(self, name)) == set(getattr(tombstone, name)) for name in _ASKED)

    def __str__(self) -> str:
        whose = f" of {', '.join(self.datasets)}" if self.datasets else ""
        return ", ".join((*(f"{one}{whose}" for one in self.documents), *self.urls))


@dataclass
class PatchedRelease:
    """A current release that had rows of the documents, and the patch without them."""

    dataset: str
    partition: str | None
    release: str
    rows: int
    patch: str | None = None


@dataclass
class Report:
    """What a takedown found and did."""

    takedown: str | None
    """Id; None: nothing was done."""
    documents: list[str]
    rows: dict[str, int]
    """Rows that were made of them, by stage."""
    releases: list[PatchedRelease] = field(default_factory=list)
    readers: list[Readers] = field(default_factory=list)
    """Destinations whose readers had rows of them."""
    left_out: list[LeftOut] = field(default_factory=list)
    """What was asked for and is in no version, because a selection left it out."""
    held: list[Held] = field(default_factory=list)
    """Versions that still hold them, or held them until they were erased."""
    erased_bytes: int = 0
    withdrawn: list[str] = field(default_factory=list)
    """Published versions that were removed, or would be, and where."""
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def take_down(
    request: Request,
    workspace: Workspace,
    instance: dg.DagsterInstance,
    *,
    specs: Sequence[str] = (),
    dry_run: bool = False,
    erase: bool = False,
    in_advance: bool = False,
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
        in_advance: bar documents that nothing here has, too.
        tell: hears what is being done.

    Raises:
        SynthError: nothing was asked for, nothing here has it, it is not clear which documents are meant, or a run
            is active.
    """
    if not request.documents and not request.urls:
        raise SynthError("nothing to take down", fix="give --document or --url")
    if request.datasets and not request.documents:
        raise SynthError(
            "--dataset says whose ids are meant, and there are none", fix="give --document, or leave it out"
        )
    refuse_while_running(instance, "nothing can be taken down")
    given = {spec.name: (spec, base) for spec, base in (find_dataset(path, workspace) for path in specs)}
    takedown = _Takedown(request, workspace, instance, given, tell)
    takedown.refuse_ambiguous_ids()
    if not in_advance and takedown.finds_nothing():
        raise SynthError(
            f"nothing here has, or ever had, {request}",
            fix="check the ids and addresses; --in-advance bars what may come later",
        )
    return takedown.run(dry_run=dry_run, erase=erase)


class _Takedown:
    """One takedown. Nothing that is damaged keeps its tombstone from being written."""

    def __init__(
        self,
        request: Request,
        workspace: Workspace,
        instance: dg.DagsterInstance,
        given: Specs,
        tell: Callable[[str], None],
    ) -> None:
        before = newest_run(instance)
        self._workspace, self._snapshots, self._instance = workspace, workspace.snapshots, instance
        self._request, self._given, self._tell = request, given, tell
        problems: list[str] = []
        self._tombstones = _all_tombstones(self._snapshots, problems)
        same = [one for one in self._tombstones if request.is_that_of(one)]
        self._asked_before = bool(same)
        asked = _asked(request)
        self._descent = find_descent(self._snapshots, [*same, asked])
        self._erasure = Erasure(workspace, instance, self._descent, before, tell)
        self._tombstone = _with_found(asked, self._descent, same)
        self._asked = [*same, self._tombstone]  # an earlier one that covers it may be about others too
        self._report = _report(self._descent, problems)
        unknown = set(request.documents) - self._descent.documents
        if unknown and not self._descent.left_out:
            self._report.notes.append(f"nothing here has {', '.join(sorted(unknown))}: barred in advance")

    def refuse_ambiguous_ids(self) -> None:
        """Make sure that the ids name the same documents in all datasets, unless it is said whose are meant.

        Raises:
            SynthError: one does not.
        """
        if not (found := self._descent.ambiguous):
            return
        named = "; ".join(f"{row} in {', '.join(datasets)}" for row, datasets in found.items())
        raise SynthError(
            f"an id names documents of different texts: {named}",
            fix="say whose is meant with --dataset, several times if it is that of several",
        )

    def finds_nothing(self) -> bool:
        """Whether no version, no begun work and no earlier takedown knows anything of what was asked for."""
        found = self._descent
        known = found.documents or any(found.rows.values()) or found.holders or found.left_out
        if known or self._asked_before or self._report.problems or self._erasure.has_begun_work(self._tombstone):
            return False
        published = self._published()
        return all(one.is_clean for one in published.look()) and not published.outcome.problems

    def run(self, *, dry_run: bool, erase: bool) -> Report:
        """Only look, or do it all."""
        if not dry_run:
            self._record()
        published = self._published()
        readings = published.look()
        to_patch = list(self._to_patch())
        self._report.releases = [patched for patched, _ in to_patch]
        if not dry_run:
            for patched, release in to_patch:
                self._patch(patched, release)
            published.settle(readings)
        if erase and dry_run:
            published.withdraw(dry_run=True)
        elif erase and self._may_erase():
            self._erase()
            published.withdraw()
            self._report.problems += self._erasure.made_meanwhile()
        outcome = published.outcome
        self._report.readers, self._report.withdrawn = outcome.readers, outcome.withdrawn
        self._report.notes += outcome.notes
        self._report.problems += outcome.problems
        return self._report

    def _published(self) -> Published:
        return Published(
            self._workspace, self._instance, self._given, self._in_force, self._asked, self._datasets, self._tell
        )

    @property
    def _in_force(self) -> list[Tombstone]:
        """All tombstones, this one's among them."""
        known = {one.id for one in self._tombstones}
        return [*self._tombstones, *([] if self._tombstone.id in known else [self._tombstone])]

    @property
    def _datasets(self) -> frozenset[str]:
        return frozenset(dataset_of(asset) for asset, _ in self._tombstone.assets)

    def _record(self) -> None:
        """Write the tombstone, unless an earlier one says it all."""
        covering = [one for one in self._tombstones if one.covers(self._tombstone)]
        if covering:
            self._tombstone = covering[0]
        else:
            add_tombstone(self._snapshots, self._tombstone)
        self._report.takedown = self._tombstone.id

    def _to_patch(self) -> Iterator[tuple[PatchedRelease, Snapshot]]:
        """Current releases with rows that are taken down."""
        for asset, partition in self._snapshots.assets():
            if kind_of(asset) != "release":
                continue
            try:
                release = self._snapshots.current(asset, partition)
                rows = taken_down_rows(release, self._in_force).height if release is not None else 0
            except UNREADABLE as error:
                self._report.problems.append(f"{asset}: its current version could not be looked at: {error}")
                continue
            if release is not None and rows:
                dataset, version = dataset_of(asset), release.manifest.snapshot_id
                yield PatchedRelease(dataset, partition, version, rows), release

    def _patch(self, patched: PatchedRelease, release: Snapshot) -> None:
        self._tell(f"{patched.dataset}: a patch of {patched.release} without {patched.rows:,} rows")
        try:
            self._release_patch(patched, release)
        except UNREADABLE as error:
            self._report.problems.append(f"{patched.dataset}: {error}")

    def _release_patch(self, patched: PatchedRelease, release: Snapshot) -> None:
        """Release a patch, and look whether it is one.

        Raises:
            SynthError: there is no spec, the patch could not be made, or it still has such rows.
        """
        snapshots, tombstones = self._snapshots, self._in_force
        spec, base = self._given.get(patched.dataset) or find_dataset(patched.dataset, self._workspace)
        write_finding(snapshots, release, taken_down_rows(release, tombstones), self._workspace.scratch)
        ended = run_dataset(
            spec,
            base,
            self._workspace,
            self._instance,
            partition=patched.partition,
            job=patch_job_name(spec.name),
            any_cycle=True,
        )
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

    def _may_erase(self) -> bool:
        """Whether nothing is being made now, on files that would go."""
        try:
            refuse_while_running(self._instance, "nothing can be erased")
        except SynthError as error:
            self._report.problems.append(f"{error.what}: run it again when that has ended")
            return False
        return True

    def _erase(self) -> None:
        erased = self._erasure.run(self._tombstone)
        self._report.held, self._report.erased_bytes = erased.held, erased.bytes
        self._report.problems += erased.problems


def _all_tombstones(snapshots: Snapshots, problems: list[str]) -> list[Tombstone]:
    try:
        return read_tombstones(snapshots)
    except SynthError as error:
        problems.append(str(error))
        return []


def _report(descent: Descent, problems: Sequence[str]) -> Report:
    held = [Held(m.asset, m.partition, m.snapshot_id) for m in (one.manifest for one in descent.holders)]
    return Report(
        None,
        sorted(descent.documents),
        dict(descent.rows),
        left_out=list(descent.left_out),
        held=held,
        problems=[*problems, *descent.problems],
    )


def _asked(request: Request) -> Tombstone:
    """The tombstone of a request, before anybody has looked."""
    now = datetime.now(UTC)
    return Tombstone(
        id=f"{now:%Y%m%d}-{digest(request.documents, request.urls, now.isoformat())[:10]}",
        at=now,
        by=request.by or _user(),
        reason=request.reason,
        documents=request.documents,
        datasets=request.datasets,
        urls=request.urls,
    )


def _user() -> str:
    """Who runs this process; a number where it has no name, as in a container that runs as anybody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _with_found(asked: Tombstone, descent: Descent, same: Sequence[Tombstone]) -> Tombstone:
    found = {
        dataset: {stage: tuple(sorted(ids)) for stage, ids in stages.items() if ids}
        for dataset, stages in descent.ids.items()
    }
    return asked.model_copy(
        update={
            "texts": tuple(sorted(descent.texts)),
            "assets": tuple(dict.fromkeys((*descent.assets, *(place for one in same for place in one.assets)))),
            "ids": {dataset: stages for dataset, stages in found.items() if stages},
        }
    )
