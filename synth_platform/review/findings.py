"""All that is measured of a version, from its snapshots: what goes into the gates, the next review and the report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from synth_platform.bias.compare import compare as compare_bias
from synth_platform.bias.counts import BiasCounts, count, no_counts
from synth_platform.bias.report import BiasReport
from synth_platform.privacy.canaries import PLANTED, Canaries, find_canaries, planted_in
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.leak_report import Leaks
from synth_platform.privacy.leaks import LeakOptions, measure_leaks
from synth_platform.progress import track
from synth_platform.prompts.schema import HELD_OUT
from synth_platform.review.config import ReviewSpec
from synth_platform.review.drift import DriftResult
from synth_platform.review.drift import compare as compare_drift
from synth_platform.review.drift_sketch import DRIFT, DriftSketch, sketch_drift
from synth_platform.review.minhash import sketch_schema
from synth_platform.review.near_duplicates import EarlierVersion, NearDuplicatesResult, find_near_duplicates
from synth_platform.review.slices import SlicesResult, measure_slices
from synth_platform.review.version import VersionMeasures, VersionReview
from synth_platform.snapshots import Snapshot

MEASURES = pl.Schema({"section": pl.String(), "metric": pl.String(), "value": pl.Float64()})
"""One number per row; ``section`` says what it is about."""
_SKETCHES_HELD = 100_000
_ROWS = ["id", "text", "recipe", "source", "document_id"]


class Result(Protocol):
    """What each part of a review gives."""

    def metrics(self) -> dict[str, float]: ...

    def describe(self) -> str: ...


@dataclass(frozen=True)
class Version:
    """The snapshots that a review looks at.

    Args:
        mixture: what is to be released.
        documents: its sources.
        accepted: accepted and rejected generations, by recipe.
        prompts: prompts and skipped documents, by recipe.
        rewritten: names of the sources that prompts are made of.
        last: review of the version before, if there is one.
    """

    mixture: Snapshot
    documents: Snapshot
    accepted: Mapping[str, Snapshot]
    prompts: Mapping[str, Snapshot]
    rewritten: Sequence[str]
    last: Snapshot | None

    def synthetic(self) -> Iterator[pl.DataFrame]:
        """Synthetic rows of the mixture, each once however many epochs it is in."""
        wanted = (pl.col("origin") == "synthetic") & (pl.col("epoch") == 0)
        for batch in self.mixture.batches("mixture", columns=[*_ROWS, "origin", "epoch"]):
            yield batch.filter(wanted).select(_ROWS)

    def sources(self) -> Iterator[pl.DataFrame]:
        """Documents that prompts may be made of."""
        for batch in self.documents.batches("documents", columns=["id", "text", "source"]):
            yield batch.filter(pl.col("source").is_in(list(self.rewritten)))


@dataclass(frozen=True)
class Findings:
    """What a review found; None where there is nothing to compare with."""

    slices: SlicesResult
    near_duplicates: NearDuplicatesResult
    measures: VersionMeasures
    drift_from_release: DriftResult | None
    drift_from_source: DriftResult
    bias: BiasReport | None
    leaks: Leaks | None
    canaries: Canaries | None

    def sections(self) -> dict[str, Result]:
        """The parts that give numbers, by the section that they are shown under."""
        parts: dict[str, Result | None] = {
            "yield": self.slices,
            "near_duplicates": self.near_duplicates,
            "diversity": self.measures.diversity,
            "openings": self.measures.openings,
            "drift_from_release": self.drift_from_release,
            "drift_from_source": self.drift_from_source,
            "bias": self.bias,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def rows(self) -> pl.DataFrame:
        """Rows of `MEASURES`."""
        found = [(name, metric, value) for name, part in self.sections().items() for metric, value in _numbers(part)]
        if self.leaks is not None:
            found += [("privacy", metric, value) for metric, value in leak_metrics(self.leaks).items()]
        if self.canaries is not None:
            found += [("canaries", metric, value) for metric, value in self.canaries.metrics().items()]
        return pl.DataFrame(found, schema=MEASURES, orient="row")


def review(
    version: Version, spec: ReviewSpec, privacy: PrivacySpec, *, seed: int, scratch: Path, write: Callable[..., None]
) -> Findings:
    """Measure a version.

    Args:
        version: its snapshots.
        spec: settings.
        privacy: how personal data is looked for.
        seed: of the samples.
        scratch: an empty folder for temporary files.
        write: takes a table's name and rows; gets the sketches that the next review compares with.
    """
    one_pass = VersionReview(spec.model_copy(update={"seed": seed}))
    counts = no_counts()
    sketches = _Sketches(scratch, spec)
    with track("review", version.mixture.manifest.rows) as task:
        for rows, block in _beside(version.synthetic(), one_pass):
            counts += count(rows["text"])
            sketches.add(block)
            write("minhash", block)
            task.advance(block.height)
    measures = one_pass.result()
    write("drift", measures.drift.table())
    source_counts = no_counts()
    for batch in version.sources():
        source_counts += count(batch["text"])
    return Findings(
        slices=_slices(version),
        near_duplicates=_near_duplicates(version, sketches.table(), spec, scratch),
        measures=measures,
        drift_from_release=_drift_from_release(version, measures.drift, spec, seed),
        drift_from_source=compare_drift(
            measures.drift,
            sketch_drift(_as_rows(version.sources())),
            spec.drift,
            against="the source",
            per_recipe=False,
            seed=seed,
        ),
        bias=_bias(version, counts, source_counts),
        leaks=_leaks(version, privacy, seed),
        canaries=_canaries(version, seed),
    )


class _Sketches:
    """The sketches of a version on disk, so that they can be gone over again before the snapshot is committed."""

    def __init__(self, scratch: Path, spec: ReviewSpec) -> None:
        self._folder, self._schema = scratch / "sketches", sketch_schema(spec.near_duplicates)
        self._folder.mkdir(parents=True)
        self._held: list[pl.DataFrame] = []
        self._files: list[Path] = []

    def add(self, block: pl.DataFrame) -> None:
        """Add the sketches of some rows."""
        self._held.append(block)
        if sum(one.height for one in self._held) >= _SKETCHES_HELD:
            self._flush()

    def table(self) -> pl.LazyFrame:
        """All of them, in the order of the rows."""
        self._flush()
        return pl.scan_parquet(self._files, glob=False) if self._files else self._schema.to_frame().lazy()

    def _flush(self) -> None:
        if self._held:
            self._files.append(self._folder / f"{len(self._files):06}.parquet")
            pl.concat(self._held).write_parquet(self._files[-1])
            self._held.clear()


def tables(spec: ReviewSpec) -> dict[str, pl.Schema]:
    """Tables of a review's snapshot; the first is the main one."""
    return {
        "measures": MEASURES,
        "minhash": sketch_schema(spec.near_duplicates),
        "drift": DRIFT,
    }


