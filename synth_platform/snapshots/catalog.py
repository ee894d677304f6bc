"""Questions across snapshots, answered by DuckDB over manifests and parts: lineage, trace, diff.

The catalog holds nothing of its own: it is built from the manifests each time it is asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from synth_platform.errors import SnapshotError
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.manifest import InputRef
from synth_platform.snapshots.repository import Snapshots
from synth_platform.snapshots.snapshot import Snapshot

_KINDS = (
    "documents",
    "prompts",
    "generations",
    "judge_prompts",
    "judgements",
    "quality",
    "contamination",
    "accepted",
    "mixture",
    "review",
    "takedown",
    "release",
)
_ID_COLUMNS = {"quality": "generation_id", "contamination": "row_id", "accepted": "generation_id", "takedown": "row_id"}
_TRACED = ("release", "mixture", "generations", "prompts", "documents")
"""Kinds whose rows can be followed, those that people have ids of first."""
_EXAMPLES = 3


def ancestors(snapshots: Snapshots, roots: Iterable[Snapshot]) -> list[Snapshot]:
    """The roots and everything they were made from, each once, nearest first.

    Raises:
        SnapshotError: an ancestor is gone or no longer what it was.
    """
    found: dict[tuple[str, str | None, str], Snapshot] = {}
    waiting = list(roots)
    while waiting:
        snapshot = waiting.pop(0)
        m = snapshot.manifest
        if found.setdefault((m.asset, m.partition, m.snapshot_id), snapshot) is snapshot:
            waiting.extend(snapshots.require(ref) for ref in m.inputs)
    return list(found.values())


def current_lineage(snapshots: Snapshots, dataset: str = "") -> list[Snapshot]:
    """The current versions, or those of a dataset, and all they were made from, without the releases that patches
    replaced."""
    heads = [head for asset, part in snapshots.assets(dataset) if (head := snapshots.head(asset, part)) is not None]
    current = {head.ref for head in heads}
    lineage = ancestors(snapshots, heads)
    return [one for one in lineage if kind_of(one.manifest.asset) != "release" or one.ref in current]


def kind_of(asset: str) -> str | None:
    """Stage of an asset key path: ``quickstart/prompts/table`` is ``prompts``."""
    parts = asset.split("/")
    return parts[1] if len(parts) > 1 and parts[1] in _KINDS else None


def input_of(snapshot: Snapshot, kind: str) -> InputRef:
    """The input of a snapshot that comes from a stage.

    Raises:
        SnapshotError: it has none.
    """
    if (found := ref_of(kind, snapshot.manifest.inputs)) is None:
        raise SnapshotError(f"made from no {kind}", where=snapshot.location)
    return found


def ref_of(kind: str, inputs: Iterable[InputRef]) -> InputRef | None:
    """The first of some inputs that comes from a stage."""
    return next((ref for ref in inputs if kind_of(ref.asset) == kind), None)


@dataclass(frozen=True)
class Trace:
    """All that is known of one row: what it was made from, how it was judged, what was made of it."""

    row_id: str
    kind: str
    document: Mapping[str, Any] | None = None
    prompt: Mapping[str, Any] | None = None
    generation: Mapping[str, Any] | None = None
    verdicts: list[Mapping[str, Any]] = field(default_factory=list)
    descendants: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the rows made from it, by stage."""
    snapshots: dict[str, str] = field(default_factory=dict)
    """Asset to snapshot id of every version on the way."""
    taken_down: list[Mapping[str, Any]] = field(default_factory=list)
    """Takedowns of it: id, time, who and why."""
    earlier_release: Mapping[str, Any] | None = None
    """The release that it is of, or was made for, where no current version has it."""
    also_in: list[str] = field(default_factory=list)
    """Other datasets that have a row of this id: an id means one row only within its dataset."""


@dataclass(frozen=True)
class Diff:
    """What changed between two versions of an asset."""

    asset: str
    before: str
    after: str
    rows: tuple[int, int]
    tokens: tuple[int, int]
    added: int
    removed: int
    changed: int
    examples: dict[str, list[str]]
    settings: dict[str, tuple[Any, Any]]
    """Settings that differ, by dotted path: before, after."""
    inputs: dict[str, tuple[str | None, str | None]]
    """Inputs whose digest differs, by asset."""


