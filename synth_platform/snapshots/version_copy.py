"""One version from one store to another: readers of the copy find it whole, or as it was before, or not at all."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from synth_platform.digest import digest_blocks, digest_file
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.carrier import Carrier
from synth_platform.snapshots.listing import VersionFolder
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry, Removal
from synth_platform.snapshots.removal import hide
from synth_platform.snapshots.repository import MANIFEST_FILE, REMOVAL_FILE, Snapshots, parse_record
from synth_platform.snapshots.snapshot import Snapshot
from synth_platform.snapshots.store import AlreadyExists, Store

_Entry = PartEntry | FileEntry


class VersionCopier:
    """Copies one version after the other.

    Args:
        carrier: between the two stores.
    """

    def __init__(self, carrier: Carrier) -> None:
        self._carrier, self._source, self._target = carrier, carrier.source, carrier.target
        self._here, self._there = (Snapshots(store, carrier.folder) for store in (carrier.source, carrier.target))

    def copy(self, ours: VersionFolder, theirs: VersionFolder) -> None:
        """Bring the target's folder of a version up to the source's, both as they were listed.

        Folders that list alike are alike: the names of parts are those of their writer, so a version that was made
        anew under the same id has others. What the source has let go stays in the copy.

        Raises:
            SnapshotError: it cannot be copied whole; the target has what it had.
            StorageError: either side refused.
        """
        self._copy_record(ours, theirs)
        if _list_alike(ours, theirs) or (theirs.committed and not ours.committed):
            return
        if _is_taken_down(self._target, theirs) or _is_taken_down(self._source, ours):
            return
        if ours.committed:
            self._copy_version(ours, theirs)
        else:
            self._copy_begun(ours, theirs)

    def _copy_record(self, ours: VersionFolder, theirs: VersionFolder) -> None:
        """Copy the record of a removal; that of a takedown also over one that says less."""
        mine, held = ours.files.get(REMOVAL_FILE), theirs.files.get(REMOVAL_FILE)
        if mine is None or (held is not None and mine.bytes == held.bytes):
            return
        if held is None or (_is_taken_down(self._source, ours) and not _is_taken_down(self._target, theirs)):
            self._carry_loose(mine.path, over=held is not None)

    def _copy_begun(self, ours: VersionFolder, theirs: VersionFolder) -> None:
        """Copy unfinished work; a log may have grown since it was copied."""
        for entry in ours.begun:
            held = theirs.files.get(entry.path.removeprefix(f"{ours.path}/"))
            if held is None or held.bytes < entry.bytes:
                self._carry_loose(entry.path, over=held is not None)

    def _copy_version(self, ours: VersionFolder, theirs: VersionFolder) -> None:
        name = f"{ours.path}/{MANIFEST_FILE}"
        try:
            text = self._source.read(name)
        except FileNotFoundError:
            raise gone(self._source, name) from None
        manifest = parse_record(Manifest, text, f"{self._source.url}/{name}")
        held = self._there.open(*theirs.key) if theirs.committed else None
        if held is not None and self._stays(held.manifest, theirs, manifest):
            manifest = held.manifest
        else:
            wrong = self._bring_new(ours, theirs, manifest)
            self._bring_over(ours, wrong, held)
            self._show(name, text, over=held is not None)
        self._sweep(ours, theirs, manifest)

    def _stays(self, other: Manifest, theirs: VersionFolder, manifest: Manifest) -> bool:
        """Whether the target's version is as good as the source's, or made after it."""
        if other.digest == manifest.digest:
            return all(_has(theirs, entry) for entry in other.entries)
        return self._is_later(other, theirs)

    def _is_later(self, other: Manifest, theirs: VersionFolder) -> bool:
        """Whether it is the target's version that was current last, and not the source's of the same id.

        Raises:
            SnapshotError: the histories contradict each other.
        """
        here, there = (
            {one.sequence: one for one in snapshots.history(other.asset, other.partition)}
            for snapshots in (self._here, self._there)
        )
        if any(here[number] != there[number] for number in here.keys() & there.keys()):
            raise SnapshotError(
                "each side has made this version by itself, and has a history of its own: nothing of it is replaced",
                where=f"{self._target.url}/{theirs.path}",
                fix="copy into an empty folder, or remove the version's folder from the side that is to give way",
            )
        records = [one for _, one in sorted((here | there).items()) if one.snapshot_id == other.snapshot_id]
        return bool(records) and records[-1].digest == other.digest

    def _bring_new(self, ours: VersionFolder, theirs: VersionFolder, manifest: Manifest) -> list[_Entry]:
        """Bring files whose names are free at the target, which disturbs nobody; those that it has otherwise."""
        wrong: list[_Entry] = []
        for entry in manifest.entries:
            name = f"{ours.path}/{entry.path}"
            if entry.path not in theirs.files:
                self._put_new(name, entry, self._fetch(name, entry))
            elif not (_has(theirs, entry) and self._holds(name, entry)):
                wrong.append(entry)
        return wrong

    def _bring_over(self, ours: VersionFolder, wrong: Iterable[_Entry], held: Snapshot | None) -> None:
        """Bring files that take the place of others, when all are at hand and nobody can read those any more."""
        fetched = [(name := f"{ours.path}/{entry.path}", self._fetch(name, entry)) for entry in wrong]
        if fetched and held is not None:
            hide(self._there, held, "collected")
        for name, local in fetched:
            self._carrier.put(name, local, over=True)

    def _fetch(self, name: str, entry: _Entry) -> Path:
        """A local copy of a file that is what the manifest says."""
        try:
            local = self._carrier.fetch(name)
        except FileNotFoundError:
            raise gone(self._source, name) from None
        if local.stat().st_size != entry.bytes or digest_file(local) != entry.digest:
            local.unlink()
            raise SnapshotError(
                "a file is not what its manifest says, so its version is not copied",
                where=f"{self._source.url}/{name}",
                fix="`synth doctor --deep --fix` puts an equal file in its place; or delete it, and mirror a copy back",
            )
        return local

    def _put_new(self, name: str, entry: _Entry, local: Path) -> None:
        try:
            self._carrier.put(name, local)
        except AlreadyExists:  # another copy was faster
            if not self._holds(name, entry):
                raise self._taken(name) from None

    def _holds(self, name: str, entry: _Entry) -> bool:
        """Whether a file of the target is what a manifest says; it may be that of a writer that was killed."""
        try:
            return digest_blocks(self._target.blocks(name)) == entry.digest
        except FileNotFoundError:
            return False

    def _show(self, name: str, text: bytes, *, over: bool) -> None:
        """Put the manifest, after all that it names."""
        if over:
            self._target.replace(name, text)
        elif not self._there.create_once(name, text):
            raise self._taken(name)
        self._carrier.carried[name] = len(text)

    def _sweep(self, ours: VersionFolder, theirs: VersionFolder, manifest: Manifest) -> None:
        """Remove what the target's manifest does not name, as a writer does when it has committed."""
        record = f"{theirs.path}/{REMOVAL_FILE}"
        if (theirs.committed or theirs.removed) and not ours.removed:
            self._target.delete(record)
        for entry in theirs.unnamed(manifest):
            if entry.path != record:
                self._target.delete(entry.path)

    def _carry_loose(self, name: str, *, over: bool = False) -> None:
        """Copy what no manifest names. It may go while it is copied: a writer sweeps it when it commits."""
        with suppress(FileNotFoundError):
            self._carrier.carry(name, over=over)

    def _taken(self, name: str) -> SnapshotError:
        return SnapshotError(
            "somebody else wrote to the version while it was copied",
            where=f"{self._target.url}/{name}",
            fix="run it again: what was copied is not copied again",
        )


