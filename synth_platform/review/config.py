"""Settings of the review of a dataset version."""

from typing import Annotated

from pydantic import Field

from synth_platform.config import StrictModel

Share = Annotated[float, Field(gt=0, le=1)]


class NearDuplicatesSpec(StrictModel):
    """When two rows count as near-duplicates of each other."""

    threshold: Share = 0.8
    """Jaccard similarity of their word n-grams (Lee et al. 2022 and Gopher use 0.8)."""
    permutations: int = Field(default=64, ge=64, le=1024)
    """Hash functions of a MinHash sketch; more find more of the pairs just above the threshold and take more room."""
    ngram: int = Field(default=5, ge=1, le=20)
    """Words in an n-gram."""


class DiversitySpec(StrictModel):
    """How much text diversity is measured on; figures of versions compare only at equal settings."""

    rows: int = Field(default=1000, ge=20, le=5000)
    """Rows in the sample of each recipe, and of all recipes together."""
    block_words: int = Field(default=10_000, ge=100)
    """Words in a block; distinct n-grams are counted per block, as their share falls with the length of a text."""


class OpeningsSpec(StrictModel):
    """What counts as the same beginning of a row."""

    words: int = Field(default=8, ge=1, le=64)
    """Words of an opening."""
    lines: int = Field(default=3, ge=1, le=32)
    """Lines of a skeleton."""
    rows: int = Field(default=1000, ge=20, le=100_000)
    """Rows in the sample of each recipe."""
    template_share: Share = 0.9
    """Share of a recipe's rows that must share a beginning for it to count as the recipe's form."""
    template_words: int = Field(default=4, ge=0, le=32)
    """Most words of such a beginning; a longer shared one is not a form but a collapse."""
    template_lines: int = Field(default=3, ge=0, le=32)
    """Most lines of such a form."""
    beginnings: dict[str, str] = Field(default_factory=dict)
    """By recipe: the beginning that its prompt asks for, instead of the one found in the rows."""


class DriftSpec(StrictModel):
    """How lengths and vocabulary are compared."""

    words: int = Field(default=5000, ge=10, le=30_000)
    """Most frequent words that are compared one by one; the rest is compared in groups."""
    draws: int = Field(default=1000, ge=99, le=100_000)
    """Bootstrap draws behind each p-value."""


class ReviewSpec(StrictModel):
    """The review of a dataset version."""

    seed: int = 0
    """Decides which rows are sampled."""
    near_duplicates: NearDuplicatesSpec = NearDuplicatesSpec()
    """Near-duplicates."""
    diversity: DiversitySpec = DiversitySpec()
    """Diversity."""
    openings: OpeningsSpec = OpeningsSpec()
    """Template collapse."""
    drift: DriftSpec = DriftSpec()
    """Drift."""
