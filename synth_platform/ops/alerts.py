"""The sensors that tell people: of failed runs and their gates, of gates that failed in no failed run, of deadlines."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy
from dagster._core.events import AssetMaterializationPlannedData as _ToBeMade
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.tags import WILL_RETRY_TAG

from synth_platform.alerts.config import UI_VARIABLE, Channel
from synth_platform.alerts.deliver import deliver
from synth_platform.alerts.message import Alert, ClosedGate
from synth_platform.errors import SynthError
from synth_platform.ops.failures import failure_text
from synth_platform.ops.tags import DATASET_TAG

FAILURE_SENSOR, GATE_SENSOR, DEADLINE_SENSOR = "alert_failed_runs", "alert_failed_gates", "alert_missed_deadlines"
SPEC_SENSOR = "alert_refused_specs"
ALERTED_TAG = "synth/alerted"
"""Run tag, followed by the dataset: what became of the message about this run. Where it is, none is sent again."""
_GATE_SECONDS, _DEADLINE_SECONDS, _SPEC_SECONDS = 60, 300, 60
_PLANNED = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
_RUNNING = dg.DefaultSensorStatus.RUNNING

Channels = Mapping[str, Sequence[Channel]]
"""Where messages about each dataset go."""
_Look = Callable[[dg.SensorEvaluationContext, dg.RepositoryDefinition, Any], tuple[Mapping[str, Any], str]]
"""From what was known at the last tick (None at the first) to what is known now, and words for it."""


def alert_sensors(
    channels: Channels, everywhere: Sequence[Channel] = (), refused: Mapping[str, SynthError] | None = None
) -> list[dg.SensorDefinition]:
    """The sensors of a code location; none if nobody wants to hear anything.

    Args:
        channels: of each dataset.
        everywhere: those that hear of specs that cannot be used.
        refused: why, by the key path of what stands for such a spec.
    """
    of_specs = [_spec_sensor(everywhere, refused or {})] if everywhere else []
    if not any(channels.values()):
        return of_specs
    return [_failure_sensor(channels), _gate_sensor(channels), _deadline_sensor(channels), *of_specs]


def _failure_sensor(channels: Channels) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name=FAILURE_SENSOR,
        default_status=_RUNNING,
        description="Tells of each failed run once: the gates that closed, or why else it failed.",
    )
    def watch(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        gates = list(_closed_gates(context.instance, run.run_id))
        problems = _problems(context, gates)
        for dataset in datasets_of(context.instance, run):
            alert = _of_run(run, dataset, [one for one in gates if _dataset(one.asset) == dataset], problems)
            _tell_once(context.instance, run, alert, channels, context.log.info)

    return watch


def _polling_sensor(name: str, seconds: int, description: str, look: _Look) -> dg.SensorDefinition:
    """A sensor that looks every so often; what it gives back beside its words is what it gets the next time."""

    @dg.sensor(name=name, minimum_interval_seconds=seconds, default_status=_RUNNING, description=description)
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        assert context.repository_def is not None
        known, said = look(context, context.repository_def, json.loads(context.cursor) if context.cursor else None)
        return dg.SensorResult(cursor=json.dumps(known), skip_reason=dg.SkipReason(said))

    return watch


def _gate_sensor(channels: Channels) -> dg.SensorDefinition:
    def look(
        context: dg.SensorEvaluationContext, repository: dg.RepositoryDefinition, before: Mapping[str, int] | None
    ) -> tuple[Mapping[str, int], str]:
        keys = repository.asset_graph.asset_check_keys
        seen = dict(before or {})
        failed = {
            key: record
            for key, record in context.instance.event_log_storage.get_latest_asset_check_execution_by_key(
                list(keys)
            ).items()
            if record.status == AssetCheckExecutionRecordStatus.FAILED and record.id > seen.get(str(key), 0)
        }
        # What failed before the sensor first looked is history.
        for record in failed.values() if before is not None else ():
            _tell_of_gate(context, record, channels)
        seen |= {str(key): record.id for key, record in failed.items()}
        return seen, f"{len(failed)} gates newly failed"

    return _polling_sensor(
        GATE_SENSOR,
        _GATE_SECONDS,
        "Tells of blocking gates that failed in a run that did not, or that were reported from elsewhere.",
        look,
    )


def _deadline_sensor(channels: Channels) -> dg.SensorDefinition:
    def look(
        context: dg.SensorEvaluationContext, repository: dg.RepositoryDefinition, before: Mapping[str, float] | None
    ) -> tuple[Mapping[str, float], str]:
        told = before or {}
        late = {
            asset: made
            for asset, window, made in _deadlines(context.instance, repository)
            if now() - made > window.total_seconds()
        }
        for asset in (one for one, made in late.items() if told.get(one) != made):
            since = datetime.fromtimestamp(late[asset], UTC).strftime("%Y-%m-%d %H:%M UTC")
            title, page = f"{asset} is late", link(f"assets/{asset}")
            alert = Alert("late", _dataset(asset), title, problems=(f"last made at {since}",), link=page)
            context.log.info(_tell(alert, channels))
        return late, f"{len(late)} assets are late"

    return _polling_sensor(
        DEADLINE_SENSOR,
        _DEADLINE_SECONDS,
        "Tells once of each asset that has not been made anew within the time its freshness policy gives.",
        look,
    )


def _spec_sensor(channels: Sequence[Channel], refused: Mapping[str, SynthError]) -> dg.SensorDefinition:
    def look(
        context: dg.SensorEvaluationContext, repository: dg.RepositoryDefinition, before: Mapping[str, str] | None
    ) -> tuple[Mapping[str, str], str]:
        reasons = {asset: str(error) for asset, error in refused.items()}
        for asset, reason in reasons.items():
            if (before or {}).get(asset) != reason:
                name, problems = asset.split("/")[-1], (reason, "Other datasets go on without it.")
                title, page = f"the spec of {name} cannot be used", link(f"assets/{asset}")
                alert = Alert("spec", name, title, problems=problems, link=page)
                context.log.info(_tell(alert, {name: channels}))
        return reasons, f"{len(reasons)} specs cannot be used"

    return _polling_sensor(
        SPEC_SENSOR, _SPEC_SECONDS, "Tells once of each spec that cannot be used, and for what reason.", look
    )


def datasets_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Datasets that a run was about: as its job says, or by the assets and checks it was to make."""
    if tagged := run.tags.get(DATASET_TAG):
        return [tagged]
    records = instance.get_records_for_run(run.run_id, of_type=_PLANNED).records
    planned = [event.event_specific_data for one in records if (event := one.event_log_entry.dagster_event)]
    keys = [one.asset_key for one in planned if isinstance(one, _ToBeMade | AssetCheckEvaluationPlanned)]
    return sorted({key.path[0] for key in keys})


