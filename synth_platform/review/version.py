"""Everything that is measured of a version, in one pass over its rows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl

from synth_platform.encoder import Encode
from synth_platform.review.blocks import blocks
from synth_platform.review.config import ReviewSpec
from synth_platform.review.diversity import DiversityResult, diversity_of
from synth_platform.review.drift_sketch import DriftSketch
from synth_platform.review.minhash import sketch_block
from synth_platform.review.samples import RowSample
from synth_platform.review.template_collapse import Openings, OpeningsResult


@dataclass(frozen=True)
class VersionMeasures:
    """What one pass tells of a version; duplicates and drift take a second look, at its sketches.

    Args:
        diversity: of samples.
        openings: of all rows.
        drift: sketch to compare with that of another version (``drift.compare``).
    """

    diversity: DiversityResult
    openings: OpeningsResult
    drift: DriftSketch


class VersionReview:
    """Measures a version as its rows go by.

    Args:
        spec: settings.
        encode: sentence encoder for diversity; None takes TF-IDF.
    """

    def __init__(self, spec: ReviewSpec | None = None, encode: Encode | None = None) -> None:
        self._spec, self._encode = spec or ReviewSpec(), encode
        self._openings = Openings(self._spec.openings, self._spec.seed)
        self._drift = DriftSketch()
        self._sample = RowSample(self._spec.diversity.rows, self._spec.seed)

    def sketch(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Measure rows; yields the MinHash sketch to store, block by block, as ``minhash.sketch_schema``."""
        for block in blocks(frames):
            self._openings.add(block)
            self._drift.add(block)
            self._sample.add(block)
            yield sketch_block(block, self._spec.near_duplicates)

    def merge(self, other: "VersionReview") -> None:
        """Take in what another worker measured of other rows, with the same settings."""
        self._openings.merge(other._openings)
        self._drift.merge(other._drift)
        self._sample.merge(other._sample)

    def result(self) -> VersionMeasures:
        """Measures of all rows so far."""
        diversity = diversity_of(self._sample, self._spec.diversity, self._encode)
        return VersionMeasures(diversity, self._openings.result(), self._drift)
