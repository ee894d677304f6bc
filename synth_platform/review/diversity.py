"""How diverse the texts of a version are, measured on seeded samples of one size, so that versions compare.

Every figure depends on how much text it is taken from; all of them are of samples with the same number of rows, and of
blocks with the same number of words. Where a version has less, its figures compare with no others; ``rows`` and
``blocks`` tell.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, ngram_hashes, split_words
from synth_platform.encoder import Encode
from synth_platform.plots import bars
from synth_platform.review.config import DiversitySpec
from synth_platform.review.samples import RowSample, SampledRow
from synth_platform.review.similarity import nearest_cosine, self_bleu, similarities, vendi_score
from synth_platform.review.statistics import Interval, mean_interval

_NGRAMS = (1, 2, 3, 4)
_COMPRESSED_TOGETHER = 100
"""Rows that are compressed as one: what they share is seen within DEFLATE's window of 32 kB."""
_MTLD_THRESHOLD = 0.72
_MTLD_FEWEST = 10
"""Words of a stretch: without it, any word that comes twice among three ends one."""

METRICS: Mapping[str, str] = {
    **{f"distinct_{n}": f"Share of different word {n}-grams in a block of words" for n in _NGRAMS},
    "mtld": "Words until the share of different ones falls to 0.72 (MTLD, McCarthy and Jarvis 2010)",
    "compression_ratio": "Bytes of 100 rows by their bytes after zlib (Shaib et al. 2024); higher is less diverse",
    "shared_bytes": "Share of compressed bytes that is saved by compressing 100 rows together; higher is less diverse",
    "nearest_cosine": "Mean cosine of a row with the most similar other one of the sample",
    "vendi_share": "Effective number of different rows (Vendi score) as a share of the sample",
    "self_bleu": "Mean BLEU-4 of a row with the sample's other rows as references",
}


@dataclass(frozen=True)
class Diversity:
    """Diversity of one sample, with 95% intervals.

    Args:
        rows: in the sample.
        blocks: of words in it.
        figures: as in ``METRICS``.
        vendi: effective number of different rows.
    """

    rows: int
    blocks: int
    figures: Mapping[str, Interval]
    vendi: Interval


@dataclass(frozen=True)
class DiversityResult:
    """Diversity of a version.

    Args:
        overall: of a sample of all rows.
        recipes: of a sample of each recipe.
    """

    overall: Diversity
    recipes: Mapping[str, Diversity]

    def metrics(self) -> dict[str, float]:
        """Figures of all rows, as in ``METRICS``."""
        return {name: figure.value for name, figure in self.overall.figures.items()}

    def describe(self) -> str:
        """All figures as Markdown."""
        shown = {"all": self.overall, **self.recipes}
        lines = [f"| | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
        lines.append(f"| rows in the sample | {' | '.join(f'{one.rows:,}' for one in shown.values())} |")
        lines += [f"| {name} | {' | '.join(str(one.figures[name]) for one in shown.values())} |" for name in METRICS]
        lines.append(f"| Vendi score | {' | '.join(str(one.vendi) for one in shown.values())} |")
        return "\n".join([*lines, "", *(f"- {name}: {meaning}" for name, meaning in METRICS.items())])

    def plots(self) -> dict[str, str]:
        """Markdown images by name."""
        shown = {"all": self.overall, **self.recipes}
        return {
            name: bars({who: one.figures[name].value for who, one in shown.items()}, title=name, x=METRICS[name][:60])
            for name in ("distinct_3", "compression_ratio", "vendi_share")
        }


def diversity_of(sample: RowSample, spec: DiversitySpec, encode: Encode | None = None) -> DiversityResult:
    """Diversity of the rows that a sample was drawn from; it must hold as many rows per recipe as ``spec`` asks for."""
    return DiversityResult(
        _measure(sample.of_all(spec.rows), spec, encode),
        {recipe: _measure(sample.of(recipe, spec.rows), spec, encode) for recipe in sample.recipes},
    )


def mtld(hashes: np.ndarray) -> float:
    """Measure of textual lexical diversity: mean words until the share of different ones falls to 0.72.

    Mean of reading forwards and backwards; the unfinished stretch at the end counts by how far it got.
    """
    words = hashes.tolist()
    return (_mtld_one_way(words) + _mtld_one_way(words[::-1])) / 2


def _measure(rows: Sequence[SampledRow], spec: DiversitySpec, encode: Encode | None) -> Diversity:
    texts = [row.text for row in rows]
    words = split_words(pl.Series(texts, dtype=pl.String()))
    stretches = list(_stretches(words, spec.block_words))
    cosines = similarities(words, texts, encode)
    vendi = vendi_score(cosines)
    figures = {
        f"distinct_{n}": mean_interval([_distinct(words, first, last, n) for first, last in stretches]) for n in _NGRAMS
    }
    figures["mtld"] = mean_interval([mtld(words.hashes[first:last]) for first, last in stretches])
    figures |= _compression(texts)
    figures["nearest_cosine"] = nearest_cosine(cosines)
    figures["vendi_share"] = vendi.scaled(1 / max(len(rows), 1))
    figures["self_bleu"] = self_bleu(words)
    return Diversity(len(rows), len(stretches), figures, vendi)


def _stretches(words: Words, size: int) -> Iterator[tuple[int, int]]:
    """Blocks of so many words; one shorter block if there are not enough."""
    count = len(words.hashes)
    bounds = range(0, count + 1, size) if count >= size else (0, count) if count else ()
    yield from pairwise(bounds)


def _distinct(words: Words, first: int, last: int, n: int) -> float:
    """Share of different n-grams among those that lie in one text."""
    if last - first < n:
        return 0.0
    hashes, text = words.hashes[first:last], words.text[first:last]
    grams = ngram_hashes(hashes, *range(1, n)) if n > 1 else hashes
    grams = grams[text[: len(grams)] == text[n - 1 :]]
    return len(np.unique(grams)) / len(grams) if len(grams) else 0.0


def _compression(texts: Sequence[str]) -> dict[str, Interval]:
    """Ratio of compressing rows together, and what that saves against compressing each alone."""
    ratios, saved = [], []
    last = max(len(texts) - len(texts) % _COMPRESSED_TOGETHER, min(len(texts), _COMPRESSED_TOGETHER))
    for start in range(0, last, _COMPRESSED_TOGETHER):
        raw = [text.encode() for text in texts[start : start + _COMPRESSED_TOGETHER]]
        together = len(zlib.compress(b"\n".join(raw)))
        alone = sum(len(zlib.compress(text)) for text in raw)
        ratios.append(sum(map(len, raw)) / together)
        saved.append(1 - together / alone)
    return {"compression_ratio": mean_interval(ratios), "shared_bytes": mean_interval(saved)}


def _mtld_one_way(words: Sequence[int]) -> float:
    factors, seen, length = 0.0, set[int](), 0
    for word in words:
        seen.add(word)
        length += 1
        if length >= _MTLD_FEWEST and len(seen) <= _MTLD_THRESHOLD * length:
            factors, seen, length = factors + 1, set(), 0
    if length:
        factors += (1 - len(seen) / length) / (1 - _MTLD_THRESHOLD)
    return len(words) / factors if factors else float(len(words))
