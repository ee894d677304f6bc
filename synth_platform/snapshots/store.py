"""Where bytes live: a local folder or an S3 prefix behind one small interface."""

import contextlib
import errno
import os
import random
import shutil
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, NotFoundError
from obstore.store import S3Store as ObjectStore

from synth_platform.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import RetryConfig

_TRY_SECONDS, _CONNECT_SECONDS, _RETRY_SECONDS = 60.0, 5.0, 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_BLOCK_BYTES = 1 << 20
_MOST_TRIES = 20
_T = TypeVar("_T")


class AlreadyExists(Exception):
    """A create-only write found the path taken."""


@dataclass(frozen=True)
class Entry:
    """A file of a store.

    Args:
        path: below the root.
        bytes: its size.
        modified: when it was written.
    """

    path: str
    bytes: int
    modified: datetime


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

    def replace(self, path: str, data: bytes) -> None:
        """Write a small file whether or not the path is taken; readers see the old bytes or the new ones."""
        ...

    def copy_in(self, path: str, source: Path) -> None:
        """Copy a local file in, whether or not the path is taken; it appears whole."""
        ...

    def copy(self, source: str, path: str) -> None:
        """Give the bytes of one path to another without sending them: a hard link, or a copy inside the store."""
        ...

    def read(self, path: str) -> bytes:
        """The file's bytes; raises `FileNotFoundError`."""
        ...

    def blocks(self, path: str) -> Iterator[bytes]:
        """The file's bytes, some at a time; raises `FileNotFoundError`."""
        ...

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to a local path; raises `FileNotFoundError`."""
        ...

    def files(self, prefix: str) -> list[str]:
        """Paths of all files below a prefix, sorted."""
        ...

    def entries(self, prefix: str) -> list[Entry]:
        """All files below a prefix with size and age, sorted by path; also those that are being written aside."""
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


def ensure_bucket(url: str) -> bool:
    """Make the bucket of an ``s3://`` root where it is missing; whether it was made.

    Raises:
        StorageError: it is neither there nor to be made.
    """
    import boto3  # only deployments have it (the extra `deploy`)
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = url.removeprefix("s3://").split("/", 1)[0]
    client = boto3.client("s3")
    try:
        try:
            client.head_bucket(Bucket=bucket)
            return False
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                raise
        client.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError) as error:
        raise StorageError(
            f"the bucket cannot be made: {str(error)[:200]}",
            where=f"s3://{bucket}",
            fix="check AWS_ENDPOINT_URL and the keys, or make the bucket yourself",
        ) from error
    return True


class LocalStore:
    """A folder. Files appear whole: written aside, synced, then linked to their name."""

    def __init__(self, root: Path) -> None:
        self.local: Path | None = root.expanduser().absolute()
        self._root = self.local
        self.url = str(self._root)

    def create(self, path: str, data: bytes) -> None:
        with _disk_errors(self._root / path):
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
        with _disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, lambda: shutil.move(source, aside))
                self._link(aside, path)  # one that was swept on its way would have been swept after it too
            finally:
                aside.unlink(missing_ok=True)

    def replace(self, path: str, data: bytes) -> None:
        with _disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, partial(aside.write_bytes, data))
                self._rename(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def copy_in(self, path: str, source: Path) -> None:
        with _disk_errors(self._root / path):
            aside = self._aside(path)
            try:
                _in_folder(aside.parent, partial(shutil.copyfile, source, aside))
                self._rename(aside, path)
            finally:
                aside.unlink(missing_ok=True)

    def copy(self, source: str, path: str) -> None:
        with _disk_errors(self._root / path):
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
        with _disk_errors(target):
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
        sync_file(aside)
        aside.replace(target)
        sync_folder(target.parent)

    def _link(self, aside: Path, path: str) -> bool:
        """Give a synced file its name; False if a writer that committed the version has swept it.

        A hard link, unlike a rename, fails where the name is taken.
        """
        target = self._root / path
        try:
            sync_file(aside)
            os.link(aside, target)
        except FileExistsError:
            raise AlreadyExists(path) from None
        except FileNotFoundError:
            return False
        with contextlib.suppress(FileNotFoundError):  # removed again with its folder, by the sweep of another writer
            sync_folder(target.parent)
        return True


class _LocalLog:
    """An appended file. The folder is synced with the first bytes, so that the name survives a power cut too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _disk_errors(path):
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._handle = _in_folder(path.parent, lambda: os.open(path, flags, 0o644))
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
                with contextlib.suppress(FileNotFoundError):  # dropped by a writer that committed the shard
                    sync_folder(self._path.parent)
                self._named = True

    def close(self) -> None:
        try:
            self.sync()
        finally:
            os.close(self._handle)


