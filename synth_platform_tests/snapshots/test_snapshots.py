"""Snapshots: atomic, verified, resumable, the same bytes however rows arrive; on disk and on S3."""

import multiprocessing
import os
import random
import signal
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_platform.errors import SnapshotError, SpecError, StorageError
from synth_platform.snapshots import Identity, Snapshots, SnapshotWriter
from synth_platform.snapshots.at_rest import SnapshotsAtRest
from synth_platform.snapshots.changes import changes_since
from synth_platform.snapshots.frames import in_step, rebatch
from synth_platform.snapshots.health import Survey
from synth_platform.snapshots.identity import asset_folder
from synth_platform.snapshots.store import AlreadyExists, LocalStore, open_store

SCHEMA = pl.Schema({"id": pl.String(), "n": pl.Int64()})


@pytest.fixture(params=["local", "s3"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshots:
    root = str(tmp_path / "data") if request.param == "local" else request.getfixturevalue("s3_root")
    return Snapshots(open_store(root), tmp_path / "cache")


def local(tmp_path: Path) -> Snapshots:
    return Snapshots(open_store(str(tmp_path / "data")), tmp_path / "cache")


def identity(asset: str = "ds/documents", **changes: Any) -> Identity:
    return replace(Identity(asset, None, code_version="1", settings={}), **changes)


def writer(repository: Snapshots, tmp_path: Path, which: Identity | None = None, **options: Any) -> SnapshotWriter:
    return SnapshotWriter(
        repository, which or identity(), {"documents": SCHEMA}, scratch=tmp_path / "scratch", run_id="r", **options
    )


def rows(start: int, stop: int) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"d{n}" for n in range(start, stop)], "n": list(range(start, stop))}, schema=SCHEMA)


def test_what_is_written_is_read_back_after_the_commit_only(repository: Snapshots, tmp_path: Path) -> None:
    w = writer(repository, tmp_path, rows_per_part=10)
    w.write("documents", rows(0, 25))
    assert repository.open("ds/documents", None, identity().snapshot_id) is None
    snapshot = w.commit()
    assert [part.rows for part in snapshot.manifest.tables["documents"].parts] == [10, 10, 5]
    assert pl.concat(snapshot.batches()).equals(rows(0, 25))
    assert snapshot.scan().collect().equals(rows(0, 25))
    repository.set_head(snapshot, "run-1")
    head = repository.head("ds/documents", None)
    assert head is not None and head.manifest == snapshot.manifest


def test_head_follows_the_last_materialization_and_history_keeps_all(repository: Snapshots, tmp_path: Path) -> None:
    made = []
    for seed in (1, 2):
        w = writer(repository, tmp_path, identity(settings={"seed": seed}))
        w.write("documents", rows(0, seed))
        made.append(w.commit())
        repository.set_head(made[-1], f"run-{seed}")
    repository.set_head(made[0], "run-3")
    assert [ref.snapshot_id for ref in repository.history("ds/documents", None)] == [
        made[0].manifest.snapshot_id,
        made[1].manifest.snapshot_id,
        made[0].manifest.snapshot_id,
    ]
    assert repository.head("ds/documents", None).manifest.rows == 1  # type: ignore[union-attr]
    assert repository.assets() == [("ds/documents", None)]


@pytest.mark.parametrize("removed", [2, 4])
def test_a_damaged_record_of_a_history_may_be_removed_as_its_error_says(
    repository: Snapshots, tmp_path: Path, removed: int
) -> None:
    made = []
    for seed in range(1, 5):
        w = writer(repository, tmp_path, identity(settings={"seed": seed}))
        w.write("documents", rows(0, seed))
        made.append(w.commit())
        repository.set_head(made[-1], f"run-{seed}")
    record = f"{asset_folder('ds/documents', None)}/refs/{removed:08d}.json"
    repository.store.replace(record, b"{")
    with pytest.raises(SnapshotError, match="or remove it: the one before is current then"):
        repository.history("ds/documents", None)
    repository.store.delete(record)
    left = [one for one in range(1, 5) if one != removed]
    at_rest = SnapshotsAtRest(repository.store, tmp_path / "cache")
    for snapshots in (repository, at_rest):
        assert [one.run_id for one in snapshots.history("ds/documents", None)] == [f"run-{one}" for one in left]
        assert snapshots.current_ref("ds/documents", None) == made[left[-1] - 1].ref
        assert snapshots.head("ds/documents", None).manifest == made[left[-1] - 1].manifest  # type: ignore[union-attr]
    assert list(Survey(repository).broken_heads()) == []
    assert repository.set_head(made[0], "run-5").sequence == left[-1] + 1
    assert [one.run_id for one in repository.history("ds/documents", None)] == [*(f"run-{n}" for n in left), "run-5"]


