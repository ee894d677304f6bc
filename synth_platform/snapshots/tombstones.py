"""Tombstones: which documents were taken down, when, why and by whom; only ever added, and for every dataset."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl
import polars.selectors as cs
from pydantic import BaseModel, ValidationError

from synth_platform.digest import digest_texts
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.repository import Snapshots

FOLDER = "_takedowns"
"""Below the root; no dataset can have this name."""
DOCUMENTS = "documents"
"""The stage that rows are made from."""
RAW_DIGEST = "raw_digest"
"""Column with the digest of a document's text as its source has it, before any personal data is taken out."""


class Tombstone(BaseModel, extra="forbid", frozen=True):
    """One takedown: what was asked for, and what was found of it then."""

    format: Literal[1] = 1
    id: str
    at: datetime
    by: str
    reason: str
    documents: tuple[str, ...] = ()
    """Ids that were asked for."""
    datasets: tuple[str, ...] = ()
    """Whose documents these ids name, as an id may be another document's elsewhere; empty: those of all datasets, later
    ones too."""
    urls: tuple[str, ...] = ()
    """Patterns that were asked for; they hold for later documents too."""
    texts: tuple[str, ...] = ()
    """Digests of their texts, as sources have them and as documents do: a copy that comes later is known by one of
    them, whatever its id. Older tombstones have none."""
    assets: tuple[tuple[str, str | None], ...] = ()
    """Documents assets and partitions that had any of them."""
    ids: dict[str, dict[str, tuple[str, ...]]] = {}
    """Ids of the documents that were there, copies under other ids among them, and of the rows that had been made of
    them: by dataset and stage."""
    found: tuple[str, ...] = ()
    """Of older tombstones: ids of the documents that were there, in whatever dataset."""
    rows: dict[str, tuple[str, ...]] = {}
    """Of older tombstones: ids of the rows by stage, in whatever dataset."""

    def ids_in(self, dataset: str, stage: str = DOCUMENTS) -> frozenset[str]:
        """Ids of the documents, or of the rows that a stage made of them, in a dataset."""
        known = self.ids.get(dataset, {}).get(stage, ())
        if stage != DOCUMENTS:
            return frozenset((*known, *self.rows.get(stage, ())))
        asked = self.documents if dataset in (self.datasets or (dataset,)) else ()
        return frozenset((*known, *self.found, *asked))

    def names(self, row_id: str, dataset: str = "") -> bool:
        """Whether a row was taken down by this: of a dataset, or of any."""
        datasets = {dataset} if dataset else self._datasets
        return any(row_id in self.ids_in(one, stage) for one in datasets for stage in self._stages)

    def covers(self, other: "Tombstone") -> bool:
        """Whether this says all that another would say."""
        lists = ("documents", "urls", "texts", "assets")
        return all(set(getattr(other, name)) <= set(getattr(self, name)) for name in lists) and all(
            other.ids_in(dataset, stage) <= self.ids_in(dataset, stage)
            for dataset in other._datasets
            for stage in other._stages
        )

    @property
    def _datasets(self) -> set[str]:
        """Those that it has ids of, and one without a name that stands for all others."""
        return {"", *self.datasets, *self.ids}

    @property
    def _stages(self) -> set[str]:
        return {DOCUMENTS, *self.rows, *(stage for some in self.ids.values() for stage in some)}


@dataclass(frozen=True)
class TakenDown:
    """Documents that a dataset must not use.

    Args:
        documents: their ids.
        urls: patterns of their addresses, where ``*`` stands for any characters.
        texts: digests of their texts.
    """

    documents: frozenset[str] = frozenset()
    urls: tuple[str, ...] = ()
    texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tombstones: Iterable[Tombstone], dataset: str) -> "TakenDown":
        """All that some tombstones forbid a dataset."""
        some = list(tombstones)
        documents = {row for one in some for row in one.ids_in(dataset)}
        urls = dict.fromkeys(url for one in some for url in one.urls)
        return cls(frozenset(documents), tuple(urls), frozenset(text for one in some for text in one.texts))

    def __bool__(self) -> bool:
        return bool(self.documents or self.urls or self.texts)

    def matches(self, document: str = "id") -> pl.Expr:
        """Whether a row is such a document, was made of one, or repeats its text.

        Args:
            document: column with the document's id.
        """
        return self.named(document) | self.repeats(document) if self.texts else self.named(document)

    def named(self, document: str = "id") -> pl.Expr:
        """Whether a row has the id or the address of such a document; its text is not looked at."""
        hit = pl.col(document).is_in(list(self.documents)).fill_null(False)
        for pattern in self.urls:
            hit |= pl.col("url").str.contains(_regex(pattern)).fill_null(False)
        return hit

    def repeats(self, document: str = "id") -> pl.Expr:
        """Whether a row has the text of such a document; of final rows, only those that are documents count."""
        same = pl.any_horizontal(one.is_in(list(self.texts)).fill_null(False) for one in text_digests())
        return same if document == "id" else same & (pl.col("origin") == "original")


NOTHING = TakenDown()


def text_digests() -> tuple[pl.Expr, pl.Expr]:
    """What a row's text is known by: the digest of the column ``text``, and that of the source's own, where it is kept.

    Policies for personal data make other texts of one and the same; only documents have both digests, and of versions
    that were made before they had, one.
    """
    text = pl.col("text").map_batches(_digests, return_dtype=pl.String(), is_elementwise=True)
    return text, cs.by_name(RAW_DIGEST, require_all=False)


def _digests(texts: pl.Series) -> pl.Series:
    return pl.Series(texts.name, digest_texts(texts.fill_null("").to_list()), dtype=pl.String())


def read_tombstones(snapshots: Snapshots) -> list[Tombstone]:
    """All tombstones, oldest first.

    Raises:
        SnapshotError: one is damaged. Nothing may go on then: it could hold a document back.
    """
    found: list[Tombstone] = []
    for path in snapshots.store.files(FOLDER):
        if not path.endswith(".json"):
            continue
        try:
            found.append(Tombstone.model_validate(json.loads(snapshots.store.read(path))))
        except (ValueError, ValidationError) as error:
            where = f"{snapshots.store.url}/{path}"
            raise SnapshotError("a tombstone is damaged", where=where, fix="restore it from a backup") from error
    return sorted(found, key=lambda one: (one.at, one.id))


def concerning(tombstones: Sequence[Tombstone], asset: str, partition: str | None) -> list[Tombstone]:
    """Tombstones of documents that this documents asset once had: for them it has to be made anew."""
    return [one for one in tombstones if (asset, partition) in one.assets]


def add_tombstone(snapshots: Snapshots, tombstone: Tombstone) -> None:
    """Write a tombstone down, for good."""
    data = tombstone.model_dump_json(indent=1).encode()
    if not snapshots.create_once(f"{FOLDER}/{tombstone.id}.json", data):
        raise SnapshotError(f"there is another takedown {tombstone.id!r}", fix="run the command again")


def _regex(pattern: str) -> str:
    return "(?s)^" + ".*".join(pl.escape_regex(part) for part in pattern.split("*")) + "$"
