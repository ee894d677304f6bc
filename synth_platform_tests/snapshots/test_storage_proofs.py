"""The promises of the storage: of racing writers one wins; death at any step shows nothing torn and loses nothing."""

import itertools
from pathlib import Path

import pytest

from synth_platform.snapshots import Snapshots
from synth_platform.snapshots.store import open_store
from synth_platform_tests.clock import jump
from synth_platform_tests.snapshots.writing import (
    Race,
    check_round,
    cloud_variables,
    dies_at_operation,
    dies_before_change,
    identity_of,
    make,
    problems,
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of what an undisturbed writer makes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return make(open_store(str(folder / "data")), folder)


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_eight_writers_at_once(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rounds, url = (20, str(tmp_path / "data")) if kind == "local" else (5, request.getfixturevalue("s3_root"))
    snapshots = Snapshots(open_store(url), tmp_path / "cache")
    with Race(url, tmp_path) as race:
        for number in range(rounds):
            check_round(snapshots, f"ds/round-{number}", race.run(f"ds/round-{number}"))
    assert problems(snapshots.store, tmp_path) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_death_at_every_operation_of_the_store(
    kind: str, after: bool, tmp_path: Path, request: pytest.FixtureRequest, undisturbed: str
) -> None:
    base = str(tmp_path) if kind == "local" else request.getfixturevalue("s3_root")
    number = 0
    for number in itertools.count():
        folder, url = tmp_path / f"{number}", f"{base}/{number}/data"
        died = dies_at_operation(url, folder, number, after, cloud_variables())
        check_death(url, folder, undisturbed)
        if not died:
            break
    assert number > 40, "the writer took fewer steps than a commit has"


def test_death_before_every_change_of_the_file_system(tmp_path: Path, undisturbed: str) -> None:
    number = 0
    for number in itertools.count():
        folder = tmp_path / f"{number}"
        died = dies_before_change(folder / "data", folder, number)
        check_death(str(folder / "data"), folder, undisturbed)
        if not died:
            break
    assert number > 80, "the writer made fewer changes than a commit does"


def check_death(url: str, folder: Path, undisturbed: str) -> None:
    """Nothing torn is visible, and a plain re-run makes the same."""
    store = open_store(url)
    assert problems(store, folder) == []
    snapshots, version = Snapshots(store, folder / "cache"), identity_of("ds/generations").snapshot_id
    snapshot = snapshots.open("ds/generations", None, version)
    assert snapshot is None or snapshot.manifest.digest == undisturbed
    assert make(store, folder) == undisturbed
    head = snapshots.head("ds/generations", None)
    assert head is not None and head.manifest.digest == undisturbed and head.is_whole()
    assert problems(store, folder) == []


def test_a_clock_that_jumps_changes_no_order_and_no_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: str
) -> None:
    jump(monkeypatch, "snapshots.writer", "snapshots.repository")
    store = open_store(str(tmp_path / "data"))
    assert make(store, tmp_path) == undisturbed
    digests = [make(store, tmp_path, seed=seed) for seed in range(1, 6)]
    history = Snapshots(store, tmp_path / "cache").history("ds/generations", None)
    assert [record.digest for record in history] == [undisturbed, *digests]
    times = [record.at for record in history]
    assert times != sorted(times), "the clock did not jump"
    assert problems(store, tmp_path) == []