class Catalog:
    """SQL views over the main tables of some snapshots, one view per stage."""

    def __init__(self, members: Iterable[Snapshot]) -> None:
        self.members = list(members)
        self._db = _connect([one for one in self.members if _has_view(one)])
        self._columns: dict[str, list[str]] = {}
        self._places = {one.manifest.snapshot_id: place for place, one in enumerate(self.members)}
        for kind in _KINDS:
            self._add_view(kind)

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows of one SELECT as dictionaries.

        Raises:
            ValueError: it is something else, or more than one.
        """
        if [statement.type for statement in self._db.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
            raise ValueError(f"not one SELECT: {sql[:200]}")
        result = self._db.execute(sql, parameters)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def has(self, kind: str) -> bool:
        """Whether any member is of this stage."""
        return kind in self._columns

    def _add_view(self, kind: str) -> None:
        selects = []
        for snapshot in self.members:
            if kind_of(snapshot.manifest.asset) != kind or not _has_view(snapshot):
                continue
            files, m = ", ".join(_quote(path) for path in snapshot.files()), snapshot.manifest
            place = f"{_quote(m.asset)} AS asset, {_quote(m.snapshot_id)} AS version"
            selects.append(f"SELECT *, {place} FROM read_parquet([{files}])")
        if selects:
            self._db.execute(f"CREATE VIEW {kind} AS {' UNION ALL BY NAME '.join(selects)}")
            self._columns[kind] = [row[0] for row in self._db.execute(f"DESCRIBE {kind}").fetchall()]

    def trace(self, row_id: str) -> Trace:
        """Everything known of the row with this id.

        Raises:
            SnapshotError: no member holds it.
        """
        if found := self.find(row_id):
            return found
        raise SnapshotError(
            f"no row has the id {row_id!r}",
            fix="give an id of a released row, generation, prompt or document of a version that is kept",
        )

    def find(self, row_id: str) -> Trace | None:
        """Everything known of the row with this id, or None if no member holds it.

        An id means one row only within a version: of several members that have it, the first one's row is followed, by
        what that was made from; and forward also what its dataset made of it in others, as in later cycles.
        """
        for kind in _TRACED:
            if rows := self._rows(kind, row_id):
                dataset = dataset_of(rows[0]["asset"])
                others = {dataset_of(row["asset"]) for row in rows} - {dataset}
                found = [self.members[self._places[row["version"]]] for row in rows]
                way = _way_of(self.members, [one for one in found if dataset_of(one.manifest.asset) == dataset])
                return replace(Catalog(way)._trace(row_id, kind, rows[0]), also_in=sorted(others))
        return None

    def _trace(self, row_id: str, kind: str, row: dict[str, Any]) -> Trace:
        generation = prompt = None
        generation_id = row_id if kind == "generations" else row.get("generation_id")
        document_id = row_id if kind == "documents" else row.get("document_id")
        if generation_id:
            generation = self._one("generations", generation_id)
        prompt_id = row_id if kind == "prompts" else (generation or {}).get("prompt_id")
        if prompt_id:
            prompt = self._one("prompts", prompt_id)
            document_id = (prompt or {}).get("document_id", document_id)
        document = self._one("documents", document_id) if document_id else None
        verdicts = self._verdicts([one for one in (generation_id, document_id) if one])
        made = self._descendants(kind, row_id)
        on_the_way = [row, document, prompt, generation, *verdicts, *(one for some in made.values() for one in some)]
        return Trace(
            row_id=row_id,
            kind=kind,
            document=document,
            prompt=prompt,
            generation=generation,
            verdicts=verdicts,
            descendants={kind: [one["id"] for one in some] for kind, some in made.items()},
            snapshots={one["asset"]: one["version"] for one in on_the_way if one is not None},
        )

    def _one(self, kind: str, row_id: str) -> dict[str, Any] | None:
        return next(iter(self._rows(kind, row_id)), None)

    def _rows(self, kind: str, row_id: str) -> list[dict[str, Any]]:
        """All rows of an id, in the order of the members."""
        rows = self.query(f"SELECT * FROM {kind} WHERE id = ?", row_id) if self.has(kind) else []
        return sorted(rows, key=lambda row: self._places[row["version"]])

    def _verdicts(self, row_ids: list[str]) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for kind in ("quality", "contamination"):
            if self.has(kind):
                column = _ID_COLUMNS[kind]
                found += self.query(f"SELECT * FROM {kind} WHERE list_contains(?, {column})", row_ids)
        return found

    def _descendants(self, kind: str, row_id: str) -> dict[str, list[dict[str, Any]]]:
        """What was made from a document, prompt or generation, stage by stage: id, asset and version of each row."""
        if kind not in ("documents", "prompts", "generations"):
            return {}
        found: dict[str, list[dict[str, Any]]] = {}
        ids = [row_id]
        if kind == "documents":
            found["prompts"] = self._made_of("prompts", "document_id", ids)
            ids = [one["id"] for one in found["prompts"]]
        if kind in ("documents", "prompts"):
            found["generations"] = self._made_of("generations", "prompt_id", ids)
            ids = [one["id"] for one in found["generations"]]
        for later in ("mixture", "release"):
            column = "document_id" if kind == "documents" else "generation_id"
            found[later] = self._made_of(later, column, [row_id] if kind == "documents" else ids)
        return found

    def _made_of(self, kind: str, column: str, parents: list[str]) -> list[dict[str, Any]]:
        if not self.has(kind) or not parents:
            return []
        return self.query(
            f"SELECT id, asset, version FROM {kind} WHERE list_contains(?, {column}) ORDER BY id", parents
        )


def _way_of(members: Sequence[Snapshot], found: Sequence[Snapshot]) -> list[Snapshot]:
    """What the first of some versions was made from, the nearest first, and then what is made of all of them.

    Reviews are no part of it: no row is made of one, and they lead to releases before.
    """
    known = {one.ref: one for one in members if kind_of(one.manifest.asset) != "review"}
    made_of: dict[InputRef, list[InputRef]] = {ref: [] for ref in known}
    for ref, one in known.items():
        for parent in one.manifest.inputs:
            made_of.get(parent, []).append(ref)

    def back(refs: Iterable[InputRef]) -> list[InputRef]:
        return _reached(refs, lambda ref: [one for one in known[ref].manifest.inputs if one in known])

    later = _reached((one.ref for one in found), lambda ref: made_of[ref])
    return [known[ref] for ref in dict.fromkeys([*back([found[0].ref]), *back(later)])]


def _reached(starts: Iterable[InputRef], following: Callable[[InputRef], Iterable[InputRef]]) -> list[InputRef]:
    """Some versions and all that they lead to, each once, the nearest first."""
    reached = dict.fromkeys(starts)
    waiting = list(reached)
    for ref in waiting:
        fresh = [one for one in following(ref) if one not in reached]
        reached.update(dict.fromkeys(fresh))
        waiting += dict.fromkeys(fresh)
    return waiting


def diff(before: Snapshot, after: Snapshot) -> Diff:
    """Compare two versions of one asset, row by row by id.

    Raises:
        SnapshotError: they are not of the same asset.
    """
    if before.manifest.asset != after.manifest.asset:
        raise SnapshotError(
            f"cannot compare {before.manifest.asset} with {after.manifest.asset}",
            fix="give two versions of the same asset (`synth versions` lists them)",
        )
    key = _ID_COLUMNS.get(kind_of(after.manifest.asset) or "", "id")
    main = next(iter(after.manifest.tables))
    shared = sorted(set(before.manifest.tables[main].columns) & set(after.manifest.tables[main].columns))
    with _connect([before, after]) as db:
        for name, snapshot in (("a", before), ("b", after)):
            files = ", ".join(_quote(path) for path in snapshot.files())
            columns = ", ".join(map(_identifier, shared))
            digest = f"md5(CAST(row({columns}) AS VARCHAR)) AS h"
            db.execute(
                f"CREATE TEMP TABLE {name} AS SELECT {_identifier(key)} AS id, {digest},"
                f" {_tokens(shared)} AS tokens FROM read_parquet([{files}])"
            )
        added = db.execute("SELECT id FROM b ANTI JOIN a USING (id) ORDER BY id").fetchall()
        removed = db.execute("SELECT id FROM a ANTI JOIN b USING (id) ORDER BY id").fetchall()
        changed = db.execute("SELECT id FROM a JOIN b USING (id) WHERE a.h <> b.h ORDER BY id").fetchall()
        totals = db.execute("SELECT (SELECT sum(tokens) FROM a), (SELECT sum(tokens) FROM b)").fetchone()
    groups = {"added": added, "removed": removed, "changed": changed}
    return Diff(
        asset=after.manifest.asset,
        before=before.manifest.snapshot_id,
        after=after.manifest.snapshot_id,
        rows=(before.manifest.rows, after.manifest.rows),
        tokens=(int((totals or (0, 0))[0] or 0), int((totals or (0, 0))[1] or 0)),
        added=len(added),
        removed=len(removed),
        changed=len(changed),
        examples={name: [row[0] for row in rows[:_EXAMPLES]] for name, rows in groups.items() if rows},
        settings=_changed_settings(before.manifest.settings, after.manifest.settings),
        inputs=_changed_inputs(before, after),
    )


def _tokens(columns: list[str]) -> str:
    return next((name for name in ("tokens", "completion_tokens", "prompt_tokens") if name in columns), "0")


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in _flatten(part, f"{path}.{key}").items()}
    return {path.lstrip("."): value}


def _changed_settings(before: Any, after: Any) -> dict[str, tuple[Any, Any]]:
    old, new = _flatten(before), _flatten(after)
    return {
        path: (old.get(path), new.get(path)) for path in sorted(set(old) | set(new)) if old.get(path) != new.get(path)
    }


def _changed_inputs(before: Snapshot, after: Snapshot) -> dict[str, tuple[str | None, str | None]]:
    old = {ref.asset: ref.digest for ref in before.manifest.inputs}
    new = {ref.asset: ref.digest for ref in after.manifest.inputs}
    assets = sorted(asset for asset in set(old) | set(new) if old.get(asset) != new.get(asset))
    return {asset: (old.get(asset), new.get(asset)) for asset in assets}


def _has_view(snapshot: Snapshot) -> bool:
    asset = snapshot.manifest.asset
    return snapshot.removal is None and kind_of(asset) is not None and "index" not in asset.split("/")


def _connect(members: Iterable[Snapshot]) -> duckdb.DuckDBPyConnection:
    """A database in memory that may read the parts of some snapshots, and no other file; and load no extension."""
    parts = [str(path) for one in members for path in one.files()]
    db = duckdb.connect(
        config={
            "allow_community_extensions": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
        }
    )
    db.execute("SET allowed_paths = ?", [parts])
    db.execute("SET enable_external_access = false")
    db.execute("SET lock_configuration = true")
    return db


def _quote(text: str | Path) -> str:
    return "'" + str(text).replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
