"""Good answers that perturbations start from, drawn with a fixed seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from synth_platform_tests.quality.labelled.answers import Draft
from synth_platform_tests.quality.labelled.documents import Document, documents
from synth_platform_tests.quality.labelled.row import PERTURBED, RECIPES, LabelledRow
from synth_platform_tests.quality.labelled.shapes import SEED, SHAPES, WORDS, render


@dataclass(frozen=True)
class Base:
    """A good answer and what it was made of."""

    document: Document
    draft: Draft
    shape: str
    rng: random.Random
    number: int

    @property
    def recipe(self) -> str:
        """Table, math, faq or tutorial."""
        return self.draft.recipe

    @property
    def text(self) -> str:
        """The answer in its shape."""
        return render(self.draft, self.shape, WORDS[self.document.language])

    def row(self, what: str, text: str, *reasons: str, note: str = "", kind: str = PERTURBED) -> LabelledRow:
        """The row with this text instead."""
        name = f"{self.document.name}/{self.recipe}/{what}/{self.number}"
        source, language = self.document.source, self.document.language
        return LabelledRow(name, self.recipe, source, text, frozenset(reasons), note, kind, language)


def bases(
    key: str,
    count: int,
    recipes: Sequence[str] = RECIPES,
    languages: Sequence[str] = ("en",),
    shapes: Sequence[str] | None = None,
    named: Sequence[str] | None = None,
) -> Iterator[Base]:
    """So many good answers: each document once before any comes again, the recipes in turn.

    Args:
        key: another key gives another sample.
        count: how many.
        recipes: to choose from.
        languages: of the sources.
        shapes: only these.
        named: only these documents.
    """
    rng = random.Random(f"{SEED}/{key}")
    known = [one for one in documents() if one.language in languages and (named is None or one.name in named)]
    queue: list[Document] = []
    for number in range(count):
        if not queue:
            queue = rng.sample(known, len(known))
        recipe = recipes[number % len(recipes)]
        document = next(one for one in [*queue, *known] if recipe in one.drafts)
        if document in queue:
            queue.remove(document)
        allowed = [one for one in SHAPES[recipe] if shapes is None or one in shapes]
        shape = rng.choice(allowed)
        yield Base(document, document.drafts[recipe], shape, random.Random(rng.random()), number)
