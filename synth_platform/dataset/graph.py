"""From a dataset spec to its graph: assets and their gates, in the order of the pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg

from synth_platform.contamination import assets as contamination_assets
from synth_platform.contamination import checks as contamination_checks
from synth_platform.dataset.spec import DatasetSpec
from synth_platform.dataset.stage_gates import own_suites, stage_gates
from synth_platform.generation import checks as generation_checks
from synth_platform.generation.answers.lengths import engine_tokenizer
from synth_platform.generation.assets import JUDGEMENTS_ASKED, GenerationSettings, generations_assets
from synth_platform.generation.config import EngineSpec, VllmEngine
from synth_platform.generation.tuning.assets import profile_asset
from synth_platform.judging import checks as judging_checks
from synth_platform.judging.ask import judge_recipe
from synth_platform.judging.assets import judge_prompts_asset
from synth_platform.judging.config import JudgeSpec
from synth_platform.mixing import checks as mixing_checks
from synth_platform.mixing.assets import mixture_asset
from synth_platform.naming import EVALS_GROUP
from synth_platform.ops.cycles import LoneCycle, freshness_of, partitions_of
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import blocking_names
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import StageAsset
from synth_platform.ops.tags import naming_tags
from synth_platform.prompts import checks as prompt_checks
from synth_platform.prompts.assets import prompts_asset
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality import checks as quality_checks
from synth_platform.quality.assets import accepted_asset, quality_asset
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.gates import Check, Gate
from synth_platform.release import checks as release_checks
from synth_platform.release.assets import published_asset, release_asset
from synth_platform.review import checks as review_checks
from synth_platform.review.assets import review_asset
from synth_platform.snapshots.findings import TAKEDOWN
from synth_platform.sources import checks as source_checks
from synth_platform.sources.assets import documents_asset


def dataset_stages(spec: DatasetSpec, base: Path) -> list[StageAsset]:
    """What makes the dataset and the test sets that it names, in the order of the pipeline.

    Raises:
        SpecError: the file of its expectations is wrong.
    """
    return DatasetGraph.of(spec, base).stages


def dataset_checks(spec: DatasetSpec, base: Path) -> dict[str, Sequence[Check]]:
    """Gates of each of the dataset's assets, with the spec's changes, and the expectations of its suites."""
    return dict(DatasetGraph.of(spec, base).gates)


@dataclass(frozen=True)
class _Judged:
    """A recipe's generations once they were looked at."""

    contamination: Upstream
    accepted: Upstream


