"""Publish a release everywhere it goes to, and go back to an earlier one."""

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl

from synth_platform.errors import SnapshotError, SynthError
from synth_platform.progress import track
from synth_platform.release.config import DestinationSpec
from synth_platform.release.destinations import Sent, open_destination
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.findings import taken_down_rows
from synth_platform.snapshots.identity import SHORTEST_PREFIX, complete_id
from synth_platform.snapshots.tombstones import read_tombstones

PUBLISHED = pl.Schema(
    {
        "destination": pl.String(),
        "version": pl.String(),
        "files": pl.Int64(),
        "bytes": pl.Int64(),
        "sent": pl.Int64(),
        "current": pl.Boolean(),
    }
)
"""One row per destination; ``sent`` counts the bytes that were not there before, ``current`` says whether readers take
this version now, and not one of a later cycle."""


def publish(
    snapshots: Snapshots,
    release: Snapshot,
    destinations: Sequence[DestinationSpec],
    base: Path,
    tell: Callable[[str], None],
    *,
    back: bool = False,
) -> pl.DataFrame:
    """Bring a release to all destinations; `PUBLISHED`. One that fails does not keep it from the others.

    Args:
        snapshots: where it is.
        release: the version.
        destinations: where it goes.
        base: folder that relative paths start from.
        tell: hears a line of each destination.
        back: point readers to it even where they have a version of a later cycle.

    Raises:
        SynthError: it has rows that are taken down, or did not arrive everywhere.
    """
    version = release.manifest.snapshot_id
    if rows := taken_down_rows(release, read_tombstones(snapshots)).height:
        raise SynthError(f"release {version} has {rows:,} rows that are taken down", fix="publish a later one")
    arrived: list[dict[str, object]] = []
    problems: list[str] = []
    with track("publish", len(destinations), "destinations") as task:
        for spec in destinations:
            try:
                sent = open_destination(spec, base).publish(release, back=back)
            except (SynthError, OSError) as error:
                problems.append(f"{spec.name}: {error}")
                continue
            tell(_line(spec, version, sent))
            arrived.append({"destination": spec.name, "version": version, **vars(sent)})
            task.advance(note=spec.name)
    if problems:
        raise SynthError(
            f"release {version} did not arrive at {len(problems)} of {len(destinations)} destinations:\n  "
            + "\n  ".join(problems),
            fix="publish it again: what has arrived is not sent again",
        )
    return pl.DataFrame(arrived, schema=PUBLISHED)


def find_release(snapshots: Snapshots, asset: str, partition: str | None, version: str) -> Snapshot:
    """A release that was once the current one and is still kept.

    Raises:
        SnapshotError: there is none of this id, or several have this beginning of one.
    """
    whole = complete_id(version, (record.snapshot_id for record in snapshots.history(asset, partition)))
    found = snapshots.recall(asset, partition, whole) if whole else None
    if found is None:
        fix = f"`synth versions {asset}` lists them; {SHORTEST_PREFIX} characters of an id are enough"
        raise SnapshotError(f"{asset} has no version {version!r}", fix=fix)
    found.files()  # says why, where they were removed
    return found


def _line(spec: DestinationSpec, version: str, sent: Sent) -> str:
    kept = "" if sent.current else "; readers keep the version of a later cycle"
    size = f"{sent.bytes / 1e6:,.1f} MB ({sent.sent / 1e6:,.1f} MB sent)"
    return f"{spec.name}: {version}, {sent.files:,} files, {size}{kept}"
