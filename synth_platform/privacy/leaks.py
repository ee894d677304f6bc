"""Does synthetic output re-identify people? Entities and rare word spans that get from sources into outputs.

Two passes over the documents and one over the outputs. Memory is bounded by the number of sampled documents and of
distinct entities kept, not by the corpus.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.digest import digest_texts
from synth_platform.errors import SynthError
from synth_platform.privacy.entities import find_entities
from synth_platform.privacy.features import Features, entity_hashes, span_hashes
from synth_platform.privacy.intervals import Share
from synth_platform.privacy.leak_report import Anonymity, Copied, Disclosure, Leaks, RareSpans
from synth_platform.privacy.persons import find_persons
from synth_platform.privacy.phones import REGIONS
from synth_platform.privacy.rules import ALL, ENTITIES, Entity

DOCUMENTS = pl.Schema({"id": pl.String(), "text": pl.String(), "used": pl.Boolean()})
"""A document: its id, text, and whether outputs were made from it (or it was held out)."""
OUTPUTS = pl.Schema({"document_id": pl.String(), "source": pl.String(), "text": pl.String()})
"""An output: id and text of the document that it was made from, and its own text."""
_CHUNK = 256
"""Sampled documents whose features are taken at a time."""
Batches = Callable[[], Iterable[pl.DataFrame]]
"""Gives a fresh pass over batches of rows each time it is called."""


@dataclass(frozen=True)
class LeakOptions:
    """How leaks are measured.

    Args:
        entities: what counts as an entity.
        regions: ISO 3166 codes of the regions whose telephone formats are known.
        ner: spaCy model that finds persons, or None.
        k: source documents from which on an entity counts as common.
        sample: documents sampled of each group; memory is about 40 kB for each.
        spans: most word spans kept of a sampled document.
        distinct: most distinct entities of outputs that are counted.
        seed: of the samples.
    """

    entities: Sequence[Entity] = ALL
    regions: Sequence[str] = REGIONS
    ner: str | None = None
    k: int = 5
    sample: int = 2_000
    spans: int = 2_000
    distinct: int = 200_000
    seed: int = 0


def measure_leaks(documents: Batches, outputs: Batches, options: LeakOptions | None = None) -> Leaks:
    """Measure what outputs give away of the documents that they were made from.

    Args:
        documents: all source documents, those held out included (``DOCUMENTS``); gone over twice.
        outputs: what was made of them (``OUTPUTS``); gone over once.
        options: how.

    Raises:
        SynthError: no document was held out, or none was used.
    """
    options = options or LeakOptions()
    sample = _Sample(documents(), options)
    seen = _Outputs(sample, options)
    for batch in outputs():
        seen.add(batch)
    kept = _Common(seen.entities, options)
    for batch in documents():
        found = _find(batch["text"], options)
        sample.count(batch["text"], found)
        kept.add(found)
    return Leaks(
        outputs=seen.total,
        documents=sample.totals[True],
        held_out=sample.totals[False],
        sampled=int(sample.used.sum()),
        sampled_held_out=int((~sample.used).sum()),
        copied=seen.copied(),
        disclosures=sample.disclosures(),
        spans=sample.rare_spans(),
        anonymity=kept.result(seen.overflow),
        persons_measured=options.ner is not None,
    )


def _find(texts: pl.Series, options: LeakOptions) -> pl.DataFrame:
    found = find_entities(texts, options.entities, regions=options.regions)
    if options.ner is None:
        return found
    return pl.concat([found, find_persons(texts, options.ner).found])


class _Sample:
    """A seeded sample of used and of held-out documents, and what is known of their features."""

    def __init__(self, batches: Iterable[pl.DataFrame], options: LeakOptions) -> None:
        self.totals = {True: 0, False: 0}
        rows = self._draw(batches, options)
        for used, name, fix in ((True, "used", "name the documents used"), (False, "held out", "hold some back")):
            if not self.totals[used]:
                raise SynthError(f"no document was {name}: there is nothing to compare with", fix=fix)
        self.used = rows["used"].to_numpy()
        self.numbers = {str(name): number for number, name in enumerate(rows["id"])}
        spans, entities = [], []
        for start in range(0, len(rows), _CHUNK):
            texts = rows["text"].slice(start, _CHUNK)
            for parts, (owners, hashes) in (
                (spans, _thin(*span_hashes(texts), options.spans)),
                (entities, entity_hashes(_find(texts, options))),
            ):
                parts.append((owners + start, hashes))
        self.spans, self.entities = Features.of(spans), Features.of(entities)

    def _draw(self, batches: Iterable[pl.DataFrame], options: LeakOptions) -> pl.DataFrame:
        """The documents with the lowest digests of seed and id: the same ones in any order of the batches."""
        kept = DOCUMENTS.to_frame().with_columns(key=pl.lit("", pl.String))
        seed = str(options.seed)
        for batch in batches:
            keys = digest_texts([seed] * len(batch), batch["id"].to_list())
            rows = batch.select(pl.col(name).cast(kind) for name, kind in DOCUMENTS.items())
            rows = rows.with_columns(text=pl.col("text").fill_null(""), key=pl.Series(keys, dtype=pl.String))
            for used in self.totals:
                self.totals[used] += int((rows["used"] == used).sum())
            kept = pl.concat([kept, rows]).sort("key")
            kept = kept.filter(pl.int_range(pl.len()).over("used") < options.sample)
        return kept

    def mark(self, texts: pl.Series, found: pl.DataFrame, ids: pl.Series) -> None:
        """Note which features a batch of outputs has."""
        made_from = np.array([self.numbers.get(name, -1) for name in ids], np.int64)
        self.spans.mark(*span_hashes(texts), made_from)
        self.entities.mark(*entity_hashes(found), made_from)

    def count(self, texts: pl.Series, found: pl.DataFrame) -> None:
        """Count the documents of a batch that have each feature."""
        self.spans.count(*span_hashes(texts))
        self.entities.count(*entity_hashes(found))

    def disclosures(self) -> tuple[Disclosure, ...]:
        """By kind of feature, and for both together."""
        spans, entities = self._disclosed(self.spans), self._disclosed(self.entities)
        return (
            self._disclosure("rare entity", entities),
            self._disclosure("rare word span", spans),
            self._disclosure("either", entities | spans),
        )

    def _disclosed(self, features: Features) -> np.ndarray:
        """Whether something rare of each sampled document appears in an output."""
        hit = (features.documents == 1) & (features.from_own | features.from_others)
        disclosed = np.zeros(len(self.used), bool)
        disclosed[features.owner[hit]] = True
        return disclosed

    def _disclosure(self, name: str, disclosed: np.ndarray) -> Disclosure:
        used, held_out = disclosed[self.used], disclosed[~self.used]
        return Disclosure(name, _share(used), _share(held_out))

    def rare_spans(self) -> RareSpans:
        """Spans of one document only that appear in outputs."""
        spans = self.spans
        rare = spans.documents == 1
        used = rare & self.used[spans.owner]
        held_out = rare & ~self.used[spans.owner]
        anywhere = spans.from_own | spans.from_others
        return RareSpans(_share(spans.from_own[used]), _share(spans.from_others[used]), _share(anywhere[held_out]))


def _share(hits: np.ndarray) -> Share:
    return Share(int(hits.sum()), len(hits))


def _thin(owners: np.ndarray, hashes: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """No more than so many hashes of each owner, the lowest: a fixed sample, whatever the batches."""
    starts = np.searchsorted(owners, owners)  # pairs are sorted by owner, then hash
    kept = np.arange(len(owners)) - starts < most
    return owners[kept], hashes[kept]


class _Outputs:
    """Entities of outputs, counted against their own source; the distinct ones kept as far as they fit."""

    def __init__(self, sample: _Sample, options: LeakOptions) -> None:
        self._sample, self._options = sample, options
        self._counts: Counter[str] = Counter()
        self._copied: Counter[str] = Counter()
        self.total, self.overflow = 0, False
        self.entities = pl.Series("digest", [], pl.String())

    def add(self, batch: pl.DataFrame) -> None:
        """Count a batch of outputs."""
        self.total += len(batch)
        texts = batch["text"].fill_null("")
        found = _find(texts, self._options)
        self._sample.mark(texts, found, batch["document_id"])
        self._keep(found)
        if len(found):
            self._compare(batch, found)

    def _keep(self, found: pl.DataFrame) -> None:
        """Keep the lowest digests: a random sample of the distinct entities."""
        merged = pl.concat([self.entities, found["digest"]]).unique().sort()
        self.overflow |= len(merged) > self._options.distinct
        self.entities = merged.head(self._options.distinct)

    def _compare(self, batch: pl.DataFrame, found: pl.DataFrame) -> None:
        rows = found.select("row", "entity", "digest").unique()
        ids = batch["document_id"].gather(rows["row"])
        sources = batch.filter(batch["document_id"].is_in(ids.implode())).unique("document_id", maintain_order=True)
        originals = _find(sources["source"], self._options)
        known = originals.select(
            "entity", "digest", document_id=sources["document_id"].gather(originals["row"])
        ).unique()
        copied = rows.with_columns(document_id=ids).join(known, ["document_id", "entity", "digest"], how="semi")
        self._counts.update(rows["entity"].to_list())
        self._copied.update(copied["entity"].to_list())

    def copied(self) -> tuple[Copied, ...]:
        """By entity, those found at all."""
        return tuple(
            Copied(entity, Share(self._copied[entity], self._counts[entity]))
            for entity in ENTITIES
            if self._counts[entity]
        )


class _Common:
    """How many source documents have each entity that outputs have."""

    def __init__(self, entities: pl.Series, options: LeakOptions) -> None:
        self._keys = np.array([int(value, 16) for value in entities], np.uint64)  # ascending, as the digests are
        self._features = Features.of([(np.zeros(len(self._keys), np.int64), self._keys)])
        self._k = options.k

    def add(self, found: pl.DataFrame) -> None:
        """Count a batch of documents."""
        self._features.count(*entity_hashes(found))

    def result(self, sampled: bool) -> Anonymity:
        """Entities by number of documents."""
        documents = self._features.documents
        below = (documents > 0) & (documents < self._k)
        return Anonymity(self._k, _share(below), _share(documents == 0), sampled)
