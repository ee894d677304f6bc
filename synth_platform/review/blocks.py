"""The rows of a version in blocks, each split into words once for all that is measured of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from synth_platform.contamination.words import Words, mix, split_words
from synth_platform.errors import SynthError
from synth_platform.snapshots.frames import rebatch
from synth_platform.sources.dedup import hash_texts

ROWS = pl.Schema(
    {"id": pl.String(), "text": pl.String(), "recipe": pl.String(), "source": pl.String(), "document_id": pl.String()}
)
"""What every row has. No recipe: the text is an original; no document: the row is its own."""
ORIGINAL = "original"
_BLOCK_ROWS = 512
"""Rows of 1.2 kB that are split fastest: their characters fit the processor's cache."""


@dataclass(frozen=True)
class Block:
    """Some rows, as ``ROWS`` and perhaps ``language``, with nothing null."""

    frame: pl.DataFrame

    @cached_property
    def words(self) -> Words:
        """The words of all texts."""
        return split_words(self.frame["text"])

    @cached_property
    def id_hashes(self) -> np.ndarray:
        """uint64 per row."""
        return hash_texts(self.frame["id"].to_list())

    @cached_property
    def document_hashes(self) -> np.ndarray:
        """uint64 per row."""
        return hash_texts(self.frame["document_id"].to_list())

    @cached_property
    def recipes(self) -> dict[str, np.ndarray]:
        """Numbers of the rows of each recipe."""
        numbered = self.frame.select("recipe").with_row_index("row").group_by("recipe", maintain_order=True).agg("row")
        return {recipe: rows.to_numpy() for recipe, rows in zip(*numbered.get_columns(), strict=True)}


def blocks(frames: Iterable[pl.DataFrame], rows: int = _BLOCK_ROWS) -> Iterator[Block]:
    """The same rows in blocks of a size that suits the processor.

    Raises:
        SynthError: a column is missing.
    """
    for frame in rebatch((_plain(frame) for frame in frames), rows):
        yield Block(frame)


def seeded(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Other, independent hashes for each seed."""
    return mix(hashes ^ mix(np.array([seed % (1 << 64)], np.uint64)))


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in ROWS if name not in frame.columns]
    if missing:
        raise SynthError(
            f"rows have no column {missing[0]!r}", where=f"columns {frame.columns}", fix=f"give rows as {list(ROWS)}"
        )
    return frame.select(
        pl.col("id").cast(pl.String()),
        pl.col("text").cast(pl.String()).fill_null(""),
        pl.col("recipe").cast(pl.String()).fill_null(ORIGINAL),
        pl.col("source").cast(pl.String()).fill_null(""),
        pl.coalesce(pl.col("document_id").cast(pl.String()), pl.col("id").cast(pl.String())),
        *([pl.col("language").cast(pl.String())] if "language" in frame.columns else []),
    )
