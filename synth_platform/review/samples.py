"""Seeded samples of rows: the same ones whatever the order, the batches and the number of workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synth_platform.review.blocks import Block, seeded


@dataclass(frozen=True)
class SampledRow:
    """A row that was drawn.

    Args:
        key: what decides that it is in the sample; uniform over all rows.
        id: of the row.
        text: of the row.
    """

    key: int
    id: str
    text: str


class RowSample:
    """Per recipe, the rows whose ids have the smallest seeded hashes ("bottom-k").

    The first k of a larger sample are the sample of k, and those of all recipes together are one of all rows.

    Args:
        rows: most rows per recipe.
        seed: other seeds give other rows.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self._rows, self._seed = rows, seed
        self._kept: dict[str, list[SampledRow]] = {}
        self._bars: dict[str, int] = {}

    def add(self, block: Block) -> None:
        """Offer the rows of a block."""
        keys = seeded(block.id_hashes, self._seed)
        for recipe, rows in block.recipes.items():
            kept = self._kept.setdefault(recipe, [])
            fresh = rows[keys[rows] <= np.uint64(self._bars.get(recipe, np.iinfo(np.uint64).max))]
            if len(fresh):
                drawn = block.frame[fresh]
                kept += map(SampledRow, keys[fresh].tolist(), drawn["id"], drawn["text"])
                if len(kept) >= 2 * self._rows:
                    self._trim(recipe)

    def merge(self, other: "RowSample") -> None:
        """Take in the sample of other rows, drawn with the same seed and size."""
        for recipe, rows in other._kept.items():
            self._kept.setdefault(recipe, []).extend(rows)
            self._trim(recipe)

    @property
    def recipes(self) -> list[str]:
        """Names of all recipes, sorted."""
        return sorted(self._kept)

    def of(self, recipe: str, rows: int | None = None) -> Sequence[SampledRow]:
        """The sample of a recipe, or its first rows."""
        self._trim(recipe)
        return self._kept[recipe][: rows or self._rows]

    def of_all(self, rows: int | None = None) -> Sequence[SampledRow]:
        """The sample of all rows."""
        return sorted((row for kept in self._kept.values() for row in kept), key=_order)[: rows or self._rows]

    def _trim(self, recipe: str) -> None:
        kept = self._kept.setdefault(recipe, [])
        kept.sort(key=_order)
        del kept[self._rows :]
        if len(kept) == self._rows:
            self._bars[recipe] = kept[-1].key


def _order(row: SampledRow) -> tuple[int, str, str]:
    return row.key, row.id, row.text
