"""Whole runs on disks that are full or read-only: named errors, nothing torn, and once there is room they complete."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_platform.errors import StorageError
from synth_platform.ops.doctor.runs import dead_runs
from synth_platform.ops.instance import connect, open_instance
from synth_platform.snapshots.verify import verify
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import Engine, dataset, mock_engine, perfect_answers, synth, write_spec
from synth_platform_tests.snapshots.writing import problems

RECIPES = [{"name": "faq", "sampling": {"max_tokens": 400}}]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as running:
        yield running


@pytest.fixture
def spec(engine: Engine, tokenizer_folder: Path, tmp_path: Path) -> str:
    return str(write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder, recipes=RECIPES)))


def refused(spec: str, home: Path, environment: dict[str, str] | None = None) -> str:
    """What a run says that ends for want of a disk."""
    ended = synth("materialize", spec, home=home, environment=environment)
    said = ended.out + ended.err
    assert ended.returncode != 0 and "Traceback" not in said, said
    return said


def check_whole(workspace: Workspace) -> None:
    """There is a release, and all of it can be proved."""
    pairs = workspace.snapshots.assets("small")
    heads = [head for asset, part in pairs if (head := workspace.snapshots.head(asset, part))]
    assert "small/release" in {head.manifest.asset for head in heads}
    assert verify(workspace.snapshots, heads).problems == []


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_versions_on_a_full_disk(spec: str, small_disk: Path, tmp_path: Path) -> None:
    """A megabyte holds the first stages."""
    data = small_disk / "data"
    remount(small_disk, "size=160k")
    said = refused(spec, tmp_path / "home", environment={"SYNTH_DATA": str(data)})
    assert "No space left on device" in said and str(data) in said and "free some space" in said
    workspace = Workspace(tmp_path / "home", str(data))
    assert problems(workspace.snapshots.store, tmp_path) == []
    assert not list(data.rglob("*.partial")), "what was written aside is removed"
    remount(small_disk, "size=64m")
    ended = synth("materialize", spec, home=tmp_path / "home", environment={"SYNTH_DATA": str(data)})
    assert ended.returncode == 0, ended.out + ended.err
    check_whole(workspace)


@pytest.mark.parametrize("size", ["64k", "450k", "700k"])
def test_dagster_on_a_full_disk(spec: str, small_disk: Path, tmp_path: Path, size: str) -> None:
    """Too small for the database, or for what a run writes into it: the run may stand as started ever after."""
    home = tmp_path / "home"
    (small_disk / "dagster").mkdir()
    home.mkdir()
    (home / "dagster").symlink_to(small_disk / "dagster")
    remount(small_disk, f"size={size}")
    said = refused(spec, home)
    assert "disk is full" in said or "disk I/O error" in said or "No space left on device" in said, said
    assert "dagster" in said
    assert problems(Workspace(home).snapshots.store, tmp_path) == []
    remount(small_disk, "size=64m")
    ended = synth("materialize", spec, home=home)
    assert ended.returncode == 0, ended.out + ended.err
    with connect(Workspace(home)) as instance:
        assert list(dead_runs(instance)) == []
    check_whole(Workspace(home))


def test_a_read_only_home(spec: str, small_disk: Path, tmp_path: Path) -> None:
    home = small_disk / "home"
    remount(small_disk, "size=64m")
    assert synth("materialize", spec, home=home).returncode == 0
    remount(small_disk, "ro")
    said = refused(spec, home)
    assert "read-only" in said.lower() and str(home) in said
    remount(small_disk, "rw")
    assert synth("materialize", spec, "--fresh", home=home).returncode == 0
    check_whole(Workspace(home))


def test_the_database_names_its_folder(workspace: Workspace) -> None:
    with open_instance(workspace):
        pass
    for file in workspace.dagster_home.rglob("*.db"):
        file.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="file is not a database") as error, open_instance(workspace):
        pass
    assert error.value.where == str(workspace.dagster_home)
