"""Cycles that make themselves: times of a cadence, a schedule that asks the plan, a standstill, freshness, tags."""

import logging
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import launch_scheduled_runs
from pydantic import ValidationError

from synth_platform.config import check_name
from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.graph import dataset_stages
from synth_platform.dataset.spec import CadenceSpec, load_spec
from synth_platform.ops import long_look
from synth_platform.ops.cycles import freshness_of, longest_period, newest_cycle, partitions_of
from synth_platform.ops.instance import open_instance
from synth_platform.ops.plan import Planner
from synth_platform.ops.plan_job import plan_job_name
from synth_platform.ops.regenerate import cycle_schedule_name, regenerate_sensor_name
from synth_platform.ops.rescan import rescan_job_name
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG, SPEC_TAG, WHY_TAG, spec_fingerprint
from synth_platform.prompts.templates import Template
from synth_platform.snapshots import Identity, SnapshotWriter, cache_file, head_cache
from synth_platform.snapshots.store.s3 import S3Store
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.ops.test_plan import Deployment
from synth_platform_tests.pipeline import dataset, mock_engine, opened, write_spec

DOCUMENTS = 6


def cadence(**given: Any) -> CadenceSpec:
    return CadenceSpec.model_validate({"start": "2026-01-05", **given})


@pytest.mark.parametrize(
    ("given", "cron"),
    [
        ({"every": "hour"}, "0 * * * *"),
        ({"every": "hour", "at": ":15"}, "15 * * * *"),
        ({"every": "day", "at": "06:30"}, "30 6 * * *"),
        ({"every": "week"}, "0 0 * * 0"),
        ({"every": "week", "at": "Mon 06:00"}, "0 6 * * 1"),
        ({"every": "week", "at": "saturday 6:05"}, "5 6 * * 6"),
        ({"every": "month", "at": "15 06:00"}, "0 6 15 * *"),
        ({"cron": "0 6 * * 1-5"}, "0 6 * * 1-5"),
    ],
)
def test_times_as_people_write_them(given: dict[str, str], cron: str) -> None:
    assert cadence(**given).schedule_cron == cron


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "one of every and cron"),
        ({"every": "week", "cron": "0 6 * * 1"}, "one of every and cron"),
        ({"cron": "every monday"}, "no cron expression"),
        ({"cron": "@daily"}, "no cron expression of five parts"),
        ({"cron": "0 0 0 * * *"}, "no cron expression of five parts"),
        ({"cron": "0 6 * * 1", "at": "06:00"}, "leave at out"),
        ({"every": "day", "at": "Mon 06:00"}, "write one such as '06:00'"),
        ({"every": "day", "at": "24:00"}, "no time of a cycle of a day"),
        ({"every": "month", "at": "31 06:00"}, "no time of a cycle of a month"),
        ({"every": "day", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"every": "hour", "timezone": "Europe/Berlin"}, "no hour comes twice"),
        ({"cron": "0 0-23 * * *", "timezone": "Europe/Berlin"}, "2 cycles begin around 2026-10-25 02:00"),
        ({"cron": "0 */1 * * *", "timezone": "Europe/London"}, "2 cycles begin around 2026-10-25 01:00"),
        ({"cron": "*/30 2 * * *", "timezone": "Europe/Berlin"}, "2 cycles begin around 2026-10-25 02:00"),
        ({"cron": "0 0-23 31 10 *", "timezone": "Europe/Berlin"}, "2 cycles begin around 2027-10-31 02:00"),
        ({"every": "hour", "timezone": "Europe/Moscow", "start": "2010-01-01"}, "around 2010-10-31 02:00"),
        ({"every": "day", "start": "2026-02-30"}, "day"),
    ],
)
def test_times_that_mean_nothing_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        cadence(**given)


@pytest.mark.parametrize(
    ("given", "now", "newest"),
    [
        ({"every": "hour"}, datetime(2026, 1, 6, 2, 30, tzinfo=UTC), "2026-01-06-01.00"),
        ({"every": "week"}, datetime(2026, 1, 19, 6, tzinfo=UTC), "2026-01-11"),
        ({"every": "day", "timezone": "Asia/Tokyo"}, datetime(2026, 1, 6, 16, tzinfo=UTC), "2026-01-06"),
        ({"cron": "0 6 * * 1"}, datetime(2026, 1, 13, tzinfo=UTC), "2026-01-05"),
        ({"cron": "0 6,18 * * *"}, datetime(2026, 1, 6, 7, tzinfo=UTC), "2026-01-05-18.00"),
        ({"every": "month"}, datetime(2026, 1, 20, tzinfo=UTC), None),
    ],
)
def test_the_newest_cycle_is_the_last_that_has_ended(given: dict[str, str], now: datetime, newest: str | None) -> None:
    partitions = partitions_of(cadence(**given))
    assert partitions is not None
    with freeze_time(now):
        assert newest_cycle(partitions) == newest
        assert newest is None or partitions.has_partition_key(newest)


