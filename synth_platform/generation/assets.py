"""Dagster assets of stage 3: all recipes of a dataset share one engine in one step, each recipe is an asset."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
import httpx
import polars as pl

from synth_platform.errors import EngineError
from synth_platform.generation.config import EndpointEngine, EngineSpec
from synth_platform.generation.environment import require
from synth_platform.generation.generate import (
    Job,
    endpoints_of,
    engine_digest,
    generate,
    shard_count,
)
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.server import Endpoint, run_server
from synth_platform.ops.guard import Upstream
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import (
    Begun,
    DatasetContext,
    Stage,
    StageRun,
    begin_stage,
    failing_for_people,
    finish_stage,
    materialize_result,
    node_name,
)
from synth_platform.plots import bars, histogram
from synth_platform.progress import listen, log_listener
from synth_platform.prompts.config import RecipeSpec
from synth_platform.snapshots import Snapshot, SnapshotWriter
from synth_platform.workspace import Workspace

CODE_VERSION = "1"
POOL = "gpu"


def generations_assets(
    dataset: DatasetContext,
    recipes: Sequence[RecipeSpec],
    engine: EngineSpec,
    prompts: Mapping[str, Upstream],
    *,
    shard_size: int,
) -> dg.AssetsDefinition:
    """`<dataset>/generations/<recipe>` for all recipes; any subset of them can be materialized."""
    by_asset = {dataset.asset("generations", recipe.name): recipe for recipe in recipes}
    specs = [
        dataset.spec(
            asset,
            (prompts[recipe.name],),
            description=f"What `{engine.model}` answered to the prompts of `{recipe.name}`: one row per prompt,"
            f" whatever became of it. Committed in shards of {shard_size}; a stopped run goes on where it was.",
            kinds={"vllm", "parquet"},
            code_version=CODE_VERSION,
            skippable=True,
        )
        for asset, recipe in by_asset.items()
    ]

    @dg.multi_asset(name=node_name(dataset.asset("generations")), specs=specs, can_subset=True, pool=POOL)
    def make(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None]]:
        opened = workspace.open()
        chosen = {"/".join(key.path) for key in context.selected_asset_keys}
        with failing_for_people(), listen(log_listener(context.log.info)):
            digest = _digest(engine, opened)
            begun = {
                asset: begin_stage(
                    context, opened, dataset, _builder(asset, recipe, engine, prompts[recipe.name], shard_size, digest)
                )
                for asset, recipe in by_asset.items()
                if asset in chosen
            }
            jobs = [_job(one, by_asset[asset]) for asset, one in begun.items() if one.found is None]
            if any(job.rows > _committed_rows(job, shard_size) for job in jobs):
                with _engine(engine, opened, dataset.name, context.log.info) as endpoints:
                    generate(jobs, endpoints, engine, engine=digest, shard_size=shard_size)
            for asset, one in begun.items():
                yield _finish(one, asset, by_asset[asset], shard_size)

    return make


@dataclass(frozen=True)
class SnapshotShards:
    """Shards of a generation snapshot in the making."""

    writer: SnapshotWriter
    model: str

    def committed(self) -> set[int]:
        """Numbers of the shards that are done."""
        return set(self.writer.shards("generations"))

    def commit(self, shard: int, rows: pl.DataFrame) -> None:
        """Make a shard durable."""
        self.writer.commit_shard("generations", shard, rows.with_columns(pl.lit(self.model).alias("model")))


def _builder(
    asset: str, recipe: RecipeSpec, engine: EngineSpec, prompts: Upstream, shard_size: int, digest: str
) -> Callable[[Workspace, str | None], Stage]:
    def build(workspace: Workspace, partition: str | None) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "sampling": recipe.sampling.model_dump(mode="json"),
                "engine": digest,
                "model": engine.model,
                "shard_size": shard_size,
            },
            upstreams=(prompts,),
            tables={"generations": GENERATIONS},
            work=_no_work,
        )

    return build


def _no_work(run: StageRun) -> None:
    """The work is done for all recipes together, by `generate`."""


def _job(begun: Begun, recipe: RecipeSpec) -> Job:
    prompts = next(iter(begun.run.inputs.values()))
    return Job(
        recipe=recipe.name,
        prompts=prompts.batches("prompts", columns=["id", "messages"]),
        rows=prompts.manifest.rows,
        sampling=recipe.sampling,
        sink=SnapshotShards(begun.run.writer, str(begun.stage.settings["model"])),
    )


def _committed_rows(job: Job, shard_size: int) -> int:
    """Rows in committed shards; all shards but the last are full."""
    done = job.sink.committed()
    last = shard_count(job.rows, shard_size) - 1
    return sum(shard_size if number < last else job.rows - last * shard_size for number in done)


def _finish(begun: Begun, asset: str, recipe: RecipeSpec, shard_size: int) -> dg.MaterializeResult[None]:
    if begun.found is None:
        prompts = next(iter(begun.run.inputs.values()))
        begun.run.writer.use_shards("generations", shard_count(prompts.manifest.rows, shard_size))
        begun.run.writer.count(prompts=prompts.manifest.rows)
        begun.run.writer.detail(
            recipe=recipe.name, model=begun.stage.settings["model"], engine_digest=begun.stage.settings["engine"]
        )
    outcome = finish_stage(begun)
    return materialize_result(outcome, _describe(outcome.snapshot), asset)


@contextmanager
def _engine(
    engine: EngineSpec, workspace: Workspace, dataset: str, tell: Callable[[str], None]
) -> Iterator[list[Endpoint]]:
    if isinstance(engine, EndpointEngine):
        yield endpoints_of(engine, dict(os.environ))
        return
    environment = require(workspace.engine)
    with run_server(engine, environment, workspace.logs / "engine" / dataset, tell) as endpoint:
        yield [endpoint]


def _digest(engine: EngineSpec, workspace: Workspace) -> str:
    """The engine's digest; an endpoint is asked which model it serves, so that a swapped model is noticed."""
    if not isinstance(engine, EndpointEngine):
        environment = require(workspace.engine)
        return engine_digest(engine, f"{environment.package} {environment.version}")
    endpoint = endpoints_of(engine, dict(os.environ))[0]
    headers = {"Authorization": f"Bearer {endpoint.key}"} if endpoint.key else {}
    try:
        answer = httpx.get(f"{endpoint.url}/models", headers=headers, timeout=30.0, trust_env=False)
        answer.raise_for_status()
        served = {model["id"]: model.get("root") or model["id"] for model in answer.json()["data"]}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            f"the engine cannot be reached: {error or type(error).__name__}",
            where=endpoint.url,
            fix="start it, or correct engine.urls",
        ) from None
    if engine.model not in served:
        raise EngineError(
            f"the engine does not serve {engine.model!r}",
            where=endpoint.url,
            fix=f"set engine.model to one of {', '.join(map(repr, served))}",
        )
    return engine_digest(engine, str(served[engine.model]))


def _describe(snapshot: Snapshot) -> dict[str, object]:
    rows = snapshot.scan()
    totals = (
        rows.select(
            pl.col("prompt_tokens").sum(),
            pl.col("completion_tokens").sum(),
            pl.col("attempts").sum() - pl.len(),
        )
        .collect()
        .row(0)
    )
    statuses = dict(rows.group_by("status").len().sort("status").collect().iter_rows())
    lengths = rows.select("completion_tokens").collect()["completion_tokens"].drop_nulls().to_list()
    pictures = histogram(lengths, title="Answer length", x="tokens", y="generations")
    pictures += "\n\n" + bars(statuses, title="Outcomes", x="generations")
    return {
        "prompt_tokens": totals[0],
        "tokens": totals[1],
        "retries": totals[2],
        "outcomes": dg.MetadataValue.json(statuses),
        "model": str(snapshot.manifest.details.get("model", "")),
        "plots": dg.MetadataValue.md(pictures),
    }
