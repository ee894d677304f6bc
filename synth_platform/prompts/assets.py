"""Dagster assets of stage 2: one set of prompts per recipe."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import histogram
from synth_platform.privacy import canaries
from synth_platform.privacy.config import PrivacySpec
from synth_platform.prompts.config import RecipeSpec
from synth_platform.prompts.render import Renderer, is_held_out
from synth_platform.prompts.schema import PROMPTS, SKIPPED
from synth_platform.prompts.templates import Template
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

CODE_VERSION = "2"


def prompts_asset(
    dataset: DatasetContext,
    recipe: RecipeSpec,
    documents: Upstream,
    *,
    sources: Sequence[str],
    tokenizer: Callable[[], ChatTokenizer],
    context_length: int,
    privacy: PrivacySpec,
) -> StageAsset:
    """`<dataset>/prompts/<recipe>`: every chunk of every document to rewrite, as a prompt that fits the context."""
    asset = dataset.asset("prompts", recipe.name)

    described = recipe.model_dump(mode="json", exclude={"conformance", "judge"})

    def build(workspace: Workspace) -> Stage:
        template = Template.load(recipe.template_name, dataset.base)
        template.check(recipe.variables)
        counter = workspace.once(("tokenizer", dataset.name), tokenizer)
        Renderer(recipe, template, counter, context_length, dataset.seed).chunk_room()  # is there any?

        def work(run: StageRun) -> None:
            of = run.inputs[documents.asset]
            marked = _documents_to_mark(of, sources, run.seed, privacy) if privacy.canaries else ()
            renderer = Renderer(recipe, template, counter, context_length, run.seed, privacy.held_out, marked)
            for table, rows in renderer.build(_of_sources(of.batches("documents"), sources)):
                run.writer.write(table, rows)
                run.writer.count(**{table: rows.height})
                if table == "prompts":
                    run.writer.count(**{canaries.COUNT: rows["canary"].count()})
            run.writer.detail(template=template.text, template_name=template.name)

        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "recipe": described,
                "sources": list(sources),
                "template": template.digest,
                "tokenizer": counter.digest,
                "context_length": context_length,
                "held_out": privacy.held_out,
                "canaries": privacy.canaries,
            },
            upstreams=(documents,),
            tables={"prompts": PROMPTS, "skipped": SKIPPED},
            work=work,
            ids_from=frozenset(("template", "recipe.system", "recipe.variables")),
        )

    spec = dataset.spec(
        asset,
        (documents,),
        description=f"Prompts of the recipe `{recipe.name}`: template `{recipe.template_name}` over the documents of"
        f" {', '.join(sources) or 'no source'}; prompt and answer always fit {context_length:,} tokens.",
        kinds={"jinja", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), _describe)


def _documents_to_mark(documents: Snapshot, sources: Sequence[str], seed: int, privacy: PrivacySpec) -> frozenset[str]:
    """Ids of the documents that get a canary, among those that prompts are made of."""
    batches = _of_sources(documents.batches("documents", columns=["id", "source"]), sources)
    used = (one for batch in batches for one in batch["id"] if not is_held_out(one, seed, privacy.held_out))
    return canaries.choose_documents(used, seed, privacy.canaries)


def _of_sources(batches: Iterable[pl.DataFrame], sources: Sequence[str]) -> Iterator[pl.DataFrame]:
    for batch in batches:
        yield batch.filter(pl.col("source").is_in(list(sources)))


def _describe(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    tokens = snapshot.scan("prompts").select("prompt_tokens").collect()["prompt_tokens"]
    skipped = snapshot.scan("skipped").group_by("reason").len().sort("reason").collect()
    template = str(snapshot.manifest.details.get("template", ""))
    return {
        "prompt_tokens": int(tokens.sum()),
        "skipped_by_reason": shown_counts(dict(skipped.iter_rows())),
        "template": dg.MetadataValue.md(f"~~~jinja\n{template}\n~~~"),
        "plots": dg.MetadataValue.md(histogram(tokens.to_list(), title="Prompt length", x="tokens", y="prompts")),
    }
