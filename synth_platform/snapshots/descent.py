"""Everything that was made of some documents, in every version of every dataset."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.listing import Key
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.tombstones import DOCUMENTS, TakenDown, Tombstone, text_digests

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
        ids: of them, of documents with the same text, and of the rows made of them: by dataset and stage.
        names: by dataset all of these ids, and those that were asked for though nothing there has such a document.
        elsewhere: ids that were asked for of datasets without versions, too.
        texts: digests of their texts.
        ambiguous: ids that were asked for of all datasets and name documents of other texts in several, and these.
        holders: versions with their text, or with something that was said of it.
        assets: documents assets and partitions that have or had them.
        left_out: what of the wanted is only known as left out.
        problems: versions that could not be read: whether they hold them, nobody knows.
        seen: all versions that were looked at.
    """

    ids: Mapping[str, Mapping[str, frozenset[str]]]
    names: Mapping[str, frozenset[str]]
    elsewhere: frozenset[str]
    texts: frozenset[str]
    ambiguous: Mapping[str, tuple[str, ...]]
    holders: tuple[Snapshot, ...]
    assets: tuple[tuple[str, str | None], ...]
    left_out: tuple[LeftOut, ...]
    problems: tuple[str, ...]
    seen: frozenset[Key]

    @property
    def documents(self) -> frozenset[str]:
        """Ids of the documents, of whatever dataset."""
        return frozenset().union(*(stages[DOCUMENTS] for stages in self.ids.values()))

    @property
    def rows(self) -> Mapping[str, int]:
        """How many rows were made of them, by stage."""
        return {kind: sum(len(stages[kind]) for stages in self.ids.values()) for kind, _, _ in _MADE_OF}


def find_descent(snapshots: Snapshots, about: Sequence[Tombstone]) -> Descent:
    """Look for documents, and what was made of them, in all versions, current or not; what is damaged is reported.

    Args:
        snapshots: all versions.
        about: what is asked for, and what earlier looks found of the same: versions that had it may be gone by now.
    """
    search = _Search(snapshots)
    wanted = {dataset: TakenDown.of(about, dataset) for dataset in search.datasets}
    found = search.documents(wanted)
    made = {
        dataset: search.made_of(dataset, found.ids[dataset] | down.documents, about) for dataset, down in wanted.items()
    }
    names = {dataset: frozenset().union(*stages.values()) for dataset, stages in made.items()}
    holders = search.holders(names)
    return Descent(
        ids={dataset: {**stages, DOCUMENTS: found.ids[dataset]} for dataset, stages in made.items()},
        names=names,
        elsewhere=TakenDown.of(about, "").documents,
        texts=found.texts,
        ambiguous=found.ambiguous(row for one in about if not one.datasets for row in one.documents),
        holders=holders,
        assets=tuple(_documents_assets(holders)),
        left_out=found.left_out,
        problems=tuple(search.problems),
        seen=search.seen,
    )


def committed_since(snapshots: Snapshots, descent: Descent) -> tuple[tuple[Snapshot, ...], tuple[str, ...]]:
    """Versions that came after the look and have rows of it, and those that could not be read."""
    search = _Search(snapshots, descent.seen)
    names = {dataset: descent.names.get(dataset, descent.elsewhere) for dataset in search.datasets}
    return search.holders(names), tuple(search.problems)


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


