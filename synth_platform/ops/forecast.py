"""What a dataset's generations would take: gathered from its versions, a sample, or published runs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from synth_platform.errors import SpecError, SynthError
from synth_platform.generation.estimate import (
    PUBLISHED_DOCUMENT_TOKENS,
    Estimate,
    RecipeLoad,
    Speed,
    answer_tokens,
    known_speed,
    mean,
)
from synth_platform.generation.run.generate import Sampled
from synth_platform.judging.ask import judge_template
from synth_platform.ops.plan import CyclePlan, judging_of
from synth_platform.prompts.config import RecipeSpec
from synth_platform.prompts.templates import Template
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

_CHARACTERS_PER_TOKEN = 4.0


@dataclass
class _Forecast:
    spec: "DatasetSpec"
    base: Path
    workspace: Workspace
    partition: str | None
    documents: int | None
    sampled: Mapping[str, Sampled] = field(default_factory=dict)
    units: float = 1.0
    asked: "Mapping[str, _Count] | None" = None
    """Prompts by recipe, where not all are asked for."""
    assumptions: list[str] = field(default_factory=list)

    def estimate(self, price_per_hour: float | None) -> Estimate:
        loads = tuple(load for recipe in self.spec.recipes for load in self._loads(recipe))
        speed = self._speed()
        if speed is None:
            self.assumptions.append("the engine's speed is not known: `synth estimate --pilot N` measures it")
        else:
            self.assumptions.append(speed.basis)
        if price_per_hour is None:
            self.assumptions.append("no price is known: set engine.price_per_hour, or `synth estimate --price`")
        return Estimate(loads, speed, price_per_hour, tuple(dict.fromkeys(self.assumptions)))

    def _head(self, *parts: str) -> Snapshot | None:
        """The cycle's version of an asset, else that of the newest cycle that has one."""
        snapshots, asset = self.workspace.snapshots, "/".join((self.spec.name, *parts))
        if self.spec.cadence is None or self.partition is not None:
            return snapshots.current(asset, self.partition)
        made = snapshots.partitions(asset)
        return snapshots.current(asset, made[-1]) if made else None

    def _loads(self, recipe: RecipeSpec) -> Iterator[RecipeLoad]:
        """Of a recipe and of its judge, as far as they are asked."""
        names = [recipe.name, *([judging_of(recipe.name)] if recipe.judge else [])]
        if not any(map(self._is_asked, names)):
            return
        own = RecipeLoad(recipe.name, *self._prompts(recipe), self._answer_tokens(recipe))
        for load in (own, self._judging(recipe, own)) if recipe.judge else (own,):
            if self.asked is None:
                yield load
            elif load.recipe in self.asked:
                yield replace(load, prompts=self.asked[load.recipe].prompts(load.prompts))

    def _is_asked(self, name: str) -> bool:
        return self.asked is None or name in self.asked

    def _judging(self, recipe: RecipeSpec, judged: RecipeLoad) -> RecipeLoad:
        """What the judge of a recipe would take, by its last version, else by the length of what it reads."""
        judge, name = recipe.judge, judging_of(recipe.name)
        assert judge is not None
        asked, said = self._head("judge_prompts", recipe.name), self._head("judgements", recipe.name)
        if asked is not None and said is not None and asked.manifest.rows:
            prompt = float(asked.scan().select(pl.col("prompt_tokens").mean()).collect().item())
            reply = float(said.scan().select(pl.col("completion_tokens").mean()).collect().item() or 0.0)
            self.assumptions.append(f"{name}: {prompt:,.0f} tokens and {reply:,.0f} per reply, as in the last version")
        else:
            around = (len(judge.rubric) + len(judge_template().text)) / _CHARACTERS_PER_TOKEN
            prompt, reply = judged.prompt_tokens + judged.output_tokens + around, float(judge.max_tokens)
            self.assumptions.append(f"{name}: each answer beside its document, and the longest reply")
        if self.spec.judge_engine is not None:
            self.assumptions.append(f"{name}: at the speed of the engine that generates; the judge has another one")
        return RecipeLoad(name, round(judged.prompts * judge.share), prompt, reply)

    def _prompts(self, recipe: RecipeSpec) -> tuple[int, float]:
        """How many prompts, and their mean length."""
        rendered, documents = self._head("prompts", recipe.name), self._head("documents")
        if rendered is not None and rendered.manifest.rows:
            rows = rendered.manifest.rows
            length = float(rendered.scan().select(pl.col("prompt_tokens").mean()).collect().item())
            if self.documents is None or documents is None:
                self.assumptions.append(f"{recipe.name}: {rows:,} prompts as rendered, {length:,.0f} tokens each")
                return rows, length
            each = rows / max(self._count_used(recipe, documents), 1)
            self.assumptions.append(
                f"{recipe.name}: {each:.3g} prompts per document of {length:,.0f} tokens, as in {rows:,} rendered ones"
            )
            return round(self.documents * each), length
        if documents is not None and (found := self._prompts_of(recipe, documents)) is not None:
            return found
        return self._unrendered_prompts(recipe)

    def _used(self, recipe: RecipeSpec, documents: Snapshot) -> pl.LazyFrame:
        """Documents of the recipe's sources."""
        sources = recipe.sources or [one.name for one in self.spec.sources if "rewrite" in one.roles]
        return documents.scan().filter(pl.col("source").is_in(sources))

    def _count_used(self, recipe: RecipeSpec, documents: Snapshot) -> int:
        return int(self._used(recipe, documents).select(pl.len()).collect().item())

    def _prompts_of(self, recipe: RecipeSpec, documents: Snapshot) -> tuple[int, float] | None:
        """Of documents that are there, by their lengths; None if the recipe uses none of them."""
        around, tokens = self._tokens_around(recipe), pl.col("tokens")
        room = max(self.spec.engine.context_length - recipe.sampling.max_tokens - around, 1.0)
        longest = min(room, recipe.chunk_tokens) if isinstance(recipe.chunk_tokens, int) else room
        high = min(recipe.max_document_tokens or math.inf, math.inf if recipe.chunk_tokens else room)
        fitting = self._used(recipe, documents).filter(tokens.is_between(recipe.min_document_tokens or 0, high))
        chunks = (tokens / longest).ceil().clip(1, recipe.max_chunks)
        counted = fitting.select(chunks.sum().alias("chunks"), pl.min_horizontal(tokens, chunks * longest).sum())
        found, shown = counted.collect().row(0)
        if not found:
            return None
        length, share = shown / found + around, 1.0
        if self.documents is not None:
            share = self.documents / self._count_used(recipe, documents)
        self.assumptions.append(
            f"{recipe.name}: {length:,.0f} tokens per prompt: the mean chunk of the documents that are there, and the"
            " template"
        )
        return round(found * recipe.samples * share), length

    def _tokens_around(self, recipe: RecipeSpec) -> float:
        """Of a prompt without its document."""
        template = Template.load(recipe.template_name, self.base)
        return (len(template.text) + len(recipe.system or "")) / _CHARACTERS_PER_TOKEN

    def _unrendered_prompts(self, recipe: RecipeSpec) -> tuple[int, float]:
        documents = self.documents or self._wanted_documents()
        length = PUBLISHED_DOCUMENT_TOKENS + self._tokens_around(recipe)
        self.assumptions.append(
            f"{recipe.name}: {recipe.samples} prompt{'s' if recipe.samples > 1 else ''} per document of"
            f" {length:,.0f} tokens: the mean FineWeb-Edu document (published) and the template; none is skipped"
        )
        return documents * recipe.samples, length

    def _wanted_documents(self) -> int:
        """Documents that the spec asks for by number."""
        wanted = 0
        for source in (one for one in self.spec.sources if "rewrite" in one.roles):
            sampled = getattr(source.select, "sample", None)
            count = getattr(source, "documents", None) or (sampled.documents if sampled is not None else None)
            if count is None:
                raise SpecError(
                    f"how many documents the source {source.name!r} has is not known yet",
                    where=f"dataset {self.spec.name}",
                    fix="add --documents N, or --pilot N, which reads the sources first",
                )
            wanted += count
        self.assumptions.append(f"{wanted:,} documents, as the spec asks for")
        return wanted

    def _answer_tokens(self, recipe: RecipeSpec) -> float:
        """Mean length of an answer."""
        sampled = self.sampled.get(recipe.name)
        if sampled is not None and sampled.outcomes:
            length = mean([outcome.completion_tokens or 0 for outcome in sampled.outcomes])
            basis = f"{length:,.0f} tokens per answer, as in {len(sampled.outcomes)} sampled now"
        else:
            made = self._head("generations", recipe.name)
            length, basis = answer_tokens(made, self.spec.engine.model, recipe.request_fields())
        self.assumptions.append(f"{recipe.name}: {basis}")
        return length

    def _speed(self) -> Speed | None:
        if self.sampled:
            tokens = sum(one.output_tokens for one in self.sampled.values())
            seconds = max(one.seconds for one in self.sampled.values()) * self.units
            if tokens and seconds:
                basis = f"{tokens / seconds:,.0f} output tokens/s per GPU or server, as in the sample, ramp included"
                return Speed(tokens / seconds, basis)
        made = [self._head("generations", recipe.name) for recipe in self.spec.recipes]
        return known_speed(made, self.spec.engine.model)


