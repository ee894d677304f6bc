"""Dagster assets of stage 3: all recipes of a dataset share one engine in one step, each recipe is an asset."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.generation.answers.earlier import EarlierAnswers, earlier_answers
from synth_platform.generation.answers.shards import ShardStore, total
from synth_platform.generation.budget import Budget, Spent
from synth_platform.generation.config import BudgetSpec, EngineSpec, VllmEngine
from synth_platform.generation.engine import Engine, LastEngine, find_engine, known_engine
from synth_platform.generation.estimate import Estimate, RecipeLoad, answer_tokens, known_speed
from synth_platform.generation.report import describe_generations
from synth_platform.generation.run.generate import Plan
from synth_platform.generation.run.jobs import Job, SnapshotPrompts, shard_count
from synth_platform.generation.run.meter import StatusFile, new_reading
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.tuning.profile import profile_key, tuned
from synth_platform.naming import node_name
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.failures import failing_for_people
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import materialize_result
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import (
    Begun,
    BuildStage,
    Stage,
    StageAsset,
    StageRun,
    begin_stage,
    every_cycle,
    finish_stage,
)
from synth_platform.progress import listen, log_listener
from synth_platform.prompts.config import RecipeSpec
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.unfinished import unfinished_elsewhere
from synth_platform.workspace import Workspace

CODE_VERSION = "3"
POOL = "gpu"
_MADE = "generations"
_ASKED = "asked_tokens"
"""In a manifest: tokens that this version's own answers have, without those that it took over."""


@dataclass(frozen=True)
class Asking:
    """Which assets are made, and what they hold, in words that name `{model}` and `{recipe}`."""

    stage: str = "generations"
    about: str = "What `{model}` answered to the prompts of `{recipe}`"


GENERATIONS_ASKED = Asking()
JUDGEMENTS_ASKED = Asking("judgements", "How `{model}` graded the answers of `{recipe}`")


@dataclass(frozen=True)
class GenerationSettings:
    """What the spec says about generating, beside the recipes."""

    engine: EngineSpec
    budget: BudgetSpec
    shard_size: int


def generations_assets(
    dataset: DatasetContext,
    recipes: Sequence[RecipeSpec],
    given: GenerationSettings,
    prompts: Mapping[str, Upstream],
    asking: Asking = GENERATIONS_ASKED,
) -> StageAsset:
    """`<dataset>/generations/<recipe>` for all recipes; any subset of them can be materialized."""
    by_asset = {dataset.asset(asking.stage, recipe.name): recipe for recipe in recipes}
    specs = [
        dataset.spec(
            asset,
            generation_upstreams(prompts[recipe.name], given, dataset.name),
            description=f"{asking.about.format(model=given.engine.model, recipe=recipe.name)}: one row per"
            f" prompt, whatever became of it. Every answer is durable at once, every {given.shard_size} are"
            " committed together; a stopped run goes on where it was.",
            kinds={"vllm", "parquet"},
            code_version=CODE_VERSION,
            skippable=True,
        )
        for asset, recipe in by_asset.items()
    ]

    @dg.multi_asset(name=node_name(dataset.asset(asking.stage)), specs=specs, can_subset=True, pool=POOL)
    def make(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.MaterializeResult[None]]:
        opened = workspace.open()
        chosen = {"/".join(key.path) for key in context.selected_asset_keys}
        with failing_for_people(), listen(log_listener(context.log.info)):
            settings = replace(given, engine=tuned(given.engine, opened, dataset.name))
            engine = find_engine(settings.engine, opened, dataset.name, variables=os.environ, tell=context.log.info)
            begun = {
                asset: begin_stage(
                    context,
                    opened,
                    dataset,
                    _builder(dataset.name, asset, recipe, settings, prompts[recipe.name], engine),
                )
                for asset, recipe in by_asset.items()
                if asset in chosen
            }
            _generate(context, opened, dataset, begun, by_asset, settings, engine)
            for asset, one in begun.items():
                yield _finish(one, asset, by_asset[asset], settings, engine)

    def looking_up(asset: str, recipe: RecipeSpec) -> BuildStage:
        """The same stage for those who only ask: the engine need not be there, if it has made something before."""

        def find(workspace: Workspace) -> Stage:
            stage = dataset.asset(asking.stage)
            settings = replace(given, engine=workspace.once(("tuned", stage), lambda: _tuned(workspace)))
            engine = workspace.once(("engine", stage), lambda: known_engine(settings.engine, workspace, stage))
            made = generation_stage(dataset.name, asset, recipe, settings, prompts[recipe.name], engine)
            return replace(made, assumed=engine.assumed) if isinstance(engine, LastEngine) else made

        return every_cycle(asset, find)

    def _tuned(workspace: Workspace) -> EngineSpec:
        return tuned(given.engine, workspace, dataset.name)

    return StageAsset(make, dataset, {asset: looking_up(asset, recipe) for asset, recipe in by_asset.items()})


