"""One pass measures what the single modules measure, and parts of a version merge."""

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from synth_platform.errors import SynthError
from synth_platform.review.config import DiversitySpec, ReviewSpec
from synth_platform.review.drift import compare
from synth_platform.review.drift_sketch import sketch_drift
from synth_platform.review.minhash import sketch
from synth_platform.review.near_duplicates import find_near_duplicates
from synth_platform.review.version import VersionReview
from synth_platform_tests.review.rows import frame, measure_diversity, measure_openings, prose

SPEC = ReviewSpec(diversity=DiversitySpec(rows=100, block_words=1000))
ROWS = frame(prose(800), ["faq" if n % 2 else "math" for n in range(800)])


def test_one_pass_measures_what_the_modules_do() -> None:
    review = VersionReview(SPEC)
    parts = pl.concat(review.sketch(ROWS.iter_slices(111)))
    measured = review.result()
    assert measured.openings == measure_openings([ROWS])
    assert measured.diversity == measure_diversity([ROWS], SPEC.diversity)
    assert_frame_equal(measured.drift.table(), sketch_drift([ROWS]).table())
    assert_frame_equal(parts, pl.concat(sketch([ROWS])))


def test_workers_merge_to_the_whole() -> None:
    whole = VersionReview(SPEC)
    list(whole.sketch([ROWS]))
    first, second = VersionReview(SPEC), VersionReview(SPEC)
    list(first.sketch([ROWS.head(300)]))
    list(second.sketch([ROWS.tail(500)]))
    second.merge(first)
    assert second.result().openings == whole.result().openings
    assert second.result().diversity == whole.result().diversity
    assert_frame_equal(second.result().drift.table(), whole.result().drift.table())


def test_results_draw_themselves() -> None:
    review = VersionReview(SPEC)
    table = pl.concat(review.sketch([ROWS])).lazy()
    measured = review.result()
    results = [
        measured.openings,
        measured.diversity,
        compare(measured.drift, measured.drift),
        find_near_duplicates(table, lambda: [ROWS]),
    ]
    images = [image for result in results for image in result.plots().values()]
    assert len(images) >= 8
    assert all(image.startswith(("![", "*")) for image in images) and any("base64" in image for image in images)


def test_rows_without_a_column_are_refused() -> None:
    with pytest.raises(SynthError, match="no column 'document_id'"):
        list(VersionReview().sketch([ROWS.drop("document_id")]))


def test_originals_have_no_recipe_and_no_document() -> None:
    rows = frame(prose(50)).with_columns(
        recipe=pl.lit(None, pl.String()), document_id=pl.lit(None, pl.String()), source=pl.lit(None, pl.String())
    )
    review = VersionReview(SPEC)
    list(review.sketch([rows]))
    assert list(review.result().openings.openings) == ["original"]