@dataclass(frozen=True)
class _Documents:
    """Documents that were looked for.

    Args:
        ids: of them and of all with the same text, by dataset.
        texts: digests of the texts.
        left_out: the wanted that selections left out.
        known_by: digests of the texts of those that were wanted by name, by id and dataset.
    """

    ids: Mapping[str, frozenset[str]]
    texts: frozenset[str]
    left_out: tuple[LeftOut, ...]
    known_by: Mapping[str, Mapping[str, set[str]]]

    def ambiguous(self, asked: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The asked ids that name documents of other texts in several datasets, and these."""
        texts = {row: self.known_by[row] for row in asked if row in self.known_by}
        return {
            row: tuple(sorted(of_each))
            for row, of_each in texts.items()
            if any(one.isdisjoint(other) for one, other in combinations(of_each.values(), 2))
        }


class _Search:
    """Looks into versions; one that cannot be read is a problem, and is not looked at again.

    Args:
        snapshots: all versions.
        known: versions that are not of interest.
    """

    def __init__(self, snapshots: Snapshots, known: Collection[Key] = frozenset()) -> None:
        self.problems: list[str] = []
        self._damaged: set[str] = set()
        self._versions: dict[str, dict[str, list[Snapshot]]] = {}
        self.seen = frozenset(snapshots.keys()).difference(known)
        for key in sorted(self.seen, key=lambda one: (one[0], one[1] or "", one[2])):
            try:
                snapshot = snapshots.open(*key)
            except _UNREADABLE as error:
                self._complain(f"{key[0]} {key[2]}", error)
                continue
            if snapshot is not None:
                kinds = self._versions.setdefault(dataset_of(key[0]), {})
                kinds.setdefault(kind_of(key[0]) or "", []).append(snapshot)

    @property
    def datasets(self) -> list[str]:
        """Those that have versions."""
        return list(self._versions)

    def documents(self, wanted: Mapping[str, TakenDown]) -> _Documents:
        """Look for the documents that are wanted of each dataset, and for all with the same text."""
        skipped = {dataset: self._skipped(dataset, down) for dataset, down in wanted.items()}
        ids: dict[str, set[str]] = {dataset: set() for dataset in wanted}
        texts = set[str]().union(*(down.texts for down in wanted.values()))
        known_by: dict[str, dict[str, set[str]]] = defaultdict(dict)
        for dataset, down in wanted.items():
            kept = skipped[dataset].filter(pl.col("reason") == "duplicate", pl.col("detail") != "")["detail"]
            named = replace(down, documents=down.documents.union(kept))
            for rows in self._originals(dataset, named.named):
                ids[dataset] |= set(rows["id"])
                for row, digests in rows.filter(pl.col("texts").list.len() > 0).iter_rows():
                    known_by[row].setdefault(dataset, set()).update(digests)
                    texts.update(digests)
        same = TakenDown(texts=frozenset(texts))
        for dataset, found in ids.items() if texts else ():
            for rows in self._originals(dataset, same.repeats):
                found |= set(rows["id"])
        left_out = [one for dataset, rows in skipped.items() for one in _left_out(_without(rows, ids[dataset]))]
        of_each = {dataset: frozenset(found) for dataset, found in ids.items()}
        return _Documents(of_each, frozenset(texts), tuple(left_out), known_by)

    def made_of(self, dataset: str, documents: frozenset[str], about: Sequence[Tombstone]) -> dict[str, frozenset[str]]:
        """Ids of documents of a dataset, and of what was made of them there, or is known to have been: by stage."""
        ids = {DOCUMENTS: documents}
        for kind, column, parent in _MADE_OF:
            known = (one.ids_in(dataset, kind) for one in about)
            ids[kind] = self._children(dataset, kind, column, ids[parent]).union(*known)
        return ids

    def holders(self, names: Mapping[str, frozenset[str]]) -> tuple[Snapshot, ...]:
        """Versions with a row of one of these ids, and the reviews of such: they quote rows."""
        return tuple(one for dataset, ids in names.items() if ids for one in self._holders(dataset, ids))

    def _holders(self, dataset: str, ids: frozenset[str]) -> Iterator[Snapshot]:
        kinds = self._versions.get(dataset, {})
        versions = list(self._each(dataset, kinds, lambda one: (one, _holds(one, ids))))
        held = {one.ref for one, holds in versions if holds}
        for one, holds in versions:
            is_review = kind_of(one.manifest.asset) == "review"
            if holds or (is_review and not held.isdisjoint(one.manifest.inputs)):
                yield one

    def _children(self, dataset: str, kind: str, column: str, parents: frozenset[str]) -> frozenset[str]:
        """Ids of the rows of a kind that were made of some."""
        made = self._each(
            dataset, (kind,), lambda one: one.scan().filter(pl.col(column).is_in(list(parents))).select("id").collect()
        )
        return frozenset(row for rows in made for row in rows["id"]) if parents else frozenset()

    def _originals(self, dataset: str, chosen: Callable[[str], pl.Expr]) -> Iterator[pl.DataFrame]:
        """Ids, and digests of the texts, of documents, and of final rows, which repeat a text or were made of it."""

        def look(one: Snapshot) -> pl.DataFrame:
            column = "id" if kind_of(one.manifest.asset) == "documents" else "document_id"
            rows = one.scan().filter(chosen(column))
            known = pl.lit(True) if column == "id" else pl.col("origin") == "original"
            digests = pl.when(known).then(pl.concat_list(text_digests())).otherwise(pl.lit([], pl.List(pl.String())))
            return rows.select(pl.col(column).alias("id"), digests.list.drop_nulls().alias("texts")).collect()

        yield from self._each(dataset, ("documents", *_FINAL), look)

    def _skipped(self, dataset: str, wanted: TakenDown) -> pl.DataFrame:
        """The wanted among the rows that selections left out."""

        def look(one: Snapshot) -> pl.DataFrame:
            if "skipped" not in one.manifest.tables:
                return pl.DataFrame(schema=_SKIPPED)
            rows = one.scan("skipped")
            if "url" not in one.manifest.tables["skipped"].columns:  # of a version made before it was kept
                rows = rows.with_columns(pl.lit(None, pl.String()).alias("url"))
            hits = rows.filter(wanted.named("document_id"), pl.col("reason") != "taken_down")
            return hits.with_columns(pl.lit(one.manifest.asset).alias("asset")).select(_SKIPPED.names()).collect()

        found = self._each(dataset, ("documents",), look)
        return pl.concat([pl.DataFrame(schema=_SKIPPED), *found]).unique(maintain_order=True)

    def _each(self, dataset: str, kinds: Iterable[str], look: Callable[[Snapshot], _Found]) -> Iterator[_Found]:
        versions = self._versions.get(dataset, {})
        for one in (one for kind in kinds for one in versions.get(kind, ())):
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


def _without(skipped: pl.DataFrame, found: Collection[str]) -> pl.DataFrame:
    """Rows that were left out, and not in favour of a document that was found."""
    return skipped.filter(~pl.col("document_id").is_in(list(found)), ~pl.col("detail").is_in(list(found)))


def _left_out(rows: pl.DataFrame, most: int = 10) -> Iterator[LeftOut]:
    grouped = rows.sort("asset", "reason", "document_id").group_by("asset", "reason", maintain_order=True)
    for (asset, reason), some in grouped:
        examples = some.head(most).select("document_id", "detail").rows()
        shown = [f"{row} ({detail})" if detail else row for row, detail in examples]
        yield LeftOut(str(asset), str(reason), some["document_id"].n_unique(), shown)


def _documents_assets(holders: Iterable[Snapshot]) -> list[tuple[str, str | None]]:
    places = {(dataset_of(one.manifest.asset), one.manifest.partition) for one in holders}
    return sorted(((f"{dataset}/documents", part) for dataset, part in places), key=lambda one: (one[0], one[1] or ""))