def test_a_version_made_anew_under_the_same_id_becomes_current(repository: Snapshots, tmp_path: Path) -> None:
    """Its manifest was lost, and a stage that samples made other rows."""
    for stop in (1, 2):
        w = writer(repository, tmp_path)
        w.write("documents", rows(0, stop))
        made = w.commit()
        assert repository.set_head(made, "run").digest == made.manifest.digest
        assert repository.set_head(made, "run").sequence == stop
        ref = repository.current_ref("ds/documents", None)
        assert ref is not None and repository.require(ref).manifest.rows == stop
        repository.store.delete(f"{made.folder}/manifest.json")


def test_a_late_writer_does_not_touch_the_files_of_a_committed_version(repository: Snapshots, tmp_path: Path) -> None:
    early, late = (writer(repository, tmp_path) for _ in range(2))
    early.add_file("README.md", b"early")
    late.add_file("report.md", b"both")
    early.add_file("report.md", b"both")
    made = early.commit()
    with pytest.raises(SnapshotError, match="another writer has finished this version"):
        late.add_file("README.md", b"late")
    assert made.is_whole() and made.read_file("README.md") == b"early" and late.commit() == made


def test_a_file_that_another_writer_has_replaced_is_not_committed(repository: Snapshots, tmp_path: Path) -> None:
    early, late = (writer(repository, tmp_path) for _ in range(2))
    early.add_file("README.md", b"early")
    late.add_file("README.md", b"late")
    with pytest.raises(SnapshotError, match="removed or replaced"):
        early.commit()
    assert late.commit().is_whole()


def test_an_empty_table_keeps_its_columns(repository: Snapshots, tmp_path: Path) -> None:
    snapshot = writer(repository, tmp_path).commit()
    assert snapshot.scan().collect_schema() == SCHEMA
    assert list(pl.concat(snapshot.batches()).columns) == ["id", "n"]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(0, 60), max_size=6))
def test_the_digest_does_not_depend_on_how_rows_arrive(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    digests = []
    for borders in ([], sorted(cuts)):
        folder = tmp_path_factory.mktemp("digest")
        w = writer(local(folder), folder, rows_per_part=16)
        for start, stop in zip([0, *borders], [*borders, 60], strict=True):
            w.write("documents", rows(start, stop))
        digests.append(w.commit().manifest.digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "change",
    [
        {"partition": "2026-01-01"},
        {"code_version": "2"},
        {"settings": {"max_tokens": 5}},
        {"attempt": 1},
        {"asset": "ds/other"},
    ],
)
def test_any_change_of_what_determines_a_snapshot_changes_its_id(change: dict[str, Any]) -> None:
    assert identity(**change).snapshot_id != identity().snapshot_id


def test_a_shard_committed_once_is_never_made_again(repository: Snapshots, tmp_path: Path) -> None:
    first = writer(repository, tmp_path)
    first.commit_shard("documents", 0, rows(0, 5))
    first.commit_shard("documents", 2, rows(10, 15))
    second = writer(repository, tmp_path)  # after a crash
    assert sorted(second.shards("documents")) == [0, 2]
    with pytest.raises(SnapshotError, match="1 of 3 shards are not done"):
        second.use_shards("documents", 3)
    second.commit_shard("documents", 1, rows(5, 10))
    second.commit_shard("documents", 2, rows(90, 95))  # too late: the first one stands
    second.use_shards("documents", 3)
    snapshot = second.commit()
    assert pl.concat(snapshot.batches()).equals(rows(0, 15))
    leftovers = [path for path in repository.store.files(snapshot.folder) if "shards" in path]
    assert leftovers == []


def test_shards_of_other_settings_are_not_seen(repository: Snapshots, tmp_path: Path) -> None:
    writer(repository, tmp_path).commit_shard("documents", 0, rows(0, 5))
    assert writer(repository, tmp_path, identity(settings={"shard_size": 7})).shards("documents") == {}


def test_of_two_writers_one_wins_and_both_return_the_same(repository: Snapshots, tmp_path: Path) -> None:
    one, two = writer(repository, tmp_path), writer(repository, tmp_path)
    one.write("documents", rows(0, 3))
    two.write("documents", rows(0, 3))
    assert one.commit().manifest == two.commit().manifest
    parts = [path for path in repository.store.files("ds/documents") if path.endswith(".parquet")]
    assert len(parts) == 1


def test_create_is_exclusive(repository: Snapshots) -> None:
    repository.store.create("a/b.json", b"1")
    with pytest.raises(AlreadyExists):
        repository.store.create("a/b.json", b"2")
    assert repository.store.read("a/b.json") == b"1"
    assert repository.create_once("a/b.json", b"1"), "the answer to one's own write was lost: that is no conflict"
    assert not repository.create_once("a/b.json", b"2")


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_part_is_refused_by_name(tmp_path: Path, keep: float) -> None:
    snapshot, part = _one_part(tmp_path)
    part.write_bytes(part.read_bytes()[: int(part.stat().st_size * keep)])
    with pytest.raises(SnapshotError, match=part.name):
        _reopen(tmp_path, snapshot.manifest.snapshot_id).scan()


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    snapshot, part = _one_part(tmp_path)
    whole = part.read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        part.write_bytes(flipped)
        with pytest.raises(SnapshotError, match="damaged"):
            _reopen(tmp_path, snapshot.manifest.snapshot_id).scan()


def test_a_missing_part_and_a_damaged_manifest_are_refused(tmp_path: Path) -> None:
    snapshot, part = _one_part(tmp_path)
    part.unlink()
    with pytest.raises(SnapshotError, match="missing"):
        _reopen(tmp_path, snapshot.manifest.snapshot_id).scan()
    manifest = part.parent / "manifest.json"
    manifest.write_text(manifest.read_text()[:50])
    with pytest.raises(SnapshotError, match=r"manifest is damaged"):
        _reopen(tmp_path, snapshot.manifest.snapshot_id)


@pytest.mark.parametrize("name", ["../x", "a/../../x", "A", "a\nb", "x" * 300, "", "a//b", ".hidden"])
def test_names_that_could_leave_the_root_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="invalid"):
        writer(local(tmp_path), tmp_path, identity(name)).commit()
    with pytest.raises(SpecError, match="invalid"):
        local(tmp_path).head("ds/documents", name or "..")


