"""Dagster assets of stage 5: test sets, the index over them, and what was found in documents and generations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
import polars as pl

from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec
from synth_platform.contamination.evals import benchmark_fingerprint, read_benchmark
from synth_platform.contamination.index import Index, build_index
from synth_platform.contamination.report import describe_hits, hits_by_benchmark
from synth_platform.contamination.scan import scan
from synth_platform.contamination.schema import CONTAMINATION, EVAL_ITEMS, INDEX_ITEMS, INDEX_NGRAMS, INDEX_WORDS
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import DatasetContext, Stage, StageRun, stage_asset
from synth_platform.plots import bars
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace

CODE_VERSION = "1"
EVALS_GROUP = "evals"


def benchmark_context(base: Path) -> DatasetContext:
    """The context of test sets, which belong to no dataset."""
    return DatasetContext(EVALS_GROUP, seed=0, base=base)


def benchmark_asset(benchmark: BenchmarkSpec, base: Path) -> dg.AssetsDefinition:
    """`evals/<benchmark>`: the items of a test set; datasets that name the same one share it."""
    context = benchmark_context(base)
    asset = context.asset(benchmark.name)

    def work(run: StageRun) -> None:
        for items in read_benchmark(benchmark, base):
            run.writer.write("items", items)
            run.writer.count(items=items.height)

    def build(workspace: Workspace, partition: str | None) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "benchmark": benchmark.model_dump(mode="json", exclude={"description"}),
                "content": benchmark_fingerprint(benchmark, base),
            },
            upstreams=(),
            tables={"items": EVAL_ITEMS},
            work=work,
        )

    spec = context.spec(
        asset,
        (),
        description=benchmark.description or f"Items of the test set `{benchmark.name}`, which no dataset may contain.",
        kinds={"polars", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(context, spec, build, lambda workspace, snapshot: {})


def index_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, benchmarks: Sequence[Upstream]
) -> dg.AssetsDefinition:
    """`<dataset>/contamination/index`: the word n-grams of all test sets that the dataset names."""
    asset = dataset.asset("contamination", "index")

    def work(run: StageRun) -> None:
        items = (batch for benchmark in benchmarks for batch in run.inputs[benchmark.asset].batches("items"))
        index = build_index(items, contamination)
        for table, rows in index.tables().items():
            run.writer.write(table, rows)
        run.writer.count(
            items=index.items.height,
            too_short=index.items.filter(pl.col("indexed_words") == 0).height,
            ngrams=index.ngrams.height,
        )

    def build(workspace: Workspace, partition: str | None) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={"contamination": contamination.model_dump(mode="json")},
            upstreams=tuple(benchmarks),
            tables={"items": INDEX_ITEMS, "ngrams": INDEX_NGRAMS, "words": INDEX_WORDS},
            work=work,
        )

    spec = dataset.spec(
        asset,
        tuple(benchmarks),
        description=f"Word {contamination.ngram}-grams of {len(benchmarks)} test sets. Items that are too short to be"
        " found are counted, not forgotten.",
        kinds={"polars", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, build, _describe_index)


def documents_contamination_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, documents: Upstream, index: Upstream
) -> dg.AssetsDefinition:
    """`<dataset>/contamination/documents`: test items found in the source documents."""
    return _contamination_asset(
        dataset,
        contamination,
        dataset.asset("contamination", "documents"),
        documents,
        index,
        lambda snapshot: snapshot.batches("documents", columns=["id", "text"]),
        "Test items found in the source documents, with the item and the span named. Nothing made from a contaminated"
        " document is accepted.",
    )


def recipe_contamination_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, recipe: str, generations: Upstream, index: Upstream
) -> dg.AssetsDefinition:
    """`<dataset>/contamination/<recipe>`: test items found in what was generated."""
    return _contamination_asset(
        dataset,
        contamination,
        dataset.asset("contamination", recipe),
        generations,
        index,
        lambda snapshot: snapshot.batches("generations", columns=["id", "text"]),
        f"Test items found in the generations of `{recipe}`, with the item and the span named.",
    )


def _contamination_asset(
    dataset: DatasetContext,
    contamination: ContaminationSpec,
    asset: str,
    texts: Upstream,
    index: Upstream,
    read: Callable[[Snapshot], Iterator[pl.DataFrame]],
    description: str,
) -> dg.AssetsDefinition:
    upstreams = (texts, index)

    def work(run: StageRun) -> None:
        scanned = run.inputs[texts.asset]
        batches = (batch.rename({"id": "row_id"}) for batch in read(scanned))
        searched = load_index(run.inputs[index.asset], contamination)
        for rows in scan(searched, contamination, batches, what=asset, total=scanned.manifest.rows):
            run.writer.write("contamination", rows)
        run.writer.count(scanned=scanned.manifest.rows)

    def build(workspace: Workspace, partition: str | None) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={"contamination": contamination.model_dump(mode="json")},
            upstreams=upstreams,
            tables={"contamination": CONTAMINATION},
            work=work,
        )

    spec = dataset.spec(
        asset, upstreams, description=description, kinds={"polars", "parquet"}, code_version=CODE_VERSION
    )
    return stage_asset(dataset, spec, build, _describe)


def load_index(snapshot: Snapshot, contamination: ContaminationSpec) -> Index:
    """The index that a snapshot holds."""
    items, ngrams, vocabulary = (snapshot.scan(table).collect() for table in ("items", "ngrams", "words"))
    return Index(items, ngrams, vocabulary, contamination.ngram)


def _describe_index(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, object]:
    items = snapshot.scan("items").group_by("eval").len().sort("eval").collect()
    return {"plots": dg.MetadataValue.md(bars(dict(items.iter_rows()), title="Items by test set", x="items"))}


def _describe(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, object]:
    rows = snapshot.scan("contamination")
    verdicts = dict(rows.group_by("verdict").agg(pl.col("row_id").n_unique()).sort("verdict").collect().iter_rows())
    return {
        "verdicts": dg.MetadataValue.json(verdicts),
        "by_benchmark": dg.MetadataValue.json(hits_by_benchmark(rows)),
        "hits": dg.MetadataValue.md(describe_hits(rows)),
    }
