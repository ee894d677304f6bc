"""Find the files that a path names, locally, on S3 or on the Hugging Face hub, and open them."""

import contextlib
import glob
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError as ObjectStoreError
from obstore.exceptions import GenericError
from obstore.store import S3Store

from synth_platform.digest import digest
from synth_platform.errors import SourceError
from synth_platform.file_digests import DigestFile
from synth_platform.snapshots.store import open_objects

_HUB = "hf://datasets/"
_READ_BYTES = 4 << 20
_WILDCARD = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Args:
        name: how messages and locations call it; the same on every machine where the path is relative.
        open: a fresh binary stream from the beginning; seekable.
        version: what changes when the content does, by the digest of the file where nothing else tells.
        stamp: what changes at least when the content does, without reading it: for those who look often.
    """

    name: str
    open: Callable[[], BinaryIO]
    version: Callable[[DigestFile], str]
    stamp: Callable[[], str]


def find_files(paths: Sequence[str], base: Path, suffixes: Sequence[str]) -> list[SourceFile]:
    """All files that some paths name, by name, each once.

    Args:
        paths: files, folders or globs; local, ``s3://`` or ``hf://datasets/``.
        base: folder that relative paths start from.
        suffixes: names that count inside a folder.

    Raises:
        SourceError: a path names nothing, or its store cannot be reached.
    """
    found: dict[str, SourceFile] = {}
    for path in paths:
        matches = _find(path, base, suffixes)
        if not matches:
            raise SourceError(
                "no file matches" if _WILDCARD.search(path) else "no such file, or a folder without data files",
                where=path,
                fix=f"check the path; relative paths start from {base}" if "://" not in path else "check the path",
            )
        found |= {file.name: file for file in matches}
    return [found[name] for name in sorted(found)]


def _find(path: str, base: Path, suffixes: Sequence[str]) -> list[SourceFile]:
    if path.startswith("s3://"):
        return _find_on_s3(path, suffixes)
    if path.startswith("hf://"):
        return _find_on_hub(path, suffixes)
    if "://" in path and not path.startswith("file://"):
        raise SourceError(
            "unknown kind of address", where=path, fix="use a local path, s3://bucket/... or hf://datasets/..."
        )
    return _find_locally(path.removeprefix("file://"), base, suffixes)


def _find_locally(path: str, base: Path, suffixes: Sequence[str]) -> list[SourceFile]:
    whole = base / Path(path).expanduser()
    if whole.is_dir():
        files = [file for file in whole.rglob("*") if _counts(file.relative_to(whole), suffixes)]
    elif whole.exists():
        files = [whole]
    else:
        pattern = str(Path(path).expanduser())
        matches = glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 (pathlib has no absolute globs)
        files = [base / match for match in matches]
    return [_local_file(file, base) for file in files if file.is_file()]


def _counts(relative: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file inside a folder is data: not hidden, and of a known kind."""
    hidden = any(part.startswith((".", "_")) for part in relative.parts)
    return not hidden and relative.name.lower().endswith(tuple(suffixes))


def _local_file(path: Path, base: Path) -> SourceFile:
    path = Path(os.path.normpath(path))
    name = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
    return SourceFile(name, lambda: path.open("rb"), lambda digest_file: digest_file(path), lambda: _stamp(path))


def _stamp(path: Path) -> str:
    found = path.stat()
    return digest(found.st_size, found.st_mtime_ns, found.st_ino)


def _find_on_s3(path: str, suffixes: Sequence[str]) -> list[SourceFile]:
    address = urlsplit(path, allow_fragments=False)
    key = path.removeprefix(f"s3://{address.netloc}").lstrip("/")
    with reading(path):
        store = open_objects(f"s3://{address.netloc}")
        literal = _WILDCARD.split(key, maxsplit=1)[0]
        # Whole names only: the store lists by folder, so the prefix ends where the first wildcard's folder does.
        prefix = literal.rsplit("/", 1)[0] if _WILDCARD.search(key) else key.rstrip("/")
        entries = _list_s3(store, prefix)
    keys = {entry["path"]: entry for entry in entries}
    chosen = [key] if key in keys else [name for name in keys if _matches(name, key, suffixes)]
    return [_s3_file(store, address.netloc, keys[name]) for name in chosen]


