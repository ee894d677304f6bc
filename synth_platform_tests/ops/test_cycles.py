"""Cycles that make themselves: times of a cadence, a schedule that asks the plan, a standstill, freshness, tags."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.workspace.load_target import ModuleTarget
from dagster._scheduler.scheduler import launch_scheduled_runs
from pydantic import ValidationError

from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.graph import dataset_stages
from synth_platform.dataset.spec import CadenceSpec, load_spec
from synth_platform.ops.cycles import freshness_of, longest_period, newest_cycle, partitions_of
from synth_platform.ops.instance import open_instance
from synth_platform.ops.plan import Planner
from synth_platform.ops.regenerate import cycle_schedule_name
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG, SPEC_TAG, WHY_TAG, spec_fingerprint
from synth_platform.prompts.templates import Template
from synth_platform.workspace import Workspace
from synth_platform_tests.ops.test_plan import Deployment
from synth_platform_tests.pipeline import dataset, mock_engine, write_spec

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
        ({"cron": "0 6 * * 1", "at": "06:00"}, "leave at out"),
        ({"every": "day", "at": "Mon 06:00"}, "write one such as '06:00'"),
        ({"every": "day", "at": "24:00"}, "no time of a cycle of a day"),
        ({"every": "month", "at": "31 06:00"}, "no time of a cycle of a month"),
        ({"every": "day", "timezone": "Mars/Olympus"}, "no time zone"),
        ({"every": "hour", "timezone": "Europe/Berlin"}, "no hour comes twice"),
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


def test_a_release_is_late_a_while_after_its_period() -> None:
    assert longest_period(cadence(cron="0 6 * * 1-5")) == timedelta(days=3), "from Friday to Monday"
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
    with freeze_time(now):
        context = dg.build_schedule_context(
            instance=made.instance,
            scheduled_execution_time=now,
            repository_def=definitions.get_repository_def(),
            resources=resources,
        )
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
