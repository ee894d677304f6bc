"""One message per dataset and run: failed gates with their numbers, failed runs, reported gates, missed deadlines."""

import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import WILL_RETRY_TAG
from dagster._core.test_utils import create_run_for_test

from synth_platform.alerts.config import EmailChannel, SlackChannel, WebhookChannel
from synth_platform.dataset.definitions import alert_definitions
from synth_platform.dataset.spec import CadenceSpec, load_spec
from synth_platform.definitions import defs
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops import alerts, outbox
from synth_platform.ops.alerts import (
    DATASET_TAG,
    DEADLINE_SENSOR,
    FAILURE_SENSOR,
    GATE_SENSOR,
    SPEC_SENSOR,
    alert_sensors,
)
from synth_platform.ops.doctor.runs import PROCESS_IS_GONE
from synth_platform.ops.outbox import Channels
from synth_platform_tests.alerts.stand_ins import Received, web_service
from synth_platform_tests.ops.test_guard import DAYS, Pair
from synth_platform_tests.pipeline import dataset, write_spec

WEBHOOK = WebhookChannel(type="webhook", url_env="TEST_HOOK")
SENSOR_ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(GrpcServerCodeLocationOrigin("127.0.0.1", port=9), "__repository__"), "d_cycle"
)
"""Where a run comes from that the daemon can launch again."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    with web_service() as opened:
        monkeypatch.setenv("TEST_HOOK", opened.url)
        monkeypatch.setenv("SYNTH_UI_URL", "https://dagster.example/")
        yield opened


def tell_of_failure(instance: dg.DagsterInstance, *channels: Any) -> dg.DagsterRun:
    """A tick after the last run has failed."""
    ticker(instance, FAILURE_SENSOR, dg.Definitions(), {"d": channels or (WEBHOOK,)}, known={"first": 0, "last": 0})()
    return instance.get_runs(limit=1)[0]


def told(run: dg.DagsterRun, outcome: str) -> str:
    """What the tag of a run says of its message."""
    return f"{outcome} (of run {run.run_id[:8]})"


def ticker(
    instance: dg.DagsterInstance,
    name: str,
    definitions: dg.Definitions,
    channels: Channels | None = None,
    known: Any = None,
    cadences: Mapping[str, CadenceSpec] = {},
) -> Callable[[], None]:
    """Ticks of a sensor, each with the cursor of the one before; the first with what is known."""
    cursor = [json.dumps(known) if known is not None else None]
    found = alert_sensors(channels or {"d": (WEBHOOK,), "silent": ()}, cadences)
    watch: Any = next(one for one in found if one.name == name)
    repository = definitions.get_repository_def()

    def tick() -> None:
        context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor[0])
        cursor[0] = watch(context).cursor

    return tick


def test_a_closed_gate_is_told_once_with_its_numbers(
    tmp_path: Path, instance: dg.DagsterInstance, service: Received
) -> None:
    pair = Pair(tmp_path, instance, DAYS)
    pair.good = 0.25
    assert not pair.run("d/documents", "d/prompts", day="2026-01-02")
    run = tell_of_failure(instance)
    tell_of_failure(instance)
    (body,) = service.bodies
    assert body["event"] == "gate" and body["title"] == "d 2026-01-02: a gate closed"
    assert body["gates"] == [{"asset": "d/documents", "gate": "good", "observed": 0.25, "bounds": "must be 1"}]
    assert body["text"].splitlines()[0] == "d/documents · good: observed 0.25, must be 1"
    assert body["link"] == f"https://dagster.example/runs/{run.run_id}"
    assert run.tags["synth/alerted.d"] == told(run, "webhook: sent")


def test_a_crash_is_told_with_its_cause(tmp_path: Path, instance: dg.DagsterInstance, service: Received) -> None:
    pair = Pair(tmp_path, instance)
    pair.crash = True
    assert not pair.run("d/documents", "d/prompts")
    tell_of_failure(instance)
    (body,) = service.bodies
    assert body["event"] == "run" and body["title"] == "d: the run failed"
    assert "the gate's code is broken" in body["text"] and body["gates"] == []


def test_a_run_that_died_is_told_with_what_ended_it(instance: dg.DagsterInstance, service: Received) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={DATASET_TAG: "d"})
    instance.report_run_failed(run, PROCESS_IS_GONE)
    tell_of_failure(instance)
    (body,) = service.bodies
    assert body["title"] == "d: the run failed" and body["text"].splitlines()[0] == PROCESS_IS_GONE


ONCE = {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not yet noted"])
@pytest.mark.parametrize(
    ("settings", "by_daemon", "data", "repeated"),
    [
        (ONCE, True, None, True),
        (ONCE, True, JobFailureData(None), True),
        (ONCE, False, None, False),
        (ONCE, True, JobFailureData(None, failure_reason=RunFailureReason.STEP_FAILURE), False),
        (ONCE | {"max_retries": 0}, True, None, False),
        ({"enabled": False}, True, None, False),
    ],
    ids=["died", "died for an unknown reason", "launched by hand", "a step failed", "no repeats left", "switched off"],
)
def test_whether_a_run_is_repeated_is_known_before_dagster_has_noted_it(
    service: Received,
    settings: dict[str, Any],
    by_daemon: bool,
    data: JobFailureData | None,
    repeated: bool,
    noted: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with dg.instance_for_test(overrides={"run_retries": settings}) as instance:
        origin = SENSOR_ORIGIN if by_daemon else None
        run = create_run_for_test(
            instance, status=dg.DagsterRunStatus.STARTED, tags={DATASET_TAG: "d"}, remote_job_origin=origin
        )
        with monkeypatch.context() as patched:
            if not noted:  # Dagster tags the run a moment after it has failed
                patched.setattr(dg.DagsterInstance, "_should_retry_run", lambda *about: False)
                patched.setattr(dg.DagsterInstance, "add_run_tags", lambda *about: None)
            instance.report_run_failed(run, PROCESS_IS_GONE, data)
        heard = instance.get_run_by_id(run.run_id)
        assert heard is not None and (WILL_RETRY_TAG in heard.tags) == (noted and settings["enabled"])
        tell_of_failure(instance)
    (body,) = service.bodies
    assert ("The run is repeated by itself." in body["text"]) == repeated


def test_runs_without_a_jobs_tag_are_known_by_what_they_were_to_make_or_check(
    tmp_path: Path, instance: dg.DagsterInstance, service: Received
) -> None:
    pair = Pair(tmp_path, instance)
    assert pair.run("d/documents")
    pair.crash = True
    only = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["d", "documents"]), "good"))
    job = dg.define_asset_job("only_checks", selection=only)
    chosen = dg.Definitions.merge(pair.definitions, dg.Definitions(jobs=[job])).resolve_job_def("only_checks")
    assert not chosen.execute_in_process(instance=instance, raise_on_error=False).success
    tell_of_failure(instance)
    assert [body["dataset"] for body in service.bodies] == ["d"]


def test_a_failed_run_is_told_though_looking_at_it_went_wrong_at_first(
    instance: dg.DagsterInstance, service: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
        run = create_run_for_test(instance, status=status, tags={DATASET_TAG: "d"})
        instance.report_run_failed(run, PROCESS_IS_GONE)
        return run

    fail()
    tick = ticker(instance, FAILURE_SENSOR, dg.Definitions())
    tick()
    tick()
    assert service.bodies == [], "what failed before anybody looked is history"
    run = fail()
    with monkeypatch.context() as broken:
        broken.setattr(dg.DagsterInstance, "get_run_records", lambda *about, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tick()
    for _ in range(3):
        tick()
    assert [body["run_id"] for body in service.bodies] == [run.run_id]


def test_a_failed_run_whose_log_cannot_be_read_is_told_all_the_same(
    instance: dg.DagsterInstance, service: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={DATASET_TAG: "d"})
    instance.report_run_failed(run, PROCESS_IS_GONE)
    monkeypatch.setattr(dg.DagsterInstance, "get_records_for_run", lambda *about, **more: 1 / 0)
    tell_of_failure(instance)
    (body,) = service.bodies
    assert body["title"] == "d: the run failed" and body["text"].startswith("why could not be read: ZeroDivisionError")


def test_who_is_away_does_not_disturb_and_who_does_not_listen_hears_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, service: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_platform.alerts.deliver._PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("TEST_DEAD", "http://127.0.0.1:9/x")
    pair = Pair(tmp_path, instance)
    pair.good = 0.0
    assert not pair.run("d/documents")
    dead = SlackChannel(type="slack", url_env="TEST_DEAD")
    deaf = WebhookChannel(type="webhook", url_env="TEST_HOOK", events=["late"])
    run = tell_of_failure(instance, dead, deaf, WEBHOOK)
    assert len(service.bodies) == 1
    said = run.tags["synth/alerted.d"]
    assert said.startswith("slack: ConnectError") and said.endswith(told(run, "(3 tries); webhook: sent"))


def test_gates_that_failed_outside_a_failed_run_are_told_once(
    tmp_path: Path, instance: dg.DagsterInstance, service: Received
) -> None:
    pair = Pair(tmp_path, instance)
    pair.good = 0.0
    assert not pair.run("d/documents")
    tick = ticker(instance, GATE_SENSOR, pair.definitions)
    tick()
    assert service.bodies == [], "what failed before anybody looked is history"
    assert not pair.run("d/documents")
    tick()
    assert service.bodies == [], "a failed run is told of by the other sensor, with all of its gates"
    for severity in (dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR):
        report(instance, severity=severity, observed=3)
        tick()
        tick()
    (body,) = service.bodies
    assert body["text"] == "d/documents · good: observed 3, must be 1" and body["run_id"] is None


def test_a_gate_that_failed_for_one_cycle_and_passed_for_the_next_is_told(
    tmp_path: Path, instance: dg.DagsterInstance, service: Received
) -> None:
    """Both within the sensor's interval, and nothing more of it afterwards."""
    tick = ticker(instance, GATE_SENSOR, Pair(tmp_path, instance).definitions)
    report(instance, observed=1)
    tick()
    for observed, passed in ((2, False), (3, False), (4, True)):
        report(instance, observed=observed, passed=passed)
    tick()
    tick()
    assert [body["gates"][0]["observed"] for body in service.bodies] == [2, 3]


