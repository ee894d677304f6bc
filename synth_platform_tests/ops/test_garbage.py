"""Nothing that a run may be using is collected, and no copy of what is gone stays on any machine."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from synth_platform.errors import SynthError
from synth_platform.ops.garbage import collect, find_garbage
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.removal import remove
from synth_platform.workspace import Workspace
from synth_platform_tests.snapshots.handmade import version


def test_local_files_stay_while_a_run_lives_though_no_version_is_waste(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    copy, scratch = tmp_path / "cache" / f"{'0' * 32}.parquet", workspace.scratch / "left"
    for path in (copy, scratch):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of a version in the making")
        os.utime(path, (0, 0))
    with dg.DagsterInstance.ephemeral() as instance:
        busy = instance.create_run_for_job(dg.job(name="busy")(lambda: None), status=dg.DagsterRunStatus.STARTED)
        garbage = find_garbage(workspace, [])
        assert garbage.stored == [] and {one.path for one in garbage.local} == {copy, scratch}
        with pytest.raises(SynthError, match="nothing can be collected while something is being made"):
            collect(workspace, instance, garbage)
        assert copy.exists() and scratch.exists()
        instance.delete_run(busy.run_id)
        assert collect(workspace, instance, garbage) == garbage.bytes > 0
        assert not copy.exists() and not scratch.exists()


def test_copies_of_a_version_that_was_erased_on_another_machine_go(s3_root: str, tmp_path: Path) -> None:
    here, there = (Workspace(tmp_path / name, s3_root) for name in ("here", "there"))
    rows = [pl.DataFrame({"id": [name], "text": [f"{name} text"]}) for name in ("erased", "kept")]
    erased, kept = (
        version(here, "set/drafts", {"rows": table}, settings={"number": number}) for number, table in enumerate(rows)
    )
    copies = {one.manifest.snapshot_id: read(there, one) for one in (erased, kept)}
    (gone,), (used,) = copies[erased.manifest.snapshot_id], copies[kept.manifest.snapshot_id]
    torn = [gone.with_name(f"{gone.name}.0a1b2c3d.partial"), used.with_name(f"{used.name}.0a1b2c3d.partial")]
    for path in torn:
        path.write_bytes(b"half of it")

    remove(here.snapshots, erased, "taken_down", "t1")
    assert gone.exists() and torn[0].exists()
    with dg.DagsterInstance.ephemeral() as instance:
        assert {one.path for one in find_garbage(there, [], dataset="set").local} == set()  # only of all datasets
        collect(there, instance, find_garbage(there, []))
        assert left(there) == {used, torn[1]}  # this one may still be on its way
        collect(there, instance, find_garbage(there, [], now=datetime.now(UTC) + timedelta(days=8)))
        assert left(there) == {used}


def test_whoever_erases_a_version_has_nothing_of_it_left(s3_root: str, tmp_path: Path) -> None:
    here = Workspace(tmp_path / "here", s3_root)
    erased = version(here, "set/drafts", {"rows": pl.DataFrame({"id": ["1"]})})
    (copy,) = read(here, erased)
    copy.with_name(f"{copy.name}.0a1b2c3d.partial").write_bytes(b"half of it")
    remove(here.snapshots, erased, "taken_down", "t1")
    assert left(here) == set()


def read(workspace: Workspace, one: Snapshot) -> list[Path]:
    """Read a version, which leaves copies of its parts."""
    m = one.manifest
    found = workspace.snapshots.open(m.asset, m.partition, m.snapshot_id)
    assert found is not None
    return found.files()


def left(workspace: Workspace) -> set[Path]:
    return {path for path in (workspace.home / "cache").rglob("*") if path.is_file()}
