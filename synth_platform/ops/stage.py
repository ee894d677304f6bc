"""What every stage's wiring shares: run a stage against snapshots, tell its progress, describe the result."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.digest import digest_int
from synth_platform.errors import SnapshotError, SynthError
from synth_platform.ops.guard import Upstream, open_inputs
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.progress import listen, log_listener, track
from synth_platform.quality.suites import Suites
from synth_platform.secrecy import reveals, scrub
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.changes import changes_since
from synth_platform.snapshots.healing import heal_equals
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace

_PREVIEW_ROWS = 5
_PREVIEW_CHARACTERS = 160
_SPEC_FILE = "defs.yaml"
_NO_RECIPES = frozenset(["documents", "index", "release"])
"""Last parts of the keys of contamination that name no recipe."""
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
    suites: Suites = field(default_factory=dict)
    """Expectations of the dataset's own, by stage."""

    def asset(self, *parts: str) -> str:
        """Key path of one of the dataset's assets."""
        return "/".join((self.name, *parts))

    def cycle_seed(self, partition: str | None) -> int:
        """Seed of a cycle: another cycle, another seed; the same everywhere for the same cycle."""
        return self.seed if partition is None else _seed(self.seed, partition)

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
        """The asset's spec with the dataset's group, owners, tags and partitions, and links to what it reads.

        The stage is among the kinds, because the interface shows only the last part of a key on each box.
        """
        return dg.AssetSpec(
            key=asset.split("/"),
            deps=[self._dep(upstream) for upstream in upstreams],
            description=_linked(description, upstreams),
            group_name=group_name(self.name),
            kinds={asset.split("/")[1], *kinds},
            owners=list(self.owners),
            tags={**self.tags, **_tags_of(asset)},
            metadata={"dagster/code_references": self._spec_file()},
            partitions_def=self.partitions,
            code_version=code_version,
            **options,
        )

    def _spec_file(self) -> dg.CodeReferencesMetadataValue:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # said once for every asset
            reference = dg.LocalFileCodeReference(file_path=str(self.base / _SPEC_FILE), label="the dataset's spec")
            return dg.CodeReferencesMetadataValue(code_references=[reference])

    def _dep(self, upstream: Upstream) -> dg.AssetDep:
        return dg.AssetDep(dg.AssetKey(upstream.asset.split("/")))


def _linked(description: str, upstreams: Sequence[Upstream]) -> str:
    """A description that ends with links to the pages of the assets it reads."""
    links = ", ".join(f"[{one.asset}](/assets/{one.asset})" for one in upstreams)
    return f"{description}\n\nMade from {links}." if links else description


def _tags_of(asset: str) -> dict[str, str]:
    """Tags to search the catalog by: which dataset, which stage, which recipe."""
    dataset, *rest = asset.split("/")
    tags = {"synth/dataset": dataset}
    if stage := kind_of(asset):
        tags["synth/stage"] = stage
    if len(rest) > 1 and rest[-1] not in _NO_RECIPES:
        tags["synth/recipe"] = rest[-1]
    return tags


@lru_cache
def _seed(seed: int, partition: str) -> int:
    return digest_int(seed, partition)


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


@dataclass(frozen=True)
class Outcome:
    """A stage's snapshot, and whether it was there before."""

    snapshot: Snapshot
    reused: bool
    seconds: float


BuildStage = Callable[[Workspace, str | None], Stage]
"""Makes the stage for a workspace and partition: settings may depend on what lies in them."""

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


@contextmanager
def failing_for_people() -> Iterator[None]:
    """Turn problems the user has to mend into failures that show the message and are not retried.

    Dagster stores errors with all that caused them: one that would show a secret is told in words without it.
    """
    try:
        yield
    except SynthError as error:
        raise dg.Failure(str(error), allow_retries=False) from None if reveals(error) else error
    except dg.Failure as error:
        if reveals(error):
            raise dg.Failure(scrub(error.description or ""), allow_retries=error.allow_retries) from None
        raise
    except Exception as error:
        if reveals(error):
            raise RuntimeError(scrub(f"{type(error).__name__}: {error}")) from None
        raise


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
                    outcome = finish_stage(begun)
                    task.advance(outcome.snapshot.manifest.rows)
            else:
                outcome = finish_stage(begun)
            return materialize_result(outcome, describe(begun.run.workspace, outcome.snapshot))

    return StageAsset(make, dataset, {asset: build})


