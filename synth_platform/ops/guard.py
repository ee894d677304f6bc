"""The runtime guard: no stage reads an upstream version whose blocking gates have not all passed.

Dagster stops downstream assets after a failed blocking check within the same run only; a later run, a
backfill or an automation goes ahead. Every stage therefore asks here first.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from synth_platform.snapshots import Snapshot, Snapshots

_PAGE = 200
_UNFINISHED, _ANOTHER, _FAILED = "did not finish", "judged another version", "failed"
_SETTLED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_OF_CHECKS = {dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
JUDGED_VERSION = "version"
"""Metadata of a check: which version of the asset it judged."""


def version_of(snapshot: Snapshot) -> str:
    """A version's name that no other content can have."""
    return f"{snapshot.manifest.snapshot_id} {snapshot.manifest.digest}"


@dataclass(frozen=True)
class Upstream:
    """An asset that a stage reads, and the gates that must have passed on it.

    Args:
        asset: key path.
        gates: names of its blocking checks.
        partitioned: whether it shares the dataset's cycle.
        newest: whether a stage without cycles reads its newest one.
    """

    asset: str
    gates: tuple[str, ...] = ()
    partitioned: bool = True
    newest: bool = False

    def cycle(self, snapshots: Snapshots, partition: str | None) -> str | None:
        """Which of its partitions a stage reads that makes ``partition``."""
        if self.newest and partition is None:
            return next(reversed(snapshots.partitions(self.asset)), None)
        return partition if self.partitioned else None

    def head(self, snapshots: Snapshots, partition: str | None) -> Snapshot | None:
        """Its current version, as such a stage reads it."""
        return snapshots.head(self.asset, self.cycle(snapshots, partition))


def open_inputs(
    instance: dg.DagsterInstance,
    snapshots: Snapshots,
    upstreams: Sequence[Upstream],
    partition: str | None,
    run_id: str,
) -> dict[str, Snapshot]:
    """The current version of each upstream asset, once all of their gates are known to be open.

    Args:
        instance: holds the history.
        snapshots: all versions.
        upstreams: assets that are read.
        partition: which a stage makes.
        run_id: of the run that asks.

    Raises:
        dg.Failure: an upstream asset was never made, or a gate failed, crashed, was skipped, or judged an
            older version or another partition. Retrying cannot help, so none is allowed. What another run that is
            under way is about to judge again keeps its verdict until then.
    """
    inputs: dict[str, Snapshot] = {}
    problems: list[str] = []
    for upstream in upstreams:
        cycle = upstream.cycle(snapshots, partition)
        snapshot = snapshots.head(upstream.asset, cycle)
        if snapshot is None:
            problems.append(f"{upstream.asset} has not been materialized")
            continue
        inputs[upstream.asset] = snapshot
        problems.extend(_closed_gates(instance, upstream, cycle, snapshot, run_id))
    if problems:
        raise dg.Failure(
            "The gates before this stage are not open:\n- "
            + "\n- ".join(problems)
            + "\nMend the cause (the check's page shows the numbers), then materialize that asset and its checks.",
            allow_retries=False,
        )
    return inputs


@dataclass(frozen=True)
class Judgement:
    """What a check last said of an asset's partition."""

    asset: str
    gate: str
    passed: bool
    metadata: Mapping[str, Any]


def judgements(
    instance: dg.DagsterInstance, snapshots: Sequence[Snapshot], gates: Mapping[str, Sequence[str]], run_id: str
) -> list[Judgement]:
    """What each gate said last of some versions; gates that never judged them are left out.

    Args:
        instance: holds the history.
        snapshots: versions whose gates are asked for.
        gates: names of the gates by asset.
        run_id: of the run that asks, or that made them.
    """
    found: list[Judgement] = []
    for snapshot in snapshots:
        asset = snapshot.manifest.asset
        keys = _keys(snapshot, gates.get(asset, ()))
        latest = _latest(instance, keys, snapshot)
        for key in keys:
            said = _verdict(instance, key, latest.get(key), snapshot, run_id)
            if said is not None:
                values = {name: value.value for name, value in said.metadata.items()}
                found.append(Judgement(asset, key.name, said.passed, values))
    return found


def never_passed(instance: dg.DagsterInstance, snapshot: Snapshot, gates: Sequence[str]) -> list[str]:
    """Gates that never let this very version through."""
    key = dg.AssetKey(snapshot.manifest.asset.split("/"))
    return [name for name in gates if not _ever_passed(instance, dg.AssetCheckKey(key, name), snapshot)]


def _ever_passed(instance: dg.DagsterInstance, key: dg.AssetCheckKey, snapshot: Snapshot) -> bool:
    return any(said.passed for said in _verdicts(instance, key, snapshot))


def _closed_gates(
    instance: dg.DagsterInstance, upstream: Upstream, partition: str | None, snapshot: Snapshot, run_id: str
) -> Iterator[str]:
    if not upstream.gates:
        return
    key = dg.AssetKey(upstream.asset.split("/"))
    latest = _latest_materialization(instance, key, partition)
    if latest is None or _data_version(latest) != snapshot.manifest.digest:
        yield f"{upstream.asset}: version {snapshot.manifest.snapshot_id} is not the one last materialized"
        return
    for name, reason in why_closed(instance, snapshot, upstream.gates, run_id).items():
        yield f"{upstream.asset}: gate {name!r} {reason}"