def report(
    instance: dg.DagsterInstance,
    *,
    observed: int,
    passed: bool = False,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> None:
    """What somebody outside of all runs says of a gate."""
    reported = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["d", "documents"]),
        check_name="good",
        passed=passed,
        severity=severity,
        metadata={"observed": observed, "bounds": "must be 1"},
    )
    instance.report_runless_asset_event(reported)


MONDAYS = CadenceSpec(every="week", at="Mon 06:00", start="2026-01-05", timezone="Europe/Berlin", deadline_hours=24)


class Clock:
    """The time as the sensors see it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(alerts, "now", lambda: self.at.timestamp())

    def set(self, at: str) -> None:
        self.at = datetime.fromisoformat(at).replace(tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def release(instance: dg.DagsterInstance, cycle: str, dataset: str = "d") -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization([dataset, "release"], partition=cycle))


def test_a_release_that_is_not_there_by_its_deadline_is_told_once(
    instance: dg.DagsterInstance, service: Received, clock: Clock
) -> None:
    tick = ticker(instance, DEADLINE_SENSOR, dg.Definitions(), cadences={"d": MONDAYS})
    clock.set("2026-01-14 12:00")
    tick()
    assert service.bodies == [], "what was never released is not waited for"
    release(instance, "2026-01-04")
    clock.set("2026-01-20 05:59")
    tick()
    assert service.bodies == [], "the deadline of the second cycle ends at six"
    for at in ("2026-01-20 06:00", "2026-01-20 06:05", "2026-01-29 12:00"):
        clock.set(at)
        tick()
    (body,) = service.bodies
    assert (body["event"], body["dataset"], body["partition"]) == ("late", "d", "2026-01-11")
    assert body["title"] == "d 2026-01-11: the release is late"
    assert body["text"].startswith("the newest one is that of 2026-01-04")
    assert body["link"] == "https://dagster.example/assets/d/release"
    release(instance, "2026-01-18")
    tick()
    assert len(service.bodies) == 1
    clock.set("2026-02-03 06:00")
    tick()
    assert [body["partition"] for body in service.bodies] == ["2026-01-11", "2026-01-25"]


@pytest.mark.parametrize("again", ["2026-01-04", "2025-12-28"], ids=["the newest", "an older one"])
def test_a_cycle_that_is_made_anew_does_not_hide_that_the_next_is_late(
    again: str, instance: dg.DagsterInstance, service: Received, clock: Clock
) -> None:
    """Such as a patch, a day before."""
    tick = ticker(instance, DEADLINE_SENSOR, dg.Definitions(), cadences={"d": MONDAYS})
    release(instance, "2026-01-04")
    release(instance, again)
    clock.set("2026-01-20 06:00")
    tick()
    assert [body["title"] for body in service.bodies] == ["d 2026-01-11: the release is late"]


def test_a_run_that_repeats_a_told_one_and_fails_is_told_again(instance: dg.DagsterInstance, service: Received) -> None:
    """Dagster gives it the tags of the first."""
    tick = ticker(instance, FAILURE_SENSOR, dg.Definitions(), known={"first": 0, "last": 0})
    tags = {DATASET_TAG: "d"}
    for _ in range(2):
        run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.report_run_failed(run, PROCESS_IS_GONE)
        tick()
        tick()
        heard = instance.get_run_by_id(run.run_id)
        assert heard is not None and heard.tags["synth/alerted.d"] == told(run, "webhook: sent")
        tags = dict(heard.tags)
    assert len({body["run_id"] for body in service.bodies}) == len(service.bodies) == 2


def test_a_run_that_is_deleted_while_its_message_waits_holds_up_no_other(
    instance: dg.DagsterInstance, service: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_platform.alerts.deliver._PAUSE_SECONDS", 0.01)
    monkeypatch.setenv("TEST_AWAY", "http://127.0.0.1:9/x")
    away = WebhookChannel(type="webhook", url_env="TEST_AWAY")
    channels = {"d": (WEBHOOK, away)}
    tick = ticker(instance, FAILURE_SENSOR, dg.Definitions(), channels, known={"first": 0, "last": 0})

    def fail() -> dg.DagsterRun:
        run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={DATASET_TAG: "d"})
        instance.report_run_failed(run, PROCESS_IS_GONE)
        tick()
        return run

    first = fail()
    instance.delete_run(first.run_id)
    second = fail()
    tick()
    assert [body["run_id"] for body in service.bodies] == [first.run_id, second.run_id]
    monkeypatch.setenv("TEST_AWAY", service.url)
    tick()
    tick()
    assert sorted(body["run_id"] for body in service.bodies[2:]) == sorted([first.run_id, second.run_id])


def test_a_channel_whose_setting_cannot_be_used_disturbs_no_other(
    instance: dg.DagsterInstance, service: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_SMTP_URL", "smtp://user:S3cret#pw@mail.example:587")
    mail = EmailChannel(type="email", to=["ann@example.org"])
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags={DATASET_TAG: "d"})
    instance.report_run_failed(run, PROCESS_IS_GONE)
    for _ in range(3):
        tell_of_failure(instance, mail, WEBHOOK)
    heard = instance.get_run_by_id(run.run_id)
    assert heard is not None and len(service.bodies) == 1
    said = heard.tags["synth/alerted.d"]
    assert "SYNTH_SMTP_URL cannot be read as an address" in said and "S3cret" not in said


def test_sensors_are_there_where_somebody_wants_to_hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = load_spec(write_spec(tmp_path / "a", dataset("http://127.0.0.1:9/v1", tmp_path)))
    named = [{"type": "email", "to": ["ann@example.org"]}]
    told = load_spec(write_spec(tmp_path / "b", dataset("http://127.0.0.1:9/v1", tmp_path, alerts=named)))
    assert not alert_definitions([(silent, tmp_path)]).sensors
    expected = {FAILURE_SENSOR, GATE_SENSOR, DEADLINE_SENSOR}
    assert {one.name for one in alert_definitions([(told, tmp_path)]).sensors or ()} == expected
    monkeypatch.setenv("SYNTH_ALERTS", '[{"type": "slack", "url_env": "TEST_HOOK"}]')
    found = alert_definitions([(silent, tmp_path)]).sensors or ()
    assert all(getattr(one, "default_status", None) == dg.DefaultSensorStatus.RUNNING for one in found)
    assert len(list(found)) == 4


def test_a_spec_that_cannot_be_used_is_told_once_until_it_is_mended(
    instance: dg.DagsterInstance, service: Received
) -> None:
    error = SpecError("seed: must be a number", where="datasets/bad/defs.yaml:3", fix="write a number")
    cursor = None

    def load(refused: dict[str, SynthError]) -> None:
        """A code location that is loaded and looks twice."""
        nonlocal cursor
        (watch,) = alert_sensors({}, {}, [WEBHOOK], refused)
        repository = dg.Definitions(sensors=[watch]).get_repository_def()
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
            found = watch(context)
            assert isinstance(found, dg.SensorResult)
            cursor = found.cursor

    load({})
    assert service.bodies == []
    load({"refused_specs/bad": error})
    (body,) = service.bodies
    assert (body["event"], body["dataset"]) == ("spec", "bad")
    assert body["title"] == "the spec of bad cannot be used"
    assert "seed: must be a number" in body["text"] and "defs.yaml:3" in body["text"]
    assert body["link"] == "https://dagster.example/assets/refused_specs/bad"
    load({})
    load({"refused_specs/bad": error})
    assert len(service.bodies) == 2
    load({"refused_specs/bad": SpecError("seed: must be positive")})
    assert "must be positive" in service.bodies[2]["text"]


def test_who_wants_to_hear_of_specs_is_told_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: Received
) -> None:
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    monkeypatch.setenv("SYNTH_ALERTS", '[{"type": "webhook", "url_env": "TEST_HOOK", "events": ["spec"]}]')
    write_spec(tmp_path / "datasets" / "bad", {"name": "bad"})
    repository = defs().get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance, repository_def=repository)
        repository.get_sensor_def(SPEC_SENSOR).evaluate_tick(context)
    assert [body["dataset"] for body in service.bodies] == ["bad"]


@pytest.fixture
def hole(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebhookChannel]:
    """A channel that takes connections and never answers."""
    monkeypatch.setattr("synth_platform.ops.outbox._SECONDS_OF_A_TICK", 2.0)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as opened:
        monkeypatch.setenv("TEST_HOLE", f"http://127.0.0.1:{opened.getsockname()[1]}/")
        yield WebhookChannel(type="webhook", url_env="TEST_HOLE")


def late(instance: dg.DagsterInstance, clock: Clock, *names: str) -> dict[str, CadenceSpec]:
    """Datasets whose releases are late."""
    for name in names:
        release(instance, "2026-01-04", name)
    clock.set("2026-01-20 06:00")
    return dict.fromkeys(names, MONDAYS)


def test_a_channel_that_hangs_holds_up_no_other_and_is_told_later(
    instance: dg.DagsterInstance,
    service: Received,
    hole: WebhookChannel,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cadences = late(instance, clock, "a", "b")
    channels = {"a": (hole, WEBHOOK), "b": (hole, WEBHOOK)}
    tick = ticker(instance, DEADLINE_SENSOR, dg.Definitions(), channels, cadences=cadences)
    began = time.monotonic()
    tick()
    assert time.monotonic() - began < 8, "Dagster ends a tick after a minute, and forgets what it did"
    said = [f"{name} 2026-01-11: the release is late" for name in ("a", "b")]
    assert sorted(body["title"] for body in service.bodies) == said
    tick()
    assert len(service.bodies) == 2, "who has heard it hears it no second time"
    monkeypatch.setenv("TEST_HOLE", service.url)
    tick()
    tick()
    assert sorted(body["title"] for body in service.bodies[2:]) == said


def test_what_no_tick_could_send_for_hours_is_given_up(
    instance: dg.DagsterInstance,
    service: Received,
    hole: WebhookChannel,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cadences = late(instance, clock, "a")
    tick = ticker(instance, DEADLINE_SENSOR, dg.Definitions(), {"a": (hole,)}, cadences=cadences)
    tick()
    real = outbox.now
    monkeypatch.setattr(outbox, "now", lambda: real() + 7 * 3600)
    tick()
    assert "WARNING - given up: a 2026-01-11: the release is late (webhook: ReadTimeout" in capsys.readouterr().err
    monkeypatch.setenv("TEST_HOLE", service.url)
    tick()
    assert service.bodies == []


def test_a_failed_run_is_told_by_another_sensor_where_a_channel_was_away(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    service: Received,
    hole: WebhookChannel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = Pair(tmp_path, instance)
    pair.good = 0.0
    assert not pair.run("d/documents")
    run = tell_of_failure(instance, WEBHOOK, hole)
    assert run.tags["synth/alerted.d"].startswith("webhook: sent; webhook: ReadTimeout")
    monkeypatch.setenv("TEST_HOLE", service.url)
    ticker(instance, GATE_SENSOR, pair.definitions, {"d": (WEBHOOK, hole)})()
    assert [body["run_id"] for body in service.bodies] == [run.run_id] * 2
    again = instance.get_run_by_id(run.run_id)
    assert again is not None and again.tags["synth/alerted.d"] == told(run, "webhook: sent; webhook: sent")
