"""Settings of the quality stage: what a row must keep, and what a gate asks of all rows together."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synth_platform.config import StrictModel

Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=0)]
Severity = Literal["critical", "warning"]


class QualitySpec(StrictModel):
    """What an answer must keep to be accepted; null turns a rule off. Shares are 0 to 1."""

    require_format: bool = True
    """Reject answers that break the recipe's format."""
    min_length_ratio: Ratio | None = 0.05
    """Shortest answer, in characters per character of the source text."""
    max_length_ratio: Ratio | None = 20.0
    """Longest answer, in characters per character of the source text."""
    max_duplicate_lines: Share | None = 0.3
    """Largest share of lines that repeat an earlier one (Gopher)."""
    max_duplicate_ngrams: Share | None = 0.3
    """Largest share of characters in word 8-grams that repeat an earlier one: the mark of a loop."""
    min_compression_ratio: Share | None = 0.1
    """Smallest size after compression, relative to the text; loops compress to almost nothing."""
    max_copied_share: Share | None = 0.6
    """Largest share of the answer's word 8-grams that stand in the source text word for word."""
    reject_refusals: bool = True
    """Reject refusals ("I cannot ...", "As an AI ...")."""
    reject_chatter: bool = True
    """Reject talk to the user around the answer ("Sure, here is ...", "I hope this helps")."""
    min_fact_accuracy: Share | None = 1.0
    """Smallest share of right statements, where the source knows its facts (the playground does)."""
    min_fact_coverage: Share | None = None
    """Smallest share of the document's facts that are stated rightly."""


class GateSpec(StrictModel):
    """Changed bounds of a gate; what is left out stays as it is."""

    min: float | None = None
    """Smallest value that passes."""
    max: float | None = None
    """Largest value that passes."""
    severity: Severity | None = None
    """``critical`` stops what comes after; ``warning`` only tells."""
    enabled: bool = True
    """False removes the gate. The accounting and contamination gates cannot be removed."""

    @model_validator(mode="after")
    def _check_range(self) -> "GateSpec":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"nothing can pass: min {self.min} is above max {self.max}")
        return self
