"""What is kept of a version so that later ones can be compared with it: counts of lengths, words and characters.

All is counted in 16 random groups of documents. How much the groups differ tells how much two samples of one
distribution would, with all dependence between the rows of a document in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from synth_platform.errors import SynthError
from synth_platform.review.blocks import Block, blocks, seeded
from synth_platform.review.word_names import WordNames

GROUPS = 16
SLOTS = 1 << 15
"""Slots that words are hashed to; a slot counts as its commonest word. 30,000 rarer words share slots."""
MARKS = ("words", "bytes", "letters", "digits", "punctuation", "uppercase")
"""What is summed over rows; ``letters`` include the uppercase ones and all characters beyond ASCII."""
_SEED = 0x5EED
_FORMAT = 1
"""Raised when words are split, hashed or counted in another way: sketches of both kinds do not compare."""

DRIFT = pl.Schema(
    {
        "format": pl.Int32(),
        "recipe": pl.String(),
        "kind": pl.String(),
        "group": pl.Int32(),
        "slot": pl.Int32(),
        "count": pl.Int64(),
        "name": pl.String(),
        "key": pl.UInt64(),
        "word": pl.UInt64(),
    }
)
"""A stored sketch, one count per row. ``kind``: ``rows``, ``marks``, ``lengths``, ``vocabulary`` (counts per group and
slot), ``languages`` (counts by name), or ``names`` (a word, its slot, and the key by which it was drawn)."""


def _length_edges() -> np.ndarray:
    """Smallest length of each bin: every length to 64, then steps of 2%."""
    edges = list(range(65))
    while edges[-1] < 5_000_000:
        edges.append(max(edges[-1] + 1, round(edges[-1] * 1.02)))
    return np.array(edges, np.int64)


LENGTHS = _length_edges()


@dataclass
class RecipeCounts:
    """Counts of the rows of one recipe, by group."""

    rows: np.ndarray = field(default_factory=lambda: np.zeros(GROUPS, np.int64))
    marks: np.ndarray = field(default_factory=lambda: np.zeros((GROUPS, len(MARKS)), np.int64))
    lengths: np.ndarray = field(default_factory=lambda: np.zeros((GROUPS, len(LENGTHS)), np.int64))
    vocabulary: np.ndarray = field(default_factory=lambda: np.zeros((GROUPS, SLOTS), np.int64))
    languages: Counter[str] = field(default_factory=Counter)
    names: WordNames = field(default_factory=WordNames)

    def merge(self, other: "RecipeCounts") -> None:
        """Add the counts of other rows."""
        for mine, theirs in zip(self.arrays().values(), other.arrays().values(), strict=True):
            mine += theirs
        self.languages.update(other.languages)
        self.names.merge(other.names)

    def arrays(self) -> dict[str, np.ndarray]:
        """The counts by kind, groups by slots."""
        return {"rows": self.rows[:, None], "marks": self.marks, "lengths": self.lengths, "vocabulary": self.vocabulary}


class DriftSketch:
    """Counts of a version by recipe: some 6 MB in memory for each, 1 to 2 MB stored.

    Sketches of parts of a version merge to the sketch of the whole, exactly, in any order.
    """

    def __init__(self) -> None:
        self._recipes: dict[str, RecipeCounts] = {}

    @property
    def recipes(self) -> Mapping[str, RecipeCounts]:
        """Counts by recipe, sorted by name."""
        return dict(sorted(self._recipes.items()))

    def add(self, block: Block) -> None:
        """Count the rows of a block."""
        groups = (seeded(block.document_hashes, _SEED) % np.uint64(GROUPS)).astype(np.int64)
        lengths = np.diff(block.words.bounds)
        bins = np.searchsorted(LENGTHS, lengths, "right") - 1
        marks = _marks(block, lengths)
        for recipe, rows in block.recipes.items():
            counts = self._recipes.setdefault(recipe, RecipeCounts())
            np.add.at(counts.rows, groups[rows], 1)
            np.add.at(counts.marks, groups[rows], marks[rows])
            np.add.at(counts.lengths, (groups[rows], bins[rows]), 1)
            words = _words_of(block, rows)
            places = groups[block.words.text[words]] * SLOTS
            places += (block.words.hashes[words] & np.uint64(SLOTS - 1)).astype(np.int64)
            np.add.at(counts.vocabulary.reshape(-1), places, 1)
            counts.names.add(block, words)
            if "language" in block.frame.columns:
                counts.languages.update(block.frame["language"][rows].drop_nulls().to_list())

    def merge(self, other: "DriftSketch") -> None:
        """Add the counts of other rows."""
        for recipe, counts in other._recipes.items():
            self._recipes.setdefault(recipe, RecipeCounts()).merge(counts)

    def total(self) -> RecipeCounts:
        """Counts of all recipes together."""
        total = RecipeCounts()
        for counts in self._recipes.values():
            total.merge(counts)
        return total

    def table(self) -> pl.DataFrame:
        """The sketch as ``DRIFT``."""
        parts = [pl.DataFrame(schema=DRIFT)]
        for recipe, counts in self.recipes.items():
            for kind, array in counts.arrays().items():
                group, slot = np.nonzero(array)
                parts.append(_part(recipe, kind, group=group, slot=slot, count=array[group, slot]))
            languages = dict(sorted(counts.languages.items()))
            parts.append(_part(recipe, "languages", name=list(languages), count=list(languages.values())))
            parts.append(_part(recipe, "names", **counts.names.columns()))
        return pl.concat(parts)

    @classmethod
    def from_table(cls, table: pl.DataFrame) -> "DriftSketch":
        """Read a stored sketch.

        Raises:
            SynthError: it counts in another way than this version of the platform.
        """
        _check_format(table)
        sketch = cls()
        for (recipe, kind), part in table.group_by("recipe", "kind"):
            counts = sketch._recipes.setdefault(str(recipe), RecipeCounts())
            if kind == "names":
                counts.names.read(part)
            elif kind == "languages":
                counts.languages.update(dict(zip(part["name"], part["count"], strict=True)))
            else:
                array = counts.arrays()[str(kind)]
                np.add.at(array, (part["group"].to_numpy(), part["slot"].to_numpy()), part["count"].to_numpy())
        return sketch


def sketch_drift(frames: Iterable[pl.DataFrame]) -> DriftSketch:
    """Sketch of all rows."""
    sketch = DriftSketch()
    for block in blocks(frames):
        sketch.add(block)
    return sketch


def _words_of(block: Block, rows: np.ndarray) -> np.ndarray:
    """Numbers of the words of some rows."""
    chosen = np.zeros(block.frame.height, bool)
    chosen[rows] = True
    return np.flatnonzero(chosen[block.words.text])


def _marks(block: Block, lengths: np.ndarray) -> np.ndarray:
    """``MARKS`` of each row."""
    buffer, starts = block.words.buffer, block.words.text_starts
    marks = np.zeros((len(lengths), len(MARKS)), np.int64)
    if not len(lengths):
        return marks
    marks[:, 0] = lengths
    marks[:, 1] = np.diff(starts) - 1
    # Two counts in one sum: each fits 32 bits.
    for column, table in ((2, _LETTERS_AND_DIGITS), (4, _PUNCTUATION_AND_UPPERCASE)):
        sums = np.add.reduceat(table[buffer], starts[:-1])
        marks[:, column], marks[:, column + 1] = sums & 0xFFFFFFFF, sums >> 32
    return marks


def _check_format(table: pl.DataFrame) -> None:
    made = set(table["format"].unique())
    if made - {_FORMAT}:
        raise SynthError(
            f"drift sketch has format {sorted(made)[0]}, not {_FORMAT}", fix="sketch that version anew from its rows"
        )


def _two_counts(first: Iterable[int], second: Iterable[int]) -> np.ndarray:
    table = np.zeros(256, np.int64)
    table[list(first)] += 1
    table[list(second)] += 1 << 32
    return table


def _part(recipe: str, kind: str, **columns: Iterable[object]) -> pl.DataFrame:
    frame = pl.DataFrame({name: pl.Series(values, dtype=DRIFT[name]) for name, values in columns.items()})
    given = {"format": pl.lit(_FORMAT), "recipe": pl.lit(recipe), "kind": pl.lit(kind)}
    return frame.select(
        (given[name] if name in given else pl.col(name) if name in columns else pl.lit(None)).cast(kind_).alias(name)
        for name, kind_ in DRIFT.items()
    )


_ASCII = {byte: chr(byte) for byte in range(33, 127)}
_LETTERS_AND_DIGITS = _two_counts(
    [*(byte for byte, character in _ASCII.items() if character.isalpha()), *range(0xC0, 256)],
    [byte for byte, character in _ASCII.items() if character.isdigit()],
)
_PUNCTUATION_AND_UPPERCASE = _two_counts(
    [byte for byte, character in _ASCII.items() if not character.isalnum()],
    [byte for byte, character in _ASCII.items() if character.isupper()],
)
