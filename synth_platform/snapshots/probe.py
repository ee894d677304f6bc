"""Proof that a store keeps the one promise all versions rest on: of several writers of a name, one wins."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from synth_platform.errors import StorageError
from synth_platform.snapshots.store import AlreadyExists, Store

_FOLDER = ".probe"


def prove_create_only(store: Store, writers: int = 16, rounds: int = 4) -> None:
    """Let writers race for a name, several times.

    Some S3-compatible stores take the condition of a create-only write and ignore it, or look only before the bytes
    come: two runs would then both believe that they committed a version.

    Args:
        store: what is to be proved; the files made there are removed again.
        writers: that write at once.
        rounds: races.

    Raises:
        StorageError: more than one writer won, or another's bytes were found.
    """
    with ThreadPoolExecutor(writers) as pool:
        for _ in range(rounds):
            path = f"{_FOLDER}/{uuid.uuid4().hex}"
            try:
                won = list(pool.map(lambda writer, path=path: _create(store, path, writer), range(writers)))
                _judge(store, path, won)
            finally:
                store.delete(path)


def _create(store: Store, path: str, writer: int) -> bool:
    try:
        store.create(path, str(writer).encode())
    except AlreadyExists:
        return False
    return True


def _judge(store: Store, path: str, won: list[bool]) -> None:
    if sum(won) != 1:
        raise StorageError(
            f"{sum(won)} of {len(won)} writers of one name were told that they made it; there must be one",
            where=store.url,
            fix="use a store with create-only writes (PUT with If-None-Match: *), such as S3 or SeaweedFS from 4.18",
        )
    if store.read(path) != str(won.index(True)).encode():
        raise StorageError("the store kept the bytes of a writer that it had refused", where=store.url)
