"""A row by its id, in the current versions or in a release before them that is still kept."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from synth_platform.errors import SnapshotError
from synth_platform.snapshots.catalog import Catalog, Trace, ancestors, current_lineage, kind_of
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.manifest import InputRef
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.tombstones import Tombstone, read_tombstones


@dataclass(frozen=True)
class _Earlier:
    """A release that was the current one and is kept.

    Args:
        release: the version.
        since: when it became the current one, for the last time.
        until: when another took its place.
    """

    release: Snapshot
    since: datetime
    until: datetime

    def describe(self) -> dict[str, str | None]:
        """Which it is, and when it was the current one."""
        ref = self.release.ref
        times = {name: at.isoformat(timespec="seconds") for name, at in (("since", self.since), ("until", self.until))}
        return {"asset": ref.asset, "partition": ref.partition, "snapshot": ref.snapshot_id, **times}


def trace(snapshots: Snapshots, row_id: str, dataset: str = "") -> Trace:
    """Everything known of a row of the current versions, else of a kept release, or of one that was taken down.

    Args:
        snapshots: all versions.
        row_id: its id.
        dataset: whose row it is; any if empty.

    Raises:
        SnapshotError: there is no such row, and there was none.
    """
    tombstones = [one for one in read_tombstones(snapshots) if one.names(row_id, dataset)]
    lineage = current_lineage(snapshots, dataset)
    try:
        catalog = Catalog(lineage)
        found = catalog.find(row_id) or _find_earlier(snapshots, row_id, {one.ref for one in lineage}, dataset)
        found = found or catalog.trace(row_id)
    except SnapshotError:
        if not tombstones:
            raise
        found = Trace(row_id=row_id, kind="taken down")
    of = dataset_of(next(iter(found.snapshots), dataset))
    return replace(found, taken_down=[_describe(one) for one in tombstones if one.names(row_id, of)])


def _describe(tombstone: Tombstone) -> dict[str, str]:
    return tombstone.model_dump(mode="json", include={"id", "at", "by", "reason"})


def _find_earlier(snapshots: Snapshots, row_id: str, seen: set[InputRef], dataset: str) -> Trace | None:
    """The row in the newest kept release that has it, or was made from it; each version is read once.

    Raises:
        SnapshotError: it is in none that can be read, and some cannot.
    """
    problem: SnapshotError | None = None
    for earlier in sorted(_earlier_releases(snapshots, dataset), key=lambda one: one.since, reverse=True):
        try:
            members = ancestors(snapshots, [earlier.release])
            fresh = [one for one in members if one.ref not in seen]
            if Catalog(fresh).find(row_id):
                return replace(Catalog(members).trace(row_id), earlier_release=earlier.describe())
            seen |= {one.ref for one in fresh}
        except SnapshotError as error:  # a later look may still find it
            problem = problem or error
    if problem is not None:
        raise SnapshotError(
            f"no row that can be read has the id {row_id!r}, and not all could: {problem.what}",
            where=problem.where,
            fix=problem.fix,
        )
    return None


def _earlier_releases(snapshots: Snapshots, dataset: str) -> Iterator[_Earlier]:
    """Every release that was the current one, is so no more, and has its files."""
    for asset, partition in snapshots.assets(dataset):
        if kind_of(asset) != "release":
            continue
        history = snapshots.history(asset, partition)
        last = {one.snapshot_id: (one, after) for one, after in pairwise(history)}
        for snapshot_id, (record, after) in last.items():
            if snapshot_id != history[-1].snapshot_id and (found := snapshots.open(asset, partition, snapshot_id)):
                yield _Earlier(found, record.at, after.at)
