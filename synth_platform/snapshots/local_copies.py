"""Files of versions as local paths, fetched where they are remote, and checked against their manifest."""

import threading
import uuid
from pathlib import Path

from synth_platform.digest import digest_file
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.manifest import FileEntry, Manifest, PartEntry
from synth_platform.snapshots.store import Store


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
        """Delete the local copies of a remote snapshot's parts and files."""
        if self.store.local is None:
            for one in manifest.entries:
                self._local(f"{folder}/{one.path}", one.digest).unlink(missing_ok=True)

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
        aside = local.with_name(f"{local.name}.{uuid.uuid4().hex[:8]}.partial")
        try:
            self.store.fetch(path, aside)
            aside.replace(local)
        except FileNotFoundError:
            raise missing from None
        finally:
            aside.unlink(missing_ok=True)
