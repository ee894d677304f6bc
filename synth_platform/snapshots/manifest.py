"""The manifest: what a snapshot holds, what made it, and the digests that prove both."""

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from synth_platform.digest import digest, digest_bytes


def _stays_inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path.isprintable() or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"the path {path!r} leads out of the snapshot's folder")
    return path


InsidePath = Annotated[str, AfterValidator(_stays_inside)]
"""A path relative to the snapshot's folder."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartEntry(_Record):
    """One Parquet file of a table; the path is relative to the snapshot's folder."""

    path: InsidePath
    rows: int
    bytes: int
    digest: str


class TableEntry(_Record):
    """One table: its columns with Polars dtypes, and its parts in row order."""

    columns: dict[str, str]
    parts: list[PartEntry]

    @property
    def rows(self) -> int:
        """Rows over all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes over all parts."""
        return sum(part.bytes for part in self.parts)


class FileEntry(_Record):
    """A file beside the tables, such as a dataset card."""

    path: InsidePath
    bytes: int
    digest: str


class InputRef(_Record):
    """A snapshot that this one was made from."""

    asset: str
    partition: str | None
    snapshot_id: str
    digest: str

    def __hash__(self) -> int:
        return hash((self.asset, self.partition, self.snapshot_id, self.digest))


class Manifest(_Record):
    """Everything about one snapshot; written last and create-only, so its presence is the commit."""

    format: Literal[1] = 1
    asset: str
    partition: str | None
    snapshot_id: str
    fingerprint: str
    """Digest of all that determined the content: settings, code version, inputs."""
    code_version: str
    settings: dict[str, Any]
    inputs: list[InputRef]
    tables: dict[str, TableEntry]
    files: list[FileEntry] = Field(default_factory=list)
    counts: dict[str, int] = Field(default_factory=dict)
    details: dict[str, Any] = Field(default_factory=dict)
    digest: str
    writer: str
    run_id: str
    started_at: datetime
    committed_at: datetime

    @property
    def rows(self) -> int:
        """Rows of the main (first) table."""
        return next(iter(self.tables.values())).rows if self.tables else 0

    @property
    def entries(self) -> list[PartEntry | FileEntry]:
        """Every file that the version has beside this one: the tables' parts, and what lies beside them."""
        return [*(part for table in self.tables.values() for part in table.parts), *self.files]

    @property
    def bytes(self) -> int:
        """Bytes of all of them."""
        return sum(entry.bytes for entry in self.entries)


class Removal(_Record):
    """What is left of a version whose files were removed; it takes the place of the manifest."""

    format: Literal[1] = 1
    at: datetime
    why: Literal["taken_down", "collected"]
    takedown: str = ""
    """Id of the takedown, if it was one."""
    manifest: Manifest

    def describe(self) -> str:
        """Since when and why, in a few words."""
        by = f" by the takedown {self.takedown}" if self.takedown else ""
        return (
            f"was {'taken down' if self.why == 'taken_down' else 'removed by the retention'} on {self.at:%Y-%m-%d}{by}"
        )


class RefRecord(_Record):
    """One entry of an asset's history: from then on, this snapshot is the current one."""

    sequence: int
    snapshot_id: str
    digest: str
    run_id: str
    at: datetime


def content_digest(tables: dict[str, TableEntry], files: list[FileEntry]) -> str:
    """Digest over what the parts hold, whoever wrote them and under whatever file names."""
    parts = {name: [(part.rows, part.digest) for part in table.parts] for name, table in tables.items()}
    return digest(parts, sorted((file.path, file.digest) for file in files))


def file_entry(path: str, data: bytes) -> FileEntry:
    """Manifest entry of a file beside the tables."""
    return FileEntry(path=path, bytes=len(data), digest=digest_bytes(data))