@dataclass(frozen=True)
class _Count:
    """Prompts of a recipe over some cycles.

    Args:
        known: where they are rendered.
        unknown: cycles in which they are not.
    """

    known: int = 0
    unknown: int = 0

    def prompts(self, each: int) -> int:
        """All of them, with as many as ``each`` in a cycle where they are not rendered."""
        return self.known + self.unknown * each


@dataclass(frozen=True)
class Bill:
    """What some plans would take of the engine.

    Args:
        certain: for what will be asked for certain.
        at_most: with what will be asked only if prompts turn out to be others.
        problem: why there are no figures, if so.
    """

    certain: Estimate | None
    at_most: Estimate | None
    problem: str = ""

    def as_json(self) -> dict[str, object]:
        """Plain values."""
        certain, most = (one.as_json() if one is not None else None for one in (self.certain, self.at_most))
        return {"certain": certain, "at_most": most, "problem": self.problem or None}

    def describe(self) -> str:
        """One or two lines."""
        if self.problem:
            return f"not known: {self.problem}"
        if self.at_most is None or not self.at_most.prompts:
            return "nothing is asked of the engine"
        if self.certain is None or not self.certain.prompts:
            return f"at most {self.at_most.describe()}"
        more = "" if self.certain.prompts == self.at_most.prompts else f"; at most {self.at_most.describe()}"
        return self.certain.describe() + more