def _builder(
    dataset: str,
    asset: str,
    recipe: RecipeSpec,
    settings: GenerationSettings,
    prompts: Upstream,
    engine: Engine,
) -> BuildStage:
    return lambda workspace, partition: generation_stage(dataset, asset, recipe, settings, prompts, engine)


def generation_upstreams(prompts: Upstream, settings: GenerationSettings, dataset: str) -> tuple[Upstream, ...]:
    """The prompts first; the engine profile where it is used."""
    used = isinstance(settings.engine, VllmEngine) and settings.engine.tuned
    return (prompts, Upstream(profile_key(dataset), partitioned=False)) if used else (prompts,)


def generation_stage(
    dataset: str,
    asset: str,
    recipe: RecipeSpec,
    settings: GenerationSettings,
    prompts: Upstream,
    engine: Engine | LastEngine,
) -> Stage:
    """What determines the generations of a recipe."""
    return Stage(
        asset=asset,
        code_version=CODE_VERSION,
        settings={
            "sampling": recipe.request_fields(),
            "seeds": settings.engine.seeds,
            "engine": engine.digest,
            "model": settings.engine.model,
            "shard_size": settings.shard_size,
        },
        upstreams=generation_upstreams(prompts, settings, dataset),
        tables={"generations": GENERATIONS},
        work=_no_work,
        ids_from=frozenset((prompts.asset, "engine", "sampling")),
    )


def _no_work(run: StageRun) -> None:
    """The work is done for all recipes together, by `generate`."""


def _generate(
    context: dg.AssetExecutionContext,
    workspace: Workspace,
    dataset: DatasetContext,
    begun: Mapping[str, Begun],
    recipes: Mapping[str, RecipeSpec],
    settings: GenerationSettings,
    engine: Engine,
) -> None:
    """Have everything generated that no finished snapshot holds."""
    stores = {
        asset: ShardStore(one.run.writer, settings.engine.model) for asset, one in begun.items() if one.found is None
    }
    earlier = {asset: earlier_answers(workspace.snapshots, begun[asset].identity) for asset in stores}
    jobs = [job_of(_prompts(begun[asset]), recipes[asset], store, earlier[asset]) for asset, store in stores.items()]
    for asset in stores:
        if (answers := earlier[asset]) is not None:
            begun[asset].run.writer.detail(answers_from=answers.version.manifest.snapshot_id)
        begun[asset].run.writer.announce()
        for line in unfinished_elsewhere(workspace.snapshots, begun[asset].identity):
            context.log.warning(line)
    if all(sum(job.shards.committed().values()) >= job.rows for job in jobs):
        return
    partition = next(iter(begun.values())).run.partition
    reading = new_reading(dataset.name, partition, context.run_id, sum(job.rows for job in jobs))
    budget = Budget(
        settings.budget,
        _spent(begun, stores) + _spent_before(workspace, begun),
        units=engine.units,
        price_per_hour=settings.engine.price_per_hour,
    )
    estimate = _estimate(workspace, begun, recipes, jobs, settings, partition)
    context.log.info(f"estimate: {estimate.describe()}")
    for asset in stores:
        begun[asset].run.writer.detail(estimate=estimate.as_json())
    status = StatusFile(workspace.status)
    status.write(reading)
    plan = Plan(jobs, settings.engine, engine.digest, settings.shard_size, budget, reading, status)
    engine.generate(plan)


