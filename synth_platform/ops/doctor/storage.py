"""Stored versions: damaged ones, histories that point at nothing, leftovers, and work that was begun."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from synth_platform.naming import EVALS_GROUP
from synth_platform.ops.doctor.finding import Finding
from synth_platform.snapshots.health import BrokenHead, BrokenManifest, Damage, Survey
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.listing import SILENT_ELSEWHERE, VersionFolder
from synth_platform.workspace import Workspace

_QUIET = timedelta(minutes=10)
"""A folder that changed so lately may have a writer at work."""
_DEAD = timedelta(hours=1)
"""Files that changed no later than that, and no living run could have written, are of a dead writer."""


@dataclass(frozen=True)
class Circumstances:
    """What is known of writers.

    Args:
        living_runs: runs of this instance that may be at work.
        shared: whether other installations may write to the same root.
        now: the time.
    """

    living_runs: int
    shared: bool
    now: datetime

    def is_dead(self, folder: VersionFolder) -> bool:
        """Whether certainly nobody writes there any more."""
        return not self.living_runs and self.now - folder.changed > (SILENT_ELSEWHERE if self.shared else _DEAD)

    def writer(self, folder: VersionFolder) -> str:
        """Whether somebody writes there, in words."""
        if self.now - folder.changed < _QUIET:
            return "a writer is at work" if self.living_runs else "a writer was at work just now"
        return "no writer is at work" if not self.living_runs else "its writer has been silent"


def circumstances(workspace: Workspace, living_runs: int) -> Circumstances:
    """As they are now."""
    return Circumstances(living_runs, shared=bool(workspace.data), now=datetime.now(UTC))


def storage_findings(workspace: Workspace, about: Circumstances, *, deep: bool) -> Iterator[Finding]:
    """All of them, from one listing of the root.

    Raises:
        StorageError: it cannot be listed.
    """
    survey = Survey(workspace.snapshots)
    yield from (_broken_manifest(broken) for broken in survey.broken_manifests)
    yield from (_broken_head(broken) for broken in survey.broken_heads())
    yield from (_damaged_part(survey, damage) for damage in survey.damages(deep=deep))
    for folder in survey.folders:
        if not folder.committed and folder.begun:
            yield _unfinished(survey, folder, about)
        elif unnamed := survey.unnamed(folder):
            yield _leftover(survey, folder, unnamed, about)


def _broken_manifest(broken: BrokenManifest) -> Finding:
    where = f"{broken.folder.path}/manifest.json"
    if broken.format is not None:
        return Finding(
            "newer_format",
            f"a version was written in format {broken.format}, which this code does not know",
            where,
            "it cannot be read, and a run would make it anew",
            "upgrade synth-platform here to the version that wrote it",
        )
    return Finding(
        "damaged_manifest",
        f"the manifest of a version of {broken.folder.asset} is damaged",
        where,
        "neither the version nor what was made from it can be read or proved",
        "restore it from a backup; or remove the whole folder and run:"
        f" {_again(broken.folder.dataset, broken.folder.partition)}",
    )


def _broken_head(broken: BrokenHead) -> Finding:
    dataset = dataset_of(broken.asset)
    return Finding(
        "broken_head",
        f"the current version of {broken.asset} cannot be opened: {broken.problem}",
        _name(broken.asset, broken.partition),
        "nothing can read the asset",
        f"restore it from a backup, or make it anew: {_again(dataset, broken.partition)}",
    )


def _damaged_part(survey: Survey, damage: Damage) -> Finding:
    twin = survey.twin(damage)
    return Finding(
        "damaged_part",
        f"a part of {damage.folder.asset} {damage.problem}",
        damage.path,
        "the version cannot be read, nor anything be proved that was made from it",
        f"put a copy of the equal part {twin} in its place"
        if twin
        else f"restore it from a backup; or run {_again(damage.folder.dataset, damage.folder.partition)}, which makes"
        " the current version anew, and then: synth doctor --fix, which puts equal parts back into older ones",
        partial(survey.restore, damage, twin) if twin else None,
    )


def _unfinished(survey: Survey, folder: VersionFolder, about: Circumstances) -> Finding:
    facts = f"{_size(folder.bytes)}, last written {_age(about.now - folder.changed)} ago, {about.writer(folder)}"
    what = f"a version of {_name(folder.asset, folder.partition)} is not finished ({facts})"
    why = "no reader sees it; it takes space"
    if not folder.resumable and about.is_dead(folder):
        paths = [entry.path for entry in folder.begun]
        fix = "remove it: no run could go on with what is there"
        return Finding("unfinished_version", what, folder.path, why, fix, partial(survey.discard, paths))
    fix = f"{_again(folder.dataset, folder.partition)} goes on with it, if the spec is as it was"
    if not folder.resumable:
        fix = "nothing; once its writer is certainly gone, --fix removes it"
    return Finding("unfinished_version", what, folder.path, why, fix, note=True)


def _leftover(survey: Survey, folder: VersionFolder, unnamed: list[str], about: Circumstances) -> Finding:
    dead = about.is_dead(folder)
    return Finding(
        "leftover_files",
        f"{len(unnamed)} files beside a version of {_name(folder.asset, folder.partition)} belong to no version"
        f" ({about.writer(folder)})",
        ", ".join(unnamed[:3]) + (", ..." if len(unnamed) > 3 else ""),
        "they take space, and would be read by tools that read whole folders",
        "remove them" if dead else "nothing; once their writer is certainly gone, --fix removes them",
        partial(survey.discard, unnamed) if dead else None,
        note=not dead,
    )


def _again(dataset: str, partition: str | None) -> str:
    if dataset == EVALS_GROUP:
        return "synth materialize with a dataset that names this test set"
    return f"synth materialize {dataset}{f' --partition {partition}' if partition else ''}"


def _name(asset: str, partition: str | None) -> str:
    return f"{asset} [{partition}]" if partition else asset


def _size(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} GB"


def _age(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0.0)
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"
