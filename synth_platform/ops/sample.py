"""A sample of a dataset's generations: measured for an estimate, and kept for the run that follows."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from synth_platform.errors import SpecError
from synth_platform.generation.answers.earlier import earlier_answers
from synth_platform.generation.answers.shards import ShardStore
from synth_platform.generation.assets import GenerationSettings, generation_stage, job_of, spent_on
from synth_platform.generation.budget import Budget, Spent
from synth_platform.generation.engine import Engine, find_engine
from synth_platform.generation.run.generate import Plan, Sampled
from synth_platform.generation.run.jobs import Job
from synth_platform.generation.run.meter import StatusFile, new_reading
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.tuning.profile import tuned
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import Stage, identify
from synth_platform.prompts.config import RecipeSpec
from synth_platform.snapshots import Snapshot, SnapshotWriter
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec


def take_sample(
    spec: "DatasetSpec",
    dataset: DatasetContext,
    workspace: Workspace,
    rows: int,
    *,
    partition: str | None,
    tell: Callable[[str], None],
) -> tuple[dict[str, Sampled], float]:
    """Generate some rows of every recipe's prompts; the run that follows finds them in its ledger.

    What a version has, this one or the one before, is not asked for again.

    Returns:
        What they gave, and on how many GPUs (or servers).

    Raises:
        EngineError: the engine cannot be had.
    """
    settings = GenerationSettings(tuned(spec.engine, workspace, spec.name), spec.budget, spec.shard_size)
    engine = find_engine(settings.engine, workspace, spec.name, variables=os.environ, tell=tell)
    begun = [_begin(recipe, dataset, workspace, settings, engine, partition) for recipe in spec.recipes]
    jobs = [one for one in begun if isinstance(one, Job)]
    found = {
        recipe.name: Sampled.of_version(one, rows)
        for recipe, one in zip(spec.recipes, begun, strict=True)
        if isinstance(one, Snapshot)
    }
    if not jobs:
        return found, engine.units
    spent = sum((one.shards.spent() if isinstance(one, Job) else spent_on(one) for one in begun), Spent())
    total = sum(min(rows, job.rows) for job in jobs)
    plan = Plan(
        jobs=jobs,
        settings=settings.engine,
        engine=engine.digest,
        shard_size=spec.shard_size,
        budget=Budget(spec.budget, spent, units=engine.units, price_per_hour=spec.engine.price_per_hour),
        reading=new_reading(spec.name, partition, "sample", total),
        status=StatusFile(workspace.status),
    )
    return found | engine.sample(plan, rows), engine.units


def _begin(
    recipe: RecipeSpec,
    dataset: DatasetContext,
    workspace: Workspace,
    settings: GenerationSettings,
    engine: Engine,
    partition: str | None,
) -> Snapshot | Job:
    """The version of a recipe's generations that there is; or what is left of one that is not made, or only begun."""
    asset, made = dataset.asset("prompts", recipe.name), dataset.asset("generations", recipe.name)
    prompts = workspace.snapshots.head(asset, partition)
    if prompts is None:
        raise SpecError(f"{asset} has not been materialized", fix="materialize it first")
    stage = generation_stage(dataset.name, made, recipe, settings, Upstream(asset), engine)
    identity, version = identify(stage, dataset, workspace, _inputs(stage, workspace, partition), partition)
    if version is not None:
        return version
    tables = {"generations": GENERATIONS}
    writer = SnapshotWriter(workspace.snapshots, identity, tables, scratch=workspace.scratch, run_id="sample")
    shards = ShardStore(writer, settings.engine.model)
    return job_of(prompts, recipe, shards, earlier_answers(workspace.snapshots, identity))


def _inputs(stage: Stage, workspace: Workspace, partition: str | None) -> list[InputRef]:
    """The current versions of what a stage reads; the run that follows asks whether their gates are open."""
    heads = [one.head(workspace.snapshots, partition) for one in stage.upstreams]
    return [head.ref for head in heads if head is not None]
