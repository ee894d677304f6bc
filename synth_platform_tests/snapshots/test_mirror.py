"""A copy beside runs: it holds whole versions only, and what was taken down never comes back with it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from synth_platform.errors import StorageError
from synth_platform.snapshots import Identity, InputRef, Snapshot, Snapshots, SnapshotWriter
from synth_platform.snapshots.health import Survey
from synth_platform.snapshots.mirror import mirror
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.store import LocalStore

ASSETS = ("set/documents", "set/prompts/faq", "set/release")


class Living(LocalStore):
    """A store where something happens after each file that is listed or fetched, in the order of the names.

    Args:
        root: the folder.
        during: is told of each listed name, and of each name that is fetched before it is.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: Callable[[str], None] = lambda name: None
        self.fetched: Callable[[str], None] = lambda name: None

    def files(self, prefix: str) -> list[str]:
        """As a bucket does: page by page, where each page shows what is there by then."""
        last, found = "", []
        while later := [name for name in super().files(prefix) if name > last]:
            last = later[0]
            found.append(last)
            if not prefix:
                self.listed(last)
        return found

    def fetch(self, path: str, target: Path) -> None:
        self.fetched(path)
        super().fetch(path, target)


def make(
    store: LocalStore, folder: Path, number: int = 0, asset: str = ASSETS[0], inputs: tuple[InputRef, ...] = ()
) -> Snapshot:
    snapshots = Snapshots(store, folder / "cache")
    identity, tables = Identity(asset, None, "1", {"number": number}, inputs), {"rows": pl.Schema({"id": pl.String()})}
    writer = SnapshotWriter(snapshots, identity, tables, scratch=folder / "scratch", rows_per_part=1)
    writer.write("rows", pl.DataFrame({"id": [f"{number}-{row}" for row in range(2)]}))
    writer.add_file("README.md", b"read me")
    snapshot = writer.commit()
    snapshots.set_head(snapshot, "test")
    return snapshot


def make_all(store: LocalStore, folder: Path, number: int) -> None:
    """A version of each asset, made from the one before."""
    inputs: tuple[InputRef, ...] = ()
    for asset in ASSETS:
        inputs = (make(store, folder, number, asset, inputs).ref,)


def problems(store: LocalStore, folder: Path) -> list[str]:
    snapshots = Snapshots(store, folder / "cache")
    survey = Survey(snapshots)
    heads = [head for place in snapshots.assets() if (head := snapshots.head(*place)) is not None]
    for head in heads:
        for ref in head.manifest.inputs:
            snapshots.require(ref)
    return [str(one) for one in (*survey.damages(deep=True), *survey.broken_heads())]


@pytest.mark.parametrize("at", range(0, 24, 3))
def test_what_is_committed_while_the_source_is_listed_is_copied_whole_or_not_at_all(at: int, tmp_path: Path) -> None:
    source, target = Living(tmp_path / "source"), LocalStore(tmp_path / "copy")
    make_all(source, tmp_path, 0)
    seen = 0

    def work(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen % 24 == at:
            make_all(source, tmp_path, seen)

    source.listed = work
    mirror(source, target)
    assert seen > 24 and problems(target, tmp_path / "other") == []
    source.listed = lambda _: None
    mirror(source, target)
    assert target.files("") == source.files("")


def test_what_a_writer_leaves_on_its_way_may_go(tmp_path: Path) -> None:
    source, target = Living(tmp_path / "source"), LocalStore(tmp_path / "copy")
    version = make(source, tmp_path)
    ledger, aside = f"{version.folder}/ledger/000000/a.log", f"{version.folder}/.part-2.ab12.partial"
    note = "set/documents/unpartitioned/0123456789abcdef/identity.json"
    for name in (ledger, aside, note):
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(b"x")
    source.fetched = lambda name: source.delete(ledger)
    done = mirror(source, target)
    assert target.files("") == sorted({*source.files(""), note} - {aside})
    assert (done.copied, done.present) == (6, 0) and problems(target, tmp_path / "other") == []


@pytest.mark.parametrize("kind", ["part-rows-00001", "manifest.json", "refs"])
def test_a_version_that_goes_while_it_is_copied_is_an_error_and_stays_hidden(kind: str, tmp_path: Path) -> None:
    source, target = Living(tmp_path / "source"), LocalStore(tmp_path / "copy")
    make(source, tmp_path)
    source.fetched = lambda name: source.delete(name) if kind in name else None
    with pytest.raises(StorageError, match="was removed while it was copied"):
        mirror(source, target)
    assert problems(target, tmp_path / "other") == [] and not any("/refs/" in name for name in target.files(""))


def test_erased_versions_do_not_come_back_from_a_backup(tmp_path: Path) -> None:
    live, backup, fresh = (LocalStore(tmp_path / name) for name in ("live", "backup", "fresh"))
    versions = [make(live, tmp_path, number) for number in range(3)]
    mirror(live, backup)
    snapshots = Snapshots(live, tmp_path / "cache")
    remove(snapshots, versions[0], "taken_down", "t1")
    remove(snapshots, versions[1], "collected")
    for source, target in ((backup, live), (live, backup), (backup, fresh)):
        mirror(source, target)
        restored = Snapshots(target, tmp_path / "other")
        if target is not backup:  # there it stays, as the manual says
            erased = restored.recall("set/documents", None, versions[0].manifest.snapshot_id)
            assert erased is not None and erased.removal is not None and erased.removal.takedown == "t1"
            assert target.files(erased.folder) == [f"{erased.folder}/removed.json"]
            collected = restored.open("set/documents", None, versions[1].manifest.snapshot_id)
            assert collected is not None and collected.is_whole()
