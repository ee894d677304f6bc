"""Framed records in append-only files: after any crash, what was appended whole is read back and the rest is not."""

import hashlib
import struct
from collections.abc import Iterator

_HEADER = struct.Struct("<4sI16s")
_MAGIC = b"SYN1"


def frame(payload: bytes) -> bytes:
    """A record as it stands in a log: magic, length, digest, payload."""
    return _HEADER.pack(_MAGIC, len(payload), _digest(payload)) + payload


def frames(data: bytes) -> Iterator[bytes]:
    """Payloads of the whole records at the start of a log.

    Reading ends at the first record that is cut short or does not match its digest: everything after a torn
    or flipped byte is as if it had never been written.
    """
    position = 0
    while position + _HEADER.size <= len(data):
        magic, length, expected = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size
        payload = data[start : start + length]
        if magic != _MAGIC or len(payload) < length or _digest(payload) != expected:
            return
        yield payload
        position = start + length


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()
