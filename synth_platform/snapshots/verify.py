"""Prove versions from their bytes: digests, accounting, and that everything they were made from is still there."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from synth_platform.digest import digest_bytes
from synth_platform.errors import RemovedError, SynthError
from synth_platform.progress import track
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.catalog import ancestors
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot


@dataclass
class Report:
    """What was looked at, and what is wrong with it."""

    versions: int = 0
    files: int = 0
    bytes: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """Versions whose files were removed on purpose, and books that need them."""


def verify(snapshots: Snapshots, heads: Iterable[Snapshot]) -> Report:
    """Check some versions and all of their ancestors; problems are collected, not raised."""
    report = Report()
    found: dict[tuple[str, str | None, str], Snapshot] = {}
    for head in heads:
        try:
            lineage = ancestors(snapshots, [head])
        except SynthError as error:
            report.problems.append(f"{_name(head)}: not reachable: {error}")
            lineage = [head]
        for snapshot in lineage:
            m = snapshot.manifest
            found.setdefault((m.asset, m.partition, m.snapshot_id), snapshot)
    with track("verify", len(found), "versions") as task:
        for snapshot in found.values():
            if snapshot.removal is not None:
                report.removed.append(f"{_name(snapshot)} {snapshot.removal.describe()}")
                continue
            report.versions += 1
            report.problems += [f"{_name(snapshot)}: {problem}" for problem in _problems(snapshots, snapshot, report)]
            task.advance(note=_name(snapshot))
    return report


def _problems(snapshots: Snapshots, snapshot: Snapshot, report: Report) -> Iterator[str]:
    manifest = snapshot.manifest
    whole = True
    for table, entry in manifest.tables.items():
        report.files, report.bytes, report.rows = (
            report.files + len(entry.parts),
            report.bytes + entry.bytes,
            report.rows + entry.rows,
        )
        try:
            snapshot.files(table)
        except SynthError as error:
            whole = False
            yield str(error)
    for file in manifest.files:
        report.files, report.bytes = report.files + 1, report.bytes + file.bytes
        try:
            if digest_bytes(snapshot.read_file(file.path)) != file.digest:
                yield f"{file.path} is not what the manifest says"
        except (OSError, SynthError) as error:
            yield f"{file.path} cannot be read: {error}"
    if whole:
        yield from _broken_books(snapshots, snapshot, report)


def _broken_books(snapshots: Snapshots, snapshot: Snapshot, report: Report) -> Iterator[str]:
    try:
        books = account(snapshots, snapshot)
    except RemovedError as error:
        report.removed.append(f"{_name(snapshot)}: the books are not closed again: {error.what}")
        return
    except SynthError as error:
        yield f"the books cannot be closed: {error}"
        return
    if books is not None and not books.closes:
        yield f"the books do not close: {books.describe()}"


def _name(snapshot: Snapshot) -> str:
    m = snapshot.manifest
    return f"{m.asset}{f' [{m.partition}]' if m.partition else ''} {m.snapshot_id}"