def _estimate(
    workspace: Workspace,
    begun: Mapping[str, Begun],
    recipes: Mapping[str, RecipeSpec],
    jobs: Sequence[Job],
    settings: GenerationSettings,
    partition: str | None,
) -> Estimate:
    """The bill of what is about to be made, from the rendered prompts and the last version."""
    earlier = {recipes[asset].name: _last_version(workspace, asset, partition) for asset in begun}
    prompts = {recipes[asset].name: _prompts(one) for asset, one in begun.items()}
    loads: list[RecipeLoad] = []
    assumptions: list[str] = []
    for job in jobs:
        length, basis = answer_tokens(earlier[job.recipe], settings.engine.model, job.fields)
        mean_prompt = prompts[job.recipe].scan().select(pl.col("prompt_tokens").mean()).collect().item()
        loads.append(RecipeLoad(job.recipe, job.rows, float(mean_prompt or 0.0), length))
        assumptions.append(f"{job.recipe}: {basis}")
    speed = known_speed(list(earlier.values()), settings.engine.model)
    assumptions += [speed.basis] if speed else []
    return Estimate(tuple(loads), speed, settings.engine.price_per_hour, tuple(assumptions))


def _last_version(workspace: Workspace, asset: str, partition: str | None) -> Snapshot | None:
    """The version before, where it can still be read: what is about to be made may be its replacement."""
    try:
        head = workspace.snapshots.head(asset, partition)
    except SnapshotError:
        return None
    return head if head is not None and head.is_whole() else None


def _prompts(begun: Begun) -> Snapshot:
    return next(iter(begun.run.inputs.values()))


def job_of(prompts: Snapshot, recipe: RecipeSpec, shards: ShardStore, earlier: EarlierAnswers | None = None) -> Job:
    """A recipe's prompts on their way to its shards."""
    return Job(
        recipe=recipe.name,
        prompts=SnapshotPrompts(prompts),
        rows=prompts.manifest.rows,
        fields=recipe.request_fields(),
        shards=shards,
        earlier=earlier,
    )


def _spent(begun: Mapping[str, Begun], stores: Mapping[str, ShardStore]) -> Spent:
    """What all recipes of this cycle have cost so far, finished ones too."""
    spent = Spent()
    for asset, one in begun.items():
        spent += stores[asset].spent() if one.found is None else spent_on(one.found)
    return spent


def _spent_before(workspace: Workspace, begun: Mapping[str, Begun]) -> Spent:
    """What the answers have cost that these prompts are about, where they are a judge's."""
    judged = [ref for one in begun.values() for ref in _prompts(one).manifest.inputs if kind_of(ref.asset) == _MADE]
    return sum((spent_on(workspace.snapshots.require(ref)) for ref in judged), Spent())


def spent_on(made: Snapshot) -> Spent:
    """What a finished version has cost."""
    details = made.manifest.details
    tokens = details.get(_ASKED)
    if tokens is None:  # it does not say that it took anything over
        tokens = made.scan().select(pl.col("completion_tokens").sum()).collect().item() or 0
    return Spent(int(tokens), float(details.get("engine_seconds", 0.0)))


def _finish(
    begun: Begun, asset: str, recipe: RecipeSpec, settings: GenerationSettings, engine: Engine
) -> dg.MaterializeResult[None]:
    if begun.found is None:
        writer, prompts = begun.run.writer, _prompts(begun)
        store = ShardStore(writer, settings.engine.model)
        usage = {_ASKED: store.asked_tokens(), **total(store.sessions())}
        writer.use_shards("generations", shard_count(prompts.manifest.rows, settings.shard_size))
        writer.count(prompts=prompts.manifest.rows)
        writer.detail(
            recipe=recipe.name,
            model=settings.engine.model,
            engine_digest=engine.digest,
            price_per_hour=settings.engine.price_per_hour,
            **usage,
        )
    outcome = finish_stage(begun)
    described: dict[str, Any] = describe_generations(outcome.snapshot)
    markdown = {name: dg.MetadataValue.md(value) for name, value in described.pop("pictures").items()}
    return materialize_result(outcome, described | markdown, asset)