def test_missing_or_changing_columns_are_refused(tmp_path: Path) -> None:
    w = writer(local(tmp_path), tmp_path)
    with pytest.raises(SnapshotError, match=r"lack the columns \['n'\]"):
        w.write("documents", rows(0, 1).drop("n"))
    w.write("documents", rows(0, 1))
    with pytest.raises(SnapshotError, match="changed between batches"):
        w.write("documents", rows(0, 1).with_columns(extra=1))


def test_sigkill_at_any_instant_leaves_no_half_snapshot(tmp_path: Path) -> None:
    """Kill a writer 40 times at random instants; whatever stands is whole, and the end is as if undisturbed."""
    rng = random.Random(1)
    context = multiprocessing.get_context("fork")
    for _ in range(40):
        process = context.Process(target=_write_slowly, args=(tmp_path,))
        process.start()
        time.sleep(rng.uniform(0.0, 0.08))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        snapshot = local(tmp_path).open("ds/documents", None, identity().snapshot_id)
        if snapshot is not None:
            assert snapshot.scan().collect().equals(rows(0, 40))
    _write_slowly(tmp_path)
    final = _reopen(tmp_path, identity().snapshot_id)
    assert final.scan().collect().equals(rows(0, 40))
    undisturbed = tmp_path / "undisturbed"
    _write_slowly(undisturbed)
    assert final.manifest.digest == _reopen(undisturbed, identity().snapshot_id).manifest.digest


def test_a_full_disk_is_a_named_error_and_shows_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m none {disk} 2>/dev/null"):
        pytest.skip("mounting a small file system needs root")
    try:
        repository = Snapshots(open_store(str(disk / "data")), tmp_path / "cache")
        w = writer(repository, tmp_path)
        w.write("documents", pl.DataFrame({"id": [os.urandom(4000).hex() for _ in range(500)], "n": [0] * 500}))
        with pytest.raises(StorageError, match="No space left"):
            w.commit()
        assert repository.open("ds/documents", None, identity().snapshot_id) is None
        assert not list(disk.rglob("*.parquet")), "nothing partial may be visible"
    finally:
        os.system(f"umount {disk}")


