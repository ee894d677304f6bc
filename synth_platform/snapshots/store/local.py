"""A store in a local folder."""

import contextlib
import errno
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from synth_platform.errors import StorageError
from synth_platform.snapshots.store.base import AlreadyExists, Entry, Log

_BLOCK_BYTES = 1 << 20
_MOST_TRIES = 20
_T = TypeVar("_T")


class LocalStore:
    """A folder. Files appear whole: written aside, synced, then linked to their name."""

    def __init__(self, root: Path) -> None:
        self.local: Path | None = root.expanduser().absolute()
        self._root = self.local
        self.url = str(self._root)

    def create(self, path: str, data: bytes) -> None:
        with disk_errors(self._root / path):
            for _ in range(_MOST_TRIES):
                aside = self._aside(path)
                try:
                    _in_folder(aside.parent, partial(aside.write_bytes, data))
                    if self._link(aside, path):
                        return
                finally:
                    aside.unlink(missing_ok=True)
            raise OSError(errno.EBUSY, "files vanish while they are written")

    def move_in(self, path: str, source: Path) -> None:
        with disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, lambda: shutil.move(source, aside))
                self._link(aside, path)  # one that was swept on its way would have been swept after it too
            finally:
                aside.unlink(missing_ok=True)

    def replace(self, path: str, data: bytes) -> None:
        with disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, partial(aside.write_bytes, data))
                self._rename(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def copy_in(self, path: str, source: Path) -> None:
        with disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, partial(shutil.copyfile, source, aside))
                self._rename(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def copy(self, source: str, path: str) -> None:
        with disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, partial(os.link, self._root / source, aside))
                self._rename(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        # By text: with thousands of small files, joining paths as objects would cost as much as reading.
        with open(f"{self.url}/{path}", "rb") as file:  # noqa: PTH123
            return file.read()

    def blocks(self, path: str) -> Iterator[bytes]:
        with (self._root / path).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                yield block

    def fetch(self, path: str, target: Path) -> None:
        with disk_errors(target):
            shutil.copyfile(self._root / path, target)

    def files(self, prefix: str) -> list[str]:
        return sorted(_files_below(f"{self.url}/{prefix}", prefix.rstrip("/")))

    def entries(self, prefix: str) -> list[Entry]:
        found = (self._entry(path) for path in self.files(prefix))
        return [entry for entry in found if entry is not None]

    def folders(self, prefix: str) -> list[str]:
        return sorted(next(os.walk(self._root / prefix), ("", [], []))[1])

    def delete(self, path: str) -> None:
        target = self._root / path
        target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder may hold other files
            target.parent.rmdir()

    def open_log(self, path: str) -> Log:
        return _LocalLog(self._root / path)

    def _entry(self, path: str) -> Entry | None:
        try:
            facts = (self._root / path).stat()
        except FileNotFoundError:  # removed since it was listed
            return None
        return Entry(path, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def _aside(self, path: str) -> Path:
        target = self._root / path
        return target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"

    def _rename(self, aside: Path, path: str) -> None:
        """Give a synced file its name, whoever had it."""
        target = self._root / path
        _sync_file(aside)
        aside.replace(target)
        _sync_folder(target.parent)

    def _link(self, aside: Path, path: str) -> bool:
        """Give a synced file its name; False if a writer that committed the version has swept it.

        A hard link, unlike a rename, fails where the name is taken.
        """
        target = self._root / path
        try:
            _sync_file(aside)
            os.link(aside, target)
        except FileExistsError:
            raise AlreadyExists(path) from None
        except FileNotFoundError:
            return False
        with contextlib.suppress(FileNotFoundError):  # removed again with its folder, by the sweep of another writer
            _sync_folder(target.parent)
        return True


class _LocalLog:
    """An appended file. The folder is synced with the first bytes, so that the name survives a power cut too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with disk_errors(path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._handle = _in_folder(path.parent, lambda: os.open(path, flags, 0o644))
        self._dirty, self._named = False, False

    def append(self, data: bytes) -> None:
        with disk_errors(self._path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
        self._dirty = True

    def sync(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        with disk_errors(self._path):
            os.fsync(self._handle)
            if not self._named:
                with contextlib.suppress(FileNotFoundError):  # dropped by a writer that committed the shard
                    _sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._handle)


def _files_below(folder: str, prefix: str) -> Iterator[str]:
    """Files below a folder, by ``prefix`` and their path in it; none if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return
    for name, is_folder in found:
        path = f"{prefix}/{name}" if prefix else name
        if is_folder:
            yield from _files_below(f"{folder}/{name}", path)
        else:
            yield path


def _in_folder(folder: Path, write: Callable[[], _T]) -> _T:
    """Write into a folder that is made if need be, and made again where somebody removes it, empty, in between."""
    for last in (False,) * _MOST_TRIES + (True,):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return write()
        except FileNotFoundError:
            if last:
                raise
    raise AssertionError


def _sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Force a folder's entries to disk, so that a new name survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Say what a full or broken disk means.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"cannot write: {error.strerror or error}",
            where=str(path),
            fix="free some space or choose another SYNTH_HOME; what was committed before is intact",
        ) from error
