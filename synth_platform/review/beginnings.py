"""Count rows that begin alike, past what their recipe makes all of them begin with."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, mix, split_words
from synth_platform.digest import digest_int
from synth_platform.review.blocks import Block
from synth_platform.review.count_min import CountMin
from synth_platform.review.samples import SampledRow
from synth_platform.review.statistics import Interval, share_interval

_BASE = np.uint64(0x9E3779B97F4A7C15)
_FEWEST_ROWS = 20
"""Rows from which a shared beginning is told from chance."""
_SHOWN = 10

Tokens = Callable[[Words, int], np.ndarray]
"""The first so many tokens (words, lines) of each text as uint64, 0 where it has fewer: an array of texts by tokens."""
Shown = Callable[[Words, int, int], str]
"""Tokens of the first text, from one number to another, for people."""


@dataclass(frozen=True)
class Beginning:
    """A beginning that rows have in common.

    Args:
        text: of one of them.
        sampled: rows of the sample that have it.
        rows: rows of the version that have it; at most 0.02% of all rows too many.
        id: of one of them.
    """

    text: str
    sampled: int
    rows: int
    id: str


@dataclass(frozen=True)
class BeginningCounts:
    """How a recipe's rows begin.

    Args:
        rows: of the version.
        sampled: rows in the sample.
        form: the common beginning that was not counted.
        largest: sampled rows with the commonest beginning, per 1,000. As the largest of many counts it leans upwards.
        largest_overall: the same of all rows.
        repeated: sampled rows whose beginning another one has, per 1,000.
        top: the commonest beginnings.
    """

    rows: int
    sampled: int
    form: str
    largest: Interval
    largest_overall: float
    repeated: Interval
    top: tuple[Beginning, ...]


@dataclass(frozen=True)
class Rule:
    """What is counted as the same beginning.

    Args:
        tokens: that make a beginning.
        form_tokens: most tokens of a form that is left out.
        form_share: share of the rows that must have it.
        long_form_counts: whether a shared beginning longer than ``form_tokens`` is no form but counts.
        given: tokens of the form by recipe, where it is known.
    """

    tokens: int
    form_tokens: int
    form_share: float
    long_form_counts: bool
    given: dict[str, np.ndarray]

    @property
    def longest(self) -> int:
        """Tokens that have to be looked at."""
        return self.tokens + max([self.form_tokens, *map(len, self.given.values())])


class Beginnings:
    """Counts beginnings of every length that may be asked for.

    What a recipe's form is shows only at the end, so each row is counted under its first n tokens for each n from the
    rule's to that plus the longest form. A row with a form of s tokens is then looked up under its first n + s.
    """

    def __init__(self, rule: Rule, tokens: Tokens, shown: Shown) -> None:
        self._rule, self._tokens, self._shown = rule, tokens, shown
        self._counts = CountMin()
        self._rows: Counter[str] = Counter()

    def add(self, block: Block) -> None:
        """Count the rows of a block."""
        prefixes = _fold(self._tokens(block.words, self._rule.longest))
        for recipe, rows in block.recipes.items():
            self._counts.add((prefixes[rows, self._rule.tokens - 1 :] ^ _recipe_key(recipe)).ravel())
            self._rows[recipe] += len(rows)

    def merge(self, other: "Beginnings") -> None:
        """Add the counts of other rows, counted by the same rule."""
        self._counts.merge(other._counts)
        self._rows.update(other._rows)

    def counts(self, recipe: str, sample: Sequence[SampledRow]) -> BeginningCounts:
        """How the rows of a recipe begin; the sample must be of its rows."""
        words = split_words(pl.Series([row.text for row in sample], dtype=pl.String()))
        prefixes = _fold(self._tokens(words, self._rule.longest))
        form, has_form = self._form(recipe, prefixes)
        last = np.where(has_form, form, 0) + self._rule.tokens - 1
        keys = prefixes[np.arange(len(prefixes)), last] if len(prefixes) else np.empty(0, np.uint64)
        groups, first, sizes = np.unique(keys, return_index=True, return_counts=True)
        overall = self._counts.estimate(groups ^ _recipe_key(recipe))
        top = np.lexsort((first, -overall, -sizes))[:_SHOWN]
        begins = [form if has_form[row] else 0 for row in first[top]]
        shown = [
            self._show(sample[row].text, begin, begin + self._rule.tokens)
            for row, begin in zip(first[top], begins, strict=True)
        ]
        count, total = len(sample), self._rows[recipe]
        example = int(np.argmax(has_form)) if has_form.any() else 0
        return BeginningCounts(
            rows=total,
            sampled=count,
            form=self._show(sample[example].text, 0, form) if form else "",
            largest=share_interval(int(sizes.max(initial=0)), count).scaled(1000),
            largest_overall=1000 * min(int(overall.max(initial=0)), total) / max(total, 1),
            repeated=share_interval(int(sizes[sizes > 1].sum()), count).scaled(1000),
            top=tuple(
                Beginning(text, int(sizes[group]), min(int(overall[group]), total), sample[int(first[group])].id)
                for text, group in zip(shown, top, strict=True)
            ),
        )

    def _form(self, recipe: str, prefixes: np.ndarray) -> tuple[int, np.ndarray]:
        """Tokens of the recipe's form, and which rows begin with it."""
        none = np.zeros(len(prefixes), bool)
        if recipe in self._rule.given:
            given = self._rule.given[recipe]
            return (len(given), prefixes[:, len(given) - 1] == _fold(given[None])[0, -1]) if len(given) else (0, none)
        form, has_form = 0, none
        if len(prefixes) < _FEWEST_ROWS:
            return form, has_form
        limit = self._rule.form_tokens + self._rule.long_form_counts
        for tokens in range(1, min(limit, prefixes.shape[1]) + 1):
            values, sizes = np.unique(prefixes[:, tokens - 1], return_counts=True)
            if sizes.max() < self._rule.form_share * len(prefixes):
                break
            form, has_form = tokens, prefixes[:, tokens - 1] == values[sizes.argmax()]
        return (0, none) if form > self._rule.form_tokens else (form, has_form)

    def _show(self, text: str, start: int, end: int) -> str:
        return self._shown(split_words([text]), start, end)