def _list_s3(store: S3Store, prefix: str) -> list[Any]:
    listed = [entry for batch in obstore.list(store, prefix=prefix or None) for entry in batch]
    if not listed and prefix:
        with contextlib.suppress(FileNotFoundError):
            listed = [obstore.head(store, prefix)]
    return listed


def _s3_file(store: S3Store, bucket: str, entry: Any) -> SourceFile:
    key = entry["path"]
    version = digest(key, entry.get("e_tag"), entry.get("size"), entry.get("version"))
    return SourceFile(
        f"s3://{bucket}/{key}",
        lambda: io.BufferedReader(_ObjectReader(store, key), _READ_BYTES),
        lambda _: version,
        lambda: version,
    )


def _matches(name: str, pattern: str, suffixes: Sequence[str]) -> bool:
    if _WILDCARD.search(pattern):
        return bool(_glob_regex(pattern).fullmatch(name))
    folder = pattern.rstrip("/") + "/" if pattern else ""
    return name.startswith(folder) and _counts(Path(name.removeprefix(folder)), suffixes)


def _glob_regex(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a folder, ``**`` crosses folders, ``[...]`` is a choice of characters."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    kinds = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    translated = (
        kinds.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part)) for part in parts
    )
    return re.compile("".join(translated), re.DOTALL)


class _ObjectReader(io.RawIOBase):
    """A file in an object store as a seekable stream of range requests."""

    def __init__(self, store: S3Store, key: str) -> None:
        super().__init__()
        self._reader = obstore.open_reader(store, key, buffer_size=_READ_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = bytes(self._reader.read(len(buffer)))
        except OSError as error:  # without a number, as libraries report files that are damaged
            raise GenericError(str(error)) from error
        buffer[: len(block)] = block
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()


def _find_on_hub(path: str, suffixes: Sequence[str]) -> list[SourceFile]:
    if not path.startswith(_HUB):
        raise SourceError("not a dataset on the hub", where=path, fix=f"use {_HUB}owner/name/path")
    # Imported late: slow to import, and only needed here.
    from huggingface_hub import HfFileSystem

    with reading(path):
        hub = HfFileSystem(endpoint=os.environ.get("HF_ENDPOINT"), skip_instance_cache=True)
        inner = path.removeprefix("hf://").rstrip("/")
        if _WILDCARD.search(inner):
            entries: Any = hub.glob(inner, detail=True)
        elif hub.isdir(inner):
            entries = hub.find(inner, detail=True)
            entries = {
                name: info
                for name, info in entries.items()
                if _counts(Path(name.removeprefix(inner).lstrip("/")), suffixes)
            }
        else:
            entries = {inner: hub.info(inner)}
    return [_hub_file(hub, name, info) for name, info in entries.items() if info["type"] == "file"]


def _hub_file(hub: Any, name: str, info: dict[str, Any]) -> SourceFile:
    lfs = info.get("lfs")
    version = digest(name, info.get("size"), info.get("blob_id"), getattr(lfs, "sha256", None))
    return SourceFile(
        f"hf://{name}", lambda: hub.open(name, "rb", block_size=_READ_BYTES), lambda _: version, lambda: version
    )


@contextlib.contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn what stores and networks raise into one clear error.

    Raises:
        SourceError: the file is missing, may not be read, or its store is out of reach.
    """
    import httpx2  # what the hub's library speaks HTTP with
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except FileNotFoundError as error:
        raise SourceError("no such file", where=where, fix="check the path") from error
    except (HfHubHTTPError, HFValidationError) as error:
        raise SourceError(
            f"the hub refused: {_first_line(error)}",
            where=where,
            fix="check the dataset's name and revision, HF_TOKEN for gated ones, and HF_ENDPOINT",
        ) from error
    except ObjectStoreError as error:
        raise SourceError(
            f"the object store refused: {_first_line(error)}",
            where=where,
            fix="check bucket, credentials, region and AWS_ENDPOINT_URL",
        ) from error
    except PermissionError as error:
        raise SourceError("the file may not be read", where=where, fix="check its permissions") from error
    except (OSError, httpx2.HTTPError) as error:
        raise SourceError(
            f"reading failed: {_first_line(error)}", where=where, fix="check the disk or the network, then retry"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
