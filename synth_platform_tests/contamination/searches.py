"""Test items, an index and searches for the contamination tests."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from synth_platform.contamination.calibration import Calibration, calibrate
from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec, Method
from synth_platform.contamination.eval_index import EvalIndex, build_eval_index
from synth_platform.contamination.evals import frame_of
from synth_platform.contamination.scan import Scanner
from synth_platform.contamination.schema import CONTAMINATION


def items(*questions: str, keep: str = "text", name: str = "exam", **columns: object) -> pl.DataFrame:
    """Items of a test set; ``columns`` are the same for all."""
    rows = [{"id": f"q{number}", "question": text, **columns} for number, text in enumerate(questions)]
    return frame_of(BenchmarkSpec(name=name, path="x", keep=keep), rows)  # type: ignore[arg-type]


def index(*batches: pl.DataFrame, methods: Sequence[Method] = ("exact",)) -> EvalIndex:
    """An index of items."""
    return build_eval_index(batches, methods, tuned())


def tuned() -> Calibration:
    """The thresholds of the tests' encoder."""
    return calibrate("words", [1.0], [0.0], thresholds=(0.8, 0.9))


def encode(texts: Sequence[str]) -> np.ndarray:
    """An encoder of bags of words: good enough where the search around it is tested."""
    vectors = np.zeros((len(texts), 512), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().split():
            vectors[row, hash(word.strip(".,?!")) % 512] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def search(index: EvalIndex, *texts: str | None, methods: Sequence[Method] = ("exact",)) -> pl.DataFrame:
    """What is found in texts: rows r0, r1, ..."""
    rows = pl.DataFrame(
        {"row_id": [f"r{number}" for number in range(len(texts))], "text": list(texts)},
        schema_overrides={"text": pl.String},
    )
    found = Scanner(index, ContaminationSpec().exact, methods, encode).scan(rows)
    assert found.schema == CONTAMINATION
    assert found["row_id"].unique(maintain_order=True).to_list() == rows["row_id"].to_list()
    return found