@pytest.mark.parametrize("timezone", ["Europe/Berlin", "America/Havana", "America/Santiago"])
@pytest.mark.parametrize("cron", ["0 0 * * *", "30 2 * * *", "0 2,3 * * *", "0 1-4/2 * * *", "0 2 * * 0"])
def test_every_cycle_has_a_name_that_leads_to_it_also_when_clocks_change(cron: str, timezone: str) -> None:
    """2:30 comes twice in autumn, and not at all in spring."""
    partitions = partitions_of(cadence(cron=cron, timezone=timezone))
    assert partitions is not None
    with freeze_time(datetime(2027, 1, 6, tzinfo=UTC)):
        cycles = partitions.get_partition_keys()
        begins = [partitions.time_window_for_partition_key(check_name(cycle)).start for cycle in cycles]
        assert all(map(partitions.has_partition_key, cycles))
    assert len(set(cycles)) == len(cycles) > 50 and all(one < after for one, after in pairwise(begins))
    days = sorted({date.fromisoformat(cycle[:10]) for cycle in cycles})
    between = timedelta(days=7 if cron.endswith("0") else 1)
    assert all(after - day == between for day, after in pairwise(days)), "no day is left out"


def test_cycles_of_an_hour_may_be_in_a_time_zone_whose_clocks_do_not_change() -> None:
    for timezone in ("UTC", "Asia/Tokyo", "Europe/Moscow"):
        assert cadence(every="hour", timezone=timezone).several_a_day


def test_a_release_is_late_a_while_after_its_period() -> None:
    assert longest_period(cadence(cron="0 6 * * 1-5")) == timedelta(days=3), "from Friday to Monday"
    assert longest_period(cadence(cron="0 * * * 1-5")) == timedelta(days=2, hours=1), "after more than a hundred hours"
    assert longest_period(cadence(cron="*/15 9-17 * * 1-5")) == timedelta(days=2, hours=15, minutes=15)
    assert longest_period(cadence(every="month")) == timedelta(days=31)
    policy = freshness_of(cadence(every="week", at="Mon 06:00", deadline_hours=12))
    assert policy == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(days=7, hours=12), warn_window=timedelta(days=7, hours=6)
    )


def test_releases_of_a_cadence_have_to_be_fresh(tmp_path: Path, tokenizer_folder: Path) -> None:
    for given in (None, {"every": "day", "start": "2026-01-01"}):
        spec = load_spec(write_spec(tmp_path, dataset("http://127.0.0.1:9/v1", tokenizer_folder, cadence=given)))
        resources = dg.Definitions(resources={"workspace": WorkspaceResource(home=str(tmp_path))})
        graph = dg.Definitions.merge(dataset_definitions(spec, tmp_path), resources).resolve_asset_graph()
        policies = {key.to_user_string(): graph.get(key).freshness_policy for key in graph.materializable_asset_keys}
        late = [name for name, policy in policies.items() if policy is not None]
        assert late == (["small/release"] if given else [])


def recipe(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}, **given}


@pytest.fixture
def cycles(
    workspace: Workspace, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Deployment, Any]]:
    """A dataset of two recipes that is made each day."""
    monkeypatch.setenv("SYNTH_HOME", str(workspace.home))
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    with mock_engine(tmp_path) as engine, open_instance(workspace) as instance:
        selected = {"sample": {"documents": DOCUMENTS}}
        attributes = dataset(
            engine.url,
            tokenizer_folder,
            sources=[{"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": selected}],
            recipes=[recipe("mine", template="mine.jinja"), recipe("faq")],
            cadence={"every": "day", "at": "06:00", "start": "2026-01-01"},
        )
        made = Deployment(workspace, instance, tmp_path / "spec", attributes)
        made.folder.mkdir(parents=True)
        made.write_template(Template.load("table", Path()).text)
        yield made, engine


def scheduled(made: Deployment, now: datetime) -> Any:
    """One tick of the schedule."""
    definitions, resources = made.definitions()
    schedule = definitions.resolve_schedule_def(cycle_schedule_name("small"))
    context = dg.build_schedule_context(
        instance=made.instance,
        scheduled_execution_time=now,
        repository_def=definitions.get_repository_def(),
        resources=resources,
    )
    with freeze_time(now), context:  # closed here: it opens an instance of its own, in place of the present one
        return schedule.evaluate_tick(context)


