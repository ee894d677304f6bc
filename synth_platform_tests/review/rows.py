"""Texts and frames for the review tests, and what is measured of them."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import polars as pl

from synth_platform.review.blocks import blocks
from synth_platform.review.config import DiversitySpec, OpeningsSpec
from synth_platform.review.diversity import DiversityResult, diversity_of
from synth_platform.review.samples import RowSample
from synth_platform.review.template_collapse import Openings, OpeningsResult

COMMON = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "that",
    "it",
    "was",
    "for",
    "on",
    "are",
    "with",
    "as",
    "his",
    "they",
    "at",
    "be",
    "this",
    "have",
    "from",
    "or",
    "had",
    "by",
]


def prose(count: int, seed: int = 0, words: int = 60, vocabulary: int = 3000) -> list[str]:
    """Texts of words whose frequencies fall as those of a language do."""
    rng = random.Random(seed)
    names = COMMON + [f"w{''.join(chr(97 + int(digit)) for digit in str(number))}" for number in range(vocabulary)]
    weights = [1 / (rank + 2) for rank in range(len(names))]
    return [
        " ".join(rng.choices(names, weights, k=rng.randint(words // 2, words + words // 2))) + "." for _ in range(count)
    ]


def frame(texts: Sequence[str], recipe: str | Sequence[str] = "faq", prefix: str = "r") -> pl.DataFrame:
    """Rows with these texts; every document has one."""
    ids = [f"{prefix}{number}" for number in range(len(texts))]
    recipes = [recipe] * len(texts) if isinstance(recipe, str) else list(recipe)
    columns = {"id": ids, "text": texts, "recipe": recipes, "source": "web", "document_id": ids}
    return pl.DataFrame(columns, schema_overrides={"id": pl.String(), "text": pl.String(), "document_id": pl.String()})


def cut(rows: pl.DataFrame, places: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The rows in batches that end at the given places."""
    bounds = [0, *sorted(place % (rows.height + 1) for place in places), rows.height]
    for start, end in pairwise(bounds):
        yield rows.slice(start, end - start)


def measure_diversity(frames: Iterable[pl.DataFrame], spec: DiversitySpec) -> DiversityResult:
    """Diversity of rows."""
    sample = RowSample(spec.rows, 0)
    for block in blocks(frames):
        sample.add(block)
    return diversity_of(sample, spec)


def measure_openings(frames: Iterable[pl.DataFrame], spec: OpeningsSpec | None = None, seed: int = 0) -> OpeningsResult:
    """How alike the rows of each recipe begin."""
    openings = Openings(spec, seed)
    for block in blocks(frames):
        openings.add(block)
    return openings.result()
