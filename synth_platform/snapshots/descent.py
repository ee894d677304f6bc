"""Everything that was made of some documents, in every version of every dataset."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.tombstones import TakenDown

_ID_COLUMNS = ("id", "document_id", "prompt_id", "generation_id", "row_id")
_WITHOUT_TEXT = frozenset({"skipped", "excluded", "taken_down"})
"""Tables that say of a row only why it is not used."""
_MADE_OF = (("prompts", "document_id"), ("generations", "prompt_id"))
_FINAL = ("mixture", "release")


@dataclass(frozen=True)
class Descent:
    """What there is of some documents.

    Args:
        documents: their ids, and those of documents with the same text.
        rows: ids of the rows made of them, by stage.
        holders: versions with their text, or with something that was said of it.
        assets: documents assets and partitions that have or had them.
    """

    documents: frozenset[str]
    rows: Mapping[str, frozenset[str]]
    holders: tuple[Snapshot, ...]
    assets: tuple[tuple[str, str | None], ...]


def find_descent(
    snapshots: Snapshots, wanted: TakenDown, known: Mapping[str, Collection[str]] | None = None
) -> Descent:
    """Look for documents, and what was made of them, in all versions, current or not.

    Args:
        snapshots: all versions.
        wanted: the documents.
        known: ids of rows by stage that were made of them in versions that may be gone by now.
    """
    known = known or {}
    by_kind: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots.all():
        by_kind.setdefault(kind_of(snapshot.manifest.asset) or "", []).append(snapshot)
    documents = _documents(by_kind.get("documents", ()), wanted) | _named_in_releases(by_kind, wanted)
    rows: dict[str, frozenset[str]] = {}
    parents = documents
    for kind, column in _MADE_OF:
        parents = rows[kind] = _ids(by_kind.get(kind, ()), column, parents).union(known.get(kind, ()))
    for kind in _FINAL:
        rows[kind] = _ids(by_kind.get(kind, ()), "document_id", documents).union(known.get(kind, ()))
    names = documents.union(*rows.values())
    holders = tuple(_holders([one for some in by_kind.values() for one in some], names))
    return Descent(documents, rows, holders, tuple(_documents_assets(holders)))


def _documents(versions: Iterable[Snapshot], wanted: TakenDown) -> frozenset[str]:
    """Ids of the wanted documents, and of all with the same text."""
    versions = list(versions)
    text = pl.col("text").hash().alias("text")
    named = [one.scan().filter(wanted.matches()).select("id", text).collect() for one in versions]
    texts = {value for rows in named for value in rows["text"]}
    ids = {row for rows in named for row in rows["id"]}
    if texts:
        for one in versions:
            ids |= set(one.scan().select("id", text).filter(pl.col("text").is_in(list(texts))).collect()["id"])
    return frozenset(ids)


def _named_in_releases(by_kind: Mapping[str, Sequence[Snapshot]], wanted: TakenDown) -> frozenset[str]:
    """Ids of wanted documents of which only rows of a mixture or release are left."""
    found: set[str] = set()
    for one in (one for kind in _FINAL for one in by_kind.get(kind, ())):
        found |= set(one.scan().filter(wanted.matches("document_id")).select("document_id").collect()["document_id"])
    return frozenset(found)


def _ids(versions: Iterable[Snapshot], column: str, parents: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    for one in versions if parents else ():
        found |= set(one.scan().filter(pl.col(column).is_in(list(parents))).select("id").collect()["id"])
    return frozenset(found)


def _holders(versions: Sequence[Snapshot], names: frozenset[str]) -> Iterator[Snapshot]:
    """Versions with a row of one of these ids, and the reviews of such: they quote rows."""
    held = {one.ref for one in versions if names and _holds(one, names)}
    for one in versions:
        quotes = kind_of(one.manifest.asset) == "review" and not held.isdisjoint(one.manifest.inputs)
        if quotes or one.ref in held:
            yield one


def _holds(snapshot: Snapshot, names: frozenset[str]) -> bool:
    for table, entry in snapshot.manifest.tables.items():
        columns = [column for column in _ID_COLUMNS if entry.columns.get(column) == "String"]
        if table in _WITHOUT_TEXT or not columns:
            continue
        hit = pl.any_horizontal(pl.col(column).is_in(list(names)).fill_null(False) for column in columns)
        if snapshot.scan(table).select(hit.any()).collect().item():
            return True
    return False


def _documents_assets(holders: Iterable[Snapshot]) -> list[tuple[str, str | None]]:
    places = {(one.manifest.asset.split("/")[0], one.manifest.partition) for one in holders}
    return sorted(((f"{dataset}/documents", part) for dataset, part in places), key=lambda one: (one[0], one[1] or ""))
