"""Which documents earlier cycles have used, whatever has become of their versions."""

from pathlib import Path

import polars as pl
import pytest

from synth_platform.errors import SnapshotError
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.removal import remove
from synth_platform.sources.assets import earlier_cycles
from synth_platform.workspace import Workspace

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"


def make(workspace: Workspace, asset: str, cycle: str, column: str, ids: list[str | None]) -> Snapshot:
    rows = pl.DataFrame({column: ids}, schema={column: pl.String()})
    identity = Identity(asset, cycle, "1", {"ids": ids})
    writer = SnapshotWriter(workspace.snapshots, identity, {"rows": rows.schema}, scratch=workspace.scratch)
    writer.write("rows", rows)
    snapshot = writer.commit()
    workspace.snapshots.set_head(snapshot, "test")
    return snapshot


def used(workspace: Workspace, cycle: str = THIRD) -> list[str]:
    return sorted(earlier_cycles(workspace, "set/documents", cycle).documents(workspace.snapshots))


def test_a_cycle_that_was_taken_down_counts_by_what_it_released(workspace: Workspace) -> None:
    erased = make(workspace, "set/documents", FIRST, "id", ["a", "b", "taken down"])
    make(workspace, "set/release", FIRST, "document_id", ["a", "b", "taken down"])
    make(workspace, "set/release", FIRST, "document_id", ["a", "b", None])
    make(workspace, "set/documents", SECOND, "id", ["c"])
    assert used(workspace) == ["a", "b", "c", "taken down"] and used(workspace, SECOND) == ["a", "b", "taken down"]
    remove(workspace.snapshots, erased, "taken_down", "t1")
    assert used(workspace) == ["a", "b", "c"] and used(workspace, SECOND) == ["a", "b"]


def test_a_cycle_that_was_taken_down_before_it_released_anything_has_used_nothing(workspace: Workspace) -> None:
    remove(workspace.snapshots, make(workspace, "set/documents", FIRST, "id", ["a"]), "taken_down", "t1")
    assert used(workspace) == []


def test_a_cycle_that_is_gone_without_a_word_is_an_error(workspace: Workspace) -> None:
    lost = make(workspace, "set/documents", FIRST, "id", ["a"])
    (Path(lost.location) / "manifest.json").unlink()
    with pytest.raises(SnapshotError, match=f"the cycle {FIRST} is missing"):
        used(workspace)