def now() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()


def link(page: str) -> str:
    """Address of a page of the interface; empty where its address is not known."""
    base = os.environ.get(UI_VARIABLE, "").rstrip("/")
    return f"{base}/{page}" if base else ""


def _of_run(run: dg.DagsterRun, dataset: str, gates: Sequence[ClosedGate], problems: Sequence[str]) -> Alert:
    cycle = run.tags.get("dagster/partition")
    of = f"{dataset} {cycle}" if cycle else dataset
    closed = f"{len(gates)} gates closed" if len(gates) > 1 else "a gate closed"
    return Alert(
        event="gate" if gates else "run",
        dataset=dataset,
        title=f"{of}: {closed}" if gates else f"{of}: the run failed",
        partition=cycle,
        run_id=run.run_id,
        gates=tuple(gates),
        problems=tuple(problems),
        link=link(f"runs/{run.run_id}"),
    )


def _problems(context: dg.RunFailureSensorContext, gates: Sequence[ClosedGate]) -> list[str]:
    """Why a run failed, beside its gates: what its steps say, or else what ended it."""
    run = context.dagster_run
    told = list(dict.fromkeys(filter(None, map(failure_text, context.get_step_failure_events()))))
    if not told and not gates:
        told = [context.failure_event.message or "no reason was recorded"]
    repeated = _is_repeated(context.instance, run, context.failure_event)
    return [*told, "The run is repeated by itself."] if repeated else told


