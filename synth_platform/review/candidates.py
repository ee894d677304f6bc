"""Pairs of rows whose MinHash sketches say that they may be near-duplicates.

Sorted columns instead of a hash table: some 50 bytes of memory per row, whatever the number of bands, and 8 to 24 per
pair.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.banding import band_shape
from synth_platform.errors import SynthError
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.review.minhash import estimated_similarity, method

_ROW = np.uint64(0xFFFFFFFF)
_ROW_LIMIT = np.uint64(1 << 32)
_MARGIN = 0.2
"""Estimates below the threshold by more than this are no candidates: 2.7 standard errors."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, sorted.

    Args:
        rows: number of the row within its version.
        others: number of an earlier row, of the same or an earlier version.
        estimates: of their similarity.
    """

    rows: np.ndarray
    others: np.ndarray
    estimates: np.ndarray


@dataclass(frozen=True)
class ExactDuplicates:
    """Rows with equal texts.

    Args:
        first: whether a row is the first with its text, per row.
        largest: rows with the commonest text; 0 if there are no rows.
    """

    first: np.ndarray
    largest: int


def exact_duplicates(table: pl.LazyFrame) -> ExactDuplicates:
    """Rows of a version that repeat the text of an earlier one."""
    digests = column(table, "text_digest")
    order = np.argsort(digests, kind="stable")
    starts = np.flatnonzero(np.concatenate([[True], np.diff(digests[order]) != 0])) if len(digests) else order
    first = np.zeros(len(digests), bool)
    first[order[starts]] = True
    return ExactDuplicates(first, int(np.diff(np.append(starts, len(digests))).max(initial=0)))


def exact_in_earlier(table: pl.LazyFrame, earlier: pl.LazyFrame) -> np.ndarray:
    """Whether each row's text is one of an earlier version."""
    known = np.sort(column(earlier, "text_digest"))
    digests = column(table, "text_digest")
    if not len(known):
        return np.zeros(len(digests), bool)
    return known[np.minimum(np.searchsorted(known, digests), len(known) - 1)] == digests


def pairs_inside(table: pl.LazyFrame, among: np.ndarray, spec: NearDuplicatesSpec) -> Pairs:
    """Candidates among the given rows of a version.

    In each band a row is paired with the first row that has its key and with the one before it, so that a group of g
    rows makes fewer than 2g pairs, not g².
    """
    bits = column(table, "bits")
    codes = np.empty(0, np.uint64)
    for name in _bands(spec):
        band = _sorted_band(table, name, among)
        again = np.flatnonzero((band[1:] ^ band[:-1]) < _ROW_LIMIT) + 1
        later, before = _row(band[again]), _row(band[again - 1])
        codes = _gather(codes, later, before, bits, bits, spec)
        # The first of a group is before the first of its rows that come again.
        opens = np.concatenate([[True], np.diff(again) > 1]) if len(again) else np.empty(0, bool)
        first = before[opens][np.cumsum(opens) - 1]
        codes = _gather(codes, later, first, bits, bits, spec)
    return _pairs(codes, bits, bits)


def pairs_with_earlier(
    table: pl.LazyFrame, earlier: pl.LazyFrame, among: np.ndarray, spec: NearDuplicatesSpec
) -> Pairs:
    """Candidates between the given rows of a version and the rows of an earlier one: the first in each band."""
    bits, old_bits = column(table, "bits"), column(earlier, "bits")
    codes = np.empty(0, np.uint64)
    for name in _bands(spec) if len(old_bits) else []:
        band, old = _sorted_band(table, name, among), _sorted_band(earlier, name)
        # Sorted needles: the search walks through memory instead of jumping about.
        places = np.minimum(np.searchsorted(old, band & ~_ROW), len(old) - 1)
        found = old[places]
        same = (found ^ band) < _ROW_LIMIT
        codes = _gather(codes, _row(band[same]), _row(found[same]), bits, old_bits, spec)
    return _pairs(codes, bits, old_bits)


def check_method(table: pl.LazyFrame, spec: NearDuplicatesSpec, where: str) -> None:
    """Make sure that a sketch can be compared.

    Raises:
        SynthError: it was made with other settings.
    """
    made = set(table.select(pl.col("method").unique()).collect()["method"])
    if made - {method(spec)}:
        raise SynthError(
            f"sketch was made as '{sorted(made)[0]}', not as '{method(spec)}'",
            where=where,
            fix="sketch that version anew, or compare with the settings that it was sketched with",
        )


def column(table: pl.LazyFrame, name: str) -> np.ndarray:
    """A whole column."""
    return table.select(name).collect(engine="streaming")[name].to_numpy()


def _sorted_band(table: pl.LazyFrame, name: str, among: np.ndarray | None = None) -> np.ndarray:
    """Keys of a band, each with the number of its row in its lower half, sorted."""
    band = column(table, name).astype(np.uint64)
    band <<= np.uint64(32)
    band |= np.arange(len(band), dtype=np.uint64)
    band = band if among is None else band[among]
    band.sort()
    return band


def _row(band: np.ndarray) -> np.ndarray:
    return (band & _ROW).astype(np.uint32)


def _bands(spec: NearDuplicatesSpec) -> list[str]:
    return [f"band_{band}" for band in range(band_shape(spec.threshold, spec.permutations)[0])]


def _gather(
    codes: np.ndarray,
    rows: np.ndarray,
    others: np.ndarray,
    bits: np.ndarray,
    other_bits: np.ndarray,
    spec: NearDuplicatesSpec,
) -> np.ndarray:
    """Add pairs that are similar enough by their estimate; a pair is one number."""
    similar = estimated_similarity(bits[rows], other_bits[others]) >= spec.threshold - _MARGIN
    fresh = (rows[similar].astype(np.uint64) << np.uint64(32)) | others[similar].astype(np.uint64)
    if not len(fresh):
        return codes
    # Sorted by hand: np.union1d takes fifty times as long on millions of numbers.
    both = np.concatenate([codes, fresh])
    both.sort()
    return both[np.concatenate([[True], both[1:] != both[:-1]])]


def _pairs(codes: np.ndarray, bits: np.ndarray, other_bits: np.ndarray) -> Pairs:
    rows = (codes >> np.uint64(32)).astype(np.int64)
    others = (codes & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return Pairs(rows, others, estimated_similarity(bits[rows], other_bits[others]))
