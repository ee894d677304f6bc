"""A version that was made anew, byte for byte the same, mends the damaged one: what was made from that can be read."""

from pathlib import Path

import pytest

from synth_platform.errors import StorageError
from synth_platform.snapshots import Identity, Snapshot, Snapshots, SnapshotWriter
from synth_platform.snapshots.healing import heal_equals, put_back
from synth_platform.snapshots.store import open_store
from synth_platform_tests.snapshots.test_snapshots import SCHEMA, rows


@pytest.fixture(params=["local", "s3"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshots:
    root = str(tmp_path / "data") if request.param == "local" else request.getfixturevalue("s3_root")
    return Snapshots(open_store(root), tmp_path / "cache")


def identity(attempt: int) -> Identity:
    return Identity(asset="ds/documents", partition=None, code_version="1", settings={}, attempt=attempt)


def make(repository: Snapshots, scratch: Path, attempt: int, *, count: int = 30) -> Snapshot:
    writer = SnapshotWriter(repository, identity(attempt), {"rows": SCHEMA}, scratch=scratch, rows_per_part=10)
    writer.write("rows", rows(0, count))
    writer.add_file("README.md", b"read me")
    return writer.commit()


def paths(snapshot: Snapshot) -> list[str]:
    return [f"{snapshot.folder}/{part.path}" for part in snapshot.manifest.tables["rows"].parts]


def again(repository: Snapshots, tmp_path: Path, snapshot: Snapshot) -> Snapshot:
    """The version as a new process reads it."""
    opened = Snapshots(open_store(repository.store.url), tmp_path / "other-cache")
    found = opened.open("ds/documents", None, snapshot.manifest.snapshot_id)
    assert found is not None
    return found


def test_changed_and_missing_parts_are_put_back(repository: Snapshots, tmp_path: Path) -> None:
    first = make(repository, tmp_path, 0)
    changed, missing, whole = paths(first)
    before = repository.store.read(whole)
    repository.store.replace(changed, b"other bytes")
    repository.store.delete(missing)
    assert not again(repository, tmp_path, first).is_whole()
    heal_equals(repository, identity(1), make(repository, tmp_path, 1))
    healed = again(repository, tmp_path, first)
    assert healed.is_whole() and healed.scan("rows").collect().equals(rows(0, 30))
    assert repository.store.read(whole) == before


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_file_beside_the_tables_is_put_back(repository: Snapshots, tmp_path: Path, damage: str) -> None:
    first = make(repository, tmp_path, 0)
    path = f"{first.folder}/README.md"
    repository.store.delete(path) if damage == "missing" else repository.store.replace(path, b"other bytes")
    assert not again(repository, tmp_path, first).is_whole()
    heal_equals(repository, identity(1), make(repository, tmp_path, 1))
    assert again(repository, tmp_path, first).is_whole() and first.read_file("README.md") == b"read me"


def test_a_version_with_other_content_mends_nothing(repository: Snapshots, tmp_path: Path) -> None:
    first = make(repository, tmp_path, 0)
    repository.store.replace(paths(first)[0], b"other bytes")
    heal_equals(repository, identity(1), make(repository, tmp_path, 1, count=29))
    assert repository.store.read(paths(first)[0]) == b"other bytes"


def test_what_is_damaged_itself_is_never_put_anywhere(repository: Snapshots, tmp_path: Path) -> None:
    first, second = make(repository, tmp_path, 0), make(repository, tmp_path, 1)
    damaged, whole = paths(first)[0], paths(second)[0]
    digest = second.manifest.tables["rows"].parts[0].digest
    repository.store.replace(damaged, b"other bytes")
    repository.store.replace(whole, b"damaged, too")
    heal_equals(repository, identity(1), second)
    assert repository.store.read(damaged) == b"other bytes"
    with pytest.raises(StorageError, match="not what it was"):
        put_back(repository.store, damaged, whole, digest)
    repository.store.delete(whole)
    with pytest.raises(StorageError, match="not what it was"):
        put_back(repository.store, damaged, whole, digest)
