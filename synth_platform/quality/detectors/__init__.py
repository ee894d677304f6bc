"""Row detectors: each measures a block of generations, and gives one value per row and metric.

What is measured never depends on thresholds: `judge.py` compares the metrics with the spec's limits, so a changed limit
needs no new measurement.
"""

from collections.abc import Callable, Mapping
from typing import Any

from synth_platform.quality.detectors.computation import measure_computation
from synth_platform.quality.detectors.copying import measure_copying
from synth_platform.quality.detectors.faithfulness import measure_faithfulness
from synth_platform.quality.detectors.language import measure_language
from synth_platform.quality.detectors.leftovers import measure_leftovers
from synth_platform.quality.detectors.repetition import measure_repetition
from synth_platform.quality.detectors.rows import Rows
from synth_platform.quality.detectors.size import measure_size

__all__ = ["DETECTORS", "Rows"]

DETECTORS: tuple[Callable[[Rows], Mapping[str, Any]], ...] = (
    measure_size,
    measure_leftovers,
    measure_repetition,
    measure_copying,
    measure_language,
    measure_faithfulness,
    measure_computation,
)
"""Every detector that needs only the answer, its prompt and its source."""
