"""The interface of all stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class AlreadyExists(Exception):
    """A create-only write found the path taken."""


@dataclass(frozen=True, slots=True)
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
