"""Where releases are published: folders and buckets, which keep every version beside a pointer to the current one.

`versions/<version>/...` holds the files of a release and `version.json`, written when all of them are there and
verified; `current.json` names the version that readers should take, and is replaced in one step. With cycles it is
one of the newest cycle, and `cycles/<cycle>.json` names the one of each.

Two publishers at once may replace `current.json` in any order. Which version is the current one is therefore told by
the names of the files in `moves`, which are only ever added to, and `current.json` is brought after them.
"""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from synth_platform.digest import digest_blocks
from synth_platform.errors import StorageError
from synth_platform.release.config import DestinationSpec, FolderDestination, HubDestination
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.identity import dataset_of
from synth_platform.snapshots.store import Store, open_store

POINTER = "current.json"
INDEX = "version.json"
_VERSIONS, _CYCLES, _MOVES = "versions", "cycles", "moves"
_MOVE = re.compile(rf"{_MOVES}/(?P<number>\d+)-(?P<way>on|back)-(?P<version>[^-/]+)(?:-(?P<cycle>[^/]+))?")


@dataclass(frozen=True)
class Sent:
    """What publishing one version took.

    Args:
        files: files of the version.
        bytes: their size.
        sent: bytes that were sent; the others were there already.
        current: whether it is what readers take now; not, where they have one of a later cycle.
    """

    files: int
    bytes: int
    sent: int
    current: bool = True


class Destination(Protocol):
    """A place for releases."""

    name: str

    def publish(self, version: Snapshot, *, back: bool = False) -> Sent:
        """Bring a version there, verify it, and make it the current one. Asked again, it goes on.

        Args:
            version: a release.
            back: make it the current one even where that is of a later cycle.

        Raises:
            SynthError: the place belongs to another dataset, or it could not be brought there whole; the version
                before stays the current one.
        """
        ...

    def pointers(self) -> dict[str | None, str]:
        """Ids of the versions that readers take now: of the current one (None), and by cycle, where cycles have one."""
        ...

    def versions(self) -> list[str]:
        """Ids of all versions that are kept there, whole or not."""
        ...

    def tables(self, version_id: str, scratch: Path) -> Iterator[Path]:
        """The Parquet files of a version, each brought to a folder of this machine when it is asked for."""
        ...

    def withdraw(self, version_id: str) -> bool:
        """Remove a version that is not the current one; whether it was there."""
        ...


def refuse_others(place: str, owner: str | None, dataset: str) -> None:
    """Keep a dataset from taking the readers of another one.

    Args:
        place: what people call it.
        owner: the dataset that readers have there; None: nobody knows of any.
        dataset: the one that is to be published.

    Raises:
        StorageError: the place belongs to another dataset.
    """
    if owner not in (None, dataset):
        raise StorageError(
            f"it belongs to the dataset {owner!r}, whose readers would get {dataset!r} instead",
            where=place,
            fix=f"choose a place of its own for {dataset!r} in release.publish",
        )


def follows(cycle: str | None, current: str | None) -> bool:
    """Whether a version of a cycle may take the place of the current one: it is not of an earlier cycle."""
    return cycle is None or current is None or cycle >= current


@dataclass(frozen=True)
class _Move:
    """A publisher's wish that a version be the current one.

    All of it is the name of an empty file: one listing reads all of them, and no two publishers write different bytes
    to the same file.

    Args:
        number: greater than those of all moves that its publisher knew.
        version: the version.
        cycle: the version's cycle.
        back: whether it takes the place of one of a later cycle too.
    """

    number: int
    version: str
    cycle: str | None
    back: bool = False

    @property
    def path(self) -> str:
        """Its file."""
        way, cycle = "back" if self.back else "on", f"-{self.cycle}" if self.cycle else ""
        return f"{_MOVES}/{self.number:08d}-{way}-{self.version}{cycle}"

    @classmethod
    def of(cls, path: str) -> "_Move | None":
        """The move of a file; None: it is none, but one that is being written aside."""
        named = _MOVE.fullmatch(path)
        return named and cls(int(named["number"]), named["version"], named["cycle"], named["way"] == "back")


def _outcome(moves: Iterable[_Move]) -> _Move | None:
    """The move that made the current version so; all who know the same moves agree on it."""
    last = None
    for move in moves:
        if last is None or move.back or follows(move.cycle, last.cycle):
            last = move
    return last


def open_destination(spec: DestinationSpec, base: Path) -> Destination:
    """The destination that a spec names; relative folders start from ``base``."""
    if isinstance(spec, HubDestination):
        from synth_platform.release.hub import Hub  # its client takes a second to import

        return Hub(spec)
    url = str(base / spec.path) if isinstance(spec, FolderDestination) else spec.url
    return Shelf(spec.name, open_store(url))