def _is_repeated(instance: dg.DagsterInstance, run: dg.DagsterRun, failure: dg.DagsterEvent) -> bool:
    """Whether Dagster repeats a failed run.

    Dagster notes that in a tag, a moment after the event that the sensor hears of; until then, by Dagster's own rule.
    """
    if run.remote_job_origin is None:
        return False
    if (noted := run.tags.get(WILL_RETRY_TAG)) is not None:
        return noted == "true"
    failed, reason = run.with_status(dg.DagsterRunStatus.FAILURE), failure.job_failure_data.failure_reason
    return instance.run_retries_enabled and auto_reexecution_should_retry_run(instance, failed, reason)


def _closed_gates(instance: dg.DagsterInstance, run_id: str) -> Iterator[ClosedGate]:
    """Blocking gates that failed in a run."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    for record in records:
        event = record.event_log_entry.dagster_event
        found = event.event_specific_data if event else None
        if isinstance(found, dg.AssetCheckEvaluation) and not found.passed and found.severity.value == "ERROR":
            yield _gate(found)


def _gate(found: dg.AssetCheckEvaluation) -> ClosedGate:
    values = {name: value.value for name, value in found.metadata.items()}
    return ClosedGate(
        asset="/".join(found.asset_key.path),
        gate=found.check_name,
        observed=values.get("observed"),
        bounds=str(values.get("bounds", "")),
        error=str(values.get("error", "")),
    )


def _tell_of_gate(context: dg.SensorEvaluationContext, record: object, channels: Channels) -> None:
    evaluation = getattr(record, "evaluation", None)
    run_id = str(getattr(record, "run_id", ""))
    if evaluation is None or evaluation.severity.value != "ERROR":
        return
    gate = _gate(evaluation)
    run = context.instance.get_run_by_id(run_id) if run_id else None
    if run is None:
        dataset = _dataset(gate.asset)
        alert = Alert("gate", dataset, f"{dataset}: a gate closed", evaluation.partition, gates=(gate,))
        context.log.info(_tell(alert, channels))
    elif run.status == dg.DagsterRunStatus.SUCCESS:
        _tell_once(context.instance, run, _of_run(run, _dataset(gate.asset), [gate], ()), channels, context.log.info)
    # A run that fails is told of when it ends, with all of its gates.


def _deadlines(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> Iterator[tuple[str, timedelta, float]]:
    """Assets with a freshness policy: how old they may be, and when they were last made."""
    graph = repository.asset_graph
    for key in graph.get_all_asset_keys():
        policy = graph.get(key).freshness_policy
        event = (
            instance.get_latest_materialization_event(key) if isinstance(policy, TimeWindowFreshnessPolicy) else None
        )
        if event is not None and isinstance(policy, TimeWindowFreshnessPolicy):
            yield "/".join(key.path), policy.fail_window.to_timedelta(), event.timestamp


def _tell_once(
    instance: dg.DagsterInstance, run: dg.DagsterRun, alert: Alert, channels: Channels, log: Callable[[str], None]
) -> None:
    """Send what is to be said of a dataset in a run, unless that was done before; the run's tag says so."""
    tag = f"{ALERTED_TAG}.{alert.dataset}"
    known = instance.get_run_by_id(run.run_id)
    if known is None or tag in known.tags:
        return
    if said := _tell(alert, channels):
        log(said)
        instance.add_run_tags(run.run_id, {tag: said})


def _tell(alert: Alert, channels: Channels) -> str:
    """Send it to all that want to hear; says what became of it."""
    outcomes = []
    for channel in channels.get(alert.dataset, ()):
        if alert.event in channel.events:
            problem = deliver(channel, alert)
            outcomes.append(f"{channel.type}: {problem or 'sent'}")
    return "; ".join(outcomes)


def _dataset(asset: str) -> str:
    return asset.split("/")[0]