def describe_counts(counts: Iterable[tuple[str, BeginningCounts]], what: str) -> str:
    """A Markdown table of all recipes, and one of the commonest beginnings."""
    names = (
        "recipe",
        "rows",
        "its form",
        f"commonest {what}, of 1,000 rows",
        "of all, per 1,000",
        "repeated, per 1,000",
    )
    lines = [f"| {' | '.join(names)} |", "|---|---:|---|---|---:|---|"]
    tops = [f"| recipe | {what} | of sampled | rows | such as |", "|---|---|---:|---:|---|"]
    for recipe, one in counts:
        figures = (recipe, f"{one.rows:,}", cell(one.form), one.largest, f"{one.largest_overall:.3g}", one.repeated)
        lines.append(f"| {' | '.join(map(str, figures))} |")
        tops += [
            f"| {recipe} | {cell(top.text)} | {top.sampled:,} of {one.sampled:,} | {top.rows:,} | {top.id} |"
            for top in one.top
            if top.sampled > 1
        ]
    return "\n".join([*lines, "", *(tops if len(tops) > 2 else [f"*no {what} is shared*"])])


def cell(text: str) -> str:
    """A text as the content of a table cell."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|") if text.strip() else "-"


def _fold(tokens: np.ndarray) -> np.ndarray:
    """Hash of the first 1, 2, ... tokens of each text."""
    folded = np.empty_like(tokens)
    state = np.full(len(tokens), _BASE, np.uint64)
    for column in range(tokens.shape[1]):
        state = mix(state * _BASE + tokens[:, column] + np.uint64(column))
        folded[:, column] = state
    return folded


def _recipe_key(recipe: str) -> np.uint64:
    return np.uint64(digest_int("recipe", recipe))
