"""Settings of the contamination stage: the test sets, and what counts as containing one of their items."""

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from synth_platform.config import Name, StrictModel
from synth_platform.contamination.presets import PRESETS
from synth_platform.encoder import EncoderSpec
from synth_platform.sources.config import Format

Method = Literal["exact", "paraphrase", "code"]
METHODS: tuple[Method, ...] = get_args(Method)
TEST_SETS = "evals"
"""First part of the keys of test sets, which belong to no dataset."""


class BenchmarkColumns(StrictModel):
    """Which column of a test set's files holds what.

    A dot leads into a nested column (``choices.text``); of names with ``|`` between, the first that is there counts.
    """

    id: str | None = None
    """A column that is unique in the test set. None: the column `id`, else the digest of the item."""
    question: str = "question"
    """What is asked."""
    answer: str = "answer"
    """The right answer: a text, a list, or the number or letter of a choice; may be missing."""
    choices: str | list[str] = "choices"
    """A list of choices, or the columns that hold one each; may be missing."""
    passage: str = "passage"
    """Text that the question is about; may be missing."""


class BenchmarkSpec(StrictModel):
    """A test set that the dataset must not contain."""

    name: Name
    """Name of the test set; datasets that name the same one share it."""
    preset: Literal[tuple(PRESETS)] | None = None  # type: ignore[valid-type]
    """A well-known test set: where it is on the Hugging Face hub, and its columns."""
    path: str | list[str] | None = None
    """Files of the test set: JSON lines, Parquet or CSV; local, `s3://` or `hf://datasets/`."""
    builtin: Literal["playground"] | None = None
    """A test set that comes with the platform, instead of a path."""
    format: Format = "auto"
    """Format of the files."""
    columns: BenchmarkColumns = BenchmarkColumns()
    """Which column holds what."""
    keep: Literal["text", "hashes"] = "text"
    """`hashes`: no text of the test set is stored, only hashed words. It is then looked for by the exact method."""
    description: str = ""
    """What the test set is, for the UI."""

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, given: Any) -> Any:
        preset = PRESETS.get(given.get("preset") or "") if isinstance(given, dict) else None
        return {**preset, **given} if preset else given

    @model_validator(mode="after")
    def _check_origin(self) -> "BenchmarkSpec":
        if (self.path is None) == (self.builtin is None):
            raise ValueError("give one of path, preset and builtin")
        return self

    @property
    def paths(self) -> list[str]:
        """The given paths as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path or ())


class ExactSpec(StrictModel):
    """What counts as a copy of a test item."""

    contaminated: float = Field(default=0.65, gt=0, le=1)
    """Share of an item's information (words weighed by rarity) from which a text that has it is contaminated."""
    suspect: float = Field(default=0.5, gt=0, le=1)
    """Share from which it is suspect."""
    least_information: float = Field(default=10.0, ge=0)
    """Nats that must be found at least: less is a turn of phrase."""
    long_stretch: float = Field(default=70.0, gt=0)
    """Nats of a stretch that is suspect however long the item is."""

    @model_validator(mode="after")
    def _check_order(self) -> "ExactSpec":
        if self.contaminated < self.suspect:
            raise ValueError(f"contaminated {self.contaminated} is below suspect {self.suspect}")
        return self


class ParaphraseSpec(EncoderSpec):
    """What counts as a rewording of a test item, and the encoder that judges; a multilingual one finds translations."""

    calibration: str | None = None
    """File that `synth contamination calibrate` wrote: thresholds and what they find. None: those measured for the
    default encoder."""


class RescanSpec(StrictModel):
    """What happens to released versions when a test set is added or changes."""

    patch: Literal["propose", "automatic"] = "propose"
    """`propose`: a patch without the rows that were hit is one click away. `automatic`: it is made at once."""


class ContaminationSpec(StrictModel):
    """What counts as contaminated, and what happens when more is known later."""

    methods: list[Method] = Field(default=list(METHODS), min_length=1)
    """`exact`: copies, also with small changes. `paraphrase`: rewordings. `code`: programs, also renamed or
    translated."""
    exact: ExactSpec = ExactSpec()
    paraphrase: ParaphraseSpec = ParaphraseSpec()
    rescan: RescanSpec = RescanSpec()