@dataclass
class DatasetGraph:
    """A dataset's assets with their checks, added stage by stage."""

    spec: DatasetSpec
    base: Path
    assets: list[StageAsset] = field(default_factory=list)
    checks: list[dg.AssetChecksDefinition] = field(default_factory=list)
    gates: dict[str, Sequence[Check]] = field(default_factory=dict)
    profile: StageAsset | None = None
    """The engine profile, made by a job of its own."""
    release_scan: StageAsset | None = None
    """The scans of releases against newer test sets, made by a job of their own."""
    lone: LoneCycle | None = None
    """The only cycle that is of interest; None: those of the cadence."""

    def __post_init__(self) -> None:
        spec = self.spec
        self.stage_gates = stage_gates(spec.gates)
        self.suites = own_suites(self.base / spec.suites, self.stage_gates)
        self.context = DatasetContext(
            spec.name,
            spec.seed,
            self.base,
            tuple(spec.owners),
            spec.tags,
            partitions_of(spec.cadence) if self.lone is None else self.lone.partitions,
            self.suites,
            naming_tags(spec),
        )
        self.tokenizer = partial(engine_tokenizer, spec.engine)

    @classmethod
    def of(cls, spec: DatasetSpec, base: Path, lone: LoneCycle | None = None) -> "DatasetGraph":
        """The whole graph of a spec.

        Raises:
            SpecError: the file of its expectations is wrong.
        """
        graph = cls(spec, base, lone=lone)
        graph._build()
        return graph

    def _build(self) -> None:
        documents = self._documents()
        index = self._index()
        in_documents = self._document_contamination(documents, index)
        prompts = {recipe.name: self._prompts(recipe, documents) for recipe in self.spec.recipes}
        generations = self._generations(prompts)
        judges = self._judges(prompts, generations)
        judged = {
            name: self._judged(recipe, asked, generations[name], judges.get(name, ()), index, in_documents)
            for recipe, (name, asked) in zip(self.spec.recipes, prompts.items(), strict=True)
        }
        accepted = {name: one.accepted for name, one in judged.items()}
        mixture = self._mixture(documents, in_documents, accepted)
        scans = [in_documents, *(one.contamination for one in judged.values())]
        review = self._review(mixture, documents, scans, accepted, prompts)
        self._release(mixture, review)

    def asset_keys(self) -> list[dg.AssetKey]:
        """Of all assets that a run of the dataset makes."""
        return [key for asset in self.assets for key in asset.keys]

    def keys_of(self, *stages: str) -> list[dg.AssetKey]:
        """Of the assets of some stages."""
        return [key for key in self.asset_keys() if key.path[1] in stages]

    def benchmark_keys(self) -> list[dg.AssetKey]:
        """Of the test sets that the dataset names."""
        return [dg.AssetKey([EVALS_GROUP, one.name]) for one in self.spec.benchmarks]

    @property
    def stages(self) -> list[StageAsset]:
        """What makes the dataset and the test sets that it names, in the order of the pipeline."""
        return [*self.benchmark_stages(), *self.assets]

    def benchmark_stages(self) -> list[StageAsset]:
        """What makes the test sets, which datasets share."""
        return [contamination_assets.benchmark_asset(benchmark, self.base) for benchmark in self.spec.benchmarks]

    def _add(self, stage: str, asset: StageAsset, checks: dg.AssetChecksDefinition) -> Upstream:
        self.assets.append(asset)
        self.checks.append(checks)
        (name,) = asset.builds
        return self._upstream(stage, name)

    def _upstream(self, stage: str, asset: str, gates: Sequence[Gate] | None = None) -> Upstream:
        self.gates[asset] = self._gates_of(stage, gates)
        return Upstream(asset, blocking_names(self.gates[asset]))

    def _gates_of(self, stage: str, gates: Sequence[Gate] | None = None) -> Sequence[Check]:
        return [*(self.stage_gates[stage] if gates is None else gates), *self.suites.get(stage, ())]

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

    def _generations(self, prompts: Mapping[str, Upstream]) -> dict[str, Upstream]:
        spec, context = self.spec, self.context
        if not prompts:
            return {}
        settings = GenerationSettings(spec.engine, spec.budget, spec.shard_size)
        self.assets.append(generations_assets(context, spec.recipes, settings, prompts))
        if isinstance(spec.engine, VllmEngine):
            asked = list(prompts.values())
            self.profile = profile_asset(context, spec.recipes, spec.engine, spec.tuning, asked)
        gates = self.stage_gates["generations"]
        self.checks += [generation_checks.generations_checks(context, name, gates) for name in prompts]
        return {name: self._upstream("generations", context.asset("generations", name)) for name in prompts}

    def _judges(
        self, prompts: Mapping[str, Upstream], generations: Mapping[str, Upstream]
    ) -> dict[str, tuple[Upstream, ...]]:
        """By recipe what its judge is asked and what it says, for the recipes that have one."""
        judges = {recipe.name: recipe.judge for recipe in self.spec.recipes if recipe.judge is not None}
        if not judges:
            return {}
        asked = {
            name: self._judge_prompts(name, judge, prompts[name], generations[name]) for name, judge in judges.items()
        }
        recipes = [judge_recipe(name, judge) for name, judge in judges.items()]
        settings = GenerationSettings(self._judge_engine, self.spec.budget, self.spec.shard_size)
        self.assets.append(generations_assets(self.context, recipes, settings, asked, JUDGEMENTS_ASKED))
        return {name: (asked[name], self._judgements(name, judge)) for name, judge in judges.items()}

    def _judge_prompts(self, recipe: str, judge: JudgeSpec, prompts: Upstream, generations: Upstream) -> Upstream:
        engine = self._judge_engine
        asset = judge_prompts_asset(
            self.context,
            recipe,
            judge,
            prompts,
            generations,
            tokenizer=partial(engine_tokenizer, engine, "judge_engine" if self.spec.judge_engine else "engine"),
            context_length=engine.context_length,
        )
        gates = self.stage_gates["judge_prompts"]
        return self._add("judge_prompts", asset, judging_checks.judge_prompts_checks(self.context, recipe, gates))

    def _judgements(self, recipe: str, judge: JudgeSpec) -> Upstream:
        lowest = self.spec.quality.get(recipe, QualitySpec()).min_judge_score
        gates = judging_checks.gates_of(self.stage_gates["judgements"], judge, lowest)
        self.checks.append(judging_checks.judgements_checks(self.context, recipe, judge, lowest, gates))
        return self._upstream("judgements", self.context.asset("judgements", recipe), gates)

    @property
    def _judge_engine(self) -> EngineSpec:
        return self.spec.judge_engine or self.spec.engine

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
            privacy=spec.privacy,
        )
        checks = prompt_checks.prompts_checks(
            self.context,
            recipe,
            self.stage_gates["prompts"],
            context_length=spec.engine.context_length,
        )
        return self._add("prompts", asset, checks)

    def _judged(
        self,
        recipe: RecipeSpec,
        prompts: Upstream,
        generations: Upstream,
        judge: tuple[Upstream, ...],
        index: Upstream,
        in_documents: Upstream,
    ) -> _Judged:
        context, name = self.context, recipe.name
        limits = self.spec.quality.get(name, QualitySpec())
        quality = self._add(
            "quality",
            quality_asset(context, recipe, limits, self.spec.privacy, prompts, generations, judge),
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
        asset = release_asset(
            context,
            spec.release,
            mixture,
            review,
            description=spec.description,
            gates=dict(self.gates),
            own_gates=blocking_names(self._gates_of("release")),
            findings=(contamination_assets.RELEASE_SCAN.format(spec.name), TAKEDOWN.format(spec.name)),
            freshness=freshness_of(spec.cadence) if spec.cadence else None,
        )
        release = self._add("release", asset, release_checks.release_checks(context, self.stage_gates["release"]))
        if spec.release.publish:
            self.assets.append(published_asset(context, spec.release, release))
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
