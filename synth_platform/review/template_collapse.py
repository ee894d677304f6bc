"""Template collapse: how many rows begin with the same words, or are built alike.

A generator that has collapsed writes the same text with other names in it: one model opened 115 of 1,000 math
problems alike, a better one 3. What a recipe asks every row to begin with ("Problem:", "# How to", a table's header)
is no choice of the model. So what nearly all rows of a recipe begin with is left out before counting, unless it is
longer than a prompt is likely to ask for: then it is a collapse itself. All numbers count as the same word.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_platform.contamination.words import Words, split_words
from synth_platform.plots import bars
from synth_platform.review.beginnings import BeginningCounts, Beginnings, Rule, describe_counts
from synth_platform.review.blocks import Block
from synth_platform.review.config import OpeningsSpec
from synth_platform.review.samples import RowSample
from synth_platform.review.skeletons import line_tokens, show_lines

_NUMBER = np.uint64(0x2545F4914F6CDD1D)
"""Stands for every number: in a collapsed text it is what differs."""

METRICS: Mapping[str, str] = {
    "opening_largest_per_1000": "Rows of 1,000 sampled that begin with the commonest opening; worst recipe",
    "opening_largest_overall_per_1000": "The same of all rows, not of a sample",
    "opening_repeated_per_1000": "Rows of 1,000 sampled whose opening another one has; worst recipe",
    "skeleton_largest_per_1000": "Rows of 1,000 sampled with the commonest skeleton; worst recipe",
    "skeleton_largest_overall_per_1000": "The same of all rows, not of a sample",
    "skeleton_repeated_per_1000": "Rows of 1,000 sampled whose skeleton another one has; worst recipe",
}


@dataclass(frozen=True)
class OpeningsResult:
    """How alike the rows of each recipe begin.

    Args:
        openings: by recipe, of their first words.
        skeletons: by recipe, of their first lines.
    """

    openings: Mapping[str, BeginningCounts]
    skeletons: Mapping[str, BeginningCounts]

    def metrics(self) -> dict[str, float]:
        """Figures as in ``METRICS``."""
        figures: dict[str, float] = {}
        for name, counts in (("opening", self.openings.values()), ("skeleton", self.skeletons.values())):
            figures[f"{name}_largest_per_1000"] = max((one.largest.value for one in counts), default=0.0)
            figures[f"{name}_largest_overall_per_1000"] = max((one.largest_overall for one in counts), default=0.0)
            figures[f"{name}_repeated_per_1000"] = max((one.repeated.value for one in counts), default=0.0)
        return figures

    def describe(self) -> str:
        """All recipes as Markdown."""
        openings = describe_counts(self.openings.items(), "opening")
        return f"{openings}\n\n{describe_counts(self.skeletons.items(), 'skeleton')}"

    def plots(self) -> dict[str, str]:
        """Markdown images by name."""
        shown = {f"{recipe}: opening": one.largest.value for recipe, one in self.openings.items()}
        shown |= {f"{recipe}: skeleton": one.largest.value for recipe, one in self.skeletons.items()}
        return {"openings": bars(shown, title="Rows that begin alike", x="rows of 1,000 with the commonest beginning")}


class Openings:
    """Counts openings and skeletons of rows in 32 MB and a sample of each recipe."""

    def __init__(self, spec: OpeningsSpec | None = None, seed: int = 0) -> None:
        spec = spec or OpeningsSpec()
        given = {recipe: split_words([text]) for recipe, text in spec.beginnings.items()}
        self._openings = Beginnings(
            Rule(
                tokens=spec.words,
                form_tokens=spec.template_words,
                form_share=spec.template_share,
                long_form_counts=True,
                given={recipe: word_tokens(words, len(words.hashes))[0] for recipe, words in given.items()},
            ),
            word_tokens,
            show_words,
        )
        self._skeletons = Beginnings(
            Rule(
                tokens=spec.lines,
                form_tokens=spec.template_lines,
                form_share=spec.template_share,
                long_form_counts=False,
                given={},
            ),
            line_tokens,
            show_lines,
        )
        self._sample = RowSample(spec.rows, seed)

    def add(self, block: Block) -> None:
        """Count the rows of a block."""
        self._openings.add(block)
        self._skeletons.add(block)
        self._sample.add(block)

    def merge(self, other: "Openings") -> None:
        """Add the counts of other rows, counted with the same settings."""
        self._openings.merge(other._openings)
        self._skeletons.merge(other._skeletons)
        self._sample.merge(other._sample)

    def result(self) -> OpeningsResult:
        """How the rows so far begin."""
        samples = {recipe: self._sample.of(recipe) for recipe in self._sample.recipes}
        return OpeningsResult(
            {recipe: self._openings.counts(recipe, sample) for recipe, sample in samples.items()},
            {recipe: self._skeletons.counts(recipe, sample) for recipe, sample in samples.items()},
        )


def word_tokens(words: Words, count: int) -> np.ndarray:
    """Hashes of the first words of each text, one for all numbers; 0 where it has fewer."""
    starts, ends = words.bounds[:-1, None], words.bounds[1:, None]
    places = starts + np.arange(count)
    here = places < ends
    tokens = np.zeros(here.shape, np.uint64)
    tokens[here] = words.hashes[places[here]]
    first = words.buffer[words.starts[places[here]]]
    tokens[here] = np.where((first >= ord("0")) & (first <= ord("9")), _NUMBER, tokens[here])
    return tokens


def show_words(words: Words, start: int, end: int) -> str:
    """Some words of the first text."""
    last = min(end, int(words.bounds[1])) - 1
    return words.excerpt(start, last, 120) if start <= last else ""
