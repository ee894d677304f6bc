"""From a dataset spec to its graph: assets, checks, job and schedule, in the order of the pipeline."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg

from synth_platform.contamination import assets as contamination_assets
from synth_platform.contamination import checks as contamination_checks
from synth_platform.contamination.config import BenchmarkSpec
from synth_platform.dataset.jobs import DatasetJobs
from synth_platform.dataset.spec import CadenceSpec, DatasetSpec
from synth_platform.dataset.stage_gates import own_suites, stage_gates
from synth_platform.errors import SpecError
from synth_platform.generation import checks as generation_checks
from synth_platform.generation.assets import GenerationSettings, generations_assets, profile_asset_of
from synth_platform.generation.config import VllmEngine
from synth_platform.mixing import checks as mixing_checks
from synth_platform.mixing.assets import mixture_asset
from synth_platform.ops.gating import blocking_names
from synth_platform.ops.guard import Upstream
from synth_platform.ops.rescan import rescan_sensor
from synth_platform.ops.stage import DatasetContext
from synth_platform.prompts import checks as prompt_checks
from synth_platform.prompts.assets import prompts_asset
from synth_platform.prompts.config import RecipeSpec
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.quality import checks as quality_checks
from synth_platform.quality.assets import accepted_asset, quality_asset
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.gates import Check
from synth_platform.release import checks as release_checks
from synth_platform.release.assets import release_asset
from synth_platform.review import checks as review_checks
from synth_platform.review.assets import review_asset
from synth_platform.sources import checks as source_checks
from synth_platform.sources.assets import documents_asset

_PARTITIONS = {
    "hour": dg.HourlyPartitionsDefinition,
    "day": dg.DailyPartitionsDefinition,
    "week": dg.WeeklyPartitionsDefinition,
    "month": dg.MonthlyPartitionsDefinition,
}


def dataset_definitions(spec: DatasetSpec, base: Path) -> dg.Definitions:
    """The dataset's graph; its benchmarks are defined elsewhere, since datasets share them.

    Args:
        spec: the validated spec.
        base: folder that relative paths start from.

    Raises:
        SpecError: a gate that does not exist is changed.
    """
    graph = _Graph(spec, base)
    graph.build()
    make = DatasetJobs(spec.name, graph.context.partitions, spec.run_tags)
    whole = make.whole([*graph.asset_keys(), *graph.benchmark_keys()])
    jobs = [
        whole,
        make.prompts(graph.keys_of("documents", "prompts")),
        make.screen(graph.keys_of("quality", "accepted", "mixture", "review", "release")),
    ]
    if graph.profile is not None:
        jobs.append(make.tune([*graph.profile.keys]))
    sensors: list[dg.SensorDefinition] = []
    if graph.release_scan is not None:
        rescan = make.rescan([*graph.release_scan.keys, *graph.benchmark_keys()])
        watched = [rescan, make.patch(graph.keys_of("release"))]
        jobs += watched
        sensors.append(rescan_sensor(spec.name, spec.benchmarks, base, spec.contamination.rescan, watched))
    schedules = [dg.build_schedule_from_partitioned_job(whole, name=f"{whole.name}_cycle")] if spec.cadence else []
    assets = graph.assets + [one for one in (graph.profile, graph.release_scan) if one is not None]
    return dg.Definitions(assets=assets, asset_checks=graph.checks, jobs=jobs, schedules=schedules, sensors=sensors)


def dataset_checks(spec: DatasetSpec, base: Path) -> dict[str, Sequence[Check]]:
    """Gates of each of the dataset's assets, with the spec's changes, and the expectations of its suites."""
    graph = _Graph(spec, base)
    graph.build()
    return dict(graph.gates)


def benchmark_definitions(specs: Iterable[tuple[DatasetSpec, Path]]) -> dg.Definitions:
    """Assets and checks of all benchmarks that datasets name, each once.

    Raises:
        SpecError: two datasets mean different test sets by the same name.
    """
    known: dict[str, tuple[BenchmarkSpec, Path, str]] = {}
    for spec, base in specs:
        for benchmark in spec.benchmarks:
            found, where, owner = known.setdefault(benchmark.name, (benchmark, base, spec.name))
            same_place = all("://" in path or Path(path).is_absolute() for path in benchmark.paths) or where == base
            same_items = found.model_copy(update={"description": benchmark.description}) == benchmark
            if not same_items or not same_place:
                raise SpecError(
                    f"the datasets {owner!r} and {spec.name!r} mean different test sets by {benchmark.name!r}",
                    fix="give one of them another name",
                )
    return dg.Definitions(
        assets=[contamination_assets.benchmark_asset(benchmark, base) for benchmark, base, _ in known.values()],
        asset_checks=[contamination_checks.benchmark_checks(name) for name in known],
    )


def partitions_of(cadence: CadenceSpec | None) -> dg.TimeWindowPartitionsDefinition | None:
    """The cycles of a cadence."""
    if cadence is None:
        return None
    start = cadence.start + ("-00:00" if cadence.every == "hour" else "")
    return _PARTITIONS[cadence.every](start_date=start, timezone=cadence.timezone)


@dataclass(frozen=True)
class _Judged:
    """A recipe's generations once they were looked at."""

    contamination: Upstream
    accepted: Upstream


