"""A store in an S3 bucket."""

import contextlib
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, GenericError, NotFoundError
from obstore.store import S3Store as ObjectStore

from synth_platform.errors import StorageError
from synth_platform.snapshots.store.base import AlreadyExists, Entry, Log
from synth_platform.snapshots.store.local import disk_errors

_TRY_SECONDS, _CONNECT_SECONDS, _RETRY_SECONDS, _RETRIES = 60.0, 5.0, 120.0, 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
_SLOWEST = 250_000
"""Bytes a second of a line that is still waited for."""


def s3_endpoint() -> str | None:
    """Address of the S3 server that the environment names; None where it names none, which is AWS.

    An empty variable names none: that is how a Compose file says so. obstore takes it for an address and breaks, so it
    is told AWS's own; the variable for S3 alone has no other cure than to be taken away.
    """
    if os.environ.get("AWS_ENDPOINT_URL_S3") == "":
        del os.environ["AWS_ENDPOINT_URL_S3"]
    named = os.environ.get("AWS_ENDPOINT_URL_S3", os.environ.get("AWS_ENDPOINT_URL"))
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return f"https://s3.{region}.amazonaws.com" if named == "" else named


def open_objects(
    url: str, try_seconds: float = _TRY_SECONDS, retry_seconds: float = _RETRY_SECONDS, *, retries: int = _RETRIES
) -> ObjectStore:
    """A client of an S3 prefix that gives up what stalls, and tries again within bounds.

    Args:
        url: ``s3://bucket/prefix``.
        try_seconds: after which one request is given up. A stalled body would hang for ever.
        retry_seconds: for which a request is tried again, all tries together.
        retries: how often at most.
    """
    endpoint = s3_endpoint()
    return ObjectStore.from_url(
        url.rstrip("/"),
        config={"endpoint": endpoint} if endpoint else {},
        client_options={
            "timeout": timedelta(seconds=try_seconds),
            "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, try_seconds)),
            "allow_http": bool(endpoint and endpoint.startswith("http://")),
        },
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=retry_seconds)},
    )


class S3Store:
    """An S3 prefix; credentials, region and endpoint come from the usual AWS variables.

    Args:
        url: ``s3://bucket/prefix``.
        try_seconds: after which one request is given up, unless it writes more than a slow line takes in that time.
        retry_seconds: for which a request is tried again, all tries together.
    """

    def __init__(self, url: str, try_seconds: float = _TRY_SECONDS, retry_seconds: float = _RETRY_SECONDS) -> None:
        self.url = url.rstrip("/")
        self.local: Path | None = None
        self._retry_seconds = retry_seconds
        self._objects = open_objects(url, try_seconds, retry_seconds)
        self._try_seconds = try_seconds
        self._writes = self._open_writes(try_seconds)

    def _open_writes(self, seconds: float) -> ObjectStore:
        """For create-only writes, which are never sent again unseen: the first try may have come through."""
        return open_objects(self.url, seconds, seconds, retries=0)

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
        with _object_errors(self.url, path), disk_errors(target), target.open("wb") as file:
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
            self._delete(path)

    def open_log(self, path: str) -> Log:
        return _ObjectLog(self, path)

    def _put(self, path: str, data: bytes | Path) -> None:
        """Create-only put in one request, so that the condition and the bytes arrive together.

        A try whose answer was lost may have made the object: the next one is then refused, and what stands there
        decides whose it is.
        """
        seconds = max(self._try_seconds, _size_of(data) / _SLOWEST)
        writes = self._writes if seconds == self._try_seconds else self._open_writes(seconds)
        pauses = _pauses(max(self._retry_seconds, 2 * seconds))
        unanswered = False
        while True:
            try:
                obstore.put(writes, path, data, mode="create", use_multipart=False)
                return
            except (AlreadyExistsError, GenericError) as error:
                unanswered |= isinstance(error, GenericError)
                if isinstance(error, AlreadyExistsError) and (held := self._holding(path)) is not None:
                    if unanswered and held == _bytes_of(data):
                        return
                    raise AlreadyExists(path) from None
                if (pause := next(pauses, None)) is None:
                    raise
            time.sleep(pause)

    def _delete(self, path: str) -> None:
        """Remove a file by POST, which the client itself does not send again where nobody answers."""
        pauses = _pauses(self._retry_seconds)
        while True:
            try:
                obstore.delete(self._objects, path)
                return
            except GenericError:
                if (pause := next(pauses, None)) is None:
                    raise
            time.sleep(pause)

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


def ensure_bucket(url: str) -> bool:
    """Make the bucket of an ``s3://`` root where it is missing; whether it was made.

    Raises:
        StorageError: it is neither there nor to be made.
    """
    import boto3  # only deployments have it (the extra `deploy`)
    from botocore.exceptions import BotoCoreError, ClientError

    bucket = url.removeprefix("s3://").split("/", 1)[0]
    # By itself it reads AWS_DEFAULT_REGION only.
    client = boto3.client("s3", region_name=os.environ.get("AWS_REGION") or None)
    region = client.meta.region_name
    elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": region}} if region != "us-east-1" else {}
    try:
        try:
            client.head_bucket(Bucket=bucket)
            return False
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 404:
                raise
        client.create_bucket(Bucket=bucket, **elsewhere)
    except (BotoCoreError, ClientError) as error:
        raise StorageError(
            f"the bucket cannot be made: {str(error)[:200]}",
            where=f"s3://{bucket}",
            fix="check AWS_ENDPOINT_URL and the keys, or make the bucket yourself",
        ) from error
    return True


def _pauses(seconds: float) -> Iterator[float]:
    """Seconds to wait before the next try, more and more, until so much time has passed."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while time.monotonic() + pause <= deadline:
        yield random.uniform(pause / 2, pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _size_of(data: bytes | Path) -> int:
    return data.stat().st_size if isinstance(data, Path) else len(data)


def _bytes_of(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data


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
