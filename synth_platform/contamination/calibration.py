"""What the thresholds for rewordings find and what they take for one by mistake, measured on labelled texts."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field, ValidationError

from synth_platform.config import StrictModel
from synth_platform.errors import SpecError
from synth_platform.statistics import wilson

SUSPECT_RATE, CONTAMINATED_RATE = 0.01, 0.001
"""False alarms among the negatives at which the thresholds are set."""


class Measured(StrictModel):
    """A threshold, and what it does on the labelled texts."""

    threshold: float
    recall: float = Field(ge=0, le=1)
    recall_interval: tuple[float, float]
    """95% confidence (Wilson)."""
    false_alarms: float = Field(ge=0, le=1)
    false_alarms_interval: tuple[float, float]


class Calibration(StrictModel):
    """Thresholds of an encoder."""

    encoder: str
    suspect: Measured
    contaminated: Measured
    positives: int
    """Labelled rewordings."""
    negatives: int
    """Texts of the same kind that reword nothing."""
    about: str = ""
    """What they were."""

    def describe(self) -> str:
        """One sentence for reports."""
        one, other = self.contaminated, self.suspect
        return (
            f"Rewordings by `{self.encoder}`: contaminated from {one.threshold:.3f} (finds {one.recall:.1%}, false"
            f" alarms {one.false_alarms:.2%}), suspect from {other.threshold:.3f} ({other.recall:.1%},"
            f" {other.false_alarms:.2%}), measured on {self.positives:,} rewordings and {self.negatives:,} other texts."
        )


def load_calibration(path: str | None, encoder: str, base: Path) -> Calibration:
    """The calibration in a file, or the one that comes along.

    Raises:
        SpecError: it is of another encoder, or there is none for this one.
    """
    file = Path(__file__).parent / "calibration.json" if path is None else base / path
    if not file.is_file():
        raise SpecError(
            "the calibration does not exist",
            where=str(file),
            fix="write it with `synth contamination calibrate --out`",
        )
    try:
        found = Calibration.model_validate_json(file.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise SpecError(
            f"the file is no calibration: {error.errors()[0]['msg']}",
            where=str(file),
            fix="write it anew with `synth contamination calibrate --out`",
        ) from None
    if found.encoder != encoder:
        raise SpecError(
            f"the thresholds are those of {found.encoder!r}, not of {encoder!r}",
            where=str(file),
            fix="run `synth contamination calibrate --encoder ... --out FILE` and name FILE as"
            " contamination.paraphrase.calibration",
        )
    return found


def calibrate(
    encoder: str,
    positives: Sequence[float],
    negatives: Sequence[float],
    *,
    thresholds: tuple[float, float] | None = None,
    about: str = "",
) -> Calibration:
    """Thresholds at the given rates of false alarms, or what given thresholds do.

    Args:
        encoder: its name.
        positives: score of each rewording with the item that it rewords.
        negatives: highest score of each other text with any item.
        thresholds: suspect and contaminated; None: set them by the false alarms.
        about: what the texts were.
    """
    one, other = np.asarray(positives, float), np.asarray(negatives, float)
    suspect, contaminated = thresholds or (_threshold(other, SUSPECT_RATE), _threshold(other, CONTAMINATED_RATE))
    return Calibration(
        encoder=encoder,
        suspect=_measure(suspect, one, other),
        contaminated=_measure(contaminated, one, other),
        positives=len(one),
        negatives=len(other),
        about=about,
    )


def recall_at(positives: Sequence[float], negatives: Sequence[float], rate: float) -> float:
    """Share of rewordings found by the threshold that this share of the negatives passes."""
    return float((np.asarray(positives) >= _threshold(np.asarray(negatives, float), rate)).mean())


def _threshold(negatives: np.ndarray, rate: float) -> float:
    """The lowest score that no more than this share of the negatives has."""
    allowed = math.floor(rate * len(negatives))
    ordered = np.sort(negatives)[::-1]
    return float(np.nextafter(ordered[allowed], np.inf)) if allowed < len(ordered) else 0.0


def _measure(threshold: float, positives: np.ndarray, negatives: np.ndarray) -> Measured:
    found, alarms = int((positives >= threshold).sum()), int((negatives >= threshold).sum())
    return Measured(
        threshold=threshold,
        recall=found / max(len(positives), 1),
        recall_interval=wilson(found, len(positives)),
        false_alarms=alarms / max(len(negatives), 1),
        false_alarms_interval=wilson(alarms, len(negatives)),
    )
