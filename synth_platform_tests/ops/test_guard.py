"""A gate that crashed, was skipped, is stale, or judged another partition is closed, however a run is started."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.test_utils import create_run_for_test

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, gate_checks
from synth_platform.ops.guard import JUDGED_VERSION, Upstream, judgements, version_of, why_closed
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import Stage, StageRun, stage_asset
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace
from synth_platform_tests.ops.ways import DAYS, NEWEST, Ways, ways
from synth_platform_tests.pipeline import dataset, synth, write_spec

GATE = Gate("good", "good", 1, 1, "critical", "Whether it is good")
TAGS: Mapping[Callable[[Ways], None], str] = {
    Ways.by_hand: "dagster/partition",
    Ways.backfill: "dagster/backfill",
    Ways.schedule: "dagster/schedule_name",
    Ways.sensor: "dagster/sensor_name",
    Ways.automation: "dagster/partition",
}
"""Ways to start a run, and by which tag it is known."""


class Pair:
    """Asset `d/documents`, its gate, and `d/prompts`, which reads it."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, partitions: Any = None) -> None:
        self.instance, self.value, self.good = instance, 1, 1.0
        self.crash = False
        self.context = DatasetContext("d", 0, folder, partitions=partitions)
        self.workspace = Workspace(folder / "home")
        upstream = Upstream("d/documents", ("good",))
        self.definitions = dg.Definitions(
            assets=[self._asset("d/documents", ()), self._asset("d/prompts", (upstream,))],
            asset_checks=[gate_checks(self.context, "d/documents", [GATE], self._profile)],
            resources={"workspace": WorkspaceResource(home=str(self.workspace.home))},
        )

    def _asset(self, asset: str, upstreams: tuple[Upstream, ...]) -> dg.AssetsDefinition:
        def work(run: StageRun) -> None:
            run.writer.write("rows", pl.DataFrame({"id": ["a"]}))

        def build(workspace: Workspace, partition: str | None) -> Stage:
            schema = pl.Schema({"id": pl.String()})
            value = self.value if not upstreams else 0
            return Stage(asset, "1", {"value": value}, upstreams, {"rows": schema}, work)

        condition = dg.AutomationCondition.eager() if upstreams else None
        spec = self.context.spec(
            asset, upstreams, description="", kinds=set(), code_version="1", automation_condition=condition
        )
        return stage_asset(self.context, spec, build, lambda workspace, snapshot: {}).definition

    def _profile(self, workspace: Workspace, snapshot: Snapshot) -> Judged:
        if self.crash:
            raise RuntimeError("the gate's code is broken")
        return Judged({"good": self.good}, {"good": "| row |\n|---|\n| a |\n\n![Rows](data:image/png;base64,AA)"})

    def run(self, *assets: str, checks: bool = True, day: str | None = None) -> bool:
        keys = dg.AssetSelection.assets(*(dg.AssetKey(asset.split("/")) for asset in assets))
        selection = keys if checks else keys.without_checks()
        job = dg.define_asset_job("j", selection=selection, partitions_def=self.context.partitions)
        chosen = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job])).resolve_job_def("j")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        return chosen.execute_in_process(quiet, self.instance, partition_key=day, raise_on_error=False).success

    def made(self, day: str | None = None) -> bool:
        return self.workspace.snapshots.head("d/prompts", day) is not None


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


def test_a_closed_gate_says_what_was_measured_and_shows_rows(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance)
    pair.good = 0.123456789
    assert not pair.run("d/documents", "d/prompts")
    key = dg.AssetCheckKey(dg.AssetKey(["d", "documents"]), "good")
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert record.evaluation is not None and record.evaluation.metadata["observed"].value == 0.123457
    said = str(record.evaluation.description)
    assert said.startswith(
        "Not passed: measured 0.1235, must be 1. Nothing that reads this asset is made until it passes."
    )
    assert said.endswith("| a |"), "rows as examples, but no picture"


@pytest.mark.parametrize("start", TAGS, ids=lambda way: way.__name__)
def test_a_closed_gate_holds_however_a_run_is_started(start: Callable[[Ways], None], tmp_path: Path) -> None:
    with dg.instance_for_test(synchronous_run_launcher=True) as stored:
        pair = Pair(tmp_path, stored, DAYS)
        with ways(dg.AssetKey(["d", "prompts"]), pair.definitions, stored) as dagster:
            assert pair.run("d/documents", day=NEWEST, checks=False)
            start(dagster)
            dagster.launch_queued()
        run, _ = stored.get_runs()
        assert TAGS[start] in run.tags and run.status == dg.DagsterRunStatus.FAILURE and not pair.made(NEWEST)
        (why,) = stored.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        assert "d/documents: gate 'good' never ran" in why.get_dagster_event().step_failure_data.error_display_string


def test_a_gate_that_crashed_stays_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance)
    pair.crash = True
    assert not pair.run("d/documents", "d/prompts")
    assert not pair.made(), "in the same run"
    assert not pair.run("d/prompts") and not pair.made(), "in a later one"


