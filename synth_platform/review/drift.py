"""Drift: how a version's lengths, words and characters differ from those of another version or of the source."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_platform.plots import bars, lines
from synth_platform.review.config import DriftSpec
from synth_platform.review.drift_sketch import LENGTHS, MARKS, DriftSketch, RecipeCounts
from synth_platform.review.statistics import Distance, difference_p, distance_test, ratio_with_variance
from synth_platform.review.vocabulary import WordChange, changed_words, vocabulary_bins, vocabulary_test

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FEWEST_ROWS = 64
"""Rows of each side from which differences are tested."""
_SHARES = ("digits", "punctuation", "uppercase")

METRICS: Mapping[str, str] = {
    "length_shift": "Wasserstein distance of lengths in words, by the older median; most changed recipe",
    "length_ks": "Kolmogorov-Smirnov distance of lengths; most changed recipe",
    "vocabulary_divergence": "Jensen-Shannon divergence of words in bits, 0 to 1; most changed recipe",
    "vocabulary_divergence_excess": "The same less what two samples of one distribution would have",
    "digits_change": "Largest change of the share of digits among characters, either way",
    "punctuation_change": "Largest change of the share of punctuation among characters, either way",
    "uppercase_change": "Largest change of the share of capitals among letters, either way",
    "language_change": "Total variation distance of languages, 0 to 1; most changed recipe",
    "smallest_p": "Smallest p-value of all tests, times their number (Bonferroni)",
}


@dataclass(frozen=True)
class ShareChange:
    """Share of a kind of character before and after, and the p-value of the change."""

    old: float
    new: float
    p: float


@dataclass(frozen=True)
class RecipeDrift:
    """How the rows of a recipe differ from older ones.

    Args:
        old_rows: what they are compared with.
        new_rows: how many they are.
        old_lengths: ``QUANTILES`` of words per row.
        new_lengths: the same, to within 2%.
        ks: largest difference of the cumulative distributions of lengths.
        wasserstein: of lengths, in words.
        vocabulary: Jensen-Shannon divergence in bits.
        shares: by kind of character.
        languages: total variation distance; None where languages are not known.
        words: that changed most.
        old_curve: lengths in words, each with the share of rows of at most that length.
        new_curve: the same.
    """

    old_rows: int
    new_rows: int
    old_lengths: tuple[float, ...]
    new_lengths: tuple[float, ...]
    ks: Distance
    wasserstein: Distance
    vocabulary: Distance
    shares: Mapping[str, ShareChange]
    languages: float | None
    words: tuple[WordChange, ...]
    old_curve: tuple[tuple[float, float], ...]
    new_curve: tuple[tuple[float, float], ...]

    @property
    def p_values(self) -> list[float]:
        """Of all tests; empty if there are too few rows for one."""
        if min(self.old_rows, self.new_rows) < _FEWEST_ROWS:
            return []
        tests = (self.ks.p, self.wasserstein.p, self.vocabulary.p)
        return [*tests, *(change.p for change in self.shares.values())]


@dataclass(frozen=True)
class DriftResult:
    """Drift of a version.

    Args:
        against: what it is compared with, for people.
        recipes: drift by recipe.
        missing: recipes that only one side has.
    """

    against: str
    recipes: Mapping[str, RecipeDrift]
    missing: tuple[str, ...]

    def metrics(self) -> dict[str, float]:
        """Figures as in ``METRICS``."""
        all_of = list(self.recipes.values())
        figures = {
            "length_shift": [one.wasserstein.value / max(one.old_lengths[2], 1) for one in all_of],
            "length_ks": [one.ks.value for one in all_of],
            "vocabulary_divergence": [one.vocabulary.value for one in all_of],
            "vocabulary_divergence_excess": [one.vocabulary.value - one.vocabulary.expected for one in all_of],
            **{
                f"{name}_change": [abs(one.shares[name].new - one.shares[name].old) for one in all_of]
                for name in _SHARES
            },
            "language_change": [one.languages or 0.0 for one in all_of],
        }
        tests = [p for one in all_of for p in one.p_values]
        worst = {name: float(max(values, default=0.0)) for name, values in figures.items()}
        return {**worst, "smallest_p": min(1.0, min(tests, default=1.0) * max(len(tests), 1))}

    def describe(self) -> str:
        """All differences as Markdown."""
        out = [
            f"Against {self.against}. In brackets: what two samples of one distribution would have, and the p-value."
        ]
        out += ["", "| recipe | rows | median words | Wasserstein, words | KS | vocabulary, bits | languages |"]
        out.append("|---|---|---|---|---|---|---|")
        for recipe, one in self.recipes.items():
            tests = " | ".join(_tested(test, one) for test in (one.wasserstein, one.ks, one.vocabulary))
            languages = "-" if one.languages is None else f"{one.languages:.3g}"
            medians = f"{one.old_lengths[2]:,.4g} → {one.new_lengths[2]:,.4g}"
            out.append(f"| {recipe} | {one.old_rows:,} → {one.new_rows:,} | {medians} | {tests} | {languages} |")
        out += ["", "| recipe | share of | before | after | p |", "|---|---|---:|---:|---:|"]
        for recipe, one in self.recipes.items():
            out += [
                f"| {recipe} | {name} | {change.old:.2%} | {change.new:.2%} | {change.p:.2g} |"
                for name, change in one.shares.items()
            ]
        for recipe, one in self.recipes.items():
            more = ", ".join(f"{word.word} ({word.z:+.1f})" for word in one.words if word.z > 0)
            fewer = ", ".join(f"{word.word} ({word.z:+.1f})" for word in one.words if word.z < 0)
            out += ["", f"**{recipe}**, words (z): more {more or '-'}; fewer {fewer or '-'}."]
        if self.missing:
            out += ["", f"Only on one side: {', '.join(self.missing)}."]
        return "\n".join(out)

    def plots(self) -> dict[str, str]:
        """Markdown images by name: lengths before and after, and the words that changed most."""
        images: dict[str, str] = {}
        for recipe, one in self.recipes.items():
            curves = {self.against: one.old_curve, "this version": one.new_curve}
            images[f"lengths_{recipe}"] = lines(curves, title=f"{recipe}: lengths", x="words", y="share of rows below")
            changes = {word.word: word.z for word in one.words}
            images[f"words_{recipe}"] = bars(changes, title=f"{recipe}: words that changed", x="z of log odds")
        return images


def compare(
    new: DriftSketch,
    old: DriftSketch,
    spec: DriftSpec | None = None,
    *,
    against: str = "the last release",
    per_recipe: bool = True,
    seed: int = 0,
) -> DriftResult:
    """Compare a version with an older one, or with the source.

    Args:
        new: sketch of the version.
        old: sketch of what it is compared with.
        spec: how.
        against: name of the latter, for people.
        per_recipe: compare each recipe with the same recipe; otherwise each with all that is in ``old``: the source.
        seed: of the bootstrap.
    """
    spec = spec or DriftSpec()
    shared = [recipe for recipe in new.recipes if not per_recipe or recipe in old.recipes]
    total = None if per_recipe else old.total()
    return DriftResult(
        against,
        {recipe: _compare(new.recipes[recipe], total or old.recipes[recipe], spec, seed) for recipe in shared},
        tuple(sorted(set(new.recipes) ^ set(old.recipes))) if per_recipe else (),
    )


def length_quantiles(counts: RecipeCounts) -> tuple[float, ...]:
    """``QUANTILES`` of words per row."""
    histogram = counts.lengths.sum(0)
    if not histogram.sum():
        return (0.0,) * len(QUANTILES)
    places = np.searchsorted(np.cumsum(histogram), np.array(QUANTILES) * histogram.sum())
    return tuple(float(LENGTHS[place]) for place in places)


def _compare(new: RecipeCounts, old: RecipeCounts, spec: DriftSpec, seed: int) -> RecipeDrift:
    words, old_words = vocabulary_bins(new.vocabulary, old.vocabulary, spec.words)
    return RecipeDrift(
        old_rows=int(old.rows.sum()),
        new_rows=int(new.rows.sum()),
        old_lengths=length_quantiles(old),
        new_lengths=length_quantiles(new),
        ks=distance_test(new.lengths, old.lengths, _kolmogorov_smirnov, draws=spec.draws, seed=seed),
        wasserstein=distance_test(new.lengths, old.lengths, _wasserstein, draws=spec.draws, seed=seed),
        vocabulary=vocabulary_test(words, old_words, draws=spec.draws, seed=seed),
        shares={name: _share_change(new, old, name) for name in _SHARES},
        languages=_language_change(new, old),
        words=changed_words(new, old),
        old_curve=_curve(old),
        new_curve=_curve(new),
    )


def _kolmogorov_smirnov(differences: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.abs(np.cumsum(differences, axis=1)).max(axis=1)


def _wasserstein(differences: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.abs(np.cumsum(differences, axis=1))[:, :-1] @ np.diff(LENGTHS).astype(float)


def _share_change(new: RecipeCounts, old: RecipeCounts, name: str) -> ShareChange:
    whole = MARKS.index("letters" if name == "uppercase" else "bytes")
    part = MARKS.index(name)
    shares = [ratio_with_variance(side.marks[:, part], side.marks[:, whole]) for side in (old, new)]
    return ShareChange(shares[0][0], shares[1][0], difference_p(*shares, groups=len(new.marks)))


def _language_change(new: RecipeCounts, old: RecipeCounts) -> float | None:
    totals = new.languages.total(), old.languages.total()
    if not all(totals):
        return None
    names = set(new.languages) | set(old.languages)
    return sum(abs(new.languages[name] / totals[0] - old.languages[name] / totals[1]) for name in names) / 2


def _tested(test: Distance, drift: RecipeDrift) -> str:
    return f"{test.value:.3g} ({test.expected:.2g}, p {test.p:.2g})" if drift.p_values else f"{test.value:.3g}"


def _curve(counts: RecipeCounts) -> tuple[tuple[float, float], ...]:
    histogram = counts.lengths.sum(0)
    shares = np.cumsum(histogram) / max(histogram.sum(), 1)
    shown = (shares > 0.001) & (shares < 0.995)
    return tuple(zip(LENGTHS[shown].tolist(), shares[shown].tolist(), strict=True))