def bill_of(plans: Sequence[CyclePlan], spec: "DatasetSpec", base: Path, workspace: Workspace) -> Bill:
    """What the plans of some cycles would ask of the engine, by what earlier versions and published runs took."""
    if not any(plan.asked for plan in plans):
        return Bill(None, None)
    partition = plans[0].partition if len(plans) == 1 else None
    rendered = [workspace.snapshots.current_ref(f"{spec.name}/prompts/{one.name}", partition) for one in spec.recipes]
    basis = partition if all(rendered) else None
    try:
        certain, at_most = (
            _Forecast(spec, base, workspace, basis, None, asked=_counts(plans, certain)).estimate(
                spec.engine.price_per_hour
            )
            for certain in (True, False)
        )
    except SynthError as error:
        return Bill(None, None, error.what)
    return Bill(certain, at_most)


def _counts(plans: Sequence[CyclePlan], only_certain: bool) -> dict[str, _Count]:
    """Prompts by recipe over all plans."""
    found: dict[str, _Count] = {}
    for asked in (one for plan in plans for one in plan.asked if one.certain or not only_certain):
        count = found.get(asked.recipe, _Count())
        rendered = asked.prompts is not None
        found[asked.recipe] = _Count(count.known + (asked.prompts or 0), count.unknown + (not rendered))
    return found


def forecast(
    spec: "DatasetSpec",
    base: Path,
    workspace: Workspace,
    *,
    partition: str | None = None,
    documents: int | None = None,
    price_per_hour: float | None = None,
    sampled: Mapping[str, Sampled] | None = None,
    units: float = 1.0,
) -> Estimate:
    """Estimate the generations of a dataset.

    Args:
        spec: the dataset.
        base: folder of its spec.
        workspace: where its versions are.
        partition: the cycle; None: the newest that has prompts.
        documents: how many documents to reckon with; None: as many as there are, or as the spec asks for.
        price_per_hour: of a GPU (of a server, where there is none); None: the spec's.
        sampled: what a sample gave, by recipe.
        units: GPUs (or servers) that the sample ran on.

    Raises:
        SpecError: the number of documents is not known.
    """
    price = spec.engine.price_per_hour if price_per_hour is None else price_per_hour
    return _Forecast(spec, base, workspace, partition, documents, sampled or {}, units).estimate(price)
