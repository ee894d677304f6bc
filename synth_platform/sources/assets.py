"""Dagster assets of stage 1: the selected documents of a dataset."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import dagster as dg

from synth_platform.digest import digest
from synth_platform.errors import SnapshotError
from synth_platform.file_digests import DigestFile
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.materialization import shown_counts
from synth_platform.ops.stage import Stage, StageAsset, StageRun, stage_asset
from synth_platform.plots import bars, histogram
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.persons import model_settings
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.tombstones import TakenDown, concerning, read_tombstones
from synth_platform.sources.build import build_documents, source_fingerprint
from synth_platform.sources.config import SourceSpec
from synth_platform.sources.schema import DOCUMENTS, SKIPPED
from synth_platform.workspace import Workspace

CODE_VERSION = "4"


def documents_asset(
    dataset: DatasetContext,
    sources: Sequence[SourceSpec],
    *,
    tokenizer: Callable[[], ChatTokenizer],
    reuse_documents: bool,
    privacy: PrivacySpec,
) -> StageAsset:
    """`<dataset>/documents`: what the sources hold after selection; skipped rows keep their reason."""
    asset = dataset.asset("documents")
    described = [source.model_dump(mode="json") for source in sources]
    protection = privacy.model_dump(mode="json", include={"source", "regions", "ner"})

    def content(digest_file: DigestFile) -> dict[str, str]:
        return {source.name: source_fingerprint(source, dataset.base, digest_file) for source in sources}

    def build(workspace: Workspace, partition: str | None) -> Stage:
        contents = workspace.once(("sources", dataset.name), lambda: content(workspace.file_digests.digest))
        counter = workspace.once(("tokenizer", dataset.name), tokenizer)
        tombstones = workspace.once(("tombstones",), lambda: read_tombstones(workspace.snapshots))
        concerned = [one.id for one in concerning(tombstones, asset, partition)]
        earlier = NO_CYCLES if reuse_documents or partition is None else earlier_cycles(workspace, asset, partition)

        def work(run: StageRun) -> None:
            batches = build_documents(
                sources,
                base=dataset.base,
                seed=run.seed,
                count_tokens=counter.count,
                used=frozenset(earlier.documents(run.workspace.snapshots)),
                scratch=run.workspace.scratch,
                taken_down=TakenDown.of(tombstones, dataset.name),
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
                "sources": described,
                "content": contents,
                "tokenizer": counter.digest,
                "privacy": workspace.once(("privacy", asset), lambda: {**protection, **model_settings(privacy.ner)}),
                "earlier_cycles": earlier.digest,
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


@dataclass(frozen=True)
class EarlierCycles:
    """The versions whose documents may not be used again.

    Args:
        asset: whose versions.
        versions: cycle and snapshot id of each, and of those after them: thousands of cycles share the list.
        count: how many of the list are earlier ones.
        digest: of what they hold; None of none.
    """

    asset: str
    versions: Sequence[tuple[str, str]]
    count: int
    digest: str | None

    def documents(self, snapshots: Snapshots) -> Iterator[str]:
        """Ids of their documents; of a version whose files were removed, those that the cycle's release has rows of.

        Raises:
            SnapshotError: a version is gone without a word.
        """
        for cycle, snapshot_id in self.versions[: self.count]:
            found, column = snapshots.recall(self.asset, cycle, snapshot_id), "id"
            if found is None:
                raise SnapshotError(f"{self.asset} {snapshot_id} of the cycle {cycle} is missing", fix="restore it")
            if found.removal is not None:
                found, column = snapshots.current(f"{self.asset.split('/')[0]}/release", cycle), "document_id"
            for batch in found.batches(columns=[column]) if found is not None else ():
                yield from batch[column].drop_nulls()


NO_CYCLES = EarlierCycles("", (), 0, None)


def earlier_cycles(workspace: Workspace, asset: str, partition: str) -> EarlierCycles:
    """Current versions of the cycles before this one."""
    cycles, versions, digests = workspace.once(("cycles", asset), lambda: _cycles_so_far(workspace.snapshots, asset))
    before = bisect_left(cycles, partition)
    return EarlierCycles(asset, versions, before, digests[before - 1] if before else None)


def _cycles_so_far(snapshots: Snapshots, asset: str) -> tuple[list[str], list[tuple[str, str]], list[str]]:
    """All cycles in their order, the version of each, and a digest of what it and all before it hold.

    Each digest continues the one before, so that ten thousand cycles cost ten thousand digests.
    """
    cycles = snapshots.partitions(asset)
    current = [ref for cycle in cycles if (ref := snapshots.current_ref(asset, cycle)) is not None]
    digests: list[str] = []
    for ref in current:
        digests.append(digest(digests[-1] if digests else None, ref.digest))
    return cycles, [(cycle, ref.snapshot_id) for cycle, ref in zip(cycles, current, strict=True)], digests


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
        "documents_by_source": shown_counts(dict(by_source.iter_rows())),
        "redacted": snapshot.manifest.counts.get("redacted", 0),
        "skipped_by_reason": shown_counts(dict(reasons.iter_rows())),
        "plots": dg.MetadataValue.md(pictures),
    }
