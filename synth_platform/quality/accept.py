"""Split generations into accepted rows and rejected ones, each with every reason."""

from collections.abc import Iterable, Iterator, Mapping

import polars as pl

from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.protect import DEFAULT_PRIVACY, protect
from synth_platform.quality.rows import with_prompts
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import ancestors, input_of, kind_of
from synth_platform.snapshots.frames import in_step

ACCEPTED = pl.Schema(
    {
        "generation_id": pl.String(),
        "prompt_id": pl.String(),
        "document_id": pl.String(),
        "recipe": pl.String(),
        "source": pl.String(),
        "text": pl.String(),
        "tokens": pl.Int64(),
        "url": pl.String(),
        "license": pl.String(),
        "redacted": pl.Int32(),
    }
)
"""Rows that passed everything; ``tokens`` are the generator's; ``redacted`` counts placeholders for personal data."""

REJECTED = pl.Schema(
    {
        "generation_id": pl.String(),
        "prompt_id": pl.String(),
        "document_id": pl.String(),
        "recipe": pl.String(),
        "source": pl.String(),
        "text": pl.String(),
        "status": pl.String(),
        "reasons": pl.List(pl.String()),
    }
)
"""Rows that did not, with all their reasons."""


def contaminated(hits: Iterable[pl.DataFrame]) -> dict[str, str]:
    """Row id to the benchmark it was contaminated by, for the contaminated rows only."""
    found: dict[str, str] = {}
    for batch in hits:
        bad = batch.filter(pl.col("verdict") == "contaminated")
        for row_id, benchmark in bad.select("row_id", "eval").iter_rows():
            found.setdefault(row_id, benchmark)
    return found


def contaminated_among_ancestors(snapshots: Snapshots, snapshot: Snapshot) -> list[str]:
    """Ids of all documents and generations that any verdict among a snapshot's ancestors speaks against."""
    bad: set[str] = set()
    for ancestor in ancestors(snapshots, [snapshot]):
        if kind_of(ancestor.manifest.asset) == "contamination" and "contamination" in ancestor.manifest.tables:
            bad |= set(contaminated(ancestor.batches("contamination")))
            if "prompts" in ancestor.manifest.tables:
                bad |= _made_from(snapshots, ancestor, contaminated(ancestor.batches("prompts")))
    return sorted(bad)


def _made_from(snapshots: Snapshots, scanned: Snapshot, prompts: Mapping[str, str]) -> set[str]:
    """Generations of some prompts."""
    if not prompts:
        return set()
    generations = snapshots.require(input_of(scanned, "generations")).scan("generations")
    made = generations.filter(pl.col("prompt_id").is_in(list(prompts))).select("id").collect()
    return set(made["id"])


def accept(
    prompts: Iterable[pl.DataFrame],
    generations: Iterable[pl.DataFrame],
    quality: Iterable[pl.DataFrame],
    *,
    contaminated_generations: Mapping[str, str],
    contaminated_prompts: Mapping[str, str],
    contaminated_documents: Mapping[str, str],
    privacy: PrivacySpec = DEFAULT_PRIVACY,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Accepted and rejected rows, in the order of the prompts.

    A row is rejected for what quality found, for a benchmark item in its own text, and for one in the
    document or the prompt it was made from: a rewrite of a test question is a test question.

    Raises:
        SnapshotError: the three tables do not hold the same rows.
    """
    made = with_prompts(prompts, generations)
    judged = in_step(made, quality, left_on="generation_id", right_on="generation_id")
    for batch in judged:
        found = {
            "generation_id": ("contaminated", contaminated_generations),
            "prompt_id": ("contaminated_prompt", contaminated_prompts),
            "document_id": ("contaminated_source", contaminated_documents),
        }
        rows = batch.with_columns(_add_reasons(batch, found).alias("reasons"))
        clean = pl.col("reasons").list.len() == 0
        accepted = _redacted(rows.filter(clean), privacy)
        accepted = accepted.with_columns(pl.col("completion_tokens").cast(pl.Int64).alias("tokens"))
        yield "accepted", accepted.select(ACCEPTED.names())
        yield "rejected", rows.filter(~clean).select(REJECTED.names())


def _redacted(rows: pl.DataFrame, privacy: PrivacySpec) -> pl.DataFrame:
    """Rows with placeholders for the personal data that the policies let nobody see; only where quality found any."""
    found = rows["personal_data"].list.len().fill_null(0) > 0
    safe = protect(rows["text"].filter(found), privacy.output, privacy)
    places = found.arg_true()
    return rows.with_columns(
        rows["text"].clone().scatter(places, safe.texts).alias("text"),
        pl.zeros(rows.height, pl.Int32(), eager=True).scatter(places, safe.redacted).alias("redacted"),
    )


def _add_reasons(batch: pl.DataFrame, contaminated: Mapping[str, tuple[str, Mapping[str, str]]]) -> pl.Series:
    """All reasons of each row; ``contaminated`` gives by id column the reason's name and the benchmark by id."""
    reasons: list[list[str]] = []
    for row in batch.select("verdict", "reasons", *contaminated).iter_rows(named=True):
        every = list(row["reasons"] or [])
        if row["verdict"] != "accepted" and not every:
            every.append("rejected_without_reason")  # fail closed: a verdict counts even if nobody said why
        for column, (name, benchmarks) in contaminated.items():
            if benchmark := benchmarks.get(row[column]):
                every.append(f"{name}:{benchmark}")
        reasons.append(every)
    return pl.Series(reasons, dtype=pl.List(pl.String))
