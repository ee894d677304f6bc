"""Settings of the contamination stage: the test sets, and what counts as containing one of their items."""

from typing import Literal

from pydantic import Field, model_validator

from synth_platform.config import Name, StrictModel
from synth_platform.sources.config import Format


class BenchmarkColumns(StrictModel):
    """Which column of a test set's files holds what."""

    id: str | None = None
    """A column that is unique in the test set. None: the column `id`, else the digest of the item."""
    question: str = "question"
    """What is asked."""
    answer: str = "answer"
    """The right answer, as text, number of a choice, or list; may be missing."""
    choices: str = "choices"
    """List of choices; may be missing."""
    passage: str = "passage"
    """Text that the question is about; may be missing."""


class BenchmarkSpec(StrictModel):
    """A test set that the dataset must not contain."""

    name: Name
    """Name of the test set; datasets that name the same one share it."""
    path: str | list[str] | None = None
    """Files of the test set: JSON lines, Parquet or CSV; local, `s3://` or `hf://datasets/`."""
    builtin: Literal["playground"] | None = None
    """A test set that comes with the platform, instead of a path."""
    format: Format = "auto"
    """Format of the files."""
    columns: BenchmarkColumns = BenchmarkColumns()
    """Which column holds what."""
    description: str = ""
    """What the test set is, for the UI."""

    @model_validator(mode="after")
    def _check_origin(self) -> "BenchmarkSpec":
        if (self.path is None) == (self.builtin is None):
            raise ValueError("give either path or builtin")
        return self

    @property
    def paths(self) -> list[str]:
        """The given paths as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path or ())


class ContaminationSpec(StrictModel):
    """What counts as contaminated: enough words in a row, or enough of an item, after normalisation."""

    ngram: int = Field(default=8, ge=4, le=50)
    """Fewest words in a row that count as a match at all."""
    contaminated_ngram: int = Field(default=13, ge=4, le=100)
    """So many words in a row make a text contaminated, however long the item is (GPT-3: 13)."""
    contaminated_coverage: float = Field(default=0.5, gt=0, le=1)
    """So large a share of an item's words, in matches, makes a text contaminated."""
    common_ngram_items: int = Field(default=10, ge=1)
    """Word sequences that more items than this share are turns of phrase, and count for no item alone."""

    @model_validator(mode="after")
    def _check_order(self) -> "ContaminationSpec":
        if self.contaminated_ngram < self.ngram:
            raise ValueError(f"contaminated_ngram {self.contaminated_ngram} is below ngram {self.ngram}")
        return self
