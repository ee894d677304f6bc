"""Tombstones: which documents were taken down, when, why and by whom; only ever added, and for every dataset."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl
from pydantic import BaseModel, ValidationError

from synth_platform.digest import digest_texts
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.repository import Snapshots

FOLDER = "_takedowns"
"""Below the root; no dataset can have this name."""


class Tombstone(BaseModel, extra="forbid", frozen=True):
    """One takedown: what was asked for, and what was found of it then."""

    format: Literal[1] = 1
    id: str
    at: datetime
    by: str
    reason: str
    documents: tuple[str, ...] = ()
    """Ids that were asked for."""
    urls: tuple[str, ...] = ()
    """Patterns that were asked for; they hold for later documents too."""
    found: tuple[str, ...] = ()
    """Ids of the documents that were there, copies under other ids among them."""
    texts: tuple[str, ...] = ()
    """Digests of their texts: a copy that comes later is known by it, whatever its id. Older tombstones have none."""
    assets: tuple[tuple[str, str | None], ...] = ()
    """Documents assets and partitions that had any of them."""
    rows: dict[str, tuple[str, ...]] = {}
    """Ids of the rows that had been made of them, by stage."""

    def names(self, row_id: str) -> bool:
        """Whether a row was taken down by this."""
        return row_id in self.documents or row_id in self.found or any(row_id in ids for ids in self.rows.values())

    def covers(self, other: "Tombstone") -> bool:
        """Whether this says all that another would say."""
        lists = ("documents", "urls", "found", "texts", "assets")
        return all(set(getattr(other, name)) <= set(getattr(self, name)) for name in lists) and all(
            set(ids) <= set(self.rows.get(stage, ())) for stage, ids in other.rows.items()
        )


@dataclass(frozen=True)
class TakenDown:
    """Documents that must not be used.

    Args:
        documents: their ids.
        urls: patterns of their addresses, where ``*`` stands for any characters.
        texts: digests of their texts.
    """

    documents: frozenset[str] = frozenset()
    urls: tuple[str, ...] = ()
    texts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, tombstones: Iterable[Tombstone]) -> "TakenDown":
        """All that some tombstones forbid."""
        some = list(tombstones)
        documents = {row for one in some for row in (*one.documents, *one.found)}
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
        same = text_digest().is_in(list(self.texts))
        return same if document == "id" else same & (pl.col("origin") == "original")


NOTHING = TakenDown()


def text_digest() -> pl.Expr:
    """Digests of the column ``text``, as tombstones keep them."""
    return pl.col("text").map_batches(_digests, return_dtype=pl.String(), is_elementwise=True)


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