def gone(store: Store, name: str) -> SnapshotError:
    """What to say of a file that was there when it was listed."""
    return SnapshotError(
        "a version was removed while it was copied, or has lost a file",
        where=f"{store.url}/{name}",
        fix="run it again: what was copied is not copied again; if it says the same, ask `synth doctor`",
    )


def _is_taken_down(store: Store, folder: VersionFolder) -> bool:
    """Whether a version was taken down; one that the retention let go may come back."""
    if not folder.removed:
        return False
    name = f"{folder.path}/{REMOVAL_FILE}"
    try:
        text = store.read(name)
    except FileNotFoundError:
        return False
    return parse_record(Removal, text, f"{store.url}/{name}").why == "taken_down"


def _list_alike(ours: VersionFolder, theirs: VersionFolder) -> bool:
    """Whether there is nothing to do. A record of a removal counts only where it should be gone again."""
    is_stale = theirs.removed and ours.committed and not ours.removed
    return _sizes(ours) == _sizes(theirs) and not is_stale


def _sizes(folder: VersionFolder) -> dict[str, int]:
    return {name: entry.bytes for name, entry in folder.files.items() if name != REMOVAL_FILE}


def _has(folder: VersionFolder, entry: _Entry) -> bool:
    """Whether a file is listed with the size that a manifest says."""
    held = folder.files.get(entry.path)
    return held is not None and held.bytes == entry.bytes
