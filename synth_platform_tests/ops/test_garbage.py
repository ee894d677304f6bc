"""Nothing that a run may be using is collected."""

import os
from pathlib import Path

import dagster as dg
import pytest

from synth_platform.errors import SynthError
from synth_platform.ops.garbage import collect, find_garbage
from synth_platform.workspace import Workspace


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