WRITES: dict[str, Callable[[LocalStore, Path], object]] = {
    "create": lambda store, source: store.create("a/x", b"1"),
    "replace": lambda store, source: store.replace("a/x", b"1"),
    "move_in": lambda store, source: store.move_in("a/x", source),
    "copy_in": lambda store, source: store.copy_in("a/x", source),
    "copy": lambda store, source: store.copy("a/there", "a/x"),
}


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is forced to disk, and where a file gets its name between."""
    events: list[str] = []
    fsync = os.fsync

    def record_sync(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def recording_name(real: Callable[..., object]) -> Callable[..., object]:
        return lambda source, target: (events.append(f"name {Path(target).name}"), real(source, target))

    monkeypatch.setattr(os, "fsync", record_sync)
    for name in ("link", "replace"):
        monkeypatch.setattr(os, name, recording_name(getattr(os, name)))
    return events


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_files_are_synced_before_they_get_their_name(
    write: Callable[[LocalStore, Path], object], synced: list[str], tmp_path: Path
) -> None:
    """Without fsync a power cut could leave an empty file under its final name."""
    store, source = LocalStore(tmp_path / "data"), tmp_path / "source"
    source.write_bytes(b"1")
    store.create("a/there", b"1")
    synced.clear()
    write(store, source)
    assert synced[-3:] == ["file", "name x", "folder"], "data, then the name, then the folder's entry"
    assert store.read("a/x") == b"1"


def test_a_log_is_synced_with_its_name(synced: list[str], tmp_path: Path) -> None:
    log = LocalStore(tmp_path).open_log("a/log")
    log.append(b"1")
    assert synced == []
    log.sync()
    assert synced == ["file", "folder"]
    log.sync()
    log.append(b"2")
    log.close()
    assert synced == ["file", "folder", "file"], "what was appended since, once"


def test_walking_in_step_refuses_missing_doubled_and_swapped_rows() -> None:
    left = pl.DataFrame({"id": ["a", "b", "c"]})
    right = pl.DataFrame({"key": ["a", "b", "c"], "x": [1, 2, 3]})
    both = pl.concat(in_step([left[:1], left[1:]], [right], left_on="id", right_on="key"))
    assert both["x"].to_list() == [1, 2, 3]
    for wrong in (right[:2], pl.concat([right, right[:1]]), right.reverse()):
        with pytest.raises(SnapshotError, match="not in step"):
            list(in_step([left], [wrong], left_on="id", right_on="key"))


@given(sizes=st.lists(st.integers(0, 9), max_size=8), batch=st.integers(1, 7))
def test_rebatching_loses_nothing(sizes: list[int], batch: int) -> None:
    frames = [pl.DataFrame({"n": list(range(size))}, schema={"n": pl.Int64}) for size in sizes]
    out = list(rebatch(frames, batch))
    assert all(frame.height == batch for frame in out[:-1])
    assert [n for frame in out for n in frame["n"]] == [n for frame in frames for n in frame["n"]]


def _write_slowly(folder: Path) -> None:
    w = writer(local(folder), folder, rows_per_part=10)
    for start in range(0, 40, 10):
        w.write("documents", rows(start, start + 10))
        time.sleep(0.01)
    w.commit()


def _one_part(folder: Path):
    w = writer(local(folder), folder)
    w.write("documents", rows(0, 100))
    snapshot = w.commit()
    return snapshot, snapshot.files()[0]


def _reopen(folder: Path, snapshot_id: str):
    snapshot = local(folder).open("ds/documents", None, snapshot_id)
    assert snapshot is not None
    return snapshot


def test_versions_at_rest_are_those_of_the_moment_when_they_were_first_asked_for(
    repository: Snapshots, tmp_path: Path
) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        for n in (1, 2):
            w = writer(repository, tmp_path, identity(partition=day, settings={"n": n}))
            w.write("documents", rows(0, n))
            repository.set_head(w.commit(), f"run-{n}")
    still = SnapshotsAtRest(repository.store, tmp_path / "cache")
    with ThreadPoolExecutor(8) as readers:
        found = list(readers.map(lambda _: still.head("ds/documents", "2026-01-02"), range(8)))
    assert found == [repository.head("ds/documents", "2026-01-02")] * 8, "whoever asks while it is being listed waits"
    assert still.partitions("ds/documents") == repository.partitions("ds/documents") == ["2026-01-01", "2026-01-02"]
    assert still.head("ds/documents", "2026-01-02") == repository.head("ds/documents", "2026-01-02")
    assert [one.run_id for one in still.history("ds/documents", "2026-01-01")] == ["run-1", "run-2"]
    assert still.head("ds/documents", None) is None and still.partitions("ds/prompts/faq") == []
    assert still.newest("ds/documents") == repository.head("ds/documents", "2026-01-02")

    w = writer(repository, tmp_path, identity(partition="2026-01-02", settings={"n": 3}))
    repository.set_head(w.commit(), "run-3")
    assert still.head("ds/documents", "2026-01-02") != repository.head("ds/documents", "2026-01-02")
    supposed = repository.head("ds/documents", "2026-01-02")
    assert supposed is not None
    still.suppose(supposed)
    assert still.head("ds/documents", "2026-01-02") == supposed


def test_changes_are_said_in_words(tmp_path: Path) -> None:
    made = writer(local(tmp_path), tmp_path, identity(settings={"files": [{"name": "a", "n": 1}], "t": "0" * 32}))
    manifest = made.commit().manifest
    files = [{"name": "b", "n": 1}, {"name": "a", "n": 2}]
    now = identity(settings={"files": files, "t": "1" * 32, "earlier": "2" * 32}, code_version="2")
    assert [change.describe() for change in changes_since(manifest, now)] == [
        'code version "1" -> "2"',
        "earlier has changed",
        "files.a.n 1 -> 2",
        'files.b null -> {"name": "b", "n": 1}',
        "t has changed",
    ]
    assert changes_since(manifest, identity(settings=manifest.settings, attempt=3)) == []
