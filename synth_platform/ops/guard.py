"""The runtime guard: no stage reads an upstream version whose blocking gates have not all passed.

Dagster stops downstream assets after a failed blocking check within the same run only; a later run, a
backfill or an automation goes ahead. Every stage therefore asks here first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from synth_platform.snapshots import Snapshot, Snapshots

_LONGEST_HISTORY = 10_000
_AT_THE_SAME_TIME = 100
"""Runs that judge an asset at the same time, at most."""
_UNFINISHED, _ANOTHER = "did not finish", "judged another version"
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
            older version or another partition. Retrying cannot help, so none is allowed.
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
    instance: dg.DagsterInstance, snapshots: Sequence[Snapshot], gates: Mapping[str, Sequence[str]]
) -> list[Judgement]:
    """The latest finished evaluation of each gate of some snapshots.

    Args:
        instance: holds the history.
        snapshots: versions whose gates are asked for.
        gates: names of the gates by asset.
    """
    found: list[Judgement] = []
    for snapshot in snapshots:
        m = snapshot.manifest
        keys = [dg.AssetCheckKey(dg.AssetKey(m.asset.split("/")), name) for name in gates.get(m.asset, ())]
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
            keys, partition_filter=PartitionKeyFilter(key=m.partition)
        )
        for key in keys:
            record = records.get(key)
            if record is None or record.status == AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
                continue
            values = {name: value.value for name, value in record.evaluation.metadata.items()}
            found.append(Judgement(m.asset, key.name, record.evaluation.passed, values))
    return found


def never_passed(instance: dg.DagsterInstance, snapshot: Snapshot, gates: Sequence[str]) -> list[str]:
    """Gates that never let this very version through."""
    key = dg.AssetKey(snapshot.manifest.asset.split("/"))
    return [name for name in gates if not _ever_passed(instance, dg.AssetCheckKey(key, name), snapshot)]


def _ever_passed(instance: dg.DagsterInstance, key: dg.AssetCheckKey, snapshot: Snapshot) -> bool:
    records = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=_LONGEST_HISTORY, status={AssetCheckExecutionRecordStatus.SUCCEEDED}
    )
    for record in records:
        judged = record.evaluation.metadata.get(JUDGED_VERSION) if record.evaluation else None
        if judged is not None and judged.value == version_of(snapshot):
            return True
    return False


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
    asset = dg.AssetKey(snapshot.manifest.asset.split("/"))
    keys = [dg.AssetCheckKey(asset, name) for name in gates]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(
        keys, partition_filter=PartitionKeyFilter(key=snapshot.manifest.partition)
    )
    reasons = {key.name: _why_closed(records.get(key), snapshot) for key in keys}
    for key in keys:
        if reasons[key.name] in (_UNFINISHED, _ANOTHER):
            reasons[key.name] = _why_closed(_last_word(instance, key, snapshot, run_id), snapshot)
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _last_word(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey, snapshot: Snapshot, run_id: str | None
) -> AssetCheckExecutionRecord | None:
    """What was last said of a gate, where runs that share an asset, such as a test set, judge it at the same time.

    What another run is about to say has not been said; and what another run said of another version says nothing
    against what this run said of this one.
    """
    records = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=_AT_THE_SAME_TIME, partition_filter=PartitionKeyFilter(key=snapshot.manifest.partition)
    )
    said = [one for one in records if one.run_id == run_id or not _is_to_come(instance, one)]
    is_own = any(one.run_id == run_id for one in said)
    for one in said:
        if not is_own or one.run_id == run_id or _why_closed(one, snapshot) != _ANOTHER:
            return one
    return None


def _is_to_come(instance: dg.DagsterInstance, record: AssetCheckExecutionRecord) -> bool:
    if record.status != AssetCheckExecutionRecordStatus.PLANNED:
        return False
    run = instance.get_run_by_id(record.run_id)
    return run is not None and not run.is_finished


def _why_closed(record: AssetCheckExecutionRecord | None, snapshot: Snapshot) -> str | None:
    if record is None:
        return "never ran"
    if record.status == AssetCheckExecutionRecordStatus.PLANNED or record.evaluation is None:
        return _UNFINISHED
    # Checks write down which version they judged. Dagster's own note of the target materialization is lost
    # for unpartitioned assets in partitioned runs.
    judged = record.evaluation.metadata.get(JUDGED_VERSION)
    if judged is None or judged.value != version_of(snapshot):
        return _ANOTHER
    return None if record.evaluation.passed else "failed"


def _latest_materialization(
    instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None
) -> dg.EventLogRecord | None:
    only = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
    return next(iter(instance.fetch_materializations(only, limit=1).records), None)


def _data_version(record: dg.EventLogRecord) -> str | None:
    materialization = record.asset_materialization
    return (materialization.tags or {}).get("dagster/data_version") if materialization else None
