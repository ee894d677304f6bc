"""Counts as a frame, so that those of a source are stored once and read whenever a version is compared with it."""

import numpy as np
import polars as pl

from synth_platform.bias.counts import AXES, BiasCounts, axis_names, no_counts
from synth_platform.bias.lexicon import Lexicon, load_lexicon
from synth_platform.errors import SynthError

COUNTS = pl.Schema(
    {"lexicon": pl.String(), "measure": pl.String(), "first": pl.String(), "second": pl.String(), "count": pl.Int64()}
)
"""Digest of the word lists; a name of ``counts.AXES``; the names along its axes, empty where it has none; documents
or words. Counts of 0 have no row, but for ``documents``."""


def to_frame(counts: BiasCounts, lexicon: Lexicon | None = None) -> pl.DataFrame:
    """Counts as rows."""
    names = axis_names(lexicon or load_lexicon())
    rows = []
    for measure, axes in AXES.items():
        values = counts.values[measure]
        for place in zip(*np.nonzero(np.atleast_1d(values)), strict=True) if measure != "documents" else [()]:
            along = [names[axis][at] for axis, at in zip(axes, place, strict=False)]
            rows.append((counts.lexicon, measure, *along, *[""] * (2 - len(along)), int(values[place[: len(axes)]])))
    return pl.DataFrame(rows, schema=COUNTS, orient="row")


def from_frame(frame: pl.DataFrame, lexicon: Lexicon | None = None) -> BiasCounts:
    """Counts from their rows; rows of several parts are added up.

    Raises:
        SynthError: they are of other word lists.
    """
    lexicon = lexicon or load_lexicon()
    other = set(frame["lexicon"].unique()) - {lexicon.digest}
    if other:
        raise SynthError(
            "the stored counts are of other word lists", where=", ".join(sorted(other)), fix="count the texts again"
        )
    counts = no_counts(lexicon)
    places = {axis: {name: at for at, name in enumerate(listed)} for axis, listed in axis_names(lexicon).items()}
    for _, measure, first, second, count in frame.iter_rows():
        place = tuple(places[axis][name] for axis, name in zip(AXES[measure], (first, second), strict=False))
        counts.values[measure][place] += count
    return counts
