"""The sensors that tell people: of failed runs and their gates, of gates that failed in no failed run, of deadlines."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData as _ToBeMade
from dagster._core.events import JobFailureData
from dagster._core.execution.retries import auto_reexecution_should_retry_run
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecord
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as _Status
from dagster._core.storage.tags import PARTITION_NAME_TAG, WILL_RETRY_TAG

from synth_platform.alerts.config import UI_VARIABLE, Channel
from synth_platform.alerts.message import Alert, ClosedGate
from synth_platform.errors import SynthError
from synth_platform.ops.cycles import due_cycle
from synth_platform.ops.failures import failure_beside_gates
from synth_platform.ops.outbox import Channels, Outbox, is_told, now
from synth_platform.ops.tags import DATASET_TAG
from synth_platform.snapshots.identity import dataset_of

if TYPE_CHECKING:
    from synth_platform.dataset.spec import CadenceSpec

FAILURE_SENSOR, GATE_SENSOR, DEADLINE_SENSOR = "alert_failed_runs", "alert_failed_gates", "alert_missed_deadlines"
SPEC_SENSOR = "alert_refused_specs"
_FAILURE_SECONDS, _GATE_SECONDS, _DEADLINE_SECONDS, _SPEC_SECONDS = 30, 60, 300, 60
_LATE_SECONDS = 600.0
"""A run that ended this long before the last look may be seen only now: clocks differ, databases take their time."""
_MOST_FAILURES = 100
"""Of a gate that are told of at a tick."""
_PLANNED = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
_RUNNING = dg.DefaultSensorStatus.RUNNING

_Look = Callable[[dg.DagsterInstance, dg.RepositoryDefinition, Any], tuple[Mapping[str, Any], str, Sequence[Alert]]]
"""From what was known at the last tick (None at the first) to what is known now, words for it, and what to tell."""


def alert_sensors(
    channels: Channels,
    cadences: "Mapping[str, CadenceSpec]",
    everywhere: Sequence[Channel] = (),
    refused: Mapping[str, SynthError] | None = None,
) -> list[dg.SensorDefinition]:
    """The sensors of a code location; none if nobody wants to hear anything.

    Args:
        channels: of each dataset.
        cadences: of each dataset that has one.
        everywhere: those that hear of specs that cannot be used.
        refused: why, by the key path of what stands for such a spec.
    """
    of_specs = [_spec_sensor(everywhere, refused or {})] if everywhere else []
    if not any(channels.values()):
        return of_specs
    return [_failure_sensor(channels), _gate_sensor(channels), _deadline_sensor(channels, cadences), *of_specs]


def _failure_sensor(channels: Channels) -> dg.SensorDefinition:
    """Not one of Dagster's own for failed runs: those forget a run for good where looking at it once went wrong."""

    def look(
        instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, before: Mapping[str, float] | None
    ) -> tuple[Mapping[str, float], str, Sequence[Alert]]:
        at = now()
        if before is None or "last" not in before:  # what failed before the sensor first looked is history
            return {"first": at, "last": at}, "It looks from now on.", []
        runs = _failed_since(instance, max(before["first"], before["last"] - _LATE_SECONDS))
        alerts = [alert for run in runs for alert in _of_failure(instance, run, channels)]
        return {"first": before["first"], "last": at}, f"{len(runs)} runs failed lately", alerts

    return _polling_sensor(
        FAILURE_SENSOR,
        _FAILURE_SECONDS,
        "Tells of each failed run once: the gates that closed, or why else it failed.",
        channels,
        look,
    )


def _failed_since(instance: dg.DagsterInstance, after: float) -> list[dg.DagsterRun]:
    changed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=datetime.fromtimestamp(after, UTC))
    records = instance.get_run_records(changed)
    return [one.dagster_run for one in reversed(records) if one.end_time is not None and one.end_time > after]


def _of_failure(instance: dg.DagsterInstance, run: dg.DagsterRun, channels: Channels) -> Iterator[Alert]:
    """What is to be told of a failed run to those who have not heard of it."""
    datasets = [one for one in datasets_of(instance, run) if channels.get(one) and not is_told(run, one)]
    if not datasets:
        return
    gates: list[ClosedGate] = []
    try:
        gates += _closed_gates(instance, run.run_id)
        problems = _problems(instance, run, gates)
    except Exception as error:  # that it failed is told in any case, and one such run holds up no other
        problems = [f"why could not be read: {type(error).__name__}: {error}"]
    for dataset in datasets:
        yield _of_run(run, dataset, [one for one in gates if dataset_of(one.asset) == dataset], problems)


