"""Dagster asset of stage 6: the mixture of accepted generations and original documents."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg
import polars as pl

from synth_platform.mixing.config import MixtureSpec
from synth_platform.mixing.mix import ComponentPlan, at_hand, draw_all, mix, plan_mixture
from synth_platform.mixing.schema import COMPONENT_ROWS, EXCLUDED, MIXTURE
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import preview, shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import bars
from synth_platform.quality.accept import contaminated
from synth_platform.release.build import component_shares
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

CODE_VERSION = "2"


def mixture_asset(
    dataset: DatasetContext,
    mixture: MixtureSpec,
    *,
    documents: Upstream,
    document_contamination: Upstream,
    accepted: Mapping[str, Upstream],
    mix_in: Sequence[str],
) -> StageAsset:
    """`<dataset>/mixture`: rows drawn by weight, shuffled; what was at hand but is not in it is in `excluded`."""
    asset = dataset.asset("mixture")
    upstreams = (documents, document_contamination, *accepted.values())
    settings = {"mixture": mixture.model_dump(mode="json"), "mix_in": list(mix_in)}

    def work(run: StageRun) -> None:
        hits = contaminated(run.inputs[document_contamination.asset].batches())

        def read_all() -> Iterator[pl.DataFrame]:
            for recipe, upstream in accepted.items():
                yield from (_from_accepted(batch, recipe) for batch in run.inputs[upstream.asset].batches("accepted"))
            for batch in run.inputs[documents.asset].batches("documents"):
                yield _from_documents(batch.filter(pl.col("source").is_in(list(mix_in))), hits)

        there = at_hand(read_all)
        available = dict.fromkeys((*accepted, *mix_in), 0) | {
            name: int(rows["tokens"].sum()) for name, rows in there.items()
        }
        plans = plan_mixture(available, mixture)
        drawn = draw_all(plans, there, mixture, run.seed)
        for rows in mix(pl.concat(drawn.values()), read_all, run.workspace.scratch):
            run.writer.write("mixture", rows)
        _write_excluded(run, there, drawn, hits, documents, mix_in)
        run.writer.count(available=sum(rows.height for rows in there.values()))
        run.writer.detail(plan=[_plan_row(plan) for plan in plans])

    def build(workspace: Workspace) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings=settings,
            upstreams=upstreams,
            tables={"mixture": MIXTURE, "excluded": EXCLUDED},
            work=work,
            ids_from=frozenset(one.asset for one in accepted.values()),
        )

    spec = dataset.spec(
        asset,
        upstreams,
        description="Accepted generations and mix-in documents, drawn by token weight and shuffled with the seed:"
        " the same inputs give the same bytes.",
        kinds={"polars", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), _describe)


def _from_accepted(batch: pl.DataFrame, recipe: str) -> pl.DataFrame:
    return batch.with_columns(
        pl.lit("synthetic").alias("origin"), pl.lit(recipe).alias("recipe"), pl.col("generation_id").alias("row_id")
    ).select(COMPONENT_ROWS.names())


def _from_documents(batch: pl.DataFrame, contaminated_ids: Mapping[str, str]) -> pl.DataFrame:
    return (
        batch.filter(~pl.col("id").is_in(list(contaminated_ids)))
        .with_columns(
            pl.lit("original").alias("origin"),
            pl.lit(None, pl.String).alias("recipe"),
            pl.col("id").alias("document_id"),
            pl.lit(None, pl.String).alias("generation_id"),
            pl.col("id").alias("row_id"),
        )
        .select(COMPONENT_ROWS.names())
    )


def _write_excluded(
    run: StageRun,
    there: Mapping[str, pl.DataFrame],
    drawn: Mapping[str, pl.DataFrame],
    hits: Mapping[str, str],
    documents: Upstream,
    mix_in: Sequence[str],
) -> None:
    for name, rows in sorted(there.items()):
        left = rows.join(drawn[name].select("row_id"), on="row_id", how="anti")
        run.writer.write(
            "excluded",
            left.with_columns(pl.lit(name).alias("component"), pl.lit("over_budget").alias("reason")).drop("place"),
        )
        run.writer.count(excluded=left.height, used=rows.height - left.height)
    for batch in run.inputs[documents.asset].batches("documents", columns=["id", "source", "tokens"]):
        bad = batch.filter(pl.col("source").is_in(list(mix_in)) & pl.col("id").is_in(list(hits)))
        reasons = pl.Series("reason", [f"contaminated:{hits[row]}" for row in bad["id"]], dtype=pl.String)
        rows = bad.rename({"id": "row_id", "source": "component"}).with_columns(reasons)
        run.writer.write("excluded", rows)
        run.writer.count(contaminated=rows.height)


def _plan_row(plan: ComponentPlan) -> dict[str, object]:
    return {
        "component": plan.name,
        "weight": plan.weight,
        "available_tokens": plan.available_tokens,
        "target_tokens": plan.target_tokens,
        "epochs": round(plan.epochs, 4),
    }


def _describe(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    shares = component_shares(snapshot.scan("mixture"), snapshot.manifest)
    plan = snapshot.manifest.details.get("plan", [])
    tokens = {str(share["component"]): int(str(share["tokens"])) for share in shares}
    excluded = snapshot.scan("excluded").group_by("reason").len().sort("reason").collect()
    return {
        "tokens": sum(tokens.values()),
        "plan": dg.MetadataValue.md(preview(pl.LazyFrame(plan), len(plan))),
        "excluded_by_reason": shown_counts(dict(excluded.iter_rows())),
        "plots": dg.MetadataValue.md(bars(tokens, title="Tokens by component", x="tokens")),
    }
