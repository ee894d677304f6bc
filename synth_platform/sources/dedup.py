"""Find exact and near duplicates of earlier rows, with a small, known amount of memory per row."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]

from synth_platform.banding import band_shape
from synth_platform.digest import digest_texts
from synth_platform.sources.config import NearDedupSpec

_WORDS = re.compile(r"\w+")
_MOST_CANDIDATES = 64
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def hash_texts(texts: Sequence[str]) -> np.ndarray:
    """64-bit hashes of texts: the first half of their digests."""
    return np.array([int(digest[:16], 16) for digest in digest_texts(texts)], dtype=np.uint64)


class HashMap:
    """Numbers by hash, in sorted arrays that are merged as they grow: 12 bytes per entry."""

    def __init__(self) -> None:
        self._levels: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, hashes: np.ndarray, numbers: np.ndarray) -> None:
        """Add entries; a hash may have several numbers."""
        if not len(hashes):
            return
        self._levels.append(_sorted(hashes, numbers.astype(np.uint32)))
        while len(self._levels) > 1 and len(self._levels[-2][0]) <= 2 * len(self._levels[-1][0]):
            late, early = self._levels.pop(), self._levels.pop()
            self._levels.append(_sorted(*(np.concatenate(pair) for pair in zip(early, late, strict=True))))

    def contains(self, hashes: np.ndarray) -> np.ndarray:
        """Whether each hash is there."""
        found = np.zeros(len(hashes), dtype=bool)
        for keys, _ in self._levels:
            places = np.minimum(np.searchsorted(keys, hashes), len(keys) - 1)
            found |= keys[places] == hashes
        return found

    def lookup(self, hashes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Place of a hash among the given ones, and the numbers found for it, where there are any."""
        for keys, numbers in self._levels:
            starts, stops = (np.searchsorted(keys, hashes, side) for side in ("left", "right"))
            for place in np.flatnonzero(stops > starts):
                yield int(place), numbers[starts[place] : stops[place]]


def _sorted(hashes: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(hashes, kind="stable")
    return hashes[order], numbers[order]


class KeptIds:
    """Ids by their number, in scratch files: no memory per id.

    Args:
        scratch: path that the names of the files begin with.
    """

    def __init__(self, scratch: Path) -> None:
        self._paths = [scratch.with_name(f"{scratch.name}.{part}") for part in ("ids", "ends")]
        self._ids, self._ends = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for path in self._paths)
        os.pwrite(self._ends, np.zeros(1, dtype=np.int64).tobytes(), 0)
        self._count = self._bytes = 0

    def close(self) -> None:
        """Remove the scratch files."""
        for file, path in zip((self._ids, self._ends), self._paths, strict=True):
            os.close(file)
            path.unlink(missing_ok=True)

    def add(self, ids: Sequence[str]) -> np.ndarray:
        """Numbers of new ids."""
        encoded = [one.encode() for one in ids]
        ends = self._bytes + np.cumsum([len(one) for one in encoded], dtype=np.int64)
        os.pwrite(self._ids, b"".join(encoded), self._bytes)
        os.pwrite(self._ends, ends.tobytes(), (self._count + 1) * ends.itemsize)
        numbers = np.arange(self._count, self._count + len(encoded))
        self._count, self._bytes = self._count + len(encoded), int(ends[-1]) if len(ends) else self._bytes
        return numbers

    def get(self, number: int) -> str:
        """The id of a number."""
        start, end = np.frombuffer(os.pread(self._ends, 16, number * 8), dtype=np.int64).tolist()
        return os.pread(self._ids, end - start, start).decode()


class ExactDuplicates:
    """Tells which earlier row has the same text; 12 bytes of memory per different text.

    Args:
        scratch: path that the names of scratch files begin with.
    """

    def __init__(self, scratch: Path) -> None:
        self._seen, self._kept = HashMap(), KeptIds(scratch)

    def close(self) -> None:
        """Remove the scratch files."""
        self._kept.close()

    def check(self, texts: Sequence[str], ids: Sequence[str]) -> list[str | None]:
        """Id of the first row with the same text, of this or an earlier call; None for that row itself."""
        hashes = hash_texts(texts)
        _, firsts, which = np.unique(hashes, return_index=True, return_inverse=True)
        numbers = np.full(len(firsts), -1)
        for place, found in self._seen.lookup(hashes[firsts]):
            numbers[place] = found[0]
        fresh = np.flatnonzero(numbers < 0)
        kept: list[int] = firsts[fresh].tolist()
        numbers[fresh] = self._kept.add([ids[row] for row in kept])
        self._seen.add(hashes[kept], numbers[fresh])
        own = set(kept)
        return [None if row in own else self._kept.get(int(numbers[group])) for row, group in enumerate(which)]