def _polling_sensor(name: str, seconds: int, description: str, channels: Channels, look: _Look) -> dg.SensorDefinition:
    """A sensor that looks every so often; what it knows at the end is what it gets the next time."""

    @dg.sensor(name=name, minimum_interval_seconds=seconds, default_status=_RUNNING, description=description)
    def watch(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        assert context.repository_def is not None
        before = json.loads(context.cursor) if context.cursor else None
        known, said, alerts = look(context.instance, context.repository_def, before)
        outbox = Outbox(context.instance, channels, context.log)
        outbox.put(alerts)
        outbox.send()
        return dg.SensorResult(cursor=json.dumps(known), skip_reason=dg.SkipReason(said))

    return watch


def _gate_sensor(channels: Channels) -> dg.SensorDefinition:
    def look(
        instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, before: Mapping[str, Any] | None
    ) -> tuple[Mapping[str, Any], str, Sequence[Alert]]:
        if before is not None and "told" not in before:  # of another version of this sensor
            before = None
        keys = list(repository.asset_graph.asset_check_keys)
        latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
        state = {str(key): f"{record.id} {record.status.value}" for key, record in latest.items()}
        # What failed before the sensor first looked is history.
        changed = [key for key in latest if before is not None and state[str(key)] != before["state"].get(str(key))]
        told = dict(before["told"]) if before is not None else {str(key): one.id for key, one in latest.items()}
        failed = [one for key in changed for one in _failures(instance, key, told.get(str(key), 0))]
        told |= {str(one.key): one.id for one in failed}
        return {"state": state, "told": told}, f"{len(failed)} gates newly failed", list(_of_gates(instance, failed))

    return _polling_sensor(
        GATE_SENSOR,
        _GATE_SECONDS,
        "Tells of blocking gates that failed in a run that did not, or that were reported from elsewhere.",
        channels,
        look,
    )


def _failures(instance: dg.DagsterInstance, key: dg.AssetCheckKey, after: int) -> list[AssetCheckExecutionRecord]:
    """Failures of a gate since a record of it, whatever the cycle; oldest first."""
    history = instance.event_log_storage.get_asset_check_execution_history
    return [one for one in reversed(history(key, _MOST_FAILURES, status={_Status.FAILED})) if one.id > after]


def _deadline_sensor(channels: Channels, cadences: "Mapping[str, CadenceSpec]") -> dg.SensorDefinition:
    """Not by Dagster's freshness, which any new version of a release renews, such as a patch of the cycle before."""

    def look(
        instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, before: Mapping[str, str] | None
    ) -> tuple[Mapping[str, str], str, Sequence[Alert]]:
        told, late = before or {}, list(_late(instance, cadences))
        alerts = [_of_lateness(one) for one in late if told.get(one.dataset) != one.newest]
        return {one.dataset: one.newest for one in late}, f"{len(late)} releases are late", alerts

    return _polling_sensor(
        DEADLINE_SENSOR,
        _DEADLINE_SECONDS,
        "Tells once when the release of a cycle is not there by the deadline of its dataset's cadence.",
        channels,
        look,
    )


class _Late(NamedTuple):
    """A dataset, the cycle whose release is late, and the newest cycle that has one."""

    dataset: str
    due: str
    newest: str


def _late(instance: dg.DagsterInstance, cadences: "Mapping[str, CadenceSpec]") -> Iterator[_Late]:
    """Datasets that are late.

    One that was never released is not waited for: it may be a spec that nobody uses.
    """
    for dataset, cadence in cadences.items():
        newest = max(instance.get_materialized_partitions(dg.AssetKey([dataset, "release"])), default=None)
        due = due_cycle(cadence, now())
        if newest is not None and due is not None and newest < due:
            yield _Late(dataset, due, newest)


def _spec_sensor(channels: Sequence[Channel], refused: Mapping[str, SynthError]) -> dg.SensorDefinition:
    def look(
        instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, before: Mapping[str, str] | None
    ) -> tuple[Mapping[str, str], str, Sequence[Alert]]:
        reasons = {asset: str(error) for asset, error in refused.items()}
        told = before or {}
        alerts = [_of_spec(asset, reason) for asset, reason in reasons.items() if told.get(asset) != reason]
        return reasons, f"{len(reasons)} specs cannot be used", alerts

    return _polling_sensor(
        SPEC_SENSOR,
        _SPEC_SECONDS,
        "Tells once of each spec that cannot be used, and for what reason.",
        {_name_of_spec(asset): channels for asset in refused},
        look,
    )


def datasets_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[str]:
    """Datasets that a run was about: as its job says, or by the assets and checks it was to make."""
    if tagged := run.tags.get(DATASET_TAG):
        return [tagged]
    records = instance.get_records_for_run(run.run_id, of_type=_PLANNED).records
    planned = [event.event_specific_data for one in records if (event := one.event_log_entry.dagster_event)]
    keys = [one.asset_key for one in planned if isinstance(one, _ToBeMade | AssetCheckEvaluationPlanned)]
    return sorted({key.path[0] for key in keys})


def link(page: str) -> str:
    """Address of a page of the interface; empty where its address is not known."""
    base = os.environ.get(UI_VARIABLE, "").rstrip("/")
    return f"{base}/{page}" if base else ""


def _of_run(run: dg.DagsterRun, dataset: str, gates: Sequence[ClosedGate], problems: Sequence[str]) -> Alert:
    cycle = run.tags.get(PARTITION_NAME_TAG)
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


def _problems(instance: dg.DagsterInstance, run: dg.DagsterRun, gates: Sequence[ClosedGate]) -> list[str]:
    """Why a run failed, beside its gates: what its steps say, or else what ended it."""
    steps = _events(instance, run.run_id, dg.DagsterEventType.STEP_FAILURE)
    told = list(dict.fromkeys(filter(None, map(failure_beside_gates, steps))))
    ends = list(_events(instance, run.run_id, dg.DagsterEventType.RUN_FAILURE))
    if not told and not gates:
        told = [(ends[-1].message if ends else None) or "no reason was recorded"]
    return [*told, "The run is repeated by itself."] if _is_repeated(instance, run, ends) else told


def _is_repeated(instance: dg.DagsterInstance, run: dg.DagsterRun, ends: Sequence[dg.DagsterEvent]) -> bool:
    """Whether Dagster repeats a failed run.

    Dagster notes that in a tag, a moment after the run has failed; until then, by Dagster's own rule.
    """
    if run.remote_job_origin is None:
        return False
    if (noted := run.tags.get(WILL_RETRY_TAG)) is not None:
        return noted == "true"
    data = ends[-1].event_specific_data if ends else None  # a run that died has none
    reason = data.failure_reason if isinstance(data, JobFailureData) else None
    return instance.run_retries_enabled and auto_reexecution_should_retry_run(instance, run, reason)


def _events(instance: dg.DagsterInstance, run_id: str, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    """Of a run, from the first one on."""
    for record in instance.get_records_for_run(run_id, of_type=kind).records:
        if (event := record.event_log_entry.dagster_event) is not None:
            yield event


def _closed_gates(instance: dg.DagsterInstance, run_id: str) -> Iterator[ClosedGate]:
    """Blocking gates that failed in a run."""
    for event in _events(instance, run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        found = event.event_specific_data
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


def _of_gates(instance: dg.DagsterInstance, records: Iterable[AssetCheckExecutionRecord]) -> Iterator[Alert]:
    """What is to be said of gates: by itself of one that was reported; of a run's together."""
    in_runs: defaultdict[tuple[str, str], list[ClosedGate]] = defaultdict(list)
    for record in records:
        found = record.evaluation
        if found is None or found.severity != dg.AssetCheckSeverity.ERROR:
            continue
        gate = _gate(found)
        dataset = dataset_of(gate.asset)
        if instance.get_run_by_id(record.run_id) is None:
            yield Alert("gate", dataset, f"{dataset}: a gate closed", found.partition, gates=(gate,))
        else:
            in_runs[record.run_id, dataset].append(gate)
    for (run_id, dataset), gates in in_runs.items():
        run = instance.get_run_by_id(run_id)
        # A run that fails is told of when it ends, with all of its gates.
        if run is not None and run.status == dg.DagsterRunStatus.SUCCESS:
            yield _of_run(run, dataset, gates, ())


def _of_lateness(late: _Late) -> Alert:
    title, problems = f"{late.dataset} {late.due}: the release is late", (f"the newest one is that of {late.newest}",)
    return Alert("late", late.dataset, title, late.due, problems=problems, link=link(f"assets/{late.dataset}/release"))


def _of_spec(asset: str, reason: str) -> Alert:
    name, problems = _name_of_spec(asset), (reason, "Other datasets go on without it.")
    return Alert("spec", name, f"the spec of {name} cannot be used", problems=problems, link=link(f"assets/{asset}"))


def _name_of_spec(asset: str) -> str:
    return asset.split("/")[-1]
