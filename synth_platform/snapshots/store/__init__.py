"""Where bytes live: a local folder or an S3 prefix behind one small interface."""

from pathlib import Path

from synth_platform.snapshots.store.base import AlreadyExists, Entry, Log, Store
from synth_platform.snapshots.store.local import LocalStore
from synth_platform.snapshots.store.s3 import S3Store, ensure_bucket, open_objects

__all__ = [
    "AlreadyExists",
    "Entry",
    "LocalStore",
    "Log",
    "S3Store",
    "Store",
    "ensure_bucket",
    "open_objects",
    "open_store",
]


def open_store(url: str) -> Store:
    """Open ``s3://bucket/prefix`` or a local folder (made when first written)."""
    return S3Store(url) if url.startswith("s3://") else LocalStore(Path(url))