def why_closed(
    instance: dg.DagsterInstance, snapshot: Snapshot, gates: Sequence[str], run_id: str | None = None
) -> dict[str, str]:
    """Which of an asset's gates are not open for a version of it, and why.

    Args:
        instance: holds the history.
        snapshot: the version.
        gates: names of the gates.
        run_id: of the run that asks, if it is one.
    """
    keys = _keys(snapshot, gates)
    latest = _latest(instance, keys, snapshot)
    reasons = {key.name: _why_closed(latest.get(key), snapshot) for key in keys}
    for key in keys:
        if reasons[key.name] in (_UNFINISHED, _ANOTHER):
            reasons[key.name] = _why_closed_here(instance, key, snapshot, run_id)
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _why_closed_here(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, snapshot: Snapshot, run_id: str | None
) -> str | None:
    """Why a gate is closed for a run, where runs that share an asset, such as a test set, judge it at the same time.

    A run goes by its own verdict, if it judges the asset itself and no other run has closed the gate for this very
    version since. Else what other runs are about to say has not been said: what was said last counts.
    """
    own = _said_in_run(instance, key, run_id) if run_id is not None else []
    if own and isinstance(own[-1], AssetCheckEvaluationPlanned):
        return _UNFINISHED
    if own:
        said = [own[-1], *islice(_verdicts(instance, key, snapshot), 1)]
        return next((why for one in said if (why := _why_closed_by(one, snapshot)) is not None), None)
    settled = next(_history(instance, key, snapshot, _SETTLED), None)
    for record in _history(instance, key, snapshot, {AssetCheckExecutionRecordStatus.PLANNED}):
        if settled is not None and record.id < settled.id:
            break
        run = instance.get_run_by_id(record.run_id)
        if run is None or run.is_finished:
            return _UNFINISHED
    return _why_closed(settled, snapshot)


def _said_in_run(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, run_id: str
) -> list[AssetCheckEvaluationPlanned | dg.AssetCheckEvaluation]:
    """What a run planned to judge and judged of a gate, in this order."""
    records = instance.get_records_for_run(run_id, of_type=_OF_CHECKS).records
    events = [one.event_log_entry.dagster_event for one in records]
    said = [event.event_specific_data for event in events if event is not None]
    return [
        one
        for one in said
        if isinstance(one, AssetCheckEvaluationPlanned | dg.AssetCheckEvaluation) and one.asset_check_key == key
    ]


def _verdict(
    instance: dg.DagsterInstance,
    key: dg.AssetCheckKey,
    latest: AssetCheckExecutionRecord | None,
    snapshot: Snapshot,
    run_id: str,
) -> dg.AssetCheckEvaluation | None:
    """What a gate said last of a version; None: nothing, or it was to be judged in this run and was not."""
    if latest is None or _why_closed(latest, snapshot) in (None, _FAILED):
        return latest.evaluation if latest is not None else None
    own = _said_in_run(instance, key, run_id)
    if own and isinstance(own[-1], AssetCheckEvaluationPlanned):
        return None
    return next(_verdicts(instance, key, snapshot), None)


def _verdicts(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, snapshot: Snapshot
) -> Iterator[dg.AssetCheckEvaluation]:
    """All that a gate said of this very version, the last first."""
    for record in _history(instance, key, snapshot, _SETTLED):
        if record.evaluation is not None and _why_closed_by(record.evaluation, snapshot) != _ANOTHER:
            yield record.evaluation


def _history(
    instance: dg.DagsterInstance,
    key: dg.AssetCheckKey,
    snapshot: Snapshot,
    status: AbstractSet[AssetCheckExecutionRecordStatus],
) -> Iterator[AssetCheckExecutionRecord]:
    """Records of a gate, the last first."""
    cursor: int | None = None
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(
            key,
            limit=_PAGE,
            cursor=cursor,
            status=status,
            partition_filter=PartitionKeyFilter(key=snapshot.manifest.partition),
        )
        yield from page
        if len(page) < _PAGE:
            return
        cursor = page[-1].id


def _keys(snapshot: Snapshot, gates: Sequence[str]) -> list[dg.AssetCheckKey]:
    asset = dg.AssetKey(snapshot.manifest.asset.split("/"))
    return [dg.AssetCheckKey(asset, name) for name in gates]


def _latest(
    instance: dg.DagsterInstance, keys: Sequence[dg.AssetCheckKey], snapshot: Snapshot
) -> Mapping[dg.AssetCheckKey, AssetCheckExecutionRecord]:
    return instance.event_log_storage.get_latest_asset_check_execution_by_key(
        keys, partition_filter=PartitionKeyFilter(key=snapshot.manifest.partition)
    )


def _why_closed(record: AssetCheckExecutionRecord | None, snapshot: Snapshot) -> str | None:
    if record is None:
        return "never ran"
    if record.status == AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return _UNFINISHED
    return _why_closed_by(record.evaluation, snapshot)


def _why_closed_by(said: dg.AssetCheckEvaluation, snapshot: Snapshot) -> str | None:
    # Checks write down which version they judged. Dagster's own note of the target materialization is lost
    # for unpartitioned assets in partitioned runs.
    judged = said.metadata.get(JUDGED_VERSION)
    if judged is None or judged.value != version_of(snapshot):
        return _ANOTHER
    return None if said.passed else _FAILED


def _latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> dg.EventLogRecord | None:
    only = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
    return next(iter(instance.fetch_materializations(only, limit=1).records), None)


def _data_version(record: dg.EventLogRecord) -> str | None:
    materialization = record.asset_materialization
    return (materialization.tags or {}).get("dagster/data_version") if materialization else None