def leak_metrics(leaks: Leaks) -> dict[str, float]:
    """Figures of what outputs disclose: the largest excess over held-out documents, and its lower bound."""
    excess = [one.excess for one in leaks.disclosures]
    return {
        "disclosure_excess": max((one.value for one in excess), default=0.0),
        "disclosure_excess_lower": max((one.interval[0] for one in excess), default=0.0),
        "rare_entities": float(leaks.anonymity.below.hits),
    }


def _numbers(part: Result) -> Iterable[tuple[str, float]]:
    return ((metric, float(value)) for metric, value in part.metrics().items())


def _beside(frames: Iterable[pl.DataFrame], one_pass: VersionReview) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Batches, each with the sketch that the pass makes of it."""
    for frame in frames:
        blocks = list(one_pass.sketch([frame]))
        if blocks:
            yield frame, pl.concat(blocks)


def _bias(version: Version, counts: BiasCounts, source_counts: BiasCounts) -> BiasReport | None:
    """None where one of the two sides is empty. Rows of one document are not independent of each other."""
    if not counts.documents or not source_counts.documents:
        return None
    documents = version.mixture.scan("mixture").filter(pl.col("origin") == "synthetic").select("document_id")
    made_from = documents.select(pl.col("document_id").n_unique()).collect().item()
    return compare_bias(counts, source_counts, rows_per_document=max(counts.documents / max(made_from, 1), 1.0))


def _slices(version: Version) -> SlicesResult:
    columns = ["recipe", "source", "tokens"]
    kept = (batch for one in version.accepted.values() for batch in one.batches("accepted", columns=columns))
    lost = (
        batch.with_columns(pl.lit(0, pl.Int64()).alias("tokens"))
        for one in version.accepted.values()
        for batch in one.batches("rejected", columns=["recipe", "source", "reasons"])
    )
    return measure_slices(kept, lost)


def _near_duplicates(version: Version, table: pl.LazyFrame, spec: ReviewSpec, scratch: Path) -> NearDuplicatesResult:
    earlier = []
    if version.last is not None:
        earlier = [EarlierVersion(version.last.manifest.snapshot_id, version.last.scan("minhash"))]
    return find_near_duplicates(table, version.synthetic, spec.near_duplicates, earlier=earlier, scratch=scratch)


def _drift_from_release(version: Version, sketch: DriftSketch, spec: ReviewSpec, seed: int) -> DriftResult | None:
    if version.last is None:
        return None
    before = DriftSketch.from_table(version.last.scan("drift").collect())
    return compare_drift(sketch, before, spec.drift, against="the last release", seed=seed)


def _as_rows(documents: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    for batch in documents:
        yield batch.with_columns(pl.lit("source").alias("recipe"), pl.col("id").alias("document_id"))


def _leaks(version: Version, privacy: PrivacySpec, seed: int) -> Leaks | None:
    """None where no document was held out: there is nothing to compare with."""
    held_out = _held_out(version.prompts.values())
    if not held_out:
        return None
    options = LeakOptions(regions=privacy.regions, ner=privacy.ner, k=privacy.min_source_documents, seed=seed)

    def documents() -> Iterator[pl.DataFrame]:
        for batch in version.sources():
            yield batch.select("id", "text", (~pl.col("id").is_in(held_out)).alias("used"))

    def outputs() -> Iterator[pl.DataFrame]:
        texts = version.documents.scan("documents").select(
            pl.col("id").alias("document_id"), pl.col("text").alias("of")
        )
        for batch in version.synthetic():
            beside = batch.lazy().join(texts, on="document_id", how="left", maintain_order="left").collect()
            yield beside.select("document_id", pl.col("of").fill_null("").alias("source"), "text")

    return measure_leaks(documents, outputs, options)


def _canaries(version: Version, seed: int) -> Canaries | None:
    """None where no prompt has a canary."""
    planted = pl.concat([PLANTED.to_frame(), *map(planted_in, version.prompts.values())])
    outputs = (
        batch
        for one in version.accepted.values()
        for table in ("accepted", "rejected")
        for batch in one.batches(table, columns=["prompt_id", "text"])
    )
    released = (batch["text"] for batch in version.mixture.batches("mixture", columns=["text"]))
    return find_canaries(planted, outputs, released, seed)


def _held_out(prompts: Iterable[Snapshot]) -> list[str]:
    found: set[str] = set()
    for one in prompts:
        rows = one.scan("skipped").filter(pl.col("reason") == HELD_OUT).select("document_id").collect()
        found |= set(rows["document_id"])
    return sorted(found)
