"""Dagster assets of stage 5: test sets, the index over them, and what was found in documents and generations."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec
from synth_platform.contamination.eval_index import INDEX_TABLES
from synth_platform.contamination.evals import benchmark_settings, read_benchmark
from synth_platform.contamination.origin import found_items, with_origin
from synth_platform.contamination.releases import REPLACED, ReleaseScanner, newer_test_sets, replaced_releases
from synth_platform.contamination.report import describe_hits, describe_replaced, hits_by_benchmark, worst_verdicts
from synth_platform.contamination.scan import Scanner, scan
from synth_platform.contamination.schema import CONTAMINATION, EVAL_ITEMS
from synth_platform.contamination.search import build_index, load_index, open_scanner, search_settings
from synth_platform.naming import EVALS_GROUP
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.guard import Upstream
from synth_platform.ops.materialization import shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, every_cycle, stage_asset
from synth_platform.plots import bars
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.identity import dataset_of
from synth_platform.workspace import Workspace

CODE_VERSION = "2"
RELEASE_SCAN = "{}/contamination/release"
"""Asset of the scans of a dataset's releases."""


def benchmark_context(base: Path) -> DatasetContext:
    """The context of test sets, which belong to no dataset."""
    return DatasetContext(EVALS_GROUP, seed=0, base=base)


def benchmark_asset(benchmark: BenchmarkSpec, base: Path) -> StageAsset:
    """`evals/<benchmark>`: the items of a test set; datasets that name the same one share it."""
    context = benchmark_context(base)
    asset = context.asset(benchmark.name)

    def work(run: StageRun) -> None:
        for items in read_benchmark(benchmark, base):
            run.writer.write("items", items)
            run.writer.count(items=items.height)

    def build(workspace: Workspace) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings=benchmark_settings(benchmark, base, workspace.file_digests.digest),
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
    # No preview: what a test asks is not for logs and metadata.
    return stage_asset(
        context,
        spec,
        every_cycle(asset, build),
        lambda workspace, snapshot: {"preview": dg.MetadataValue.md("*not shown*")},
    )


def index_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, benchmarks: Sequence[Upstream]
) -> StageAsset:
    """`<dataset>/contamination/index`: all test sets that the dataset names, ready to be looked for."""
    asset = dataset.asset("contamination", "index")

    def work(run: StageRun) -> None:
        items = (batch for benchmark in benchmarks for batch in run.inputs[benchmark.asset].batches("items"))
        index = build_index(contamination, items, run.workspace, dataset.base, run.log)
        for table, rows in index.tables().items():
            run.writer.write(table, rows)
        run.writer.count(
            items=index.parts.select("eval", "eval_id").n_unique(),
            programs=index.programs.height,
            segments=index.segments.height,
        )

    def build(workspace: Workspace) -> Stage:
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings=_search_settings(contamination, workspace, dataset),
            upstreams=tuple(benchmarks),
            tables=INDEX_TABLES,
            work=work,
        )

    spec = dataset.spec(
        asset,
        tuple(benchmarks),
        description=f"The items of {len(benchmarks)} test sets: rare word triples for copies, vectors for rewordings,"
        " operations for programs; and the thresholds, with what they find and mistake.",
        kinds={"polars", "onnx"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, every_cycle(asset, build), _describe_index)


def documents_contamination_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, documents: Upstream, index: Upstream
) -> StageAsset:
    """`<dataset>/contamination/documents`: test items found in the source documents."""
    asset = dataset.asset("contamination", "documents")

    def work(run: StageRun) -> None:
        scanner = open_scanner(contamination, load_index(run.inputs[index.asset]), run.workspace, run.log)
        scan_table(run, scanner, run.inputs[documents.asset], "documents", asset)

    return _scan_asset(
        dataset,
        contamination,
        asset,
        (documents, index),
        {"contamination": CONTAMINATION},
        work,
        "Test items found in the source documents, with the item and the span named. Nothing made from a contaminated"
        " document is accepted.",
    )