class S3Store:
    """An S3 prefix; credentials, region and endpoint come from the usual AWS variables.

    Args:
        url: ``s3://bucket/prefix``.
        try_seconds: after which one request is given up. A stalled body would hang for ever.
        retry_seconds: for which a request is tried again, all tries together.
    """

    def __init__(self, url: str, try_seconds: float = _TRY_SECONDS, retry_seconds: float = _RETRY_SECONDS) -> None:
        self.url = url.rstrip("/")
        self.local: Path | None = None
        self._retry_seconds = retry_seconds
        self._objects = self._open(try_seconds, {"max_retries": 10, "retry_timeout": timedelta(seconds=retry_seconds)})
        # A create-only write is never sent again unseen: its first try may have come through.
        self._writes = self._open(try_seconds, {"max_retries": 0, "retry_timeout": timedelta(seconds=try_seconds)})

    def _open(self, try_seconds: float, retries: "RetryConfig") -> ObjectStore:
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return ObjectStore.from_url(
            self.url,
            config={"endpoint": endpoint} if endpoint else {},
            client_options={
                "timeout": timedelta(seconds=try_seconds),
                "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, try_seconds)),
                "allow_http": bool(endpoint and endpoint.startswith("http://")),
            },
            retry_config=retries,
        )

    def create(self, path: str, data: bytes) -> None:
        with _object_errors(self.url, path):
            self._put(path, data)

    def move_in(self, path: str, source: Path) -> None:
        with _object_errors(self.url, path):
            self._put(path, source)
        source.unlink()

    def replace(self, path: str, data: bytes) -> None:
        with _object_errors(self.url, path):
            obstore.put(self._objects, path, data, mode="overwrite", use_multipart=False)

    def copy_in(self, path: str, source: Path) -> None:
        with _object_errors(self.url, path):
            obstore.put(self._objects, path, source, mode="overwrite")

    def copy(self, source: str, path: str) -> None:
        with _object_errors(self.url, path):
            obstore.copy(self._objects, source, path, overwrite=True)

    def blocks(self, path: str) -> Iterator[bytes]:
        with _object_errors(self.url, path):
            for block in obstore.get(self._objects, path).stream():
                yield bytes(block)

    def read(self, path: str) -> bytes:
        with _object_errors(self.url, path):
            return bytes(obstore.get(self._objects, path).bytes())

    def fetch(self, path: str, target: Path) -> None:
        with _object_errors(self.url, path), _disk_errors(target), target.open("wb") as file:
            for block in obstore.get(self._objects, path).stream():
                file.write(bytes(block))

    def files(self, prefix: str) -> list[str]:
        return [entry.path for entry in self.entries(prefix)]

    def entries(self, prefix: str) -> list[Entry]:
        with _object_errors(self.url, prefix):
            found = obstore.list(self._objects, prefix=prefix or None).collect()
        entries = (Entry(one["path"], one["size"], one["last_modified"]) for one in found)
        return sorted(entries, key=lambda entry: entry.path)

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
        """Create-only put in one request, so that the condition and the bytes arrive together.

        A try whose answer was lost may have made the object: the next one is then refused, and what stands there
        decides whose it is.
        """
        deadline, pause, unanswered = time.monotonic() + self._retry_seconds, _FIRST_PAUSE, False
        while True:
            try:
                obstore.put(self._writes, path, data, mode="create", use_multipart=False)
                return
            except (AlreadyExistsError, GenericError) as error:
                unanswered |= isinstance(error, GenericError)
                if isinstance(error, AlreadyExistsError) and (held := self._holding(path)) is not None:
                    if unanswered and held == _bytes_of(data):
                        return
                    raise AlreadyExists(path) from None
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _holding(self, path: str) -> bytes | None:
        """What stands under a name; None: nothing, where a write was refused for one that did not come about."""
        try:
            return bytes(obstore.get(self._objects, path).bytes())
        except NotFoundError:
            return None


class _ObjectLog:
    """A row of objects: objects cannot grow, so each sync makes one of what was appended since the last."""

    def __init__(self, store: S3Store, path: str) -> None:
        self._store, self._path = store, path
        self._held: list[bytes] = []
        self._unwritten: deque[bytes] = deque()
        self._objects = 0
        self._holding, self._writing = threading.Lock(), threading.Lock()

    def append(self, data: bytes) -> None:
        with self._holding:
            self._held.append(data)

    def sync(self) -> None:
        with self._writing:
            with self._holding:
                held, self._held = self._held, []
            if held:
                self._unwritten.append(b"".join(held))
            # What was tried once keeps its name and its bytes: it may be there although nobody said so.
            while self._unwritten:
                with contextlib.suppress(AlreadyExists):
                    self._store.create(f"{self._path}-{self._objects:06d}", self._unwritten[0])
                self._unwritten.popleft()
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


def _bytes_of(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data


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
