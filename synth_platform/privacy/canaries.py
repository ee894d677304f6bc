"""Canaries: made-up names planted in a few source documents, looked for in what was made of them.

After Carlini et al., The Secret Sharer (2019). Their exposure needs the model's likelihoods; here only its texts are at
hand, so names from the same generator that were never planted (decoys) give the rank.
"""

import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.privacy.intervals import Share

_CONSONANTS, _VOWELS, _SYLLABLES = "bdfghklmnprstvz", "aeiou", 6
_CARRIERS = (
    "The name on file for this entry is {name}.",
    "It was first reported by a reader called {name}.",
    "For questions about this part, {name} is the person to ask.",
    "The reviewer who signed off on this page was {name}.",
)
_DECOYS_PER_CANARY = 50


@dataclass(frozen=True)
class Canary:
    """A made-up name, the row that it was planted in, and the sentence that carries it."""

    row: int
    name: str
    sentence: str


@dataclass(frozen=True)
class CanaryCounts:
    """How often canaries and decoys appear in outputs.

    Args:
        counts: number of outputs with each canary, by name.
        decoys: names looked for that were never planted.
        decoys_found: decoys that appear all the same; above 0 the names are not unique enough to mean anything.
        outputs: outputs searched.
        exposure: bits by name: log2 of decoys + 1 over the canary's rank among the decoys. No more than
            log2(decoys + 1), a lower bound of the exposure that likelihoods would give.
    """

    counts: dict[str, int]
    decoys: int
    decoys_found: int
    outputs: int
    exposure: dict[str, float]

    @property
    def found(self) -> Share:
        """Canaries that came out at least once."""
        return Share(sum(count > 0 for count in self.counts.values()), len(self.counts))


def plant(texts: pl.Series, seed: int, count: int = 20) -> tuple[pl.Series, tuple[Canary, ...]]:
    """Put a sentence with a unique made-up name into a few of the texts.

    Args:
        texts: source documents; null and empty ones are left alone.
        seed: the same seed and texts give the same canaries.
        count: texts to plant one in each.

    Raises:
        SynthError: there are fewer texts than canaries.
    """
    rng = random.Random(seed)
    values = texts.to_list()
    filled = [row for row, text in enumerate(values) if text]
    if len(filled) < count:
        raise SynthError(f"{count} canaries need as many texts, there are {len(filled)}", fix="plant fewer canaries")
    canaries = []
    for row in sorted(rng.sample(filled, count)):
        name = _unused_name(rng, texts, {canary.name for canary in canaries})
        sentence = rng.choice(_CARRIERS).format(name=name)
        values[row] = _insert(values[row], sentence, rng)
        canaries.append(Canary(row, name, sentence))
    return pl.Series(texts.name, values, dtype=pl.String()), tuple(canaries)


def find_canaries(outputs: Iterable[pl.Series], canaries: Sequence[Canary], seed: int = 0) -> CanaryCounts:
    """How many of the canaries appear in batches of outputs, whatever their case."""
    names = [canary.name.lower() for canary in canaries]
    decoys = _decoys(names, seed)
    seen: Counter[str] = Counter()
    total = 0
    for texts in outputs:
        total += len(texts)
        hits = texts.str.to_lowercase().str.extract_many([*names, *decoys]).list.unique().explode().drop_nulls()
        seen.update(hits.to_list())
    counts = {canary.name: seen[canary.name.lower()] for canary in canaries}
    ranks = {name: 1 + sum(seen[decoy] >= max(count, 1) for decoy in decoys) for name, count in counts.items()}
    exposure = {name: math.log2((len(decoys) + 1) / ranks[name]) if count else 0.0 for name, count in counts.items()}
    return CanaryCounts(counts, len(decoys), sum(seen[decoy] > 0 for decoy in decoys), total, exposure)


def _decoys(names: Sequence[str], seed: int) -> list[str]:
    rng = random.Random(f"decoys {seed}")
    made = {_name(rng).lower() for _ in range(_DECOYS_PER_CANARY * max(len(names), 1))}
    return sorted(made - set(names))


def _unused_name(rng: random.Random, texts: pl.Series, taken: set[str]) -> str:
    while True:
        name = _name(rng)
        if name not in taken and not texts.str.contains(f"(?i){name}").any():
            return name


def _name(rng: random.Random) -> str:
    """One of 178 billion pronounceable names."""
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(_SYLLABLES)).capitalize()


def _insert(text: str, sentence: str, rng: random.Random) -> str:
    """The sentence after one of the text's sentences."""
    ends = [match.end() for match in re.finditer(r"[.!?](?=\s)", text)] or [len(text)]
    place = rng.choice(ends)
    return f"{text[:place]} {sentence}{text[place:]}"
