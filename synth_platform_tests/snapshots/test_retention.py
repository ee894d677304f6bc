"""Collecting garbage: nothing that is needed goes, and whoever dies while collecting leaves nothing half."""

import os
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.errors import RemovedError, SnapshotError
from synth_platform.snapshots import Identity, InputRef, Snapshot, Snapshots, SnapshotWriter
from synth_platform.snapshots.catalog import ancestors
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.retention import RetentionSpec, clear, find_waste
from synth_platform.snapshots.store import LocalStore, open_store
from synth_platform_tests.clock import jump
from synth_platform_tests.snapshots.deaths import dying_after

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=400)
ASSETS = ("set/documents", "set/prompts/faq", "set/mixture", "set/release")


def open_snapshots(folder: Path) -> Snapshots:
    return Snapshots(open_store(str(folder / "data")), folder / "cache")


def make(
    snapshots: Snapshots, folder: Path, asset: str, number: int, *inputs: InputRef, current: bool = True
) -> Snapshot:
    """A version with two parts and a file."""
    identity = Identity(asset, None, "1", {"number": number}, inputs)
    writer = SnapshotWriter(
        snapshots, identity, {"rows": pl.Schema({"id": pl.String()})}, scratch=folder / "scratch", rows_per_part=2
    )
    writer.write("rows", pl.DataFrame({"id": [f"{asset}-{number}-{row}" for row in range(3)]}))
    writer.add_file("README.md", b"read me")
    snapshot = writer.commit()
    if current:
        snapshots.set_head(snapshot, "test")
    return snapshot


@settings(max_examples=30)
@given(
    plan=st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 11), max_size=3), st.booleans()), min_size=1, max_size=12
    ),
    keep=st.integers(1, 3),
    pinned=st.integers(0, 11),
)
def test_nothing_that_is_kept_loses_what_it_was_made_from(
    plan: list[tuple[int, list[int], bool]], keep: int, pinned: int
) -> None:
    """Random graphs: any version may be made from any that came before it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        snapshots = open_snapshots(folder)
        made: list[Snapshot] = []
        for number, (asset, parents, current) in enumerate(plan):
            refs = {made[parent].ref for parent in parents if parent < len(made)}
            made.append(make(snapshots, folder, ASSETS[asset], number, *sorted(refs, key=str), current=current))
        key = (made[pinned % len(made)].ref.asset, None, made[pinned % len(made)].ref.snapshot_id)
        waste = find_waste(snapshots, {"set": RetentionSpec(keep_versions=keep)}, now=LATER, pinned=[key])
        assert all(clear(snapshots, one) for one in waste)

        heads = [head for asset, part in snapshots.assets() if (head := snapshots.head(asset, part)) is not None]
        newest = [
            snapshots.open(asset, part, one)
            for asset, part in snapshots.assets()
            for one in list(dict.fromkeys(r.snapshot_id for r in reversed(snapshots.history(asset, part))))[:keep]
        ]
        stay = [one for one in (*heads, *newest, snapshots.open(*key)) if one is not None]
        assert len(stay) == len(heads) + len(newest) + 1
        whole = {one.ref for one in ancestors(snapshots, stay)}
        assert {one.ref for one in snapshots.all()} == whole
        assert all(one.removal is None and len(list(one.local_files())) == 3 for one in ancestors(snapshots, stay))
        assert find_waste(snapshots, {"set": RetentionSpec(keep_versions=keep)}, now=LATER, pinned=[key]) == []


def test_a_dataset_without_a_retention_keeps_every_version(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    for number in range(3):
        make(snapshots, tmp_path, "set/release", number, current=number != 1)
    assert find_waste(snapshots, {}, now=LATER) == []
    assert len(find_waste(snapshots, {"set": RetentionSpec(keep_versions=1)}, now=LATER)) == 2
    assert find_waste(snapshots, {"set": RetentionSpec(keep_versions=1)}, now=LATER, dataset="other") == []


def test_versions_stay_as_long_as_they_were_current_lately(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    first, second = (make(snapshots, tmp_path, "set/release", number) for number in range(2))
    rule = {"set": RetentionSpec(keep_days=90)}
    assert find_waste(snapshots, rule, now=NOW + timedelta(days=89)) == []
    (waste,) = find_waste(snapshots, rule, now=NOW + timedelta(days=91))
    assert waste.key[2] == first.manifest.snapshot_id and waste.bytes > 0
    assert clear(snapshots, waste)
    assert snapshots.head("set/release", None) == second
    left = snapshots.recall(*waste.key)
    assert left is not None and left.removal is not None and left.manifest == first.manifest
    with pytest.raises(RemovedError, match="removed by the retention"):
        left.files()


@pytest.mark.parametrize("rule", [RetentionSpec(keep_versions=2), RetentionSpec(keep_days=1)], ids=["number", "age"])
def test_a_clock_that_jumps_takes_nothing_that_is_needed(
    rule: RetentionSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is the newest goes by the order of versions, and not by their times."""
    snapshots = open_snapshots(tmp_path)
    jump(monkeypatch, "snapshots.writer", "snapshots.repository", "snapshots.removal")
    documents = [make(snapshots, tmp_path, "set/documents", number) for number in range(4)]
    releases = [make(snapshots, tmp_path, "set/release", one, documents[one].ref) for one in range(4)]
    for now in (NOW - timedelta(days=1), NOW + timedelta(days=365), NOW):
        for waste in find_waste(snapshots, {"set": rule}, now=now):
            assert clear(snapshots, waste)
        left = {one.ref for one in snapshots.all() if one.removal is None}
        assert {documents[3].ref, releases[3].ref} <= left
        if rule.keep_versions:
            assert left == {one.ref for one in (*documents[2:], *releases[2:])}
    assert releases[3].is_whole() and documents[3].is_whole()


