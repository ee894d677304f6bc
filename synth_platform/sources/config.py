"""Settings of the sources: where documents come from and which of them are selected."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synth_platform.config import Name, StrictModel
from synth_platform.sources.playground import KINDS, Kind

Role = Literal["rewrite", "mix_in"]
Format = Literal["auto", "jsonl", "parquet", "csv", "text"]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class HeuristicsSpec(StrictModel):
    """Quality heuristics of Gopher, C4 and FineWeb. Shares are 0 to 1; null turns a rule off."""

    min_words: Count | None = 50
    """Fewest words (Gopher)."""
    max_words: Count | None = 100_000
    """Most words (Gopher)."""
    min_mean_word_length: Annotated[float, Field(ge=0)] | None = 3.0
    """Smallest mean word length in characters (Gopher)."""
    max_mean_word_length: Annotated[float, Field(ge=0)] | None = 10.0
    """Largest mean word length in characters (Gopher)."""
    max_symbol_ratio: Annotated[float, Field(ge=0)] | None = 0.1
    """Most `#` characters, and most ellipses, per word (Gopher)."""
    max_bullet_lines: Share | None = 0.9
    """Largest share of lines that start with a bullet (Gopher)."""
    max_ellipsis_lines: Share | None = 0.3
    """Largest share of lines that end with an ellipsis (Gopher)."""
    min_alphabetic_words: Share | None = 0.8
    """Smallest share of words with at least one letter (Gopher)."""
    min_stop_words: Count | None = 2
    """Fewest occurrences of common English words; set null for other languages (Gopher)."""
    max_duplicate_lines: Share | None = 0.3
    """Largest share of lines that repeat an earlier one (Gopher)."""
    max_duplicate_line_characters: Share | None = 0.2
    """Largest share of characters in such lines (Gopher; FineWeb uses 0.1)."""
    max_duplicate_paragraphs: Share | None = 0.3
    """Largest share of paragraphs that repeat an earlier one (Gopher)."""
    max_duplicate_paragraph_characters: Share | None = 0.2
    """Largest share of characters in such paragraphs (Gopher)."""
    max_top_ngram_characters: dict[Annotated[int, Field(ge=1, le=20)], Share] = Field(
        default={2: 0.2, 3: 0.18, 4: 0.16}
    )
    """By n: largest share of characters in the most frequent word n-gram (Gopher)."""
    max_duplicate_ngram_characters: dict[Annotated[int, Field(ge=1, le=20)], Share] = Field(
        default={5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.1}
    )
    """By n: largest share of characters in word n-grams that repeat an earlier one (Gopher)."""
    min_lines_ending_in_punctuation: Share | None = 0.12
    """Smallest share of lines that end with a full stop, question mark or the like (FineWeb)."""
    max_short_lines: Share | None = 0.67
    """Largest share of lines of at most 30 characters (FineWeb)."""
    max_newlines_per_word: Annotated[float, Field(ge=0)] | None = 0.3
    """Most line breaks per word (FineWeb)."""
    min_sentences: Count | None = None
    """Fewest sentences (C4 asks for 5, which costs many good short documents)."""
    banned_phrases: list[str] = Field(default_factory=list)
    """Documents with one of these phrases, in any case, are skipped (C4: `lorem ipsum`, `javascript`)."""


class NearDedupSpec(StrictModel):
    """Near duplicates by MinHash over word n-grams; the earliest document of a group stays."""

    threshold: float = Field(default=0.75, gt=0, le=1)
    """Estimated Jaccard similarity from which a document counts as a duplicate (FineWeb: 0.75)."""
    permutations: int = Field(default=112, ge=16, le=1024)
    """Hash functions of a sketch; more are more exact and slower (FineWeb: 112)."""
    ngram: int = Field(default=5, ge=1, le=20)
    """Words in an n-gram (FineWeb: 5)."""


class ScoreSpec(StrictModel):
    """A range of a numeric column, for example FineWeb-Edu's `int_score`."""

    column: str = Field(min_length=1)
    """Name of the column in the source."""
    min: float | None = None
    """Smallest value that is selected."""
    max: float | None = None
    """Largest value that is selected."""

    @model_validator(mode="after")
    def _check_range(self) -> "ScoreSpec":
        if self.min is None and self.max is None:
            raise ValueError("a score needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"score range is empty: min {self.min} is above max {self.max}")
        return self


class SampleSpec(StrictModel):
    """A seeded uniform sample, to a number of documents, of tokens, or both; it never exceeds either."""

    documents: int | None = Field(default=None, gt=0)
    """Most documents."""
    tokens: int | None = Field(default=None, gt=0)
    """Most tokens, by the generator's tokenizer."""

    @model_validator(mode="after")
    def _check_budget(self) -> "SampleSpec":
        if self.documents is None and self.tokens is None:
            raise ValueError("a sample needs `documents` or `tokens`")
        return self


class SelectionSpec(StrictModel):
    """Which documents of a source are used. Everything but exact deduplication is off until it is set."""

    required_columns: list[str] = Field(default_factory=list)
    """Columns of the source that must hold a value that is neither null nor blank."""
    languages: list[str] = Field(default_factory=list)
    """Language codes to keep, such as `en`; empty keeps all. Rows without one are detected."""
    min_language_score: Share = 0.65
    """Smallest confidence of a detected language (FineWeb: 0.65)."""
    min_tokens: Count | None = None
    """Shortest document, in tokens."""
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    """Longest document, in tokens."""
    heuristics: HeuristicsSpec | None = None
    """Quality heuristics; give an empty block for the published thresholds."""
    score: ScoreSpec | None = None
    """Range of a score column; rows without a score are skipped."""
    exact_dedup: bool = True
    """Skip a document whose text equals that of an earlier document of the source."""
    near_dedup: NearDedupSpec | None = None
    """Skip near duplicates of earlier documents of the source."""
    sample: SampleSpec | None = None
    """Keep a seeded sample; the seed of each cycle draws another one."""

    @model_validator(mode="after")
    def _check_lengths(self) -> "SelectionSpec":
        if self.min_tokens is not None and self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise ValueError(f"no length fits: min_tokens {self.min_tokens} > max_tokens {self.max_tokens}")
        return self


class ColumnsSpec(StrictModel):
    """Which column of the files holds which field of a document."""

    text: str = "text"
    """The document itself; required in every row."""
    id: str | None = None
    """A column that is unique within the source. None: the digest of the text is the id."""
    url: str | None = None
    """Address of the original. None: the column `url`, where the files have it."""
    license: str | None = None
    """License of the row. None: the column `license`, where the files have it."""
    language: str | None = None
    """Language code of the row. None: the column `language`, where the files have it."""
    metadata: list[str] = Field(default_factory=list)
    """Further columns to keep, under their own names, in the document's metadata."""


class _Source(StrictModel):
    """What all sources share."""

    roles: list[Role] = Field(default=["rewrite"], min_length=1)
    """`rewrite`: recipes make prompts of it; `mix_in`: its documents enter the mixture as they are."""
    allow_empty: bool = False
    """Accept that no document comes out of it; otherwise that is an error."""
    select: SelectionSpec = SelectionSpec()
    """Which of its documents are used."""


class FilesSource(_Source):
    """JSON lines, Parquet, CSV or text files, local, on S3 or on the Hugging Face hub."""

    type: Literal["files"]
    """Kind of source."""
    name: Name
    """Name of the source within the dataset."""
    path: str | list[str]
    """File, folder or glob: local (relative to the spec), `s3://bucket/...`, `hf://datasets/owner/name/...`."""
    format: Format = "auto"
    """Format of the files; `auto` goes by the name: .jsonl, .ndjson, .json, .csv (each also .gz or .zst),
    .parquet, .txt, .md."""
    columns: ColumnsSpec = ColumnsSpec()
    """Which column holds what; text files need none."""
    license: str | None = None
    """License of rows that name none."""
    max_files: int | None = Field(default=None, gt=0)
    """Read only so many of the files, by a seeded choice: keeps a cycle over a large hub dataset short."""

    @model_validator(mode="after")
    def _check_paths(self) -> "FilesSource":
        if not self.paths or any(not path.strip() for path in self.paths):
            raise ValueError("path is empty; give a file, folder or glob")
        return self

    @property
    def paths(self) -> list[str]:
        """The given paths as a list."""
        return [self.path] if isinstance(self.path, str) else list(self.path)


class PythonDocsSource(_Source):
    """The topics of Python's built-in help: real prose that is on every machine."""

    type: Literal["python-docs"]
    """Kind of source."""
    name: Name = "python-docs"
    """Name of the source within the dataset."""


class PlaygroundSource(_Source):
    """Documents about an invented world; each stated fact is kept, so rewrites are exactly checkable."""

    type: Literal["playground"]
    """Kind of source."""
    name: Name = "playground"
    """Name of the source within the dataset."""
    documents: int = Field(default=200, gt=0)
    """How many documents to write."""
    kinds: list[Kind] = Field(default=list(KINDS), min_length=1)
    """Kinds of entities they are about."""
    planted: Count = 0
    """How many of them quote a question of the playground benchmark, for the contamination gate to find."""

    @model_validator(mode="after")
    def _check_planted(self) -> "PlaygroundSource":
        if self.planted > self.documents:
            raise ValueError(f"planted ({self.planted}) is more than documents ({self.documents})")
        return self


SourceSpec = Annotated[FilesSource | PythonDocsSource | PlaygroundSource, Field(discriminator="type")]
"""Any source; `type` says which."""
