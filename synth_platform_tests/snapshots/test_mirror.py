"""A copy beside runs: it holds whole versions only, and what was taken down never comes back with it."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from synth_platform.errors import SnapshotError
from synth_platform.snapshots import Identity, InputRef, Snapshot, Snapshots, SnapshotWriter
from synth_platform.snapshots.health import Survey
from synth_platform.snapshots.mirror import mirror
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.store import LocalStore, S3Store, Store, open_store
from synth_platform.snapshots.verify import verify
from synth_platform_tests.snapshots.deaths import dying_after

ASSETS = ("set/drafts", "set/extracts/faq", "set/finals")
"""Of kinds that have no books."""


class Living(LocalStore):
    """A store where something happens after each file that is listed or fetched, in the order of the names.

    Args:
        root: the folder.
        during: is told of each listed name, and of each name that is fetched or read before it is.
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

    def read(self, path: str) -> bytes:
        self.fetched(path)
        return super().read(path)


def writer_of(
    store: Store, folder: Path, number: int = 0, asset: str = ASSETS[0], inputs: tuple[InputRef, ...] = ()
) -> SnapshotWriter:
    identity, tables = Identity(asset, None, "1", {"number": number}, inputs), {"rows": pl.Schema({"id": pl.String()})}
    snapshots = Snapshots(store, folder / "cache")
    return SnapshotWriter(snapshots, identity, tables, scratch=folder / "scratch", rows_per_part=1)


def make(
    store: Store,
    folder: Path,
    number: int = 0,
    asset: str = ASSETS[0],
    inputs: tuple[InputRef, ...] = (),
    answer: str = "read me",
) -> Snapshot:
    """Make a version and make it current; the answer is sampled: no part of its identity."""
    writer = writer_of(store, folder, number, asset, inputs)
    writer.write("rows", pl.DataFrame({"id": [f"{number}-{row}-{answer}" for row in range(2)]}))
    writer.add_file("README.md", answer.encode())
    snapshot = writer.commit()
    Snapshots(store, folder / "cache").set_head(snapshot, "test")
    return snapshot


def make_all(store: LocalStore, folder: Path, number: int) -> None:
    """A version of each asset, made from the one before."""
    inputs: tuple[InputRef, ...] = ()
    for asset in ASSETS:
        inputs = (make(store, folder, number, asset, inputs).ref,)


def problems(store: Store, folder: Path) -> list[str]:
    """What is wrong with the current versions and those that they were made from, and with the files of all others."""
    snapshots = Snapshots(store, folder / "cache")
    survey = Survey(snapshots)
    heads = [head for place in snapshots.assets() if (head := snapshots.head(*place)) is not None]
    return [
        str(one) for one in (*verify(snapshots, heads).problems, *survey.damages(deep=True), *survey.broken_heads())
    ]


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
    note = "set/drafts/unpartitioned/0123456789abcdef/identity.json"
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
    with pytest.raises(SnapshotError, match="was removed while it was copied"):
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
            erased = restored.recall("set/drafts", None, versions[0].manifest.snapshot_id)
            assert erased is not None and erased.removal is not None and erased.removal.takedown == "t1"
            assert target.files(erased.folder) == [f"{erased.folder}/removed.json"]
            collected = restored.open("set/drafts", None, versions[1].manifest.snapshot_id)
            assert collected is not None and collected.is_whole()