class Shelf:
    """A folder or bucket.

    Args:
        name: what people call it.
        store: where it is.
    """

    def __init__(self, name: str, store: Store) -> None:
        self.name, self._store = name, store

    def publish(self, version: Snapshot, *, back: bool = False) -> Sent:
        m = version.manifest
        self._refuse_others(m.asset)
        index = self._index(version)
        present = self._read(f"{_folder(m.snapshot_id)}/{INDEX}")
        if present is not None and present["digest"] != m.digest:
            raise StorageError(
                f"another version is called {m.snapshot_id}", where=self.name, fix="publish to another place"
            )
        sent = self._bring(version)
        if present is None:
            self._store.replace(f"{_folder(m.snapshot_id)}/{INDEX}", _encode(index))
        current = self._point(index, back=back)
        return Sent(len(index["files"]), sum(file["bytes"] for file in index["files"]), sent, current)

    def pointers(self) -> dict[str | None, str]:
        found = {None: self._read(POINTER)}
        for path in self._store.files(_CYCLES):
            found |= {pointer["partition"]: pointer} if (pointer := self._read(path)) else {}
        return {cycle: pointer["version"] for cycle, pointer in found.items() if pointer}

    def versions(self) -> list[str]:
        return self._store.folders(_VERSIONS)

    def tables(self, version_id: str, scratch: Path) -> Iterator[Path]:
        for number, path in enumerate(self._store.files(_folder(version_id))):
            if path.endswith(".parquet"):
                local = scratch / f"{version_id}-{number}.parquet"
                self._store.fetch(path, local)
                yield local

    def withdraw(self, version_id: str) -> bool:
        decided = _outcome(self._moves())
        if version_id in ((self._read(POINTER) or {}).get("version"), decided and decided.version):
            raise StorageError(f"{version_id} is the current version", where=self.name, fix="publish another one first")
        files = self._store.files(_folder(version_id))
        for path in self._store.files(_CYCLES):
            if (pointer := self._read(path)) and pointer["version"] == version_id:
                self._store.delete(path)
        self._store.delete(f"{_folder(version_id)}/{INDEX}")
        for path in files:
            self._store.delete(path)
        return bool(files)

    def _point(self, index: dict[str, Any], *, back: bool) -> bool:
        """Move the pointers to a version; whether it is the current one now."""
        self._refuse_others(index["asset"])  # again: to bring the files may have taken hours
        if index["partition"] is not None:
            self._store.replace(f"{_CYCLES}/{index['partition']}.json", _encode(_pointer(index)))
        self._note_move(index["version"], index["partition"], back=back)
        return self._follow_moves() == index["version"]

    def _refuse_others(self, asset: str) -> None:
        shown = self._read(POINTER)
        refuse_others(self.name, dataset_of(shown["asset"]) if shown else None, dataset_of(asset))

    def _note_move(self, version: str, cycle: str | None, *, back: bool) -> None:
        """Wish that a version be the current one, unless it is so already, or of an earlier cycle."""
        moves = self._moves() or self._begin_moves()
        current = _outcome(moves)
        if current is None or (current.version != version and (back or follows(cycle, current.cycle))):
            number = moves[-1].number + 1 if moves else 1
            self._store.replace(_Move(number, version, cycle, back).path, b"")

    def _begin_moves(self) -> list[_Move]:
        """Note what readers have as the first move: earlier versions of this platform noted none."""
        if not (shown := self._read(POINTER)):
            return []
        first = _Move(1, shown["version"], shown["partition"])
        self._store.replace(first.path, b"")
        return [first]

    def _follow_moves(self) -> str | None:
        """Have readers take what the moves say; id of the version.

        Whoever wrote the pointer looks again: another publisher may have noted a move since. And whoever noted a move
        looks at the pointer after it. So the one who does either last leaves readers what all moves say.
        """
        while True:
            move = _outcome(self._moves())
            index = self._read(f"{_folder(move.version)}/{INDEX}") if move else None
            if move is None or index is None or self._read(POINTER) == _pointer(index):
                return move and move.version
            self._store.replace(POINTER, _encode(_pointer(index)))

    def _moves(self) -> list[_Move]:
        """In their order."""
        return [move for path in self._store.files(_MOVES) if (move := _Move.of(path))]

    def _bring(self, version: Snapshot) -> int:
        """Have every file of a version there and verified; bytes that were sent for it."""
        elsewhere = dict(self._elsewhere(version.manifest.snapshot_id))
        sent = 0
        for entry, local in version.local_files():
            path = f"{_folder(version.manifest.snapshot_id)}/{entry.path}"
            if self._holds(path, entry.digest):
                continue
            if twin := elsewhere.get(entry.digest):
                with suppress(FileNotFoundError, StorageError):  # what another version has lost is sent again
                    self._store.copy(twin, path)
            if twin is None or not self._holds(path, entry.digest):
                self._store.copy_in(path, local)
                sent += entry.bytes
                self._check(path, entry.digest)
        return sent

    def _check(self, path: str, digest: str) -> None:
        if not self._holds(path, digest):
            raise StorageError(
                "a published file is not what was sent", where=f"{self._store.url}/{path}", fix="publish it again"
            )

    def _holds(self, path: str, digest: str) -> bool:
        try:
            return digest_blocks(self._store.blocks(path)) == digest
        except FileNotFoundError:
            return False

    def _elsewhere(self, version_id: str) -> Iterator[tuple[str, str]]:
        """Digest and path of every file of the other versions."""
        for other in self._store.folders(_VERSIONS):
            index = self._read(f"{_folder(other)}/{INDEX}") if other != version_id else None
            for file in index["files"] if index else ():
                yield file["digest"], f"{_folder(other)}/{file['path']}"

    def _index(self, version: Snapshot) -> dict[str, Any]:
        m = version.manifest
        files = [{"path": one.path, "bytes": one.bytes, "digest": one.digest} for one in m.entries]
        return {
            "version": m.snapshot_id,
            "digest": m.digest,
            "asset": m.asset,
            "partition": m.partition,
            "rows": m.rows,
            "files": files,
        }

    def _read(self, path: str) -> Any:
        """An index or a pointer; None where there is none that can be read, and one is written anew."""
        try:
            return json.loads(self._store.read(path))
        except (FileNotFoundError, ValueError):
            return None


def _folder(version_id: str) -> str:
    return f"{_VERSIONS}/{version_id}"


def _pointer(index: dict[str, Any]) -> dict[str, Any]:
    """What names a version to readers."""
    return {**index, "path": _folder(index["version"])}


def _encode(value: Any) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