def test_of_two_cycles_exactly_the_changed_recipe_is_made_again(cycles: tuple[Deployment, Any]) -> None:
    made, engine = cycles
    (request,) = scheduled(made, datetime(2026, 1, 2, 6, tzinfo=UTC)).run_requests
    assert request.partition_key == "2026-01-01"
    assert {key: request.tags[key] for key in (DATASET_TAG, CYCLE_TAG, SPEC_TAG, WHY_TAG)} == {
        DATASET_TAG: "small",
        CYCLE_TAG: "2026-01-01",
        SPEC_TAG: spec_fingerprint(made.spec),
        WHY_TAG: "schedule",
    }
    run_id = made.run("2026-01-01")
    tags = made.instance.get_run_by_id(run_id).tags  # type: ignore[union-attr]
    assert tags[CYCLE_TAG] == "2026-01-01" and tags[WHY_TAG] == "by hand"
    assert len(engine.requests()) == 2 * DOCUMENTS
    assert "nothing of it has changed" in scheduled(made, datetime(2026, 1, 2, 7, tzinfo=UTC)).skip_message

    made.write_template(Template.load("table", Path()).text + "\nWrite in English.")
    (request,) = scheduled(made, datetime(2026, 1, 3, 6, tzinfo=UTC)).run_requests
    assert request.partition_key == "2026-01-02"
    made.run("2026-01-02")
    assert len(engine.requests()) == 4 * DOCUMENTS, "a cycle has documents of its own"
    assert made.plan("2026-01-02").is_current

    old = made.plan("2026-01-01")
    assert [(one.recipe, one.prompts, one.certain) for one in old.asked] == [("mine", DOCUMENTS, True)]
    assert {step.work for step in old.steps if step.asset.endswith("/faq")} == {"none"}
    said = made.tick().skip_message
    assert "current" in said, "the sensor looks at the newest cycle, and that has the template"
    made.attributes["regenerate"] = {"cycles": "all"}
    assert "2026-01-01: " in made.tick().skip_message

    made.run("2026-01-01")
    assert len(engine.requests()) == 5 * DOCUMENTS
    planner = Planner(dataset_stages(made.spec, made.folder), made.workspace.at_rest())
    assert planner.cycles_made() == ["2026-01-01", "2026-01-02"]
    first, second = planner.plans(["2026-01-01", "2026-01-02"])
    assert first.is_current
    # The review of a cycle compares it with the release before, which is another one now.
    assert {step.asset for step in second.steps if step.work != "none"} == {"small/review", "small/release"}


def test_of_a_cycle_of_which_nothing_can_be_told_a_run_is_requested(cycles: tuple[Deployment, Any]) -> None:
    """The next tick is that of the next cycle."""
    made, _ = cycles
    history = made.workspace.home / "data/small/documents/2026-01-01/refs"
    history.mkdir(parents=True)
    (history / "00000001.json").write_text("{")
    (request,) = scheduled(made, datetime(2026, 1, 2, 6, tzinfo=UTC)).run_requests
    assert request.partition_key == "2026-01-01"


def test_a_cycle_is_not_made_twice_at_once_and_its_plan_does_not_make_it(
    cycles: tuple[Deployment, Any],
) -> None:
    made, _ = cycles
    tags = {DATASET_TAG: "small", "dagster/partition": "2026-01-01"}
    for job, requested in ((plan_job_name("small"), True), ("small", False)):
        create_run_for_test(made.instance, job_name=job, status=dg.DagsterRunStatus.STARTED, tags=tags)
        ticked = scheduled(made, datetime(2026, 1, 2, 6, tzinfo=UTC))
        assert bool(ticked.run_requests) == requested, ticked.skip_message


def current_version(workspace: Workspace, asset: str, partition: str) -> None:
    """A version of an asset, without rows."""
    writer = SnapshotWriter(
        workspace.snapshots,
        Identity(asset, partition, "1", {}),
        {"train": pl.Schema({"id": pl.String()})},
        scratch=workspace.scratch,
    )
    workspace.snapshots.set_head(writer.commit(), "test")


