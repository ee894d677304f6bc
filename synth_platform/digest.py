"""The one hash of the project: short, stable digests of values, texts and files."""

import hashlib
import json
from collections.abc import Iterable
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from pydantic import BaseModel

_CHUNK_BYTES = 1 << 20


def digest(*values: Any) -> str:
    """Digest of JSON-able values (and pydantic models) as 32 hex characters, equal anywhere."""
    return digest_canonical(canonical(values))


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces."""
    return _CANONICAL.encode(value)


def canonical_text(text: str | None) -> str:
    """The same of a text or of nothing, where hundreds of thousands are written."""
    return "null" if text is None else encode_basestring(text)


def digest_canonical(text: str) -> str:
    """Digest of values whose canonical text, as that of a list, is known; equals ``digest`` of them."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_int(*values: Any) -> int:
    """The same digest as an unsigned 63-bit integer: a seed or sort key for integer columns."""
    return int(digest(*values)[:16], 16) >> 1


def digest_bytes(data: bytes) -> str:
    """Digest of a byte string, as 32 hex characters."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    """Digest of a file's content; equals ``digest_bytes`` of its bytes."""
    state = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_CHUNK_BYTES):
            state.update(block)
    return state.hexdigest()


def digest_blocks(blocks: Iterable[bytes]) -> str:
    """Digest of a file that comes in blocks; equals ``digest_bytes`` of all of them."""
    state = hashlib.blake2b(digest_size=16)
    for block in blocks:
        state.update(block)
    return state.hexdigest()


def digest_texts(*columns: Iterable[str]) -> list[str]:
    """Row-wise digests over parallel columns of strings; the fast path for row ids."""
    blake = hashlib.blake2b
    return [
        blake("\x1f".join(row).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        for row in zip(*columns, strict=True)
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot digest a {type(value).__name__}")


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
