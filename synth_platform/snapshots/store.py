"""Where bytes live: a local folder or an S3 prefix behind one small interface."""

import contextlib
import os
import shutil
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import S3Store as ObjectStore

from synth_platform.errors import StorageError

_RETRY_SECONDS = 120


class AlreadyExists(Exception):
    """A create-only write found the path taken."""


class Log(Protocol):
    """A file that only grows, written by one process."""

    def append(self, data: bytes) -> None:
        """Add bytes. On a disk they survive the death of this process at once; durable they are after `sync`."""
        ...

    def sync(self) -> None:
        """Make durable what was appended; may be called from another thread."""
        ...

    def close(self) -> None:
        """Sync and release it."""
        ...


class Store(Protocol):
    """Files by relative path. Creating is atomic and exclusive; nothing is ever overwritten."""

    url: str
    local: Path | None
    """The root folder if files can be opened in place, else None."""

    def create(self, path: str, data: bytes) -> None:
        """Write a new file; raises `AlreadyExists` if the path is taken."""
        ...

    def move_in(self, path: str, source: Path) -> None:
        """Move a local file in under a new path; raises `AlreadyExists`."""
        ...

    def read(self, path: str) -> bytes:
        """The file's bytes; raises `FileNotFoundError`."""
        ...

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to a local path; raises `FileNotFoundError`."""
        ...

    def files(self, prefix: str) -> list[str]:
        """Paths of all files below a prefix, sorted."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below a prefix, sorted."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file if it is there."""
        ...

    def open_log(self, path: str) -> Log:
        """Begin a log. Its bytes are found in the files whose names start with ``path``, in their order."""
        ...


def open_store(url: str) -> Store:
    """Open ``s3://bucket/prefix`` or a local folder (made when first written)."""
    return S3Store(url) if url.startswith("s3://") else LocalStore(Path(url))


class LocalStore:
    """A folder. Files appear whole: written aside, synced, then linked to their name."""

    def __init__(self, root: Path) -> None:
        self.local: Path | None = root.expanduser().absolute()
        self._root = self.local
        self.url = str(self._root)

    def create(self, path: str, data: bytes) -> None:
        with _disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                aside.write_bytes(data)
                self._link(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def move_in(self, path: str, source: Path) -> None:
        with _disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                shutil.move(source, aside)
                self._link(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def read(self, path: str) -> bytes:
        # By text: with thousands of small files, joining paths as objects would cost as much as reading.
        with open(f"{self.url}/{path}", "rb") as file:  # noqa: PTH123
            return file.read()

    def fetch(self, path: str, target: Path) -> None:
        with _disk_errors(target):
            shutil.copyfile(self._root / path, target)

    def files(self, prefix: str) -> list[str]:
        return sorted(_files_below(f"{self.url}/{prefix}", prefix.rstrip("/")))

    def folders(self, prefix: str) -> list[str]:
        folder = self._root / prefix
        return sorted(child.name for child in folder.iterdir() if child.is_dir()) if folder.is_dir() else []

    def delete(self, path: str) -> None:
        target = self._root / path
        target.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the folder may hold other files
            target.parent.rmdir()

    def open_log(self, path: str) -> Log:
        return _LocalLog(self._root / path)

    def _aside(self, path: str) -> Path:
        target = self._root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.parent / f".{target.name}.{uuid.uuid4().hex[:8]}.partial"

    def _link(self, aside: Path, path: str) -> None:
        """Give a synced file its name. A hard link, unlike a rename, fails where the name is taken."""
        target = self._root / path
        sync_file(aside)
        try:
            os.link(aside, target)
        except FileExistsError:
            raise AlreadyExists(path) from None
        sync_folder(target.parent)


class _LocalLog:
    """An appended file. The folder is synced with the first bytes, so that the name survives a power cut too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        self._dirty, self._named = False, False

    def append(self, data: bytes) -> None:
        with _disk_errors(self._path):
            view = memoryview(data)
            while view:
                view = view[os.write(self._handle, view) :]
        self._dirty = True

    def sync(self) -> None:
        if not self._dirty:
            return
        self._dirty = False
        with _disk_errors(self._path):
            os.fsync(self._handle)
            if not self._named:
                sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._handle)


class S3Store:
    """An S3 prefix; credentials, region and endpoint come from the usual AWS variables."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.local: Path | None = None
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        self._objects = ObjectStore.from_url(
            self.url,
            config={"endpoint": endpoint} if endpoint else {},
            # A stalled body would hang for ever: give every request a deadline, and all retries one.
            client_options={
                "timeout": timedelta(seconds=60),
                "connect_timeout": timedelta(seconds=5),
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
            },
            retry_config={"max_retries": 10, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )

    def create(self, path: str, data: bytes) -> None:
        with _object_errors(self.url, path):
            self._put(path, data)

    def move_in(self, path: str, source: Path) -> None:
        with _object_errors(self.url, path):
            self._put(path, source)
        source.unlink()

    def read(self, path: str) -> bytes:
        with _object_errors(self.url, path):
            return bytes(obstore.get(self._objects, path).bytes())

    def fetch(self, path: str, target: Path) -> None:
        with _object_errors(self.url, path), _disk_errors(target), target.open("wb") as file:
            for block in obstore.get(self._objects, path).stream():
                file.write(bytes(block))

    def files(self, prefix: str) -> list[str]:
        with _object_errors(self.url, prefix):
            found = obstore.list(self._objects, prefix=prefix).collect()
        return sorted(entry["path"] for entry in found)

    def folders(self, prefix: str) -> list[str]:
        with _object_errors(self.url, prefix):
            found = obstore.list_with_delimiter(self._objects, prefix=prefix or None)
        return sorted(child.rsplit("/", 1)[-1] for child in found["common_prefixes"])

    def delete(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError), _object_errors(self.url, path):
            obstore.delete(self._objects, path)

    def open_log(self, path: str) -> Log:
        return _ObjectLog(self, path)

    def _put(self, path: str, data: bytes | Path) -> None:
        """Create-only put in one request, so that the condition and the bytes arrive together."""
        try:
            obstore.put(self._objects, path, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            raise AlreadyExists(path) from None


class _ObjectLog:
    """A row of objects: objects cannot grow, so each sync makes one of what was appended since the last."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._store, self._path = store, path
        self._held: list[bytes] = []
        self._lock = threading.Lock()
        self._objects = 0

    def append(self, data: bytes) -> None:
        with self._lock:
            self._held.append(data)

    def sync(self) -> None:
        with self._lock:
            held, self._held = self._held, []
        if not held:
            return
        try:
            self._store.create(f"{self._path}-{self._objects:06d}", b"".join(held))
        except StorageError:
            with self._lock:
                self._held = held + self._held
            raise
        self._objects += 1

    def close(self) -> None:
        self.sync()


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


def sync_file(path: Path) -> None:
    """Force a file's bytes to disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's entries to disk, so that a new name survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
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


@contextlib.contextmanager
def _object_errors(url: str, path: str) -> Iterator[None]:
    try:
        yield
    except NotFoundError:
        raise FileNotFoundError(f"{url}/{path}") from None
    except BaseError as error:
        raise StorageError(
            f"the object store refused: {str(error).splitlines()[0][:200]}",
            where=f"{url}/{path}",
            fix="check credentials, bucket, region and AWS_ENDPOINT_URL; what was committed before is intact",
        ) from error