@dataclass
class _Graph:
    spec: DatasetSpec
    base: Path
    assets: list[dg.AssetsDefinition] = field(default_factory=list)
    checks: list[dg.AssetChecksDefinition] = field(default_factory=list)
    gates: dict[str, Sequence[Check]] = field(default_factory=dict)
    profile: dg.AssetsDefinition | None = None
    """The engine profile, made by a job of its own."""
    release_scan: dg.AssetsDefinition | None = None
    """The scans of releases against newer test sets, made by a job of their own."""

    def __post_init__(self) -> None:
        spec = self.spec
        self.stage_gates = stage_gates(spec)
        self.suites = own_suites(spec, self.base, self.stage_gates)
        self.context = DatasetContext(
            spec.name, spec.seed, self.base, tuple(spec.owners), spec.tags, partitions_of(spec.cadence), self.suites
        )
        engine = spec.engine
        self.tokenizer = partial(ChatTokenizer.load, engine.model, engine.tokenizer, engine.revision)

    def build(self) -> None:
        """Add every stage, in the order of the pipeline."""
        documents = self._documents()
        index = self._index()
        in_documents = self._document_contamination(documents, index)
        prompts = {recipe.name: self._prompts(recipe, documents) for recipe in self.spec.recipes}
        self._generations(prompts)
        judged = {
            recipe.name: self._judged(recipe, prompts[recipe.name], index, in_documents) for recipe in self.spec.recipes
        }
        accepted = {name: one.accepted for name, one in judged.items()}
        mixture = self._mixture(documents, in_documents, accepted)
        scans = [in_documents, *(one.contamination for one in judged.values())]
        review = self._review(mixture, documents, scans, accepted, prompts)
        self._release(mixture, review)

    def asset_keys(self) -> list[dg.AssetKey]:
        return [key for asset in self.assets for key in asset.keys]

    def keys_of(self, *stages: str) -> list[dg.AssetKey]:
        return [key for key in self.asset_keys() if key.path[1] in stages]

    def benchmark_keys(self) -> list[dg.AssetKey]:
        return [dg.AssetKey([contamination_assets.EVALS_GROUP, one.name]) for one in self.spec.benchmarks]

    def _add(self, stage: str, asset: dg.AssetsDefinition, checks: dg.AssetChecksDefinition) -> Upstream:
        self.assets.append(asset)
        self.checks.append(checks)
        return self._upstream(stage, "/".join(asset.key.path))

    def _upstream(self, stage: str, asset: str) -> Upstream:
        self.gates[asset] = [*self.stage_gates[stage], *self.suites.get(stage, ())]
        return Upstream(asset, blocking_names(self.gates[asset]))

    def _documents(self) -> Upstream:
        spec = self.spec
        asset = documents_asset(
            self.context,
            spec.sources,
            tokenizer=self.tokenizer,
            reuse_documents=spec.cadence is None or spec.cadence.reuse_documents,
            privacy=spec.privacy,
        )
        return self._add(
            "documents", asset, source_checks.documents_checks(self.context, self.stage_gates["documents"])
        )

    def _index(self) -> Upstream:
        asset = contamination_assets.index_asset(self.context, self.spec.contamination, self._benchmarks())
        return self._add("index", asset, contamination_checks.index_checks(self.context, self.stage_gates["index"]))

    def _benchmarks(self) -> list[Upstream]:
        blocking = blocking_names(contamination_checks.BENCHMARK_GATES)
        return [Upstream("/".join(key.path), blocking, partitioned=False) for key in self.benchmark_keys()]

    def _document_contamination(self, documents: Upstream, index: Upstream) -> Upstream:
        asset = contamination_assets.documents_contamination_asset(
            self.context, self.spec.contamination, documents, index
        )
        return self._add("contamination", asset, self._contamination_checks("documents"))

    def _contamination_checks(self, what: str) -> dg.AssetChecksDefinition:
        return contamination_checks.contamination_checks(self.context, what, self.stage_gates["contamination"])

    def _generations(self, prompts: Mapping[str, Upstream]) -> None:
        spec = self.spec
        if not prompts:
            return
        settings = GenerationSettings(spec.engine, spec.budget, spec.shard_size)
        self.assets.append(generations_assets(self.context, spec.recipes, settings, prompts))
        if isinstance(spec.engine, VllmEngine):
            asked = list(prompts.values())
            self.profile = profile_asset_of(self.context, spec.recipes, spec.engine, spec.tuning, asked)

    def _prompts(self, recipe: RecipeSpec, documents: Upstream) -> Upstream:
        spec = self.spec
        sources = recipe.sources or [source.name for source in spec.sources if "rewrite" in source.roles]
        asset = prompts_asset(
            self.context,
            recipe,
            documents,
            sources=sources,
            tokenizer=self.tokenizer,
            context_length=spec.engine.context_length,
            held_out=spec.privacy.held_out,
        )
        checks = prompt_checks.prompts_checks(
            self.context,
            recipe,
            self.stage_gates["prompts"],
            context_length=spec.engine.context_length,
        )
        return self._add("prompts", asset, checks)

    def _judged(self, recipe: RecipeSpec, prompts: Upstream, index: Upstream, in_documents: Upstream) -> _Judged:
        context, name = self.context, recipe.name
        generations = self._upstream("generations", context.asset("generations", name))
        self.checks.append(generation_checks.generations_checks(context, name, self.stage_gates["generations"]))
        quality = self._add(
            "quality",
            quality_asset(
                context, recipe, self.spec.quality.get(name, QualitySpec()), self.spec.privacy, prompts, generations
            ),
            quality_checks.quality_checks(context, name, self.stage_gates["quality"]),
        )
        contamination = self._add(
            "contamination",
            contamination_assets.recipe_contamination_asset(
                context,
                self.spec.contamination,
                name,
                prompts=prompts,
                generations=generations,
                in_documents=in_documents,
                index=index,
            ),
            self._contamination_checks(name),
        )
        asset = accepted_asset(
            context,
            recipe,
            self.spec.privacy,
            prompts=prompts,
            generations=generations,
            quality=quality,
            contamination=contamination,
            document_contamination=in_documents,
        )
        checks = quality_checks.accepted_checks(context, name, self.stage_gates["accepted"])
        return _Judged(contamination, self._add("accepted", asset, checks))

    def _mixture(self, documents: Upstream, in_documents: Upstream, accepted: Mapping[str, Upstream]) -> Upstream:
        spec, context = self.spec, self.context
        return self._add(
            "mixture",
            mixture_asset(
                context,
                spec.mixture,
                documents=documents,
                document_contamination=in_documents,
                accepted=accepted,
                mix_in=[source.name for source in spec.sources if "mix_in" in source.roles],
            ),
            mixing_checks.mixture_checks(context, self.stage_gates["mixture"]),
        )

    def _release(self, mixture: Upstream, review: Upstream) -> None:
        spec, context = self.spec, self.context
        scan = contamination_assets.RELEASE_SCAN.format(spec.name)
        asset = release_asset(
            context, spec.release, mixture, review, description=spec.description, gates=dict(self.gates), rescan=scan
        )
        release = self._add("release", asset, release_checks.release_checks(context, self.stage_gates["release"]))
        if spec.benchmarks:
            self.release_scan = contamination_assets.release_contamination_asset(
                context, spec.contamination, release, self._benchmarks()
            )
            self.checks.append(self._contamination_checks("release"))

    def _review(
        self,
        mixture: Upstream,
        documents: Upstream,
        scans: Sequence[Upstream],
        accepted: Mapping[str, Upstream],
        prompts: Mapping[str, Upstream],
    ) -> Upstream:
        spec, context = self.spec, self.context
        asset = review_asset(
            context,
            spec.review,
            spec.privacy,
            mixture=mixture,
            documents=documents,
            accepted=accepted,
            prompts=prompts,
            contamination=scans,
            rewritten=[source.name for source in spec.sources if "rewrite" in source.roles],
        )
        return self._add("review", asset, review_checks.review_checks(context, self.stage_gates["review"]))
