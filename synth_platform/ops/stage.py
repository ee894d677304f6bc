"""What every stage's wiring shares: an asset that runs a stage against snapshots."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.naming import node_name
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.failures import failing_for_people
from synth_platform.ops.guard import Upstream, open_inputs
from synth_platform.ops.materialization import StageResult, materialize_result
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.progress import listen, log_listener, track
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.changes import changes_since
from synth_platform.snapshots.healing import heal_equals
from synth_platform.snapshots.identity import SEED
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace

FRESH_TAG = "synth/fresh"
"""Run tag: make the asset anew although an equal version exists."""


@dataclass(frozen=True)
class StageRun:
    """What a stage's work gets: inputs, a writer and places."""

    workspace: Workspace
    partition: str | None
    seed: int
    inputs: Mapping[str, Snapshot]
    writer: SnapshotWriter
    log: Callable[[str], None]
    run_id: str
    instance: dg.DagsterInstance


@dataclass(frozen=True)
class Stage:
    """One asset: what determines it, and the work that makes it.

    Args:
        asset: key path.
        code_version: raise it when the stage's code changes what it writes.
        settings: the part of the spec it reads.
        upstreams: the assets it reads.
        tables: tables it writes; the first is the main one.
        work: does it.
        folder: folder of the parts inside the snapshot.
        rows_per_part: rows of a full part.
        also: versions it reads beside the current ones of its upstream assets.
        ids_from: settings (dotted) and upstream assets that go into the ids of its rows: where one of them gives
            other rows, so does this stage, for certain.
        assumed: what its settings rest on where it could not be looked up.
    """

    asset: str
    code_version: str
    settings: Mapping[str, Any]
    upstreams: tuple[Upstream, ...]
    tables: Mapping[str, pl.Schema]
    work: Callable[[StageRun], None]
    folder: str = ""
    rows_per_part: int = 20_000
    also: tuple[Snapshot, ...] = ()
    ids_from: frozenset[str] = frozenset()
    assumed: str = ""


BuildStage = Callable[[Workspace, str | None], Stage]
"""Makes the stage for a workspace and partition: settings may depend on what lies in them."""


def every_cycle(asset: str, build: Callable[[Workspace], Stage]) -> BuildStage:
    """Of a stage that is the same for every cycle: for those who look at thousands of them it is built once."""
    return lambda workspace, _: workspace.once(("stage", asset), lambda: build(workspace))


Describe = Callable[[Workspace, Snapshot], Mapping[str, Any]]
"""Metadata of a snapshot beside the usual: counts, plots, links."""


@dataclass(frozen=True)
class StageAsset:
    """What makes one or more assets, and how the stage of each is built: also to ask what it would make.

    Args:
        definition: as Dagster runs it.
        dataset: the dataset that its identities belong to.
        builds: by asset.
    """

    definition: dg.AssetsDefinition
    dataset: DatasetContext
    builds: Mapping[str, BuildStage]

    @property
    def keys(self) -> list[dg.AssetKey]:
        """Of its assets."""
        return list(self.definition.keys)

    def partition(self, cycle: str | None) -> str | None:
        """The partition of its assets that belongs to a cycle of a dataset that reads them."""
        return cycle if self.dataset.partitions is not None else None


@dataclass(frozen=True)
class Begun:
    """A stage whose gates are open and whose identity is known; ``found`` if nothing is left to do."""

    stage: Stage
    identity: Identity
    run: StageRun
    found: Snapshot | None
    started: float


