"""MinHash sketches of the rows of a version: a table from which it and later versions find near-duplicates."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import polars as pl
from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue]

from synth_platform.banding import band_shape
from synth_platform.contamination.words import Words, mix, ngram_hashes
from synth_platform.review.blocks import Block, blocks
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.sources.dedup import hash_texts

_FORMAT = 1
"""Raised when words are split or hashed in another way: sketches of both kinds do not compare."""
_SEED = 42
_BITS = 64
"""Permutations of which one bit is kept."""


def method(spec: NearDuplicatesSpec) -> str:
    """What sketches must have in common to compare."""
    bands, rows = band_shape(spec.threshold, spec.permutations)
    return (
        f"minhash {_FORMAT}.{RMinHash.ALGORITHM_VERSION}: {spec.ngram}-grams, {bands} x {rows} of {spec.permutations}"
    )


def sketch_schema(spec: NearDuplicatesSpec) -> pl.Schema:
    """Columns of a version's sketch: one row per row of the version, in its order; 56 bytes and the id by default.

    ``text_digest`` tells exact duplicates. Rows that agree in a ``band_*`` may be near-duplicates. ``bits`` holds one
    bit of each of 64 MinHash values: the share that two rows have in common estimates their similarity to within 0.08
    (Li and König 2010).
    """
    bands, _ = band_shape(spec.threshold, spec.permutations)
    columns = {"id": pl.String(), "method": pl.String(), "text_digest": pl.UInt64(), "bits": pl.UInt64()}
    return pl.Schema(columns | {f"band_{band}": pl.UInt32() for band in range(bands)})


def sketch(frames: Iterable[pl.DataFrame], spec: NearDuplicatesSpec | None = None) -> Iterator[pl.DataFrame]:
    """Sketches of rows, as ``sketch_schema``."""
    for block in blocks(frames):
        yield sketch_block(block, spec or NearDuplicatesSpec())


def sketch_block(block: Block, spec: NearDuplicatesSpec) -> pl.DataFrame:
    """Sketches of the rows of a block, as ``sketch_schema``."""
    values, offsets = shingles(block.words, spec.ngram)
    bands, rows = band_shape(spec.threshold, spec.permutations)
    # A text without words is given one; all such texts are alike.
    values, offsets = _never_empty(values, offsets)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(values, offsets.astype(np.uint64), spec.permutations, _SEED)
    minima = np.array(matrix.to_rows(), dtype=np.uint32).reshape(block.frame.height, spec.permutations)
    keys = _band_keys(minima[:, : bands * rows].reshape(-1, bands, rows))
    bits = (minima[:, :_BITS] & np.uint32(1)).astype(np.uint64) << np.arange(_BITS, dtype=np.uint64)
    columns = {
        "id": block.frame["id"],
        "method": pl.repeat(method(spec), block.frame.height, dtype=pl.String(), eager=True),
        "text_digest": hash_texts(block.frame["text"].to_list()),
        "bits": np.bitwise_or.reduce(bits, axis=1),
    }
    columns |= {f"band_{band}": keys[:, band] for band in range(bands)}
    return pl.DataFrame(columns, schema=sketch_schema(spec))


def shingles(words: Words, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the word n-grams of each text; of its words, if it has fewer than n.

    Returns:
        All hashes, and where those of each text begin, with the end of the last.
    """
    bounds, count = words.bounds, len(words.hashes)
    values = words.hashes.copy()
    long = np.diff(bounds) >= n
    kept = np.repeat(~long, np.diff(bounds))
    if n > 1 and count >= n:
        # The n-gram at word i takes the place of the word where all of it lies in one text.
        inside = words.text[: count - n + 1] == words.text[n - 1 :]
        grams = ngram_hashes(words.hashes, *range(1, n))
        values[: len(grams)][inside] = grams[inside]
        kept[: len(grams)] |= inside
    elif n == 1:
        kept[:] = True
    offsets = np.concatenate([[0], np.cumsum(kept)])[bounds]
    return values[kept], offsets


def shingle_sets(words: Words, n: int) -> list[np.ndarray]:
    """The different n-grams of each text, sorted."""
    values, offsets = shingles(words, n)
    return [np.unique(values[start:end]) for start, end in pairwise(offsets)]


def jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Similarity of two sets; of two empty ones it is 1."""
    if not len(one) and not len(other):
        return 1.0
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)


def estimated_similarity(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Jaccard similarity as ``bits`` tell it."""
    return 1 - 2 * np.bitwise_count(one ^ other) / _BITS


def _never_empty(values: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    empty = np.flatnonzero(np.diff(offsets) == 0)
    values = np.insert(values, offsets[empty], np.uint64(1))
    return values, offsets + np.searchsorted(empty, np.arange(len(offsets)))


def _band_keys(parts: np.ndarray) -> np.ndarray:
    """uint32 per text and band."""
    keys = np.broadcast_to(np.arange(1, parts.shape[1] + 1, dtype=np.uint64), parts.shape[:2]).copy()
    for column in range(parts.shape[2]):
        keys = mix(keys ^ parts[:, :, column].astype(np.uint64))
    return (keys >> np.uint64(32)).astype(np.uint32)
