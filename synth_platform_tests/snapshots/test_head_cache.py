"""Which versions are current is read once by all processes, and read again wherever a history has changed."""

from collections import Counter
from pathlib import Path

import pytest

from synth_platform.snapshots import Identity, Snapshots, SnapshotWriter, cache_file, head_cache
from synth_platform.snapshots.at_rest import SnapshotsAtRest
from synth_platform.snapshots.manifest import InputRef
from synth_platform.snapshots.store import open_store
from synth_platform_tests.snapshots.test_snapshots import SCHEMA, rows

ASSET, DAYS = "ds/documents", ("2026-01-01", "2026-01-02")


@pytest.fixture(params=["local", "s3"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshots:
    """Two cycles of an asset."""
    root = str(tmp_path / "data") if request.param == "local" else request.getfixturevalue("s3_root")
    repository = Snapshots(open_store(root), tmp_path / "cache")
    for day in DAYS:
        make(repository, tmp_path, day, 1)
    return repository


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few records are kept, too, and young ones."""
    monkeypatch.setattr(cache_file, "_WORTH_WRITING", 1)
    monkeypatch.setattr(head_cache, "_SETTLED_NS", -1)


def make(repository: Snapshots, tmp_path: Path, day: str, n: int) -> str:
    identity = Identity(asset=ASSET, partition=day, code_version="1", settings={"n": n})
    writer = SnapshotWriter(repository, identity, {"rows": SCHEMA}, scratch=tmp_path / "scratch", run_id=f"run-{n}")
    writer.write("rows", rows(0, n))
    repository.set_head(writer.commit(), f"run-{n}")
    return identity.snapshot_id


def make_from(repository: Snapshots, tmp_path: Path, given: InputRef) -> tuple[str, str | None, str]:
    identity = Identity(asset="ds/prompts", partition=DAYS[0], code_version="1", settings={}, inputs=(given,))
    SnapshotWriter(repository, identity, {"rows": SCHEMA}, scratch=tmp_path / "scratch", run_id="run").commit()
    return identity.asset, identity.partition, identity.snapshot_id


class Looked:
    """One process that looks at the histories, and what it read for that."""

    def __init__(self, repository: Snapshots, tmp_path: Path) -> None:
        self.snapshots = SnapshotsAtRest(open_store(repository.store.url), tmp_path / "cache")
        self.reads = Counter[str]()
        read = self.snapshots.store.read

        def counted(path: str) -> bytes:
            self.reads[path.rsplit("/", 2)[-2]] += 1
            return read(path)

        self.snapshots.store.read = counted
        self.found = [self.snapshots.current_ref(ASSET, day) for day in DAYS]
        self.snapshots.keep_found()


def test_who_looks_next_reads_no_history(repository: Snapshots, tmp_path: Path) -> None:
    first, second = Looked(repository, tmp_path), Looked(repository, tmp_path)
    assert first.found == second.found == [repository.current_ref(ASSET, day) for day in DAYS]
    assert (first.reads["refs"], second.reads["refs"]) == (2, 0)
    assert second.snapshots.history(ASSET, DAYS[0]) == repository.history(ASSET, DAYS[0])


def test_a_newer_version_is_seen(repository: Snapshots, tmp_path: Path) -> None:
    Looked(repository, tmp_path)
    made = make(repository, tmp_path, DAYS[1], 2)
    after = Looked(repository, tmp_path)
    assert after.found == [repository.current_ref(ASSET, day) for day in DAYS]
    assert after.found[1] is not None and after.found[1].snapshot_id == made
    assert after.reads["refs"] == 1, "the other cycle's history has not changed"


def test_a_history_that_was_removed_and_begun_anew_is_read_again(tmp_path: Path) -> None:
    repository = Snapshots(open_store(str(tmp_path / "data")), tmp_path / "cache")
    for day in DAYS:
        make(repository, tmp_path, day, 1)
    Looked(repository, tmp_path)
    folder = tmp_path / "data" / ASSET / DAYS[0] / "refs"
    (folder / "00000001.json").unlink()
    assert Looked(repository, tmp_path).found[0] is None
    made = make(repository, tmp_path, DAYS[0], 7)
    again = Looked(repository, tmp_path).found[0]
    assert again is not None and again.snapshot_id == made


def test_after_a_last_record_that_was_removed_the_one_before_is_current(repository: Snapshots, tmp_path: Path) -> None:
    before = Looked(repository, tmp_path).found
    make(repository, tmp_path, DAYS[0], 2)
    assert Looked(repository, tmp_path).found != before
    repository.store.delete(f"{ASSET}/{DAYS[0]}/refs/00000002.json")
    after = Looked(repository, tmp_path)
    assert after.found == before and after.reads["refs"] == 1
    assert [one.sequence for one in after.snapshots.history(ASSET, DAYS[0])] == [1]


def test_a_young_history_is_read_again(repository: Snapshots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_cache, "_SETTLED_NS", 3600 * 10**9)
    Looked(repository, tmp_path)
    assert Looked(repository, tmp_path).reads["refs"] == 2


def test_a_damaged_cache_is_as_good_as_none(repository: Snapshots, tmp_path: Path) -> None:
    before = Looked(repository, tmp_path)
    for damage in (b"", b"no parquet", b"PAR1" * 100):
        (file,) = (tmp_path / "cache" / "heads").iterdir()
        file.write_bytes(damage)
        after = Looked(repository, tmp_path)
        assert after.found == before.found and after.reads["refs"] == 2


def test_a_cache_that_cannot_be_written_stops_nobody(repository: Snapshots, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "heads").write_text("a file where a folder should be")
    assert Looked(repository, tmp_path).found == Looked(repository, tmp_path).found


def test_what_a_version_was_made_from_is_read_once(repository: Snapshots, tmp_path: Path) -> None:
    from_other = make_from(repository, tmp_path, InputRef(asset="ds/x", partition=None, snapshot_id="1", digest="d"))
    versions = [(ASSET, DAYS[0], make(repository, tmp_path, DAYS[0], 3)), from_other]
    for manifests in (2, 0):
        looked = Looked(repository, tmp_path)
        found = [looked.snapshots.inputs(*version) for version in versions]
        assert found == [[], [InputRef(asset="ds/x", partition=None, snapshot_id="1", digest="d")]]
        assert looked.snapshots.inputs(ASSET, DAYS[0], "0" * 16) is None
        looked.snapshots.keep_found()
        assert sum(looked.reads[snapshot_id] for _, _, snapshot_id in versions) == manifests
    (file,) = (tmp_path / "cache" / "inputs").iterdir()
    file.write_bytes(b"no parquet")
    assert [Looked(repository, tmp_path).snapshots.inputs(*version) for version in versions] == found


@pytest.mark.parametrize("days", [2, 9])
def test_what_lies_in_a_bucket_is_listed_as_far_as_it_is_asked_for(s3_root: str, tmp_path: Path, days: int) -> None:
    """A sensor asks each minute: of a few cycles only the histories are listed, of many the asset, once."""
    repository = Snapshots(open_store(s3_root), tmp_path / "cache")
    cycles = [f"2026-01-{day:02}" for day in range(1, days + 1)]
    for cycle in cycles:
        make(repository, tmp_path, cycle, 1)
    snapshots = SnapshotsAtRest(open_store(s3_root), tmp_path / "cache")
    listed: list[str] = []
    entries, folders = snapshots.store.entries, snapshots.store.folders
    snapshots.store.entries = lambda prefix: listed.append(prefix) or entries(prefix)
    snapshots.store.folders = lambda prefix: listed.append(f"{prefix}/*") or folders(prefix)
    assert snapshots.partitions(ASSET) == cycles
    assert [snapshots.current_ref(ASSET, cycle) for cycle in cycles] == [
        repository.current_ref(ASSET, cycle) for cycle in cycles
    ]
    histories = [f"{ASSET}/{cycle}/refs" for cycle in cycles]
    assert listed == [f"{ASSET}/*", *(histories if days == 2 else [*histories[:4], ASSET])]