def test_a_version_that_became_current_meanwhile_is_not_collected(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    first = make(snapshots, tmp_path, "set/release", 0)
    make(snapshots, tmp_path, "set/release", 1)
    (waste,) = find_waste(snapshots, {"set": RetentionSpec(keep_versions=1)}, now=LATER)
    snapshots.set_head(first, "went back")
    assert clear(snapshots, waste) is False and len(first.files()) == 2


@pytest.mark.parametrize("step", range(6))
def test_whoever_dies_while_collecting_leaves_a_version_whole_or_gone(step: int, tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    old = make(snapshots, tmp_path, "set/release", 0)
    make(snapshots, tmp_path, "set/release", 1)
    rule = {"set": RetentionSpec(keep_versions=1)}
    (waste,) = find_waste(snapshots, rule, now=LATER)
    with dying_after(step, LocalStore, "create", "delete"), pytest.raises(KeyboardInterrupt):
        clear(snapshots, waste)
    again = open_snapshots(tmp_path)  # nothing is remembered of what was verified
    found = again.open("set/release", None, old.manifest.snapshot_id)
    if found is not None:
        assert len(list(found.local_files())) == 3
    for rest in find_waste(again, rule, now=LATER):
        assert clear(again, rest)
    assert again.open("set/release", None, old.manifest.snapshot_id) is None
    assert [path.rsplit("/", 1)[1] for path in again.store.files(waste.folder)] == ["removed.json"]


def test_a_removed_version_can_be_made_again_and_removed_again(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    rule = {"set": RetentionSpec(keep_versions=1)}
    for _ in range(2):
        old = make(snapshots, tmp_path, "set/release", 0)
        assert old.removal is None and len(old.files()) == 2
        make(snapshots, tmp_path, "set/release", 1)
        (waste,) = find_waste(snapshots, rule, now=LATER)
        assert waste.key[2] == old.manifest.snapshot_id and clear(snapshots, waste)


def test_a_remote_version_goes_with_its_local_copies(s3_root: str, tmp_path: Path) -> None:
    snapshots = Snapshots(open_store(s3_root), tmp_path / "cache")
    old, new = (make(snapshots, tmp_path, "set/release", number) for number in range(2))
    copies = [path for one in (old, new) for path in one.files()]
    (waste,) = find_waste(snapshots, {"set": RetentionSpec(keep_versions=1)}, now=LATER)
    assert clear(snapshots, waste) and snapshots.store.files(waste.folder) == [f"{waste.folder}/removed.json"]
    assert [path.exists() for path in copies] == [False, False, True, True]
    assert find_waste(snapshots, {"set": RetentionSpec(keep_versions=1)}, now=LATER) == []


def test_unfinished_work_stays_as_long_as_it_can_be_gone_on_with(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    identity = Identity("set/generations/faq", None, "1", {})
    schema = {"generations": pl.Schema({"id": pl.String()})}
    writer = SnapshotWriter(snapshots, identity, schema, scratch=tmp_path / "scratch")
    writer.announce()
    writer.commit_shard("generations", 0, pl.DataFrame({"id": ["a"]}))
    assert find_waste(snapshots, {}, now=NOW + timedelta(days=13)) == []
    (waste,) = find_waste(snapshots, {}, now=NOW + timedelta(days=15))
    assert waste.kind == "unfinished"
    writer.use_shards("generations", 1)
    finished = writer.commit()
    assert clear(snapshots, waste) is False and finished.scan().collect()["id"].to_list() == ["a"]

    other = SnapshotWriter(snapshots, Identity("set/documents", None, "1", {}), schema, scratch=tmp_path / "scratch")
    other.commit_shard("generations", 0, pl.DataFrame({"id": ["b"]}))
    (waste,) = find_waste(snapshots, {}, now=NOW + timedelta(days=15))
    assert clear(snapshots, waste) and snapshots.store.files(waste.folder) == []


def test_files_that_a_dead_writer_left_beside_a_finished_version_go(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    version = make(snapshots, tmp_path, "set/generations/faq", 0)
    root = tmp_path / "data" / version.folder
    for name, days in (("ledger/000000/w.log", 30), ("part-rows-00000-zzzz.parquet", 0)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"left")
        then = time.time() - days * 86400
        os.utime(root / name, (then, then))
    (waste,) = find_waste(snapshots, {}, now=NOW)
    assert waste.kind == "leftovers" and [one.path.rsplit("/", 1)[1] for one in waste.files] == ["w.log"]
    assert clear(snapshots, waste) and len(list(version.local_files())) == 3
    assert find_waste(snapshots, {}, now=NOW) == []


def writer_of(snapshots: Snapshots, folder: Path, number: int = 0) -> SnapshotWriter:
    """A writer whose first part is stored with its first two rows."""
    identity, tables = Identity("set/mixture", None, "1", {"number": number}), {"rows": pl.Schema({"id": pl.String()})}
    writer = SnapshotWriter(snapshots, identity, tables, scratch=folder / "scratch", rows_per_part=2)
    writer.write("rows", pl.DataFrame({"id": ["a", "b", "c"]}))
    return writer


def age(root: Path, days: float) -> None:
    """Make all files older."""
    for path in (one for one in root.rglob("*") if one.is_file()):
        then = path.stat().st_mtime - days * 86400
        os.utime(path, (then, then))


def test_work_that_another_host_goes_on_with_is_left_alone(tmp_path: Path) -> None:
    snapshots, elsewhere = open_snapshots(tmp_path), open_snapshots(tmp_path)
    writer_of(snapshots, tmp_path)
    age(tmp_path / "data", days=30)
    (waste,) = find_waste(snapshots, {}, now=NOW)
    writer = writer_of(elsewhere, tmp_path)
    assert clear(snapshots, waste) is False
    assert writer.commit().is_whole()


def test_a_version_whose_files_were_removed_meanwhile_is_not_committed(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    writer = writer_of(snapshots, tmp_path)
    for path in snapshots.store.files(""):
        snapshots.store.delete(path)
    with pytest.raises(SnapshotError, match="1 of 2 files were removed"):
        writer.commit()
    assert list(snapshots.all()) == []
    whole = writer_of(snapshots, tmp_path).commit()
    assert whole.is_whole() and writer.commit() == whole, "another writer of it was faster"


def test_a_removed_version_that_is_being_made_again_is_no_remains(tmp_path: Path) -> None:
    snapshots = open_snapshots(tmp_path)
    version = writer_of(snapshots, tmp_path).commit()
    with dying_after(5, LocalStore, "create", "delete"), pytest.raises(KeyboardInterrupt):
        remove(snapshots, version, "collected")
    age(tmp_path / "data", days=1)
    writer = writer_of(snapshots, tmp_path)
    (waste,) = find_waste(snapshots, {}, now=NOW)
    assert waste.kind == "half removed" and len(waste.files) == 1
    assert clear(snapshots, waste) and find_waste(snapshots, {}, now=NOW) == []
    (begun,) = find_waste(snapshots, {}, now=LATER)
    assert begun.kind == "unfinished" and writer.commit().is_whole()
    assert clear(snapshots, waste) is False and clear(snapshots, begun) is False