def recipe_contamination_asset(
    dataset: DatasetContext,
    contamination: ContaminationSpec,
    recipe: str,
    *,
    prompts: Upstream,
    generations: Upstream,
    in_documents: Upstream,
    index: Upstream,
) -> StageAsset:
    """`<dataset>/contamination/<recipe>`: test items found in what was generated, and in what was asked."""
    asset = dataset.asset("contamination", recipe)

    def work(run: StageRun) -> None:
        scanner = open_scanner(contamination, load_index(run.inputs[index.asset]), run.workspace, run.log)
        asked = run.inputs[prompts.asset]
        document_of: dict[str, str] = {}
        in_prompts = set()
        for rows, found in scan(scanner, _prompt_texts(asked), what=f"{asset} (prompts)", total=asked.manifest.rows):
            run.writer.write("prompts", found)
            in_prompts |= (items := found_items([found]))
            document_of |= _only(rows, "row_id", "document_id", {row_id for row_id, _, _ in items})
        known = found_items(run.inputs[in_documents.asset].batches("contamination"))
        made = run.inputs[generations.asset]
        batches = (
            batch.rename({"id": "row_id"}) for batch in made.batches("generations", columns=["id", "text", "prompt_id"])
        )
        for rows, found in scan(scanner, batches, what=asset, total=made.manifest.rows):
            hit = set(found.filter(pl.col("verdict") != "clean")["row_id"])
            prompt_of = _only(rows, "row_id", "prompt_id", hit)
            missing = set(prompt_of.values()) - set(document_of)
            document_of |= _documents_of(asked, missing)
            run.writer.write("contamination", with_origin(found, prompt_of, document_of, in_prompts, known))
        run.writer.count(scanned=made.manifest.rows, prompts=asked.manifest.rows)

    return _scan_asset(
        dataset,
        contamination,
        asset,
        (generations, prompts, in_documents, index),
        {"contamination": CONTAMINATION, "prompts": CONTAMINATION},
        work,
        f"Test items found in the generations of `{recipe}` and in their prompts, with the item, the span, and whether"
        " the source, the prompt or the generator's own memory brought it in.",
    )


def release_contamination_asset(
    dataset: DatasetContext, contamination: ContaminationSpec, release: Upstream, benchmarks: Sequence[Upstream]
) -> StageAsset:
    """`<dataset>/contamination/release`: the released rows against the test sets that are newer than they."""
    asset = RELEASE_SCAN.format(dataset.name)

    def work(run: StageRun) -> None:
        snapshots, released = run.workspace.snapshots, run.inputs[release.asset]
        current = {one.asset: run.inputs[one.asset].manifest.digest for one in benchmarks}
        replaced = _open_replaced(run, release.asset)
        newer = {name for one in (released, *replaced) for name in newer_test_sets(snapshots, one, current)}
        wanted = [name for name in current if name in newer]
        run.log(f"Scanning {1 + len(replaced)} releases against {', '.join(wanted) or 'no newer test set'}")
        items = (batch for name in wanted for batch in run.inputs[name].batches("items"))
        index = build_index(contamination, items, run.workspace, dataset.base, run.log)
        releases = ReleaseScanner(open_scanner(contamination, index, run.workspace, run.log))
        for found in releases.scan(released, asset):
            run.writer.write("contamination", found)
        for one in replaced:
            for hits in releases.hits(one, asset):
                run.writer.write("replaced", hits)
        run.writer.count(scanned=released.manifest.rows, releases=1 + len(replaced))
        run.writer.detail(scanned_against=wanted, releases=[one.manifest.snapshot_id for one in (released, *replaced)])

    def also_read(workspace: Workspace, partition: str | None) -> dict[str, Any]:
        return {"replaced": replaced_releases(workspace.snapshots, release.asset, partition)}

    return _scan_asset(
        dataset,
        contamination,
        asset,
        (release, *benchmarks),
        {"contamination": CONTAMINATION, "replaced": REPLACED},
        work,
        "The released rows, scanned again against test sets that were added or changed since, and those of the releases"
        " that this one replaced. Where items are found, materializing the release makes a patch without those rows.",
        describe=_describe_release_scan,
        also_read=also_read,
    )


def _open_replaced(run: StageRun, asset: str) -> list[Snapshot]:
    """The releases that were replaced, as far as they are still there."""
    snapshots = run.workspace.snapshots
    ids = replaced_releases(snapshots, asset, run.partition)
    found = {one: snapshots.open(asset, run.partition, one) for one in ids}
    if gone := [one for one, snapshot in found.items() if snapshot is None]:
        run.log(f"Not scanned, since they are gone: releases {', '.join(gone)}")
    return [snapshot for snapshot in found.values() if snapshot is not None]


def _describe_release_scan(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, object]:
    against = snapshot.manifest.details["scanned_against"]
    release = snapshot.manifest.inputs[0].snapshot_id
    rows = worst_verdicts(snapshot.scan("contamination"))["contaminated"]
    dataset = dataset_of(snapshot.manifest.asset)
    proposal = f"Release `{release}` has no item of the newer test sets."
    if rows:
        named = ", ".join(f"`{one}`" for one in against)
        proposal = (
            f"**{rows:,} rows** of release `{release}` have items of {named}."
            f" Materialize `{dataset}/release` to release a patch without them; all other rows stay as they are."
        )
    described = {
        "proposal": dg.MetadataValue.md(proposal),
        "scanned_against": dg.MetadataValue.text(", ".join(against) or "nothing new"),
        **describe_scan(workspace, snapshot),
    }
    if replaced := snapshot.manifest.details["releases"][1:]:
        described["replaced"] = dg.MetadataValue.md(describe_replaced(snapshot.scan("replaced"), replaced))
    return described


