"""A labelled set of answers, good and bad, that row detectors are measured on. README.md says how it was made."""

from functools import cache

from synth_platform_tests.quality.labelled.damage import damaged_rows
from synth_platform_tests.quality.labelled.edits import wrong_rows
from synth_platform_tests.quality.labelled.form import broken_rows
from synth_platform_tests.quality.labelled.good import good_rows
from synth_platform_tests.quality.labelled.leftovers import leftover_rows
from synth_platform_tests.quality.labelled.loops import copied_rows, looping_rows, other_language_rows
from synth_platform_tests.quality.labelled.row import MAY_ACCOMPANY, REASONS, LabelledRow

__all__ = ["MAY_ACCOMPANY", "REASONS", "LabelledRow", "rows"]


def rows() -> list[LabelledRow]:
    """All rows, in the same order each time."""
    return list(_rows())


@cache
def _rows() -> tuple[LabelledRow, ...]:
    makers = (
        good_rows,
        wrong_rows,
        broken_rows,
        leftover_rows,
        damaged_rows,
        looping_rows,
        copied_rows,
        other_language_rows,
    )
    return tuple(row for maker in makers for row in maker())
