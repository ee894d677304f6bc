"""The arithmetic of worked solutions."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from synth_platform.quality.arithmetic import check_arithmetic
from synth_platform.quality.detectors.rows import Rows

_METRICS = ("steps", "wrong_steps", "unexplained_numbers", "answer_reached")


def measure_computation(rows: Rows) -> Mapping[str, Any]:
    """``steps`` of a solution that were computed again, ``wrong_steps``, ``unexplained_numbers`` (operands that neither
    the problem nor an earlier step gives), and ``answer_reached``: whether the final answer is a result. Null for
    recipes that compute nothing."""
    if not rows.computes:
        return {name: pl.Series([None] * rows.height, dtype=pl.Int64()) for name in _METRICS}
    pairs = zip(rows.solutions, rows.judged_texts, strict=True)
    checks = [check_arithmetic(solution, problem) for solution, problem in pairs]
    return {
        "steps": [check.steps for check in checks],
        "wrong_steps": [len(check.wrong) for check in checks],
        "unexplained_numbers": [len(check.unexplained) for check in checks],
        "answer_reached": [check.final_consistent for check in checks],
    }
