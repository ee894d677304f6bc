"""Dagster assets of stage 4: the judged generations, and those that were accepted."""

import dagster as dg
import polars as pl

from synth_platform.generation.budget import per_accepted_million
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import bars, histogram
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.persons import model_settings
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.accept import ACCEPTED, REJECTED, accept, contaminated
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.profile import count_reasons
from synth_platform.quality.remeasure import (
    MEASURED,
    Material,
    encoder_of,
    find_measured,
    limits_of,
    measured_digest,
    measured_settings,
    metrics_of,
)
from synth_platform.quality.schema import QUALITY
from synth_platform.quality.screen import SCREEN_VERSION
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of
from synth_platform.workspace import Workspace

CODE_VERSION = "2"


def quality_asset(
    dataset: DatasetContext,
    recipe: RecipeSpec,
    quality: QualitySpec,
    privacy: PrivacySpec,
    prompts: Upstream,
    generations: Upstream,
    graded: tuple[Upstream, ...],
) -> StageAsset:
    """`<dataset>/quality/<recipe>`: metrics, verdict and reasons for each generation.

    Args:
        dataset: the dataset.
        recipe: whose answers.
        quality: its limits.
        privacy: how personal data is looked for.
        prompts: of the recipe.
        generations: of the recipe.
        graded: what a judge was asked, and what it said; empty where there is none.
    """
    asset = dataset.asset("quality", recipe.name)
    limits, upstreams = limits_of(recipe, quality), (prompts, generations, *graded)
    judged_by = {"quality": limits.model_dump(mode="json"), "privacy": privacy.output}

    def work(run: StageRun) -> None:
        made = Material(*(run.inputs[one.asset] for one in upstreams))
        encoder = encoder_of(recipe, limits, run.workspace.encoders, run.log)
        measured = measured_digest(recipe, privacy, made, encoder)
        known = find_measured(run.workspace.snapshots, asset, run.partition, measured)
        if known is not None:
            run.log(f"Judging the metrics of {known.manifest.snapshot_id} anew: nothing has to be measured again")
        for metrics in metrics_of(recipe, privacy, made, encoder, known):
            rows = apply_limits(metrics, limits, privacy.output).match_to_schema(QUALITY)
            run.writer.write("quality", rows)
            run.writer.count(
                accepted=rows.filter(pl.col("verdict") == "accepted").height,
                rejected=rows.filter(pl.col("verdict") != "accepted").height,
                facts_correct=int(rows["facts_correct"].sum()),
                facts_wrong=int(rows["facts_wrong"].sum()),
            )
        run.writer.detail(**{MEASURED: measured})

    def build(workspace: Workspace) -> Stage:
        encoder = encoder_of(recipe, limits, workspace.encoders)
        return Stage(
            asset=asset,
            code_version=f"{CODE_VERSION}.{SCREEN_VERSION}",
            settings={**judged_by, **measured_settings(recipe, privacy, encoder)},
            upstreams=upstreams,
            tables={"quality": QUALITY},
            work=work,
            ids_from=frozenset([generations.asset]),
        )

    form = recipe.conformance_rule if isinstance(recipe.conformance_rule, str) else "of its own"
    spec = dataset.spec(
        asset,
        upstreams,
        description=f"Each generation of `{recipe.name}` judged: form `{form}`, what is left of prompts and chats,"
        " repetition, copying, language, arithmetic, and numbers, dates, units, names and, where asked, sentences"
        " against the source.",
        kinds={"polars", "parquet"},
        code_version=f"{CODE_VERSION}.{SCREEN_VERSION}",
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), _describe_quality)


def accepted_asset(
    dataset: DatasetContext,
    recipe: RecipeSpec,
    privacy: PrivacySpec,
    *,
    prompts: Upstream,
    generations: Upstream,
    quality: Upstream,
    contamination: Upstream,
    document_contamination: Upstream,
) -> StageAsset:
    """`<dataset>/accepted/<recipe>`: the rows that passed everything; the others are kept in `rejected`."""
    asset = dataset.asset("accepted", recipe.name)
    protection = privacy.model_dump(mode="json", include={"output", "regions", "ner"})
    upstreams = (prompts, generations, quality, contamination, document_contamination)

    def work(run: StageRun) -> None:
        rows = accept(
            run.inputs[prompts.asset].batches("prompts"),
            run.inputs[generations.asset].batches(),
            run.inputs[quality.asset].batches(),
            contaminated_generations=contaminated(run.inputs[contamination.asset].batches("contamination")),
            contaminated_prompts=contaminated(run.inputs[contamination.asset].batches("prompts")),
            contaminated_documents=contaminated(run.inputs[document_contamination.asset].batches()),
            privacy=privacy,
        )
        for table, batch in rows:
            run.writer.write(table, batch)
            run.writer.count(**{table: batch.height, "generations": batch.height})
            if table == "accepted":
                run.writer.count(redacted=int(batch["redacted"].sum()))

    def build(workspace: Workspace) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={"privacy": {**protection, **model_settings(privacy.ner)}},
            upstreams=upstreams,
            tables={"accepted": ACCEPTED, "rejected": REJECTED},
            work=work,
            ids_from=frozenset([generations.asset]),
        )

    spec = dataset.spec(
        asset,
        upstreams,
        description=f"Generations of `{recipe.name}` that passed quality and contamination. What was rejected is kept"
        " beside it with all its reasons.",
        kinds={"polars", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), _describe_accepted)


def _describe_quality(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    counts = snapshot.manifest.counts
    reasons = count_reasons(snapshot.scan())
    lengths = snapshot.scan().select("length_ratio").drop_nulls().collect()["length_ratio"].to_list()
    support = snapshot.scan().select(pl.col("support").mean()).collect().item()
    described: dict[str, object] = {
        "acceptance": counts.get("accepted", 0) / max(snapshot.manifest.rows, 1),
        "rejected_by_reason": shown_counts(reasons),
        "plots": dg.MetadataValue.md(
            bars(reasons, title="Rejected rows by reason", x="rows")
            + "\n\n"
            + histogram(lengths, title="Length of answer over length of source", x="ratio", y="generations")
        ),
    }
    grades = snapshot.scan().select("judge_score").drop_nulls().collect()["judge_score"].to_list()
    if grades:
        described["mean_grade"] = sum(grades) / len(grades)
        described["grades"] = dg.MetadataValue.md(histogram(grades, title="Grades", x="grade", y="generations"))
    stated = counts.get("facts_correct", 0) + counts.get("facts_wrong", 0)
    if stated:
        described["fact_accuracy"] = counts["facts_correct"] / stated
    if support is not None:
        described["support"] = support
    return described


def _describe_accepted(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    reasons = count_reasons(snapshot.scan("rejected"))
    tokens = int(snapshot.scan("accepted").select(pl.col("tokens").sum()).collect().item() or 0)
    generations = workspace.snapshots.require(input_of(snapshot, "generations"))
    return {
        "tokens": tokens,
        **per_accepted_million(generations.manifest.details, tokens),
        "rejected_by_reason": shown_counts(reasons),
        "plots": dg.MetadataValue.md(bars(reasons, title="Rejected rows by reason", x="rows")),
    }