def _scan_asset(
    dataset: DatasetContext,
    contamination: ContaminationSpec,
    asset: str,
    upstreams: tuple[Upstream, ...],
    tables: Mapping[str, pl.Schema],
    work: Any,
    description: str,
    *,
    describe: Any = None,
    also_read: Callable[[Workspace, str | None], dict[str, Any]] | None = None,
) -> StageAsset:
    def build(workspace: Workspace, partition: str | None = None) -> Stage:
        searched = _search_settings(contamination, workspace, dataset)
        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={**searched, **also_read(workspace, partition)} if also_read else searched,
            upstreams=upstreams,
            tables=tables,
            work=work,
            ids_from=frozenset([upstreams[0].asset]),
        )

    spec = dataset.spec(asset, upstreams, description=description, kinds={"polars", "onnx"}, code_version=CODE_VERSION)
    return stage_asset(dataset, spec, build if also_read else every_cycle(asset, build), describe or describe_scan)


def scan_table(run: StageRun, scanner: Scanner, scanned: Snapshot, table: str, what: str) -> None:
    """Scan the texts of a table and write what was found."""
    batches = (batch.rename({"id": "row_id"}) for batch in scanned.batches(table, columns=["id", "text"]))
    for _, found in scan(scanner, batches, what=what, total=scanned.manifest.rows):
        run.writer.write("contamination", found)
    run.writer.count(scanned=scanned.manifest.rows)


def describe_scan(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, object]:
    """Metadata of a snapshot of hits."""
    rows = snapshot.scan("contamination")
    verdicts = worst_verdicts(rows)
    by_method = rows.filter(pl.col("verdict") != "clean").group_by("method").len().sort("method").collect()
    described: dict[str, object] = {
        "verdicts": shown_counts(verdicts),
        "by_benchmark": shown_counts(hits_by_benchmark(rows)),
        "by_method": shown_counts(dict(by_method.iter_rows())),
        "hits": dg.MetadataValue.md(describe_hits(rows)),
        "preview": dg.MetadataValue.md("*see hits*"),
    }
    origins = rows.filter(pl.col("verdict") == "contaminated").group_by("origin").len().collect()
    if origins["origin"].null_count() < origins.height:
        described["contaminated_by"] = shown_counts(dict(origins.iter_rows()))
    return described


def _search_settings(contamination: ContaminationSpec, workspace: Workspace, dataset: DatasetContext) -> dict[str, Any]:
    """What of the spec determines what is found, and the encoder's weights."""
    return workspace.once(
        ("contamination", dataset.name), lambda: search_settings(contamination, workspace, dataset.base)
    )


def _prompt_texts(prompts: Snapshot) -> Any:
    chat = pl.List(pl.Struct({"content": pl.String()}))
    contents = pl.col("messages").str.json_decode(chat).list.eval(pl.element().struct.field("content")).list.join("\n")
    for batch in prompts.batches("prompts", columns=["id", "document_id", "messages"]):
        yield batch.select(pl.col("id").alias("row_id"), "document_id", contents.alias("text"))


def _only(rows: pl.DataFrame, key: str, value: str, wanted: set[str]) -> dict[str, str]:
    return dict(rows.filter(pl.col(key).is_in(list(wanted))).select(key, value).iter_rows())


def _documents_of(prompts: Snapshot, wanted: set[str]) -> dict[str, str]:
    if not wanted:
        return {}
    rows = prompts.scan("prompts").filter(pl.col("id").is_in(list(wanted))).select("id", "document_id")
    return dict(rows.collect().iter_rows())


def _describe_index(workspace: Workspace, snapshot: Snapshot) -> Mapping[str, object]:
    items = snapshot.scan("parts").group_by("eval").agg(pl.col("eval_id").n_unique()).sort("eval").collect()
    described: dict[str, object] = {
        "plots": dg.MetadataValue.md(bars(dict(items.iter_rows()), title="Items by test set", x="items")),
        "preview": dg.MetadataValue.md("*not shown*"),
    }
    index = load_index(snapshot)
    if index.calibration is not None:
        described["expected"] = dg.MetadataValue.md(index.calibration.describe())
    return described