def node_name(asset: str) -> str:
    """Dagster's name for what makes or checks an asset."""
    return group_name(asset.replace("/", "__"))


def begin_stage(
    context: dg.AssetExecutionContext, workspace: Workspace, dataset: DatasetContext, build: BuildStage
) -> Begun:
    """Ask the guard, settle the identity, look for a version made before, and open a writer.

    Raises:
        dg.Failure: a gate before the stage is closed.
        SynthError: a setting or a source cannot be used.
    """
    partition = context.partition_key if dataset.partitions and context.has_partition_key else None
    started = time.monotonic()
    stage = build(workspace, partition)
    inputs = open_inputs(context.instance, workspace.snapshots, stage.upstreams, partition)
    identity, found = _identify(context, workspace, dataset, stage, inputs, partition)
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


def finish_stage(begun: Begun) -> Outcome:
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
    return Outcome(snapshot, begun.found is not None, time.monotonic() - begun.started)


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
        settings={**stage.settings, "seed": dataset.cycle_seed(partition)},
        inputs=(*inputs, *(version.ref for version in stage.also)),
        attempt=attempt,
    )


def _identify(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    dataset: DatasetContext,
    stage: Stage,
    inputs: Mapping[str, Snapshot],
    partition: str | None,
) -> tuple[Identity, Snapshot | None]:
    """Identity of what is to be made, and the version made before, if it is whole and may be used.

    The current version comes first: it may be a later attempt at the same. A damaged version, or the wish for a
    fresh one, asks for another attempt; a version that this very run made (before a retry) is not made again.
    """
    fresh = context.run.tags.get(FRESH_TAG) == "true"
    refs = [version.ref for version in inputs.values()]
    identity = identity_of(stage, dataset, refs, partition)
    if not fresh and (head := _current(workspace, identity)) is not None and head.is_whole():
        return identity, head
    attempt = 0
    while True:
        identity = identity_of(stage, dataset, refs, partition, attempt)
        found = workspace.snapshots.open(stage.asset, partition, identity.snapshot_id)
        if found is None:
            return identity, None
        if found.is_whole() and (not fresh or found.manifest.run_id == context.run_id):
            return identity, found
        attempt += 1


def _current(workspace: Workspace, identity: Identity) -> Snapshot | None:
    """The current version, if it is what would be made now."""
    try:
        head = workspace.snapshots.head(identity.asset, identity.partition)
    except SnapshotError:  # its manifest is gone or damaged: what is made now takes its place
        return None
    return head if head is not None and not changes_since(head.manifest, identity) else None


def materialize_result(
    outcome: Outcome, metadata: Mapping[str, Any], asset: str | None = None
) -> dg.MaterializeResult[Any]:
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
    lines += ["| " + " | ".join(shown_cell(value) for value in row) + " |" for row in frame.iter_rows()]
    return "\n".join(lines) if frame.height else "*no rows*"


def shown_cell(value: Any) -> str:
    """A value on one line of a Markdown table, cut short."""
    text = " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= _PREVIEW_CHARACTERS else text[:_PREVIEW_CHARACTERS] + "…"


def _lineage(snapshot: Snapshot) -> str:
    lines = ["| input | partition | snapshot | digest |", "|---|---|---|---|"]
    for ref in snapshot.manifest.inputs:
        lines.append(f"| {ref.asset} | {ref.partition or ''} | {ref.snapshot_id} | {ref.digest[:12]} |")
    return "\n".join(lines) if snapshot.manifest.inputs else "*no inputs*"