class NearDuplicates:
    """Tells which text that was kept before is the most similar one, and how similar it is.

    MinHash sketches are compared where they agree in a band. The sketches lie in a scratch file; memory is
    12 bytes per band (18 bands by default) and kept document.
    """

    def __init__(self, spec: NearDedupSpec, scratch: Path) -> None:
        self._spec = spec
        self._bands, self._rows = band_shape(spec.threshold, spec.permutations)
        self._index = HashMap()
        self._kept = KeptIds(scratch)
        self._path = scratch
        self._file = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def close(self) -> None:
        """Remove the scratch files."""
        self._kept.close()
        os.close(self._file)
        self._path.unlink(missing_ok=True)

    def check(self, texts: Sequence[str], ids: Sequence[str]) -> list[tuple[float, str] | None]:
        """Similarity of each near duplicate, and the id of what it resembles; None for a text that is kept."""
        if not texts:
            return []
        sketches = self._sketch(texts)
        keys = self._keys(sketches)
        earlier: list[set[int]] = [set() for _ in texts]
        for place, numbers in self._index.lookup(keys.ravel()):
            earlier[place // self._bands].update(numbers[:_MOST_CANDIDATES].tolist())
        here: dict[int, list[int]] = {}
        result: list[tuple[float, str] | None] = []
        kept: list[tuple[int, int]] = []
        for row, sketch in enumerate(sketches):
            row_keys = keys[row].tolist()
            candidates = earlier[row].union(*(here.get(key, ()) for key in row_keys))
            nearest = max(((self._similarity(sketch, number), -number) for number in candidates), default=(0.0, 0))
            is_near = nearest[0] >= self._spec.threshold
            result.append((nearest[0], self._kept.get(-nearest[1])) if is_near else None)
            if not is_near:
                kept.append((row, self._keep(sketch, ids[row])))
                for key in row_keys:
                    here.setdefault(key, []).append(kept[-1][1])
        rows, numbers = (np.array(column, dtype=np.int64) for column in zip(*kept, strict=True)) if kept else ([], [])
        self._index.add(keys[rows].ravel() if kept else np.array([]), np.repeat(numbers, self._bands))
        return result

    def _sketch(self, texts: Sequence[str]) -> np.ndarray:
        tokens = (_shingles(text, self._spec.ngram) for text in texts)
        return np.array(RMinHash.digests_from_token_sets(tokens, self._spec.permutations, 42), dtype=np.uint32)

    def _keys(self, sketches: np.ndarray) -> np.ndarray:
        """One 64-bit key per text and band."""
        parts = sketches[:, : self._bands * self._rows].reshape(len(sketches), self._bands, self._rows)
        keys = np.broadcast_to(np.arange(self._bands, dtype=np.uint64), parts.shape[:2]).copy()
        with np.errstate(over="ignore"):
            for column in range(self._rows):
                keys = (keys ^ parts[:, :, column].astype(np.uint64)) * _MULTIPLIER
                keys ^= keys >> np.uint64(29)
        return keys

    def _keep(self, sketch: np.ndarray, row_id: str) -> int:
        number = int(self._kept.add([row_id])[0])
        os.pwrite(self._file, sketch.tobytes(), number * sketch.nbytes)
        return number

    def _similarity(self, sketch: np.ndarray, number: int) -> float:
        other = np.frombuffer(os.pread(self._file, sketch.nbytes, number * sketch.nbytes), dtype=np.uint32)
        return float(np.mean(sketch == other))


def _shingles(text: str, n: int) -> Iterator[str]:
    words = _WORDS.findall(text.lower())
    if len(words) <= n:
        yield " ".join(words) or text
        return
    for start in range(len(words) - n + 1):
        yield " ".join(words[start : start + n])
