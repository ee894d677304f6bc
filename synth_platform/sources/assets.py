"""Dagster assets of stage 1: the selected documents of a dataset."""

from collections.abc import Callable, Sequence

import dagster as dg

from synth_platform.ops.stage import DatasetContext, Stage, StageRun, stage_asset
from synth_platform.plots import bars, histogram
from synth_platform.privacy.config import PrivacySpec
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.tombstones import TakenDown, concerning, read_tombstones
from synth_platform.sources.build import build_documents, source_fingerprint
from synth_platform.sources.config import SourceSpec
from synth_platform.sources.schema import DOCUMENTS, SKIPPED
from synth_platform.workspace import Workspace

CODE_VERSION = "2"


def documents_asset(
    dataset: DatasetContext,
    sources: Sequence[SourceSpec],
    *,
    tokenizer: Callable[[], ChatTokenizer],
    reuse_documents: bool,
    privacy: PrivacySpec,
) -> dg.AssetsDefinition:
    """`<dataset>/documents`: what the sources hold after selection; skipped rows keep their reason."""
    asset = dataset.asset("documents")

    def build(workspace: Workspace, partition: str | None) -> Stage:
        counter = tokenizer()
        tombstones = read_tombstones(workspace.snapshots)
        concerned = [one.id for one in concerning(tombstones, asset, partition)]
        earlier = [] if reuse_documents or partition is None else earlier_cycles(workspace, asset, partition)

        def work(run: StageRun) -> None:
            used = frozenset(row for cycle in earlier for batch in cycle.batches(columns=["id"]) for row in batch["id"])
            batches = build_documents(
                sources,
                base=dataset.base,
                seed=run.seed,
                count_tokens=counter.count,
                used=used,
                scratch=run.workspace.scratch,
                taken_down=TakenDown.of(tombstones),
                privacy=privacy,
            )
            for table, rows in batches:
                run.writer.write(table, rows)
                run.writer.count(**{table: rows.height, "read": rows.height})
                if table == "documents":
                    run.writer.count(redacted=int(rows["redacted"].sum()))

        return Stage(
            asset=asset,
            code_version=CODE_VERSION,
            settings={
                "sources": [source.model_dump(mode="json") for source in sources],
                "content": {source.name: source_fingerprint(source, dataset.base) for source in sources},
                "tokenizer": counter.digest,
                "privacy": privacy.model_dump(mode="json", include={"source", "regions", "ner"}),
                "earlier_cycles": [cycle.manifest.digest for cycle in earlier],
                # Documents that this asset never had do not make it stale, though all are left out.
                **({"taken_down": concerned} if concerned else {}),
            },
            upstreams=(),
            tables={"documents": DOCUMENTS, "skipped": SKIPPED},
            work=work,
        )

    spec = dataset.spec(
        asset,
        (),
        description="Documents selected from the sources. Each row that was read is either here or in the table"
        " `skipped`, with its reason.",
        kinds={"polars", "parquet"},
        code_version=CODE_VERSION,
    )
    return stage_asset(dataset, spec, build, _describe)


def earlier_cycles(workspace: Workspace, asset: str, partition: str) -> list[Snapshot]:
    """Current versions of the cycles before this one."""
    cycles = [name for name in workspace.snapshots.partitions(asset) if name < partition]
    heads = [workspace.snapshots.head(asset, cycle) for cycle in cycles]
    return [head for head in heads if head is not None]


def _describe(workspace: Workspace, snapshot: Snapshot) -> dict[str, object]:
    documents, skipped = snapshot.scan("documents"), snapshot.scan("skipped")
    tokens = documents.select("tokens").collect()["tokens"]
    by_source = documents.group_by("source").len().sort("source").collect()
    reasons = skipped.group_by("reason").len().sort("len", descending=True).collect()
    pictures = histogram(tokens.to_list(), title="Document length", x="tokens", y="documents")
    if reasons.height:
        pictures += "\n\n" + bars(dict(reasons.iter_rows()), title="Skipped rows by reason", x="rows")
    return {
        "tokens": int(tokens.sum()),
        "documents_by_source": dg.MetadataValue.json(dict(by_source.iter_rows())),
        "redacted": snapshot.manifest.counts.get("redacted", 0),
        "skipped_by_reason": dg.MetadataValue.json(dict(reasons.iter_rows())),
        "plots": dg.MetadataValue.md(pictures),
    }
