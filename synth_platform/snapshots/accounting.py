"""The books of every stage: what went in came out, exactly once. The checks and `synth verify` share them."""

from collections.abc import Callable, Mapping

import polars as pl

from synth_platform.snapshots.catalog import input_of, kind_of
from synth_platform.snapshots.findings import FINDINGS, rows_against
from synth_platform.snapshots.reconcile import Reconciliation, reconcile
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot


def account(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation | None:
    """Match a snapshot with what it was made from; None for assets without books (test sets, the index).

    Raises:
        SnapshotError: an input is gone or damaged.
    """
    kind = kind_of(snapshot.manifest.asset)
    if kind == "contamination" and "contamination" not in snapshot.manifest.tables:
        return None
    rule = _RULES.get(kind or "")
    return rule(snapshots, snapshot) if rule else None


def _documents(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    """Rows read against documents and skipped rows; unreadable rows have no id, so they are counted."""
    read = snapshot.manifest.counts.get("read", -1)
    kept = sum(table.rows for table in snapshot.manifest.tables.values())
    ids, rows = snapshot.scan("documents").select(pl.col("id").n_unique().alias("ids"), pl.len()).collect().row(0)
    return Reconciliation(read, kept, max(read - kept, 0), max(kept - read, 0), rows - ids)


def _prompts(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    documents = snapshots.require(input_of(snapshot, "documents")).scan("documents")
    wanted = documents.filter(pl.col("source").is_in(snapshot.manifest.settings["sources"]))
    # A document may become several prompts, or prompts and skipped chunks: one mark each is enough.
    made = pl.concat([snapshot.scan(table).select("document_id") for table in ("prompts", "skipped")]).unique()
    return reconcile(wanted, made, parent="id", child="document_id")


def _generations(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    prompts = snapshots.require(input_of(snapshot, "prompts")).scan("prompts")
    return reconcile(prompts, snapshot.scan(), parent="id", child="prompt_id")


def _judge_prompts(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    """Generations against questions and answers that are not asked about; labelled answers are no generations."""
    generations = snapshots.require(input_of(snapshot, "generations")).scan()
    both = pl.concat([snapshot.scan(table).select("generation_id") for table in ("prompts", "skipped")]).drop_nulls()
    return reconcile(generations, both, parent="id", child="generation_id")


def _judgements(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    asked = snapshots.require(input_of(snapshot, "judge_prompts")).scan("prompts")
    return reconcile(asked, snapshot.scan(), parent="id", child="prompt_id")


def _quality(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    generations = snapshots.require(input_of(snapshot, "generations")).scan()
    return reconcile(generations, snapshot.scan(), parent="id", child="generation_id")


def _contamination(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    scanned = snapshots.require(snapshot.manifest.inputs[0]).scan()
    # A text with several test items has several rows: one is enough.
    return reconcile(scanned, snapshot.scan().select("row_id").unique(), parent="id", child="row_id")


def _accepted(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    generations = snapshots.require(input_of(snapshot, "generations")).scan()
    both = pl.concat([snapshot.scan(table).select("generation_id") for table in ("accepted", "rejected")])
    return reconcile(generations, both, parent="id", child="generation_id")


def _mixture(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    """Rows at hand against rows used, in however many epochs, and rows left out."""
    parts = [snapshots.require(ref) for ref in snapshot.manifest.inputs]
    mix_in = pl.col("source").is_in(snapshot.manifest.settings["mix_in"])
    at_hand = [
        part.scan("accepted").select(pl.col("generation_id").alias("id"))
        if kind_of(part.manifest.asset) == "accepted"
        else part.scan("documents").filter(mix_in).select("id")
        for part in parts
        if kind_of(part.manifest.asset) in ("accepted", "documents")
    ]
    used = snapshot.scan("mixture").select(pl.coalesce("generation_id", "document_id").alias("id")).unique()
    out = pl.concat([used, snapshot.scan("excluded").select(pl.col("row_id").alias("id"))])
    return reconcile(pl.concat(at_hand), out, parent="id", child="id")


def _release(snapshots: Snapshots, snapshot: Snapshot) -> Reconciliation:
    """The mixture's rows, or of a patch those of the release it replaces that no finding speaks against."""
    refs = {kind_of(ref.asset): ref for ref in snapshot.manifest.inputs}
    if "release" not in refs:
        return reconcile(snapshots.require(refs["mixture"]).scan(), snapshot.scan(), parent="id", child="id")
    replaced = snapshots.require(refs["release"])
    if replaced.removal is not None:
        return _counted(replaced, snapshot)
    wanted = replaced.scan()
    for ref in (refs[kind] for kind in FINDINGS if kind in refs):
        wanted = wanted.join(rows_against(snapshots.require(ref)), on="id", how="anti")
    return reconcile(wanted, snapshot.scan(), parent="id", child="id")


def _counted(replaced: Snapshot, patch: Snapshot) -> Reconciliation:
    """The books of a patch whose predecessor's rows are gone: by what both manifests say."""
    taken_out = patch.manifest.counts.get("taken_out", 0)
    wanted = replaced.manifest.rows - taken_out
    rows, ids = patch.manifest.rows, patch.scan().select(pl.col("id").n_unique()).collect().item()
    return Reconciliation(wanted, rows, max(wanted - rows, 0), max(rows - wanted, 0), rows - ids)


_RULES: Mapping[str, Callable[[Snapshots, Snapshot], Reconciliation]] = {
    "documents": _documents,
    "prompts": _prompts,
    "generations": _generations,
    "judge_prompts": _judge_prompts,
    "judgements": _judgements,
    "quality": _quality,
    "contamination": _contamination,
    "accepted": _accepted,
    "mixture": _mixture,
    "release": _release,
}
