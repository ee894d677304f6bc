"""The search that a dataset's spec asks for: what determines it, its index, its scanner."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.contamination.calibration import load_calibration
from synth_platform.contamination.config import ContaminationSpec
from synth_platform.contamination.eval_index import INDEX_TABLES, EvalIndex, build_eval_index
from synth_platform.contamination.scan import Scanner
from synth_platform.encoder import Encoder, EncoderFiles, find_encoder
from synth_platform.snapshots import Snapshot
from synth_platform.workspace import Workspace


def search_settings(contamination: ContaminationSpec, workspace: Workspace, base: Path) -> dict[str, Any]:
    """What of the spec determines what is found, and the encoder's weights."""
    settings: dict[str, Any] = {"contamination": contamination.model_dump(mode="json", exclude={"rescan"})}
    if "paraphrase" in contamination.methods:
        spec = contamination.paraphrase
        measured = load_calibration(spec.calibration, spec.encoder, base)
        settings |= {
            "encoder": find_encoder(spec.encoder, workspace.encoders).digest,
            "thresholds": [measured.suspect.threshold, measured.contaminated.threshold],
        }
    return settings


def build_index(
    contamination: ContaminationSpec,
    items: Iterable[pl.DataFrame],
    workspace: Workspace,
    base: Path,
    tell: Callable[[str], None],
) -> EvalIndex:
    """Index test items as a dataset's spec says, with all vectors that rewordings need."""
    if "paraphrase" not in contamination.methods:
        return build_eval_index(items, contamination.methods)
    spec = contamination.paraphrase
    encode = Encoder(_encoder(contamination, workspace, tell)).encode
    return build_eval_index(
        items, contamination.methods, load_calibration(spec.calibration, spec.encoder, base), encode
    )


def open_scanner(
    contamination: ContaminationSpec, index: EvalIndex, workspace: Workspace, tell: Callable[[str], None]
) -> Scanner:
    """A scanner for an index, by a dataset's spec."""
    encode = None
    if "paraphrase" in contamination.methods:
        encode = Encoder(_encoder(contamination, workspace, tell), threads=1).encode
    return Scanner(index, contamination.exact, contamination.methods, encode)


def load_index(snapshot: Snapshot) -> EvalIndex:
    """The index that a snapshot holds."""
    return EvalIndex.from_tables({table: snapshot.scan(table).collect() for table in INDEX_TABLES})


def _encoder(contamination: ContaminationSpec, workspace: Workspace, tell: Callable[[str], None]) -> EncoderFiles:
    return find_encoder(contamination.paraphrase.encoder, workspace.encoders, tell)
