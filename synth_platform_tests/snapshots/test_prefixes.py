"""The start of an id is enough where it is the start of one only."""

import json

import polars as pl
import pytest

from synth_platform.errors import SnapshotError
from synth_platform.release.publish import find_release
from synth_platform.snapshots.identity import complete_id
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import synth
from synth_platform_tests.snapshots.handmade import version

ROWS = {"train": pl.DataFrame({"id": ["a"], "tokens": [1]})}


def test_a_start_stands_for_one_id_and_never_for_several() -> None:
    ids = ["abcdef0123456789", "abcdef9876543210", "123456789abcdef0"]
    assert complete_id("123456", ids) == ids[2] == complete_id(ids[2], ids)
    assert complete_id("abcdef0", [*ids, ids[0]]) == ids[0], "twice in a history, and still one"
    assert complete_id("12345", ids) is None, "too short"
    assert complete_id("1234560", ids) is None
    with pytest.raises(SnapshotError, match=f"2 versions begin with 'abcdef': {ids[0]}, {ids[1]}"):
        complete_id("abcdef", ids)


def test_diff_and_publish_take_the_start_of_an_id(workspace: Workspace) -> None:
    made = [version(workspace, "small/release", ROWS, settings={"n": n}).manifest.snapshot_id for n in range(2)]
    starts = [one[:6] for one in made]
    done = synth("diff", *starts, "--json", home=workspace.home)
    assert done.returncode == 0, done.err
    compared = json.loads(done.out)
    assert [compared["before"], compared["after"]] == made
    assert find_release(workspace.snapshots, "small/release", None, starts[0]).manifest.snapshot_id == made[0]
    for given in (starts[0][:5], "f" * 7):
        with pytest.raises(SnapshotError, match="has no version"):
            find_release(workspace.snapshots, "small/release", None, given)
        assert "there is no version" in synth("diff", given, made[1], home=workspace.home).err
