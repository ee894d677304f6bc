"""Dagster assets of the judge: what it is asked about a recipe's answers, and what it says."""

from collections.abc import Callable

import dagster as dg
import polars as pl

from synth_platform.digest import digest
from synth_platform.judging.ask import Asking, judge_template
from synth_platform.judging.config import JudgeSpec
from synth_platform.judging.labels import LabelledAnswer, read_labels
from synth_platform.judging.schema import ASKED, NOT_ASKED
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import histogram
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.quality.rows import with_prompts
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

CODE_VERSION = "1"


def judge_prompts_asset(
    dataset: DatasetContext,
    recipe: str,
    judge: JudgeSpec,
    prompts: Upstream,
    generations: Upstream,
    *,
    tokenizer: Callable[[], ChatTokenizer],
    context_length: int,
) -> StageAsset:
    """`<dataset>/judge_prompts/<recipe>`: each generation, and each labelled answer, as a question to the judge."""
    asset = dataset.asset("judge_prompts", recipe)

    def build(workspace: Workspace) -> Stage:
        counter = workspace.once(("judge's tokenizer", dataset.name), tokenizer)
        labelled = _labelled(judge, dataset)
        Asking(judge, counter, context_length, dataset.seed).check_room()

        def work(run: StageRun) -> None:
            asking = Asking(judge, counter, context_length, run.seed)
            made = with_prompts(run.inputs[prompts.asset].batches(), run.inputs[generations.asset].batches())
            for table, rows in (*asking.of_labels(labelled), *asking.of_generations(made)):
                run.writer.write(table, rows)
                run.writer.count(**{table: rows.height})

        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "judge": judge.model_dump(mode="json", exclude={"labels"}),
                "labels": digest([(one.id, one.good) for one in labelled]),
                "template": judge_template().digest,
                "tokenizer": counter.digest,
                "context_length": context_length,
            },
            upstreams=(prompts, generations),
            tables={"prompts": ASKED, "skipped": NOT_ASKED},
            work=work,
            ids_from=frozenset((generations.asset, "judge", "template")),
        )

    spec = dataset.spec(
        asset,
        (prompts, generations),
        description=f"Generations of `{recipe}` beside their documents and the rubric, as questions to the judge;"
        " answers that people have labelled come first.",
        kinds={"jinja", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), lambda _, snapshot: _describe(snapshot, judge))


def _labelled(judge: JudgeSpec, dataset: DatasetContext) -> list[LabelledAnswer]:
    return read_labels(judge.labels, dataset.base) if judge.labels else []


def _describe(snapshot: Snapshot, judge: JudgeSpec) -> dict[str, object]:
    tokens = snapshot.scan("prompts").select("prompt_tokens").collect()["prompt_tokens"]
    skipped = snapshot.scan("skipped").group_by("reason").len().sort("reason").collect()
    labelled = snapshot.scan("prompts").select(pl.col("good").is_not_null().sum()).collect().item()
    return {
        "prompt_tokens": int(tokens.sum()),
        "labelled": int(labelled or 0),
        "skipped_by_reason": shown_counts(dict(skipped.iter_rows())),
        "rubric": dg.MetadataValue.md(judge.rubric),
        "plots": dg.MetadataValue.md(histogram(tokens.to_list(), title="Prompt length", x="tokens", y="prompts")),
    }
