"""The Dagster asset of a dataset's engine profile, made by a job of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg

from synth_platform.generation.assets import POOL
from synth_platform.generation.config import TuningSpec, VllmEngine
from synth_platform.generation.identity import vllm_digest
from synth_platform.generation.servers.environment import EngineEnvironment, require
from synth_platform.generation.servers.fleet import machine, visible_gpus
from synth_platform.generation.tuning.profile import TRIALS, describe_profile, profile_key, write_profile
from synth_platform.generation.tuning.search import Trial, candidates, default_space, planned, search
from synth_platform.generation.tuning.trial import TrialServer, draw_prompts
from synth_platform.naming import group_name
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import Stage, StageAsset, StageRun, stage_asset
from synth_platform.progress import track
from synth_platform.prompts.config import RecipeSpec
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

CODE_VERSION = "1"


def profile_asset(
    dataset: DatasetContext,
    recipes: Sequence[RecipeSpec],
    engine: VllmEngine,
    tuning: TuningSpec,
    prompts: Sequence[Upstream],
) -> StageAsset:
    """`<dataset>/engine_profile`: the fastest settings of the engine on the dataset's newest prompts."""
    asset = profile_key(dataset.name)
    newest = tuple(replace(upstream, newest=True) for upstream in prompts)
    context = replace(dataset, partitions=None)

    def build(workspace: Workspace, partition: str | None) -> Stage:
        environment = require(workspace.engine)
        space = tuning.space or default_space(len(visible_gpus()) if environment.kind == "gpu" else 0)
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "engine": vllm_digest(engine, environment.described, workspace.file_digests.digest),
                "arguments": engine.arguments,
                "concurrency": engine.concurrency,
                "machine": machine(environment),
                "tuning": tuning.model_dump(mode="json") | {"space": space},
                "sampling": {recipe.name: recipe.request_fields() for recipe in recipes},
            },
            upstreams=newest,
            tables={"trials": TRIALS},
            work=lambda run: _tune(run, dataset.name, recipes, engine, environment, tuning, space),
        )

    spec = context.spec(
        asset,
        newest,
        description="The settings of vLLM that make it fastest on this dataset's prompts, found by trying them. Used"
        " where the spec says `tuned: true`.",
        kinds={"vllm", "parquet"},
        code_version=CODE_VERSION,
    )
    # In a group of its own: who materializes the dataset's group does not want to wait for this.
    spec = spec.replace_attributes(group_name=f"{group_name(dataset.name)}_engine")
    return stage_asset(context, spec, build, lambda _, snapshot: _described_profile(snapshot), pool=POOL)


def _tune(
    run: StageRun,
    dataset: str,
    recipes: Sequence[RecipeSpec],
    engine: VllmEngine,
    environment: EngineEnvironment,
    tuning: TuningSpec,
    space: Mapping[str, Sequence[Any]],
) -> None:
    """Try settings on the prompts, and write down what was tried and what was best."""
    fields = {recipe.name: recipe.request_fields() for recipe in recipes}
    rendered = [(prompts, fields[asset.rsplit("/", 1)[-1]]) for asset, prompts in run.inputs.items()]
    drawn = draw_prompts(rendered, tuning.prompts, run.seed)
    server = TrialServer(engine, environment, run.workspace.engine_logs(dataset), drawn)
    tried = candidates(space, engine.arguments, tuning.candidates, run.seed)
    trials: list[Trial] = []
    with track("tuning", planned(len(tried)), "trials") as task:
        for trial in search(tried, len(drawn), server.measure, server.units, run.log):
            trials.append(trial)
            task.advance(note=trial.describe())
            run.log(f"tuning: {trial.describe()}")
    write_profile(run.writer, trials, engine)


def _described_profile(snapshot: Snapshot) -> Mapping[str, Any]:
    described = describe_profile(snapshot)
    return described | {name: dg.MetadataValue.md(described[name]) for name in ("trials", "plot")}
