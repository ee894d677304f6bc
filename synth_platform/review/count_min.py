"""Counts of many different things in a fixed amount of memory."""

import numpy as np

from synth_platform.review.blocks import mix

_DEPTH = 4
_WIDTH_BITS = 19


class CountMin:
    """Count-min sketch (Cormode and Muthukrishnan 2005) in 16 MB: estimates are never too small.

    With 95% confidence they are too large by less than 0.001% of all that was counted. Sums of sketches are sketches
    of sums, exactly, so neither order nor batches matter.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((_DEPTH, 1 << _WIDTH_BITS), np.int64)

    def add(self, keys: np.ndarray) -> None:
        """Count uint64 keys."""
        for row, places in zip(self._counts, self._places(keys), strict=True):
            np.add.at(row, places, 1)

    def merge(self, other: "CountMin") -> None:
        """Add what another sketch has counted."""
        self._counts += other._counts

    def estimate(self, keys: np.ndarray) -> np.ndarray:
        """How often each key was counted, or slightly more."""
        found = [row[places] for row, places in zip(self._counts, self._places(keys), strict=True)]
        return np.min(found, axis=0)

    def _places(self, keys: np.ndarray) -> list[np.ndarray]:
        """Place of each key in each row: two mixed hashes have bits for two places each."""
        mask = np.uint64((1 << _WIDTH_BITS) - 1)
        one = mix(keys)
        other = mix(one ^ np.uint64(0xA5A5A5A55A5A5A5A))
        parts = (one, one >> np.uint64(32), other, other >> np.uint64(32))
        return [(part & mask).astype(np.int64) for part in parts]