@pytest.mark.parametrize(
    ("cadence", "left_out"),
    [
        ({"every": "day", "start": "2026-01-01"}, ()),
        ({"every": "day", "start": "2026-02-01"}, ("2026-01-01",)),
        ({"every": "week", "start": "2026-01-01"}, ("2026-01-01", "2026-03-03")),
        (None, ("2026-01-01", "2026-03-03")),
    ],
    ids=["as before", "later start", "other period", "none"],
)
def test_cycles_that_the_cadence_no_longer_has_are_left_out(
    cycles: tuple[Deployment, Any], cadence: dict[str, str] | None, left_out: tuple[str, ...]
) -> None:
    """Dagster would refuse to run them, and the sensor would say nothing else any more."""
    made, _ = cycles
    write_jsonl(
        made.folder / "late.jsonl", [{"id": "1", "question": "Who sold the nine bridges of Grimsdal, and why?"}]
    )
    made.attributes["benchmarks"] = [{"name": "late", "path": "late.jsonl"}]
    made.attributes["regenerate"] = {"on_change": "automatic", "cycles": "all"}
    made.attributes = {**made.attributes, "cadence": cadence} if cadence else without(made.attributes, "cadence")
    days = ("2026-01-01", "2026-03-03")
    for day in days:
        for asset in ("small/documents", "small/release"):
            current_version(made.workspace, asset, day)
    for sensor in (rescan_job_name("small"), regenerate_sensor_name("small")):
        made.cursor = None
        ticked = made.tick(sensor)
        assert {one.partition_key for one in ticked.run_requests} == set(days) - set(left_out), sensor
        if len(left_out) == len(days):
            assert all(day in ticked.skip_message for day in left_out)


def test_many_releases_in_a_bucket_do_not_cost_the_sensor_its_tick(
    s3_root: str, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each history is a request, and Dagster cuts a tick off after a minute."""
    workspace, days = Workspace(tmp_path / "home", s3_root), [f"2026-01-0{day}" for day in range(1, 8)]
    for day in days:
        current_version(workspace, "small/release", day)
    at_once, together = 0, [0]
    read = S3Store.read

    def read_slowly(store: S3Store, path: str) -> bytes:
        nonlocal at_once
        at_once += 1
        together.append(at_once)
        time.sleep(0.3)
        at_once -= 1
        return read(store, path)

    monkeypatch.setattr(S3Store, "read", read_slowly)
    monkeypatch.setattr(cache_file, "_WORTH_WRITING", 1)
    monkeypatch.setattr(head_cache, "_SETTLED_NS", -1)
    attributes = dataset("http://127.0.0.1:9/v1", tokenizer_folder, cadence={"every": "day", "start": "2026-01-01"})
    with opened(workspace) as instance:
        made = Deployment(workspace, instance, tmp_path / "spec", attributes)
        loaded = made.definitions()
        monkeypatch.setattr(long_look, "_SECONDS", 0.1)
        assert "still being looked at" in made.tick(rescan_job_name("small"), loaded).skip_message
        monkeypatch.setattr(long_look, "_SECONDS", 60)
        ticked = made.tick(rescan_job_name("small"), loaded)
        assert {one.partition_key for one in ticked.run_requests} == set(days)
        assert max(together) > 3 and list((workspace.home / "cache" / "heads").iterdir())
        assert "not patched: 2026-01-01" in made.tick(rescan_job_name("small"), loaded).skip_message


def without(attributes: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name != key}


def test_a_standstill_is_caught_up_with_once(
    workspace: Workspace, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's own loop, after it has missed fifty hours of an hourly schedule."""
    monkeypatch.setenv("SYNTH_HOME", str(workspace.home))
    monkeypatch.setenv("DAGSTER_HOME", str(workspace.dagster_home))
    now = datetime.now(UTC)
    start = (now - timedelta(days=7)).date().isoformat()
    attributes = dataset(
        "http://127.0.0.1:9/v1", tokenizer_folder, name="hours", cadence={"every": "hour", "start": start}
    )
    write_spec(workspace.datasets / "hours", attributes)
    target = ModuleTarget("synth_platform.definitions", None, None, "synth_platform")
    with open_instance(workspace) as instance, create_test_daemon_workspace_context(target, instance) as context:
        location = context.create_request_context().get_code_location("synth_platform")
        schedule = next(iter(location.get_repositories().values())).get_schedule("hours_cycle")
        missed_since = ScheduleInstigatorData(schedule.cron_schedule, (now - timedelta(hours=50)).timestamp())
        origin = schedule.get_remote_origin()
        instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, missed_since)
        )
        list(launch_scheduled_runs(context, logging.getLogger("daemon"), now, {}))
        runs = instance.get_runs()
        partitions = partitions_of(CadenceSpec.model_validate(attributes["cadence"]))
        assert partitions is not None
        assert [run.tags["dagster/partition"] for run in runs] == [newest_cycle(partitions)]
        assert runs[0].tags[WHY_TAG] == "schedule"
