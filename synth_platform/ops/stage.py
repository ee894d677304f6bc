"""What every stage's wiring shares: run a stage against snapshots, tell its progress, describe the result."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.digest import digest_int
from synth_platform.errors import SnapshotError, SynthError
from synth_platform.ops.guard import Upstream, open_inputs
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.progress import listen, log_listener, track
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.workspace import Workspace

_PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 160
FRESH_TAG = "synth/fresh"
"""Run tag: make the asset anew although an equal version exists."""


@dataclass(frozen=True)
class DatasetContext:
    """What the wiring of every stage knows of its dataset."""

    name: str
    seed: int
    base: Path
    """Folder that relative paths in the spec start from."""
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    partitions: dg.TimeWindowPartitionsDefinition | None = None

    def asset(self, *parts: str) -> str:
        """Key path of one of the dataset's assets."""
        return "/".join((self.name, *parts))

    def cycle_seed(self, partition: str | None) -> int:
        """Seed of a cycle: another cycle, another seed; the same everywhere for the same cycle."""
        return self.seed if partition is None else digest_int(self.seed, partition)

    def spec(
        self,
        asset: str,
        upstreams: Sequence[Upstream],
        *,
        description: str,
        kinds: set[str],
        code_version: str,
        **options: Any,
    ) -> dg.AssetSpec:
        """The asset's spec with the dataset's group, owners, tags and partitions."""
        return dg.AssetSpec(
            key=asset.split("/"),
            deps=[self._dep(upstream) for upstream in upstreams],
            description=description,
            group_name=group_name(self.name),
            kinds=kinds,
            owners=list(self.owners),
            tags=dict(self.tags),
            partitions_def=self.partitions,
            code_version=code_version,
            **options,
        )

    def _dep(self, upstream: Upstream) -> dg.AssetDep:
        return dg.AssetDep(dg.AssetKey(upstream.asset.split("/")))


def group_name(name: str) -> str:
    """A dataset's name as Dagster allows it for groups and jobs."""
    return name.replace("-", "_").replace(".", "_")


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
    """

    asset: str
    code_version: str
    settings: Mapping[str, Any]
    upstreams: tuple[Upstream, ...]
    tables: Mapping[str, pl.Schema]
    work: Callable[[StageRun], None]
    folder: str = ""
    rows_per_part: int = 20_000


@dataclass(frozen=True)
class Outcome:
    """A stage's snapshot, and whether it was there before."""

    snapshot: Snapshot
    reused: bool
    seconds: float


def run_stage(
    context: dg.AssetExecutionContext, resource: WorkspaceResource, dataset: DatasetContext, stage: Stage
) -> Outcome:
    """Make the stage's snapshot, or find it made already, and let it be the current version.

    Raises:
        dg.Failure: a gate before it is closed, or its work met a problem the user has to mend.
    """
    workspace = resource.open()
    partition = context.partition_key if context.has_partition_key else None
    started = time.monotonic()
    inputs = open_inputs(context.instance, workspace.snapshots, stage.upstreams, partition)
    try:
        with listen(log_listener(context.log.info)):
            snapshot, reused = _make(context, workspace, dataset, stage, inputs, partition)
            workspace.snapshots.set_head(snapshot, context.run_id)
    except SynthError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    return Outcome(snapshot, reused, time.monotonic() - started)


def _make(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    dataset: DatasetContext,
    stage: Stage,
    inputs: Mapping[str, Snapshot],
    partition: str | None,
) -> tuple[Snapshot, bool]:
    identity = _identity(context, workspace, dataset, stage, inputs, partition)
    with track(stage.asset, unit="rows") as task:
        if found := _whole(workspace, identity):
            task.advance(found.manifest.rows, note="unchanged: the version made before is used")
            return found, True
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
        )
        try:
            stage.work(run)
            snapshot = writer.commit()
        except SnapshotError:
            # Another writer of the same work may have been faster and swept the folder.
            if (winner := _whole(workspace, identity)) is None:
                raise
            snapshot = winner
        task.advance(snapshot.manifest.rows)
        return snapshot, False


def _identity(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    dataset: DatasetContext,
    stage: Stage,
    inputs: Mapping[str, Snapshot],
    partition: str | None,
) -> Identity:
    """Identity of what is to be made; a damaged version, or the user's wish, asks for another attempt."""
    fresh = context.run.tags.get(FRESH_TAG) == "true"
    attempt = 0
    while True:
        identity = Identity(
            asset=stage.asset,
            partition=partition,
            code_version=stage.code_version,
            settings={**stage.settings, "seed": dataset.cycle_seed(partition)},
            inputs=tuple(snapshot.ref for snapshot in inputs.values()),
            attempt=attempt,
        )
        found = workspace.snapshots.open(stage.asset, partition, identity.snapshot_id)
        made_by_this_run = found is not None and found.manifest.run_id == context.run_id
        if found is None or (not fresh and _is_whole(found)) or made_by_this_run:
            return identity
        attempt += 1


def _whole(workspace: Workspace, identity: Identity) -> Snapshot | None:
    return workspace.snapshots.open(identity.asset, identity.partition, identity.snapshot_id)


def _is_whole(snapshot: Snapshot) -> bool:
    try:
        for table in snapshot.manifest.tables:
            snapshot.files(table)
    except SnapshotError:
        return False
    return True


def materialize_result(outcome: Outcome, asset: str | None = None, **metadata: Any) -> dg.MaterializeResult[Any]:
    """Dagster's record of an outcome: data version, counts, schema, preview and the given metadata."""
    snapshot = outcome.snapshot
    manifest = snapshot.manifest
    main = next(iter(manifest.tables))
    table = manifest.tables[main]
    described = {
        "dagster/row_count": table.rows,
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(name, kind) for name, kind in table.columns.items()]),
        "snapshot": manifest.snapshot_id,
        "location": dg.MetadataValue.path(snapshot.location),
        "bytes": sum(entry.bytes for entry in manifest.tables.values()),
        "seconds": round(outcome.seconds, 2),
        "made": "found unchanged" if outcome.reused else "anew",
        "preview": dg.MetadataValue.md(preview(snapshot.scan(main))),
        "lineage": dg.MetadataValue.md(_lineage(snapshot)),
        **{name: count for name, count in manifest.counts.items() if name not in metadata},
        **metadata,
    }
    return dg.MaterializeResult(
        asset_key=asset.split("/") if asset else None,
        metadata=described,
        data_version=dg.DataVersion(manifest.digest),
    )


def preview(rows: pl.LazyFrame) -> str:
    """The first rows as a Markdown table, long values cut."""
    frame = rows.head(_PREVIEW_ROWS).collect()
    lines = ["| " + " | ".join(frame.columns) + " |", "|" + "---|" * len(frame.columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.iter_rows()]
    return "\n".join(lines) if frame.height else "*no rows*"


def _cell(value: Any) -> str:
    text = " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= _PREVIEW_CHARACTERS else text[:_PREVIEW_CHARACTERS] + "…"


def _lineage(snapshot: Snapshot) -> str:
    lines = ["| input | partition | snapshot | digest |", "|---|---|---|---|"]
    for ref in snapshot.manifest.inputs:
        lines.append(f"| {ref.asset} | {ref.partition or ''} | {ref.snapshot_id} | {ref.digest[:12]} |")
    return "\n".join(lines) if snapshot.manifest.inputs else "*no inputs*"
