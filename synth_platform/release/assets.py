"""Dagster asset of stage 7: the published dataset."""

from collections.abc import Mapping, Sequence

import dagster as dg

from synth_platform.contamination.report import contamination_heat_map
from synth_platform.funnel import funnel
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Judgement, Upstream, judgements
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import bars
from synth_platform.quality.gates import Check
from synth_platform.release.build import DATA_FOLDER, TABLE, TRAIN, component_shares, release_rows
from synth_platform.release.card import GateResult, render_card
from synth_platform.release.config import ReleaseSpec
from synth_platform.release.croissant import croissant_json
from synth_platform.release.overview import funnel_picture, gate_counts, one_release, overview
from synth_platform.release.patch import Patch, find_patch
from synth_platform.release.provenance import benchmark_hits, gather_facts, measured_facts, provenance_json
from synth_platform.release.publish import PUBLISHED, publish
from synth_platform.release.w3c_prov import prov_json
from synth_platform.review.page import REPORT
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import ancestors, kind_of
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace

CODE_VERSION = "3"
PUBLISH_CODE_VERSION = "2"
CARD = "README.md"
PROVENANCE = "provenance.json"
PROV = "prov.json"
CROISSANT = "croissant.json"


def release_asset(
    dataset: DatasetContext,
    release: ReleaseSpec,
    mixture: Upstream,
    review: Upstream,
    *,
    description: str,
    gates: Mapping[str, Sequence[Check]],
    own_gates: Sequence[str],
    findings: Sequence[str],
    freshness: dg.FreshnessPolicy | None,
) -> StageAsset:
    """`<dataset>/release`: Parquet files, dataset card and provenance in the layout of the hub.

    Args:
        dataset: the dataset.
        release: what the card says.
        mixture: what is published.
        review: what was measured of it as a whole.
        description: what the dataset is for.
        gates: gates of every asset that a release can come from, for the card.
        own_gates: names of its own gates that block, for the day when it is published again.
        findings: assets that may speak against rows of an earlier release; where one does, a patch is made.
        freshness: until when a new one should be there.
    """
    asset = dataset.asset("release")
    names = {key: [gate.name for gate in of_asset] for key, of_asset in gates.items()}
    blocking = {(key, gate.name) for key, some in gates.items() for gate in some if gate.severity == "critical"}

    settings = {
        "release": release.model_dump(mode="json", exclude={"publish"}),
        "description": description,
        "gates": {key: [str(gate) for gate in some] for key, some in gates.items()},
    }

    def is_as_wanted(made: Snapshot) -> bool:
        m = made.manifest
        return m.code_version == CODE_VERSION and all(m.settings.get(name) == one for name, one in settings.items())

    def patch_of(workspace: Workspace, partition: str | None, mixed: InputRef) -> Patch | None:
        return find_patch(workspace.snapshots, asset, findings, partition, mixed, is_as_wanted)

    def work(run: StageRun) -> None:
        mixed = run.inputs[mixture.asset]
        patch = patch_of(run.workspace, run.partition, mixed.ref)
        if patch is None:
            for rows in release_rows(mixed.batches("mixture")):
                run.writer.write(TABLE, rows)
        else:
            for rows in patch.parts(TABLE):
                run.writer.write(TABLE, rows)
                run.writer.end_part(TABLE)
            run.writer.count(taken_out=len(patch.removed))
        lineage = ancestors(run.workspace.snapshots, [mixed, run.inputs[review.asset], *_made_of(patch)])
        judged = [_result(one, blocking) for one in judgements(run.instance, lineage, names, run.run_id)]
        measured = measured_facts(lineage, patch)
        facts = gather_facts(dataset.name, description, lineage, measured, judged, patch)
        run.writer.add_file(CARD, render_card(facts, release).encode())
        run.writer.add_file(PROVENANCE, provenance_json(lineage))
        run.writer.add_file(PROV, prov_json(run.writer.identity, lineage))
        run.writer.add_file(CROISSANT, croissant_json(facts, release, run.writer.identity.snapshot_id))
        run.writer.count(tokens=facts.tokens)
        run.writer.detail(facts=measured, gates=gate_counts(judged), blocking=list(own_gates))

    def build(workspace: Workspace, partition: str | None) -> Stage:
        mixed = workspace.snapshots.current_ref(mixture.asset, partition)
        patch = patch_of(workspace, partition, mixed) if mixed else None
        return Stage(
            also=_made_of(patch),
            asset=asset,
            code_version=CODE_VERSION,
            settings=settings,
            upstreams=(mixture, review),
            tables={TABLE: TRAIN},
            work=work,
            folder=DATA_FOLDER,
            ids_from=frozenset([mixture.asset, review.asset]),
            rows_per_part=release.rows_per_file,
        )

    spec = dataset.spec(
        asset,
        (mixture, review),
        description=f"{description}\n\nThe published dataset: Parquet files that `datasets.load_dataset` reads, a"
        " dataset card with provenance, recipes, gates and limits, Croissant and PROV descriptions, and the manifests"
        " it was made from.",
        kinds={"parquet", "huggingface"},
        code_version=CODE_VERSION,
        freshness_policy=freshness,
    )
    return stage_asset(dataset, spec, build, _describe)


