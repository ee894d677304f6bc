"""Gates on the judged generations and on the accepted ones."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, books, gate_checks
from synth_platform.plots import bars
from synth_platform.quality.accept import contaminated_among_ancestors
from synth_platform.quality.gates import Gate, failing_rows
from synth_platform.quality.profile import of_family, profile_quality
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of
from synth_platform.workspace import Workspace

QUALITY_GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Generations without exactly one verdict, and strays"),
    Gate("reasons_given", "silent_rejections", 0, 0, "critical", "Rejected rows without a reason"),
    Gate("acceptance", "acceptance", 0.5, None, "warning", "Share of generations accepted"),
    Gate("fact_accuracy", "fact_accuracy", 0.9, None, "warning", "Share of right statements, where facts are known"),
    Gate("repetition", "repetition_share", None, 0.1, "warning", "Share of generations rejected for repetition"),
    Gate("refusals", "refusal_share", None, 0.05, "warning", "Share of generations that refuse or chat"),
    Gate("form", "format_share", None, 0.3, "warning", "Share of generations that break their form"),
    Gate("invented", "invented_share", None, 0.2, "warning", "Share with numbers, dates, units or names of their own"),
    Gate("arithmetic", "wrong_arithmetic_share", None, 0.2, "warning", "Share of generations that compute wrongly"),
)
ACCEPTED_GATES = (
    Gate("accounting", "unaccounted", 0, 0, "critical", "Generations neither accepted nor rejected, and strays"),
    Gate(
        "no_contaminated_row",
        "contaminated_rows",
        0,
        0,
        "critical",
        "Accepted rows that contain or come from test items",
    ),
    Gate("reasons_given", "silent_rejections", 0, 0, "critical", "Rejected rows without a reason"),
    Gate("duplicate_texts", "duplicate_share", None, 0.2, "warning", "Share of accepted rows that repeat another"),
)
_SAMPLE_ROWS = 1000
_EXAMPLES = 5


def quality_checks(dataset: DatasetContext, recipe: str, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/quality/<recipe>`."""
    return gate_checks(dataset, dataset.asset("quality", recipe), gates, _profile_quality)


def accepted_checks(dataset: DatasetContext, recipe: str, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/accepted/<recipe>`."""
    return gate_checks(dataset, dataset.asset("accepted", recipe), gates, _profile_accepted)


def _profile_quality(workspace: Workspace, snapshot: Snapshot) -> Judged:
    generations = workspace.snapshots.require(input_of(snapshot, "generations"))
    matched = books(workspace, snapshot)
    return Judged(
        {"unaccounted": matched.unaccounted, **profile_quality(snapshot.scan())},
        {
            "accounting": matched.describe(),
            "acceptance": _rejected_examples(generations, snapshot),
            "fact_accuracy": _examples(generations, snapshot, "fact_accuracy", 1.0, None),
            "form": _rejected_for(generations, snapshot, "format"),
            "refusals": _rejected_for(generations, snapshot, "refusal", "chatter"),
            "repetition": _examples(generations, snapshot, "duplicate_ngrams", None, 0.3),
            "invented": _examples(generations, snapshot, "invented_numbers", None, 0),
            "arithmetic": _examples(generations, snapshot, "wrong_steps", None, 0),
        },
    )


def _profile_accepted(workspace: Workspace, snapshot: Snapshot) -> Judged:
    matched = books(workspace, snapshot)
    accepted, rejected = snapshot.scan("accepted"), snapshot.scan("rejected")
    texts = accepted.select(pl.len(), pl.col("text").hash().n_unique()).collect().row(0)
    silent = rejected.filter(pl.col("reasons").list.len() == 0).select(pl.len()).collect().item()
    kept = {"accepted": texts[0], "rejected": rejected.select(pl.len()).collect().item()}
    return Judged(
        {
            "unaccounted": matched.unaccounted,
            "contaminated_rows": _contaminated_rows(workspace, snapshot),
            "silent_rejections": silent,
            "duplicate_share": 1 - texts[1] / texts[0] if texts[0] else 0.0,
        },
        {"accounting": matched.describe() + "\n\n" + bars(kept, title="Accepted and rejected", x="rows")},
    )


def _contaminated_rows(workspace: Workspace, snapshot: Snapshot) -> int:
    """Accepted rows that a contamination verdict speaks against, counted anew from the verdicts."""
    bad = contaminated_among_ancestors(workspace.snapshots, snapshot)
    rows = snapshot.scan("accepted").filter(pl.col("generation_id").is_in(bad) | pl.col("document_id").is_in(bad))
    return rows.select(pl.len()).collect().item()


def _rejected_examples(generations: Snapshot, snapshot: Snapshot) -> str:
    rejected = snapshot.scan().filter(pl.col("verdict") != "accepted").head(_EXAMPLES).collect()
    return _show(generations, rejected)


def _rejected_for(generations: Snapshot, snapshot: Snapshot, *families: str) -> str:
    """Rows with a reason of these families."""
    return _show(generations, snapshot.scan().filter(of_family(*families)).head(_EXAMPLES).collect())


def _examples(generations: Snapshot, snapshot: Snapshot, column: str, low: float | None, high: float | None) -> str:
    """Rows of a seeded sample that break a bound."""
    rows = snapshot.scan().select("generation_id", "reasons", column).collect()
    sample = rows.sample(min(_SAMPLE_ROWS, rows.height), seed=0)
    positions = failing_rows(sample, column, low, high) if sample[column].null_count() < sample.height else []
    return _show(generations, sample[positions[:_EXAMPLES]])


def _show(generations: Snapshot, judged: pl.DataFrame) -> str:
    if judged.is_empty():
        return "*no failing rows*"
    wanted = judged["generation_id"].to_list()
    texts = dict(generations.scan().filter(pl.col("id").is_in(wanted)).select("id", "text").collect().iter_rows())
    lines = ["| generation | reasons | text |", "|---|---|---|"]
    for row, reasons in judged.select("generation_id", "reasons").iter_rows():
        text = " ".join((texts.get(row) or "").split())[:160].replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {row[:12]} | {', '.join(reasons)} | {text} |")
    return "\n".join(lines)
