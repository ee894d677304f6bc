"""Settings of the quality stage: what a row must keep, and what a gate asks of all rows together."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from synth_platform.config import StrictModel
from synth_platform.encoder import EncoderSpec

Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Severity = Literal["critical", "warning"]


class SupportSpec(EncoderSpec):
    """How the support of sentences by the source is told: by which encoder, and from which nearness on."""

    similarity: float = Field(default=0.3, ge=-1, le=1)
    """Least cosine of a supported sentence with what the source says. Other encoders than the default need another."""


class QualitySpec(StrictModel):
    """What an answer must keep to be accepted; null turns a rule off. Shares are 0 to 1.

    Limits that a spec does not name are those of the recipe's form, see `DEFAULTS`.
    """

    require_format: bool = True
    """Reject answers that break the recipe's form (`format:...`)."""
    min_words: Count | None = 8
    """Fewest words (`too_short`)."""
    min_length_ratio: Ratio | None = 0.05
    """Shortest answer, in characters per character of the source text (`too_short`)."""
    max_length_ratio: Ratio | None = 20.0
    """Longest answer, in characters per character of the source text (`too_long`)."""
    reject_cut_off: bool = True
    """Reject answers that stop in the middle of a sentence (`truncated`)."""
    max_duplicate_lines: Share | None = 0.3
    """Largest share of lines that repeat an earlier one (`repetition:lines`, Gopher)."""
    max_duplicate_ngrams: Share | None = 0.3
    """Largest share of the text in word 8-grams that occurred before (`repetition:ngrams`): the mark of a loop."""
    max_top_ngrams: Share | None = 0.4
    """Largest share of the text in its most frequent 2-, 3- or 4-gram (`repetition:top_ngrams`, Gopher)."""
    min_compression_ratio: Share | None = 0.1
    """Smallest size after compression, relative to the text (`repetition:compression`)."""
    max_copied_share: Share | None = 0.6
    """Largest share of the answer's word 8-grams that stand in the source word for word (`copied`)."""
    max_copied_words: Count | None = None
    """Longest stretch of words that answer and source share (`copied`)."""
    max_echoed_words: Count | None = 11
    """Longest stretch of words that answer and instructions share (`prompt_echo`)."""
    reject_refusals: bool = True
    """Reject refusals ("I cannot ...", "As an AI ..."; `refusal`)."""
    reject_chatter: bool = True
    """Reject talk to the user around the answer ("Sure, here is ...", "I hope this helps"; `chatter`)."""
    reject_placeholders: bool = True
    """Reject gaps that were left to be filled in ("[insert name]"; `placeholder`)."""
    max_html: Count | None = 0
    """Most HTML tags and entities outside code (`html`)."""
    max_encoding_damage: Count | None = 0
    """Most broken characters (`encoding`)."""
    languages: list[str] | None = None
    """Languages that answers may be in (ISO 639 codes); null: that of the source text (`language`)."""
    check_language: bool = True
    """Reject other languages."""
    max_invented_numbers: Count | None = 0
    """Most numbers that the source does not have (`invented:numbers`)."""
    max_invented_dates: Count | None = 0
    """Most full dates that the source does not have (`invented:dates`)."""
    max_changed_units: Count | None = 0
    """Most numbers with another unit than in the source (`invented:units`)."""
    max_invented_names: Count | None = 0
    """Most capitalised words inside sentences that the source does not have (`invented:names`)."""
    min_kept_numbers: Share | None = None
    """Smallest share of the source's numbers that the answer has (`lost:numbers`)."""
    min_kept_names: Share | None = None
    """Smallest share of the source's names that the answer has (`lost:names`)."""
    max_wrong_steps: Count | None = 0
    """Most wrong steps of a computation (`arithmetic:step`)."""
    max_unexplained_numbers: Count | None = 0
    """Most numbers that a computation takes from nowhere (`arithmetic:unexplained`)."""
    require_reached_answer: bool = True
    """Reject solutions whose final answer is no result of their steps (`arithmetic:final_answer`)."""
    min_fact_accuracy: Share | None = 1.0
    """Smallest share of right statements, where the source knows its facts, as the playground does (`wrong_facts`)."""
    min_fact_coverage: Share | None = None
    """Smallest share of the document's facts that are stated rightly (`few_facts`)."""
    min_judge_score: Annotated[float, Field(ge=1)] | None = None
    """Lowest grade of the recipe's judge (`judge`); what it could not grade is rejected too (`unjudged`)."""
    min_support: Share | None = None
    """Smallest share of the answer's sentences that the source supports (`unsupported`). Not for worked problems."""
    support: SupportSpec | None = None
    """How support is told. Given, it is measured without a limit, too; null, only where `min_support` asks for it."""

    @property
    def asked_support(self) -> SupportSpec | None:
        """How support is told; None: nobody asks for it."""
        return SupportSpec() if self.support is None and self.min_support is not None else self.support


DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "table": {"max_copied_share": 0.8},
    # Each sentence of these names its subject.
    "faq": {"max_top_ngrams": 0.5},
    "tutorial": {"max_top_ngrams": 0.5},
    "math": {"min_length_ratio": 0.02},
    "json": {"min_words": 1, "max_invented_names": None, "check_language": False},
    "none": {},
}
"""Limits by the form of a recipe, where they differ from those of `QualitySpec`."""


def with_defaults(spec: QualitySpec, form: str) -> QualitySpec:
    """A recipe's limits: those that the spec names, else its form's, else the general ones."""
    own = {name: value for name, value in DEFAULTS.get(form, {}).items() if name not in spec.model_fields_set}
    return spec.model_copy(update=own)


class GateSpec(StrictModel):
    """Changed bounds of a gate; what is left out stays as it is."""

    min: float | None = None
    """Smallest value that passes."""
    max: float | None = None
    """Largest value that passes."""
    severity: Severity | None = None
    """``critical`` stops what comes after; ``warning`` only tells."""
    enabled: bool = True
    """False removes the gate. Those on accounting, contamination and canaries cannot be removed."""

    @model_validator(mode="after")
    def _check_range(self) -> "GateSpec":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"nothing can pass: min {self.min} is above max {self.max}")
        return self
