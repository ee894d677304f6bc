"""All that is needed to look for a set of test items: their parts, their programs and their segments with vectors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.contamination.calibration import Calibration
from synth_platform.contamination.code import build_code_parts
from synth_platform.contamination.config import Method
from synth_platform.contamination.schema import EVAL_ITEMS, INDEX_CALIBRATION, INDEX_PARTS, INDEX_SEGMENTS
from synth_platform.contamination.segments import build_segments
from synth_platform.contamination.word_index import build_parts
from synth_platform.encoder import Encode
from synth_platform.progress import track

_ENCODED_AT_ONCE = 512

INDEX_TABLES: Mapping[str, pl.Schema] = {
    "parts": INDEX_PARTS,
    "programs": INDEX_PARTS,
    "segments": INDEX_SEGMENTS,
    "calibration": INDEX_CALIBRATION,
}


@dataclass(frozen=True)
class EvalIndex:
    """Test items, ready to be looked for.

    Args:
        parts: `INDEX_PARTS` of all items.
        programs: `INDEX_PARTS` of items whose answer is a program; empty unless code is looked for.
        segments: `INDEX_SEGMENTS`; empty unless rewordings are looked for.
        calibration: thresholds for rewordings; None unless they are looked for.
    """

    parts: pl.DataFrame
    programs: pl.DataFrame
    segments: pl.DataFrame
    calibration: Calibration | None

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables that the index can be made from again."""
        stored = [] if self.calibration is None else [{"calibration": self.calibration.model_dump_json()}]
        return {
            "parts": self.parts,
            "programs": self.programs,
            "segments": self.segments,
            "calibration": pl.DataFrame(stored, schema=INDEX_CALIBRATION),
        }

    @classmethod
    def from_tables(cls, tables: Mapping[str, pl.DataFrame]) -> "EvalIndex":
        """The index that `tables` were written from."""
        stored = tables["calibration"]["calibration"].to_list()
        calibration = Calibration.model_validate_json(stored[0]) if stored else None
        return cls(tables["parts"], tables["programs"], tables["segments"], calibration)


def build_eval_index(
    batches: Iterable[pl.DataFrame],
    methods: Sequence[Method],
    calibration: Calibration | None = None,
    encode: Encode | None = None,
) -> EvalIndex:
    """Index the items of all test sets.

    Args:
        batches: `EVAL_ITEMS`.
        methods: how they will be looked for.
        calibration: thresholds; needed for rewordings.
        encode: encodes all segments now; None: a search encodes those that it needs.
    """
    items = pl.concat([pl.DataFrame(schema=EVAL_ITEMS), *batches])
    segments = pl.DataFrame(schema=INDEX_SEGMENTS)
    if "paraphrase" in methods:
        segments = build_segments(items)
        segments = segments if encode is None else _encoded(segments, encode)
    programs = build_code_parts(items) if "code" in methods else pl.DataFrame(schema=INDEX_PARTS)
    return EvalIndex(build_parts(items), programs, segments, calibration if "paraphrase" in methods else None)


def _encoded(segments: pl.DataFrame, encode: Encode) -> pl.DataFrame:
    vectors: list[list[float]] = []
    with track("encoding test items", segments.height) as task:
        for some in segments.iter_slices(_ENCODED_AT_ONCE):
            vectors.extend(encode(some["text"].to_list()).tolist())
            task.advance(some.height)
    return segments.with_columns(pl.Series("vector", vectors, dtype=pl.List(pl.Float32())))
