"""Everything that was made of some documents, in every version of every dataset."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.listing import Key
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.tombstones import TakenDown, text_digest

_ID_COLUMNS = ("id", "document_id", "prompt_id", "generation_id", "row_id")
_WITHOUT_TEXT = frozenset({"skipped", "excluded", "taken_down"})
"""Tables that say of a row only why it is not used."""
_MADE_OF = (
    ("prompts", "document_id", "documents"),
    ("generations", "prompt_id", "prompts"),
    ("judge_prompts", "generation_id", "generations"),
    ("judgements", "prompt_id", "judge_prompts"),
    ("mixture", "document_id", "documents"),
    ("release", "document_id", "documents"),
)
"""Kinds of assets, the column that names what a row was made of, and of which kind that is."""
_FINAL = ("mixture", "release")
_SKIPPED = pl.Schema({name: pl.String() for name in ("asset", "document_id", "reason", "detail")})
_UNREADABLE = (SynthError, OSError, pl.exceptions.PolarsError)

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class LeftOut:
    """Rows that were asked for and are in no version, because selections left them out.

    Args:
        asset: whose selection.
        reason: why.
        documents: how many.
        examples: some of them, with what the selection said of each.
    """

    asset: str
    reason: str
    documents: int
    examples: list[str]


@dataclass(frozen=True)
class Descent:
    """What there is of some documents.

    Args:
        documents: their ids, and those of documents with the same text.
        texts: digests of their texts.
        rows: ids of the rows made of them, by stage.
        holders: versions with their text, or with something that was said of it.
        assets: documents assets and partitions that have or had them.
        left_out: what of the wanted is only known as left out.
        problems: versions that could not be read: whether they hold them, nobody knows.
        seen: all versions that were looked at.
    """

    documents: frozenset[str]
    texts: frozenset[str]
    rows: Mapping[str, frozenset[str]]
    holders: tuple[Snapshot, ...]
    assets: tuple[tuple[str, str | None], ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]
    seen: frozenset[Key]

    @property
    def names(self) -> frozenset[str]:
        """Ids of the documents and of all rows made of them."""
        return self.documents.union(*self.rows.values())


def find_descent(
    snapshots: Snapshots, wanted: TakenDown, known: Mapping[str, Collection[str]] | None = None
) -> Descent:
    """Look for documents, and what was made of them, in all versions, current or not; what is damaged is reported.

    Args:
        snapshots: all versions.
        wanted: the documents.
        known: ids of rows by stage that were made of them in versions that may be gone by now.
    """
    known, search = known or {}, _Search(snapshots)
    documents, texts, left_out = search.documents(wanted)
    rows: dict[str, frozenset[str]] = {"documents": documents}
    for kind, column, parent in _MADE_OF:
        rows[kind] = search.ids(kind, column, rows[parent]).union(known.get(kind, ()))
    holders = search.holders(frozenset().union(*rows.values()))
    del rows["documents"]
    assets = tuple(_documents_assets(holders))
    return Descent(documents, texts, rows, holders, assets, left_out, tuple(search.problems), search.seen)


def committed_since(snapshots: Snapshots, descent: Descent) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
    """Versions that came after the look and have rows of it, and those that could not be read."""
    search = _Search(snapshots, descent.seen)
    return search.holders(descent.names), tuple(search.problems)


def has_rows(table: pl.LazyFrame, wanted: TakenDown, names: Collection[str] = ()) -> bool:
    """Whether a table, be it of no version here, has a row of wanted documents, or one of the given names."""
    columns = table.collect_schema()
    hits = [pl.lit(False), *(_in(column, {*names, *wanted.documents}) for column in _ID_COLUMNS if column in columns)]
    document, others = (
        ("document_id", {"url", "text", "origin"}) if "document_id" in columns else ("id", {"url", "text"})
    )
    if document in columns and others <= set(columns):
        hits.append(wanted.matches(document))
    return _any(table, pl.any_horizontal(hits))


class _Search:
    """Looks into versions; one that cannot be read is a problem, and is not looked at again.

    Args:
        snapshots: all versions.
        known: versions that are not of interest.
    """

    def __init__(self, snapshots: Snapshots, known: Collection[Key] = frozenset()) -> None:
        self.problems: list[str] = []
        self._damaged: set[str] = set()
        self._versions: dict[str, list[Snapshot]] = {}
        self.seen = frozenset(snapshots.keys()).difference(known)
        for key in sorted(self.seen, key=lambda one: (one[0], one[1] or "", one[2])):
            try:
                snapshot = snapshots.open(*key)
            except _UNREADABLE as error:
                self._complain(f"{key[0]} {key[2]}", error)
                continue
            if snapshot is not None:
                self._versions.setdefault(kind_of(key[0]) or "", []).append(snapshot)

    def documents(self, wanted: TakenDown) -> tuple[frozenset[str], frozenset[str], tuple[LeftOut, ...]]:
        """Ids of the wanted documents and of all with the same text, digests of the texts, and who was left out."""
        skipped = self._skipped(wanted)
        kept = skipped.filter(pl.col("reason") == "duplicate", pl.col("detail") != "")["detail"]
        wanted = TakenDown(wanted.documents.union(kept), wanted.urls, wanted.texts)
        ids, texts = set[str](), set(wanted.texts)
        for rows in self._originals(wanted.named):
            ids |= set(rows["id"])
            texts |= set(rows["text"].drop_nulls())
        for rows in self._originals(TakenDown(texts=frozenset(texts)).repeats) if texts else ():
            ids |= set(rows["id"])
        left = skipped.filter(~pl.col("document_id").is_in(list(ids)), ~pl.col("detail").is_in(list(ids)))
        return frozenset(ids), frozenset(texts), tuple(_left_out(left))

    def ids(self, kind: str, column: str, parents: frozenset[str]) -> frozenset[str]:
        """Ids of the rows of a kind that were made of some."""
        made = self._each(
            (kind,), lambda one: one.scan().filter(pl.col(column).is_in(list(parents))).select("id").collect()
        )
        return frozenset(row for rows in made for row in rows["id"]) if parents else frozenset()

    def holders(self, names: frozenset[str]) -> tuple[Snapshot, ...]:
        """Versions with a row of one of these ids, and the reviews of such: they quote rows."""
        found = self._each(tuple(self._versions), lambda one: (one, bool(names) and _holds(one, names)))
        versions = list(found)
        held = {one.ref for one, holds in versions if holds}
        return tuple(
            one
            for one, holds in versions
            if holds or (kind_of(one.manifest.asset) == "review" and not held.isdisjoint(one.manifest.inputs))
        )

    def _originals(self, chosen: Callable[[str], pl.Expr]) -> Iterator[pl.DataFrame]:
        """Ids, and digests of the texts, of documents, and of final rows, which repeat a text or were made of it."""

        def look(one: Snapshot) -> pl.DataFrame:
            if kind_of(one.manifest.asset) == "documents":
                return one.scan().filter(chosen("id")).select("id", text_digest()).collect()
            rows = one.scan().filter(chosen("document_id")).select("document_id", "text", "origin").collect()
            original = pl.when(pl.col("origin") == "original").then(text_digest()).alias("text")
            return rows.select(pl.col("document_id").alias("id"), original)

        yield from self._each(("documents", *_FINAL), look)

    def _skipped(self, wanted: TakenDown) -> pl.DataFrame:
        """The wanted among the rows that selections left out."""

        def look(one: Snapshot) -> pl.DataFrame:
            if "skipped" not in one.manifest.tables:
                return pl.DataFrame(schema=_SKIPPED)
            rows = one.scan("skipped")
            if "url" not in one.manifest.tables["skipped"].columns:  # of a version made before it was kept
                rows = rows.with_columns(pl.lit(None, pl.String()).alias("url"))
            hits = rows.filter(wanted.named("document_id"), pl.col("reason") != "taken_down")
            return hits.with_columns(pl.lit(one.manifest.asset).alias("asset")).select(_SKIPPED.names()).collect()

        found = self._each(("documents",), look)
        return pl.concat([pl.DataFrame(schema=_SKIPPED), *found]).unique(maintain_order=True)

    def _each(self, kinds: Iterable[str], look: Callable[[Snapshot], _Found]) -> Iterator[_Found]:
        for one in (one for kind in kinds for one in self._versions.get(kind, ())):
            if one.folder in self._damaged:
                continue
            try:
                found = look(one)
            except _UNREADABLE as error:
                self._damaged.add(one.folder)
                self._complain(f"{one.manifest.asset} {one.manifest.snapshot_id}", error)
            else:
                yield found

    def _complain(self, version: str, error: Exception) -> None:
        self.problems.append(f"{version} could not be read, so nobody knows whether it has the documents: {error}")


def _holds(snapshot: Snapshot, names: frozenset[str]) -> bool:
    for table, entry in snapshot.manifest.tables.items():
        columns = [column for column in _ID_COLUMNS if entry.columns.get(column) == "String"]
        if table not in _WITHOUT_TEXT and columns:
            hit = pl.any_horizontal(_in(column, names) for column in columns)
            if _any(snapshot.scan(table), hit):
                return True
    return False


def _in(column: str, names: Collection[str]) -> pl.Expr:
    return pl.col(column).is_in(list(names)).fill_null(False)


def _any(table: pl.LazyFrame, hit: pl.Expr) -> bool:
    return bool(table.select(hit.any()).collect().item())


def _left_out(rows: pl.DataFrame, most: int = 10) -> Iterator[LeftOut]:
    grouped = rows.sort("asset", "reason", "document_id").group_by("asset", "reason", maintain_order=True)
    for (asset, reason), some in grouped:
        examples = some.head(most).select("document_id", "detail").rows()
        shown = [f"{row} ({detail})" if detail else row for row, detail in examples]
        yield LeftOut(str(asset), str(reason), some["document_id"].n_unique(), shown)


def _documents_assets(holders: Iterable[Snapshot]) -> list[tuple[str, str | None]]:
    places = {(dataset_of(one.manifest.asset), one.manifest.partition) for one in holders}
    return sorted(((f"{dataset}/documents", part) for dataset, part in places), key=lambda one: (one[0], one[1] or ""))
