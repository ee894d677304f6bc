"""A row is followed back also where only a release before the current one has it."""

import json
from collections.abc import Sequence

import polars as pl
import pytest

from synth_platform.errors import SnapshotError
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.tracing import trace
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import synth
from synth_platform_tests.snapshots.handmade import version


def released(
    workspace: Workspace, names: Sequence[str], partition: str | None = None, dataset: str = "small", text: str = ""
) -> tuple[Snapshot, Snapshot]:
    """Documents of these names, and a release of them with rows such as `row-a`, both current."""
    documents = {"documents": pl.DataFrame({"id": names, "text": [f"{text}{name}" for name in names]})}
    made = version(workspace, f"{dataset}/documents", documents, partition=partition, settings={"names": names})
    rows = pl.DataFrame({"id": [f"row-{name}" for name in names], "document_id": names})
    return made, version(workspace, f"{dataset}/release", {"train": rows}, made.ref, partition=partition)


def test_a_row_of_an_earlier_release_is_found_and_said_to_be_of_it(workspace: Workspace) -> None:
    _, oldest = released(workspace, ["a", "b"])
    documents, earlier = released(workspace, ["b", "c"])
    _, current = released(workspace, ["c", "d"])

    found = trace(workspace.snapshots, "row-b")
    assert found.earlier_release is not None, "the newest of those that have it"
    assert found.earlier_release["snapshot"] == earlier.manifest.snapshot_id
    assert found.document is not None and found.document["text"] == "b"
    assert found.snapshots["small/documents"] == documents.manifest.snapshot_id
    upstream = trace(workspace.snapshots, "a")
    assert upstream.earlier_release is not None and upstream.descendants["release"] == ["row-a"]
    assert upstream.earlier_release["snapshot"] == oldest.manifest.snapshot_id
    of_now = trace(workspace.snapshots, "row-c")
    assert of_now.earlier_release is None
    assert of_now.snapshots["small/release"] == current.manifest.snapshot_id

    shown = synth("trace", "row-a", home=workspace.home)
    assert f"in no current version: of the release small/release {oldest.manifest.snapshot_id}" in shown.out, shown.err
    as_json = json.loads(synth("trace", "a", "--json", home=workspace.home).out)
    assert as_json["earlier_release"]["snapshot"] == oldest.manifest.snapshot_id


def test_only_versions_on_the_way_of_a_row_are_named(workspace: Workspace) -> None:
    documents, release = released(workspace, ["a"])
    version(workspace, "other/documents", {"documents": pl.DataFrame({"id": ["b"], "text": ["b"]})})
    expected = {one.manifest.asset: one.manifest.snapshot_id for one in (documents, release)}
    assert trace(workspace.snapshots, "row-a").snapshots == trace(workspace.snapshots, "a").snapshots == expected


def test_a_row_is_followed_by_what_its_own_version_was_made_from(workspace: Workspace) -> None:
    """Other datasets, and other cycles, have other documents of the same id."""
    released(workspace, ["17"], dataset="alpha", text="alpha's ")
    beta, _ = released(workspace, ["17", "18"], dataset="beta", text="beta's ")
    released(workspace, ["17"], "2026-01", "weekly", "2026-01 ")
    second, _ = released(workspace, ["17", "19"], "2026-02", "weekly", "2026-02 ")

    def shown(row_id: str, dataset: str = "") -> tuple[str, list[str]]:
        found = trace(workspace.snapshots, row_id, dataset)
        assert found.document is not None
        return found.document["text"], found.also_in

    rows = {name: {"rows": pl.DataFrame({"id": [name], "document_id": ["17"]})} for name in ("b", "w")}
    of_beta = version(workspace, "beta/mixture", rows["b"], beta.ref)
    of_week = version(workspace, "weekly/mixture", rows["w"], second.ref, partition="2026-02")
    assert shown("b") == ("beta's 17", []) and shown("w") == ("2026-02 17", [])
    assert trace(workspace.snapshots, "b").snapshots["beta/mixture"] == of_beta.manifest.snapshot_id
    assert trace(workspace.snapshots, "w").snapshots["weekly/mixture"] == of_week.manifest.snapshot_id
    assert shown("row-17") == shown("17") == ("alpha's 17", ["beta", "weekly"])
    assert shown("row-17", "beta") == shown("17", "beta") == ("beta's 17", [])
    assert trace(workspace.snapshots, "17", "beta").descendants["release"] == ["row-17"]
    assert trace(workspace.snapshots, "17").descendants["mixture"] == []
    assert len(trace(workspace.snapshots, "17", "weekly").descendants["release"]) == 2, "of both cycles"
    said = synth("trace", "17", "--dataset", "beta", home=workspace.home).out
    assert "beta's 17" in said and "alpha" not in said
    assert "in beta, weekly: --dataset shows it" in synth("trace", "17", home=workspace.home).out
    with pytest.raises(SnapshotError, match="no row has the id"):
        trace(workspace.snapshots, "18", "alpha")


def test_releases_that_are_current_in_their_cycle_or_again_are_no_earlier_ones(workspace: Workspace) -> None:
    _, first = released(workspace, ["a"], partition="2026-01")
    released(workspace, ["b"], partition="2026-02")
    assert trace(workspace.snapshots, "row-a").earlier_release is None
    released(workspace, ["c"], partition="2026-01")
    found = trace(workspace.snapshots, "row-a").earlier_release
    assert found is not None and found["partition"] == "2026-01"
    workspace.snapshots.set_head(first, "again")
    assert trace(workspace.snapshots, "row-a").earlier_release is None


def test_a_collected_release_is_passed_over_and_a_damaged_one_is_named(workspace: Workspace) -> None:
    documents, collected = released(workspace, ["a"])
    remove(workspace.snapshots, collected, "collected")
    released(workspace, ["b"])
    damaged, _ = released(workspace, ["c"])
    released(workspace, ["d"])
    with pytest.raises(SnapshotError, match="no row has the id 'row-a'"):
        trace(workspace.snapshots, "row-a")
    for file in damaged.files():
        file.unlink()
    assert trace(workspace.snapshots, "row-b").earlier_release is not None, "another release has it"
    with pytest.raises(SnapshotError, match="not all could"):
        trace(workspace.snapshots, "row-c")
    assert documents.is_whole()