@pytest.fixture(params=["folder to folder", "folder to bucket", "bucket to folder"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Store, Store]:
    """A source and a target, both empty."""
    folder = LocalStore(tmp_path / "folder")
    if request.param == "folder to folder":
        return folder, LocalStore(tmp_path / "copy")
    bucket = open_store(request.getfixturevalue("s3_root"))
    return (folder, bucket) if request.param == "folder to bucket" else (bucket, folder)


def collect(store: Store, folder: Path, version: Snapshot) -> None:
    remove(Snapshots(store, folder / "cache"), version, "collected")


@pytest.mark.parametrize("between", [False, True])
def test_a_version_made_anew_takes_the_place_of_the_one_before(
    between: bool, places: tuple[Store, Store], tmp_path: Path
) -> None:
    source, target = places
    first = make(source, tmp_path, answer="one")
    mirror(source, target)
    make(source, tmp_path, number=1)
    collect(source, tmp_path, first)
    if between:
        mirror(source, target)
        kept = Snapshots(target, tmp_path / "other").open(*key_of(first))
        assert kept is not None and kept.ref == first.ref and kept.is_whole()  # a backup keeps what it has
    again = make(source, tmp_path, answer="two")
    make(source, tmp_path, asset=ASSETS[1], inputs=(again.ref,))
    assert again.folder == first.folder and again.ref != first.ref

    mirror(source, target)
    assert problems(target, tmp_path / "other") == []
    copied = Snapshots(target, tmp_path / "other").open(*key_of(first))
    assert copied is not None and copied.ref == again.ref
    assert target.files("") == source.files("")
    assert mirror(source, target).copied == 0


def key_of(version: Snapshot) -> tuple[str, str | None, str]:
    m = version.manifest
    return m.asset, m.partition, m.snapshot_id


@pytest.mark.parametrize("answer", ["other", "READ ME"])  # of another size, and of the same
def test_what_a_killed_writer_left_does_not_stay_in_the_place_of_what_was_committed(
    answer: str, places: tuple[Store, Store], tmp_path: Path
) -> None:
    source, target = places
    writer_of(source, tmp_path).add_file("README.md", b"read me")
    mirror(source, target)
    version = make(source, tmp_path, answer=answer)
    mirror(source, target)
    assert problems(target, tmp_path / "other") == [] and target.files("") == source.files("")
    assert target.read(f"{version.folder}/README.md") == answer.encode()


def test_work_that_was_begun_again_does_not_touch_the_version_that_the_copy_has(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "copy")
    first = make(source, tmp_path)
    mirror(source, target)
    make(source, tmp_path, number=1)
    collect(source, tmp_path, first)
    writer_of(source, tmp_path).add_file("README.md", b"longer than the one before")
    mirror(source, target)
    kept = Snapshots(target, tmp_path / "other").open(*key_of(first))
    assert kept is not None and kept.is_whole() and problems(target, tmp_path / "other") == []


@pytest.mark.parametrize("case", ["made anew", "lost a file"])
def test_a_copy_that_is_killed_at_any_write_shows_nothing_torn_and_goes_on(case: str, tmp_path: Path) -> None:
    source, before = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "before")
    first = make(source, tmp_path, answer="one")
    mirror(source, before)
    if case == "lost a file":
        before.replace(f"{first.folder}/README.md", b"")
    else:
        make(source, tmp_path, number=1)
        collect(source, tmp_path, first)
        make(source, tmp_path, asset=ASSETS[1], inputs=(make(source, tmp_path, answer="two").ref,))
    for writes in range(100):
        target = LocalStore(tmp_path / f"copy-{writes}")
        shutil.copytree(tmp_path / "before", tmp_path / f"copy-{writes}")
        try:
            with dying_after(writes, LocalStore, "create", "move_in", "copy_in", "replace", "delete"):
                mirror(source, target)
        except KeyboardInterrupt:
            torn = problems(target, tmp_path / "other")
            assert torn == [] or (case == "lost a file" and target.read(f"{first.folder}/README.md") == b"")
            mirror(source, target)
            assert problems(target, tmp_path / "other") == [] and target.files("") == source.files("")
        else:
            assert writes > 4
            return
    raise AssertionError("it does not come to an end")


def test_a_restored_copy_does_not_turn_back_what_was_made_anew_since(tmp_path: Path) -> None:
    live, backup = LocalStore(tmp_path / "live"), LocalStore(tmp_path / "backup")
    first = make(live, tmp_path, answer="one")
    mirror(live, backup)
    make(live, tmp_path, number=1)
    collect(live, tmp_path, first)
    make(live, tmp_path, asset=ASSETS[1], inputs=(make(live, tmp_path, answer="two").ref,))
    before = live.files("")
    mirror(backup, live)
    assert problems(live, tmp_path / "other") == [] and live.files("") == before


