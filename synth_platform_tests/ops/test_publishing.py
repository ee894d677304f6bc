"""Publishing an earlier release: the gates of its own day must have passed on it, not those that came later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from synth_platform.dataset.spec import load_spec
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops.guard import JUDGED_VERSION, version_of
from synth_platform.ops.publishing import publish_release
from synth_platform.release.publish import PUBLISHED
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import dataset, write_spec

RELEASE = "small/release"
OF_ITS_DAY = ["accounting", "no_empty_text", "nothing_taken_down"]
ADDED = "release:\n- {name: new_one, expect: expect_column_values_to_not_be_null, column: text, severity: critical}\n"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def released(workspace: Workspace, instance: dg.DagsterInstance, passed: list[str], **details: Any) -> Snapshot:
    """A release on which some gates passed."""
    tables = {"train": pl.Schema({"id": pl.String()})}
    writer = SnapshotWriter(workspace.snapshots, Identity(RELEASE, None, "1", {}), tables, scratch=workspace.scratch)
    writer.detail(**details)
    release = writer.commit()
    workspace.snapshots.set_head(release, "test")
    for name in passed:
        metadata = {JUDGED_VERSION: version_of(release)}
        key = dg.AssetKey(RELEASE.split("/"))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(key, name, passed=True, metadata=metadata))
    return release


@pytest.mark.parametrize(
    ("passed", "details", "missing"),
    [
        (OF_ITS_DAY, {"blocking": OF_ITS_DAY}, None),
        (OF_ITS_DAY[1:], {"blocking": OF_ITS_DAY}, "accounting"),
        (OF_ITS_DAY[:2], {"blocking": OF_ITS_DAY[:2]}, "nothing_taken_down"),
        (OF_ITS_DAY, {}, "new_one"),
    ],
    ids=["the gates of its day", "one of them did not pass", "a proof is always asked for", "it does not say"],
)
def test_an_earlier_release_answers_for_the_gates_of_its_day(
    workspace: Workspace,
    instance: dg.DagsterInstance,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    passed: list[str],
    details: dict[str, Any],
    missing: str | None,
) -> None:
    monkeypatch.setattr("synth_platform.ops.publishing.publish", lambda *given, back: PUBLISHED.to_frame())
    destination = {"type": "folder", "path": str(tmp_path / "there")}
    folder = tmp_path / "spec"
    spec = load_spec(write_spec(folder, dataset("http://127.0.0.1:9/v1", tmp_path, release={"publish": [destination]})))
    (folder / "suites.yaml").write_text(ADDED)
    version = released(workspace, instance, passed, **details).manifest.snapshot_id
    if missing is None:
        publish_release(spec, folder, workspace, instance, None, version)
        return
    with pytest.raises(SynthError, match=f"never passed the gates {missing}$"):
        publish_release(spec, folder, workspace, instance, None, version)


@pytest.mark.parametrize("version", [None, "0" * 16])
def test_a_dataset_with_cycles_is_told_which_one_is_missing(
    workspace: Workspace, instance: dg.DagsterInstance, tmp_path: Path, version: str | None
) -> None:
    release = {"publish": [{"type": "folder", "path": str(tmp_path / "there")}]}
    attributes = dataset(
        "http://127.0.0.1:9/v1", tmp_path, release=release, cadence={"every": "week", "start": "2026-01-05"}
    )
    spec = load_spec(write_spec(tmp_path / "spec", attributes))
    for partition, said in ((None, "say which cycle"), ("2026-01-06", "has no cycle '2026-01-06'")):
        with pytest.raises(SpecError, match=said):
            publish_release(spec, tmp_path, workspace, instance, partition, version)