def stage_asset(
    dataset: DatasetContext, spec: dg.AssetSpec, build: BuildStage, describe: Describe, *, pool: str | None = None
) -> StageAsset:
    """The asset of a stage that makes one snapshot."""
    asset = "/".join(spec.key.path)

    @dg.multi_asset(name=node_name(asset), specs=[spec], pool=pool)
    def make(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult[Any]:
        with failing_for_people(), listen(log_listener(context.log.info)):
            begun = begin_stage(context, workspace.open(), dataset, build)
            if begun.found is None:
                with track(asset) as task:
                    begun.stage.work(begun.run)
                    result = finish_stage(begun)
                    task.advance(result.snapshot.manifest.rows)
            else:
                result = finish_stage(begun)
            return materialize_result(result, describe(begun.run.workspace, result.snapshot))

    return StageAsset(make, dataset, {asset: build})


def begin_stage(
    context: dg.AssetExecutionContext, workspace: Workspace, dataset: DatasetContext, build: BuildStage
) -> Begun:
    """Ask the guard, settle the identity, look for a version made before, and open a writer.

    Raises:
        dg.Failure: a gate before the stage is closed.
        SynthError: a setting or a source cannot be used.
    """
    partition = context.partition_key if dataset.partitions and context.has_partition_key else None
    dataset.tag_run(context.instance, context.run, partition)
    started = time.monotonic()
    stage = build(workspace, partition)
    inputs = open_inputs(context.instance, workspace.snapshots, stage.upstreams, partition, context.run_id)
    refs = [version.ref for version in inputs.values()]
    fresh_for = context.run_id if context.run.tags.get(FRESH_TAG) == "true" else None
    identity, found = identify(stage, dataset, workspace, refs, partition, fresh_for)
    writer = SnapshotWriter(
        workspace.snapshots,
        identity,
        stage.tables,
        scratch=workspace.scratch,
        run_id=context.run_id,
        folder=stage.folder,
        rows_per_part=stage.rows_per_part,
    )
    run = StageRun(
        workspace=workspace,
        partition=partition,
        seed=dataset.cycle_seed(partition),
        inputs=inputs,
        writer=writer,
        log=context.log.info,
        run_id=context.run_id,
        instance=context.instance,
    )
    return Begun(stage, identity, run, found, started)


def finish_stage(begun: Begun) -> StageResult:
    """Commit what was written, or take what was found, and make it the current version."""
    snapshots = begun.run.workspace.snapshots
    snapshot = begun.found
    if snapshot is None:
        try:
            snapshot = begun.run.writer.commit()
        except SnapshotError:
            # Another writer of the same work may have been faster and swept the folder.
            snapshot = snapshots.open(begun.stage.asset, begun.run.partition, begun.identity.snapshot_id)
            if snapshot is None:
                raise
        heal_equals(snapshots, begun.identity, snapshot)
    snapshots.set_head(snapshot, begun.run.run_id)
    return StageResult(snapshot, begun.found is not None, time.monotonic() - begun.started)


def identity_of(
    stage: Stage,
    dataset: DatasetContext,
    inputs: Iterable[InputRef],
    partition: str | None,
    attempt: int = 0,
) -> Identity:
    """All that determines what a stage makes of its inputs."""
    return Identity(
        asset=stage.asset,
        partition=partition,
        code_version=stage.code_version,
        settings={**stage.settings, SEED: dataset.cycle_seed(partition)},
        inputs=(*inputs, *(version.ref for version in stage.also)),
        attempt=attempt,
    )


def identify(
    stage: Stage,
    dataset: DatasetContext,
    workspace: Workspace,
    inputs: Sequence[InputRef],
    partition: str | None,
    fresh_for: str | None = None,
) -> tuple[Identity, Snapshot | None]:
    """Identity of what is to be made, and the version made before, if it is whole and may be used.

    The current version comes first: it may be a later attempt at the same. A damaged version, or the wish for a
    fresh one, asks for another attempt; a version that the very run made (before a retry) is not made again.

    Args:
        stage: makes it.
        dataset: to which it belongs.
        workspace: where its versions are.
        inputs: what it reads.
        partition: its cycle.
        fresh_for: the run that wishes for a fresh one; None: an equal one will do.
    """
    identity = identity_of(stage, dataset, inputs, partition)
    if fresh_for is None and (head := _current(workspace, identity)) is not None and head.is_whole():
        return identity, head
    attempt = 0
    while True:
        identity = identity_of(stage, dataset, inputs, partition, attempt)
        found = workspace.snapshots.open(stage.asset, partition, identity.snapshot_id)
        if found is None:
            return identity, None
        if found.is_whole() and fresh_for in (None, found.manifest.run_id):
            return identity, found
        attempt += 1


def _current(workspace: Workspace, identity: Identity) -> Snapshot | None:
    """The current version, if it is what would be made now."""
    try:
        head = workspace.snapshots.head(identity.asset, identity.partition)
    except SnapshotError:  # its manifest is gone or damaged: what is made now takes its place
        return None
    return head if head is not None and not changes_since(head.manifest, identity) else None