def test_versions_of_one_id_and_two_histories_are_an_error_and_stay_as_they_are(tmp_path: Path) -> None:
    one, other = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "other")
    make(one, tmp_path, answer="one")
    make(other, tmp_path, answer="two")
    alone = make(one, tmp_path, asset=ASSETS[1])
    before = {name: other.read(name) for name in other.files("")}
    with pytest.raises(SnapshotError, match="has a history of its own"):
        mirror(one, other)
    assert {name: other.read(name) for name in other.files(ASSETS[0])} == before
    assert problems(other, tmp_path / "other") == []
    assert Snapshots(other, tmp_path / "other").current(ASSETS[1], None) == alone  # all the others are copied


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_damaged_version_is_named_and_keeps_no_other_from_being_copied(
    damage: str, places: tuple[Store, Store], tmp_path: Path
) -> None:
    source, target = places
    older, whole = make(source, tmp_path), make(source, tmp_path, asset=ASSETS[1])
    mirror(source, target)
    broken = make(source, tmp_path, number=1)
    newer = make(source, tmp_path, number=1, asset=ASSETS[1])
    name = f"{broken.folder}/{broken.manifest.entries[0].path}"
    data = source.read(name)
    source.delete(name)
    if damage != "gone":
        source.create(name, bytes(len(data)) if damage == "changed" else data[:-1])

    with pytest.raises(SnapshotError, match="has lost a file" if damage == "gone" else "not what its manifest says"):
        mirror(source, target)
    copied = Snapshots(target, tmp_path / "other")
    assert copied.current(*key_of(older)[:2]) == older and copied.current(*key_of(whole)[:2]) == newer
    assert copied.open(*key_of(broken)) is None and problems(target, tmp_path / "other") == []


def test_of_several_damaged_versions_it_is_said_how_many(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "copy")
    for number in range(3):
        source.replace(f"{make(source, tmp_path, number).folder}/README.md", b"rot")
    with pytest.raises(SnapshotError, match="its version is not copied; 2 more could not be copied"):
        mirror(source, target)
    assert not any("/refs/" in name or name.endswith("manifest.json") for name in target.files(""))


def test_a_file_that_the_copy_has_lost_comes_back(places: tuple[Store, Store], tmp_path: Path) -> None:
    source, target = places
    version = make(source, tmp_path)
    mirror(source, target)
    gone, cut = (f"{version.folder}/{entry.path}" for entry in version.manifest.entries[:2])
    target.delete(gone)
    target.replace(cut, target.read(cut)[:-1])
    assert mirror(source, target).copied == 3  # the manifest comes last again
    assert problems(target, tmp_path / "other") == [] and mirror(source, target).copied == 0


def test_a_record_of_a_takedown_is_copied_over_one_of_the_retention_and_not_the_other_way(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "copy")
    first = make(source, tmp_path)
    make(source, tmp_path, number=1)
    collect(source, tmp_path, first)
    mirror(source, target)
    remove(Snapshots(source, tmp_path / "cache"), make(source, tmp_path), "taken_down", "t1")
    for one, other in ((target, source), (source, target), (target, source)):
        mirror(one, other)
    for store in (source, target):
        found = Snapshots(store, tmp_path / "other").recall(*key_of(first))
        assert found is not None and found.removal is not None and found.removal.takedown == "t1"


def test_answers_that_came_since_are_copied_too_and_never_fewer_over_more(tmp_path: Path) -> None:
    source, target = LocalStore(tmp_path / "source"), LocalStore(tmp_path / "copy")
    log = source.open_log(f"{writer_of(source, tmp_path).identity.folder}/ledger/000000/a.log")
    for answer in (b"one", b"two"):
        log.append(answer)
        mirror(source, target)
    log.close()
    (name,) = target.files("")
    assert target.read(name) == b"onetwo"
    source.replace(name, b"one")
    mirror(source, target)
    assert target.read(name) == b"onetwo"


def test_what_is_there_already_costs_no_request_but_the_listings(
    s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = LocalStore(tmp_path / "source"), open_store(s3_root)
    for number in range(3):
        make_all(source, tmp_path, number)
    collect(source, tmp_path, make(source, tmp_path, number=9))
    make_all(source, tmp_path, 3)
    for one, other in ((source, target), (target, source)):
        mirror(one, other)
        with monkeypatch.context() as patched:
            for kind, name in itertools.product(
                (LocalStore, S3Store), ("read", "fetch", "blocks", "delete", "replace")
            ):
                patched.delattr(kind, name)
            assert mirror(one, other).copied == 0