def test_a_gate_that_failed_or_has_no_number_stays_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    for good in (0.0, float("nan")):
        pair = Pair(tmp_path / str(good), instance)
        pair.good = good
        assert not pair.run("d/documents", "d/prompts") or not pair.made()
        assert not pair.run("d/prompts") and not pair.made()


def test_a_gate_that_was_skipped_stays_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents", checks=False)
    assert not pair.run("d/prompts") and not pair.made()


def test_a_gate_that_judged_an_older_version_stays_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents")
    pair.value = 2
    assert pair.run("d/documents", checks=False)
    assert not pair.run("d/prompts") and not pair.made()
    assert pair.run("d/documents") and pair.run("d/prompts") and pair.made()


def test_a_gate_that_judged_another_partition_stays_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance, DAYS)
    assert pair.run("d/documents", day="2026-01-01")
    assert pair.run("d/documents", day="2026-01-02", checks=False)
    assert not pair.run("d/prompts", day="2026-01-02") and not pair.made("2026-01-02")
    assert pair.run("d/prompts", day="2026-01-01") and pair.made("2026-01-01")


def plan(instance: dg.DagsterInstance) -> dg.DagsterRun:
    """Another run that is at work and is going to judge the documents."""
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED)
    planned = AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(["d", "documents"]), check_name="good")
    _report(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, planned)
    return run


def judge(instance: dg.DagsterInstance, run: dg.DagsterRun, version: str, passed: bool = True) -> None:
    """The verdict of such a run."""
    key = dg.AssetKey(["d", "documents"])
    said = dg.AssetCheckEvaluation(
        asset_key=key, check_name="good", passed=passed, metadata={JUDGED_VERSION: dg.MetadataValue.text(version)}
    )
    _report(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION, said)


def _report(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType, data: Any) -> None:
    instance.report_dagster_event(dg.DagsterEvent(kind.value, run.job_name, event_specific_data=data), run.run_id)


def test_what_another_run_is_about_to_say_closes_nothing(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """Datasets share test sets, so their runs judge them at the same time."""
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents")
    other = plan(instance)
    for _ in range(250):  # the runs of a backfill that wait
        plan(instance)
    assert pair.run("d/prompts") and pair.made()
    pair.value = 2
    assert pair.run("d/documents", checks=False)
    assert not pair.run("d/prompts"), "nobody has judged this version"
    instance.report_run_failed(other)
    assert not pair.run("d/prompts")


def test_a_gate_of_a_run_that_ended_without_a_verdict_is_closed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents")
    instance.report_run_failed(plan(instance))
    assert not pair.run("d/prompts") and not pair.made()


def test_of_runs_at_the_same_time_each_goes_by_the_verdict_on_its_version(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents", checks=False)
    version = pair.workspace.snapshots.head("d/documents", None)
    assert version is not None
    first, second = plan(instance), plan(instance)

    def closed(run: dg.DagsterRun | None) -> str | None:
        return why_closed(instance, version, ["good"], run.run_id if run else None).get("good")

    assert (closed(first), closed(second), closed(None)) == ("did not finish", "did not finish", "never ran")
    judge(instance, second, "an older one")
    judge(instance, first, version_of(version))
    assert (closed(first), closed(second), closed(None)) == (None, "judged another version", "judged another version")
    judge(instance, plan(instance), version_of(version), passed=False)
    assert (closed(first), closed(second), closed(None)) == ("failed",) * 3
    plan(instance)
    assert (closed(first), closed(None)) == ("failed", "failed"), "a plan does not hide that"


def test_what_is_said_of_a_version_is_the_verdict_on_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    """As it stands on the card of a release, whatever other runs judge or are about to."""
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents")
    first = pair.workspace.snapshots.head("d/documents", None)
    assert first is not None
    run = instance.get_runs(limit=1)[0]

    def said(asking: str) -> list[bool]:
        return [one.passed for one in judgements(instance, [first], {"d/documents": ["good"]}, asking)]

    plan(instance)
    assert said(run.run_id) == [True]
    pair.value, pair.good = 2, 0.0
    assert not pair.run("d/documents")
    assert said(run.run_id) == [True], "another version failed"
    crashed = plan(instance)
    assert said(crashed.run_id) == [], "it was to be judged in this run"


def test_a_closed_gate_holds_for_a_command_that_makes_what_comes_after_it(
    tmp_path: Path, tokenizer_folder: Path
) -> None:
    """`synth screen --apply` makes mixture and release, and leaves the documents as they are."""
    workspace = Workspace(tmp_path / "home")
    attributes = dataset(
        "http://127.0.0.1:9/v1",
        tokenizer_folder,
        sources=[{"type": "python-docs", "roles": ["mix_in"], "select": {"sample": {"documents": 5}}}],
        recipes=[],
        benchmarks=None,
        gates={"documents": {"not_empty": {"min": 1000}}},
    )
    spec = str(write_spec(tmp_path / "spec", attributes))
    assert synth("materialize", spec, home=workspace.home).returncode != 0
    applied = synth("screen", spec, "--apply", home=workspace.home)
    assert applied.returncode != 0 and "small/documents: gate 'not_empty' failed" in applied.err
    assert not {"small/mixture", "small/release"} & {asset for asset, _ in workspace.snapshots.assets("small")}
