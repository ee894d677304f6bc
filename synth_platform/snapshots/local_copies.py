"""Files of versions as local paths, fetched where they are remote, and checked against their manifest."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from synth_platform.digest import digest_file
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry
from synth_platform.snapshots.store import Store

PARTIAL = ".partial"
"""How the names of copies end that are on their way, or were when their process was killed."""


class LocalCopies:
    """Local, verified copies of parts.

    Args:
        store: where the parts lie.
        cache: local folder for copies of remote ones.
    """

    def __init__(self, store: Store, cache: Path) -> None:
        self.store, self._cache = store, cache
        self._verified: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def verified(self, folder: str, part: PartEntry | FileEntry) -> Path:
        """Local path of a part whose bytes match the manifest.

        Raises:
            SnapshotError: it is missing, cut short or changed.
        """
        path = f"{folder}/{part.path}"
        local = self._local(path, part.digest)
        with self._lock:
            if (path, part.digest) in self._verified and local.exists():
                return local
        if not local.exists():
            self._fetch(path, local)
        if local.stat().st_size != part.bytes or digest_file(local) != part.digest:
            if self.store.local is None:
                local.unlink()
            raise SnapshotError(
                "a part does not match its manifest: it was damaged or changed after the commit",
                where=f"{self.store.url}/{path}",
                fix="restore the file from a backup, or materialize the asset anew with --fresh",
            )
        with self._lock:
            self._verified.add((path, part.digest))
        return local

    def forget(self, folder: str, manifest: Manifest) -> None:
        """Delete the local copies of a remote snapshot's parts and files, and what killed processes had of them."""
        if self.store.local is not None:
            return
        digests = {one.digest for one in manifest.entries}
        for digest in digests:
            self._local(folder, digest).unlink(missing_ok=True)
        for path in self._cache.glob(f"*{PARTIAL}"):
            if digest_of(path) in digests:
                path.unlink(missing_ok=True)

    def _local(self, path: str, part_digest: str) -> Path:
        if self.store.local is not None:
            return self.store.local / path
        return self._cache / f"{part_digest}.parquet"

    def _fetch(self, path: str, local: Path) -> None:
        missing = SnapshotError(
            "a part named by the manifest is missing",
            where=f"{self.store.url}/{path}",
            fix="restore the file from a backup, or materialize the asset anew with --fresh",
        )
        if self.store.local is not None:
            raise missing
        self._cache.mkdir(parents=True, exist_ok=True)
        aside = local.with_name(f"{local.name}.{uuid.uuid4().hex[:8]}{PARTIAL}")
        try:
            self.store.fetch(path, aside)
            aside.replace(local)
        except FileNotFoundError:
            raise missing from None
        finally:
            aside.unlink(missing_ok=True)


def copies_in(cache: Path) -> Iterator[Path]:
    """All local copies, also those that are on their way."""
    for pattern in ("*.parquet", f"*.parquet.*{PARTIAL}"):
        yield from sorted(cache.glob(pattern))


def digest_of(copy: Path) -> str:
    """Digest of what a local copy holds, or is to hold."""
    return copy.name.split(".", 1)[0]
