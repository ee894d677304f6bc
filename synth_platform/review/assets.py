"""Dagster asset of the review: what is measured of a whole version before it is released, and its report."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.bias.describe import notable
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import Stage, StageAsset, StageRun, stage_asset
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.persons import model_settings
from synth_platform.review.config import ReviewSpec
from synth_platform.review.findings import Findings, Version, review, tables
from synth_platform.review.page import REPORT, render_page
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import ancestors, ref_of
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace

CODE_VERSION = "3"


def review_asset(
    dataset: DatasetContext,
    spec: ReviewSpec,
    privacy: PrivacySpec,
    *,
    mixture: Upstream,
    documents: Upstream,
    accepted: Mapping[str, Upstream],
    prompts: Mapping[str, Upstream],
    contamination: Sequence[Upstream],
    rewritten: Sequence[str],
) -> StageAsset:
    """`<dataset>/review`: duplicates, diversity, template collapse, drift, privacy and bias, and a report to read.

    Args:
        dataset: the dataset.
        spec: settings.
        privacy: how personal data is looked for.
        mixture: what is to be released.
        documents: its sources.
        accepted: accepted and rejected generations, by recipe.
        prompts: by recipe.
        contamination: what was found of test items.
        rewritten: names of the sources that prompts are made of.
    """
    asset = dataset.asset("review")
    written = tables(spec)
    reviewed, looked_for = spec.model_dump(mode="json"), privacy.model_dump(mode="json")
    upstreams = (mixture, documents, *accepted.values(), *prompts.values(), *contamination)

    def work(run: StageRun) -> None:
        of, snapshots = run.inputs, run.workspace.snapshots
        last = last_review(snapshots, dataset, run.partition, of[mixture.asset].ref)
        version = Version(
            mixture=of[mixture.asset],
            documents=of[documents.asset],
            accepted={name: of[one.asset] for name, one in accepted.items()},
            prompts={name: of[one.asset] for name, one in prompts.items()},
            rewritten=rewritten,
            last=snapshots.open(last.asset, last.partition, last.snapshot_id) if last else None,
        )
        run.workspace.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="review-", dir=run.workspace.scratch) as scratch:
            found = review(version, spec, privacy, seed=run.seed, scratch=Path(scratch), write=run.writer.write)
        run.writer.write("measures", found.rows())
        scans = [of[one.asset] for one in contamination]
        lineage = ancestors(run.workspace.snapshots, [version.mixture])
        page = render_page(dataset.name, run.partition, version, found, scans, lineage, seed=run.seed)
        run.writer.add_file(REPORT, page.encode())
        run.writer.count(reviewed=version.mixture.manifest.rows)
        run.writer.detail(
            sections={name: part.describe() for name, part in _described(found).items()},
            bias=notable(found.bias) if found.bias else None,
        )

    def build(workspace: Workspace, partition: str | None) -> Stage:
        mixed = workspace.snapshots.current_ref(mixture.asset, partition)
        last = last_review(workspace.snapshots, dataset, partition, mixed) if mixed else None
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "review": reviewed,
                "privacy": workspace.once(("privacy", asset), lambda: {**looked_for, **model_settings(privacy.ner)}),
                # Not an input: what a version was made from does not go through the version before.
                "last": last.digest if last else None,
            },
            upstreams=upstreams,
            tables=written,
            work=work,
            ids_from=frozenset([mixture.asset]),
        )

    described = dataset.spec(
        asset,
        upstreams,
        description="The whole version, looked at before it is released: yield, near duplicates, diversity, template"
        " collapse, drift from the last release and from the sources, what it discloses of persons, bias. Its"
        f" `{REPORT}` is a page to read and print.",
        kinds={"polars", "html"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, described, build, _describe)


def last_review(
    snapshots: Snapshots, dataset: DatasetContext, partition: str | None, mixture: InputRef
) -> InputRef | None:
    """Review of the release before: of another mixture of this cycle, or else of the newest cycle before."""
    asset = dataset.asset("release")
    for record in reversed(snapshots.history(asset, partition)):
        inputs = snapshots.inputs(asset, partition, record.snapshot_id) or ()
        mixed = ref_of("mixture", inputs)
        if mixed is not None and mixed.digest != mixture.digest:
            return ref_of("review", inputs)
    if partition is None:
        return None
    cycles = snapshots.partitions(asset)
    before = bisect_left(cycles, partition)
    return ref_of("review", snapshots.inputs_of_current(asset, cycles[before - 1])) if before else None


def _described(found: Findings) -> Mapping[str, Any]:
    parts = {**found.sections(), "privacy": found.leaks, "canaries": found.canaries}
    return {name: part for name, part in parts.items() if part is not None}


def _describe(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    sections: Mapping[str, str] = snapshot.manifest.details["sections"]
    measures = snapshot.scan("measures").collect()
    return {
        "report": dg.MetadataValue.path(f"{snapshot.location}/{REPORT}"),
        "preview": dg.MetadataValue.md(_table(measures)),
        **{name: dg.MetadataValue.md(text) for name, text in sections.items()},
    }


def _table(measures: pl.DataFrame) -> str:
    rows = [f"| {section} | {metric} | {value:.4g} |" for section, metric, value in measures.iter_rows()]
    return "\n".join(["| section | metric | value |", "|---|---|---|", *rows])