def published_asset(dataset: DatasetContext, release: ReleaseSpec, released: Upstream) -> StageAsset:
    """`<dataset>/published`: the release at every destination of the spec, verified there.

    Args:
        dataset: the dataset.
        release: names the destinations.
        released: the release.
    """
    asset = dataset.asset("published")

    def work(run: StageRun) -> None:
        rows = publish(run.workspace.snapshots, run.inputs[released.asset], release.publish, dataset.base, run.log)
        run.writer.write("published", rows)

    def build(workspace: Workspace) -> Stage:
        return Stage(
            asset=asset,
            code_version=PUBLISH_CODE_VERSION,
            settings={"destinations": [one.model_dump(mode="json") for one in release.publish]},
            upstreams=(released,),
            tables={"published": PUBLISHED},
            work=work,
        )

    spec = dataset.spec(
        asset,
        (released,),
        description=f"The release at {', '.join(one.name for one in release.publish)}: every file verified there, then"
        " the pointer to the current version moved.",
        kinds={"parquet"},
        code_version=PUBLISH_CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), lambda workspace, snapshot: {})


def _made_of(patch: Patch | None) -> tuple[Snapshot, ...]:
    return (patch.replaced, *patch.findings) if patch else ()


def _result(judged: Judgement, blocking: set[tuple[str, str]]) -> GateResult:
    observed = judged.metadata.get("observed")
    return GateResult(
        asset=judged.asset,
        gate=judged.gate,
        passed=judged.passed,
        blocking=(judged.asset, judged.gate) in blocking,
        observed=f"{observed:.4g}" if isinstance(observed, int | float) else str(judged.metadata.get("error", "")),
        bounds=str(judged.metadata.get("bounds", "")),
    )


def _describe(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    card = snapshot.read_file(CARD).decode()
    lineage = ancestors(workspace.snapshots, [snapshot])
    steps = funnel(one_release(lineage))
    mixture, review = (
        next(one for one in lineage if kind_of(one.manifest.asset) == kind) for kind in ("mixture", "review")
    )
    shares = component_shares(snapshot.scan(TABLE), mixture.manifest)
    tokens = {str(share["component"]): int(str(share["tokens"])) for share in shares}
    return {
        "overview": dg.MetadataValue.md(overview(steps, lineage, snapshot.manifest.details.get("gates", {}))),
        "funnel": dg.MetadataValue.md(funnel_picture(steps)),
        "report": dg.MetadataValue.path(f"{review.location}/{REPORT}"),
        "tokens": sum(tokens.values()),
        "contamination": dg.MetadataValue.md(_contamination(lineage)),
        "card": dg.MetadataValue.md(card.partition("\n---\n")[2]),
        "plots": dg.MetadataValue.md(bars(tokens, title="Tokens by component", x="tokens")),
    }


def _contamination(lineage: Sequence[Snapshot]) -> str:
    """Where test items were found, by test set and recipe."""
    scans = sorted(
        (one for one in lineage if "contamination" in one.manifest.tables and one.removal is None),
        key=lambda one: one.manifest.asset,
    )
    return contamination_heat_map(scans, [str(row["benchmark"]) for row in benchmark_hits(lineage)])
