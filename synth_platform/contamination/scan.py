"""Search texts for test items: exact runs of words, the item and the span named."""

from collections.abc import Iterable, Iterator

import numpy as np
import polars as pl

from synth_platform.contamination.config import ContaminationSpec
from synth_platform.contamination.index import Index, hash_windows
from synth_platform.contamination.normalise import words
from synth_platform.contamination.schema import CONTAMINATION
from synth_platform.progress import track

METHOD = "exact_ngram"
_SPAN_CHARACTERS = 300


class Scanner:
    """Searches batches of texts for the items of an index."""

    def __init__(self, index: Index, spec: ContaminationSpec) -> None:
        self._index, self._spec = index, spec
        self._hashes = index.ngrams["hash"].to_numpy()
        self._items = index.ngrams["item"].to_numpy()
        self._positions = index.ngrams["position"].to_numpy()
        lengths = index.items["words"].list.len().to_numpy().astype(np.int64)
        self._item_starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self._item_words = index.items["words"].explode(empty_as_null=False).to_numpy()
        self._indexed = index.items["indexed_words"].to_numpy()

    def scan(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of `CONTAMINATION` for a batch with the columns ``row_id`` and ``text``."""
        listed = rows.select(words(pl.col("text")).alias("word"))
        lengths = listed["word"].list.len().to_numpy().astype(np.int64)
        exploded = listed.select(pl.col("word").explode(empty_as_null=False))
        numbers = self._index.number_words(exploded)
        matches = self._matches(numbers, lengths)
        found = self._judge(matches, exploded["word"], lengths)
        return self._with_clean(rows["row_id"], found)

    def _matches(self, numbers: np.ndarray, lengths: np.ndarray) -> pl.DataFrame:
        """Each n-gram found: text, item, place in the text and in the item."""
        n = self._index.ngram
        starts, hashes = hash_windows(numbers, lengths, n)
        first = np.searchsorted(self._hashes, hashes, "left")
        many = np.searchsorted(self._hashes, hashes, "right") - first
        place = np.repeat(starts, many)
        entry = np.repeat(first, many) + _count_up(many)
        item, position = self._items[entry], self._positions[entry]
        same = np.ones(len(place), dtype=bool)
        for offset in range(n):  # a hash may collide; words cannot
            same &= numbers[place + offset] == self._item_words[self._item_starts[item] + position + offset]
        place, item, position = place[same], item[same], position[same]
        text_starts = np.concatenate([[0], np.cumsum(lengths)])
        text = np.searchsorted(text_starts, place, "right") - 1
        return pl.DataFrame({"text": text, "item": item, "place": place, "position": position})

    def _judge(self, matches: pl.DataFrame, all_words: pl.Series, lengths: np.ndarray) -> pl.DataFrame:
        """One row per text and item: the longest run, the share of the item found, the verdict."""
        n, spec = self._index.ngram, self._spec
        key = ["text", "item", pl.col("place") - pl.col("position")]
        runs = (
            matches.sort("text", "item", pl.col("place") - pl.col("position"), "place")
            .with_columns(((pl.col("place").diff() != 1).over(key).fill_null(True)).cum_sum().alias("run"))
            .group_by("text", "item", "run", maintain_order=True)
            .agg(pl.col("place").first(), pl.col("position").first(), (pl.len() + n - 1).alias("words_in_row"))
            .sort("words_in_row", "place", descending=[True, False])
            .group_by("text", "item", maintain_order=True)
            .first()
        )
        covered = (
            matches.select("text", "item", pl.int_ranges(pl.col("position"), pl.col("position") + n).alias("covered"))
            .explode("covered")
            .group_by("text", "item")
            .agg(pl.col("covered").n_unique())
        )
        judged = runs.join(covered, on=["text", "item"]).sort("text", "item")
        share = np.minimum(judged["covered"].to_numpy() / np.maximum(self._indexed[judged["item"].to_numpy()], 1), 1.0)
        strong = (judged["words_in_row"].to_numpy() >= spec.contaminated_ngram) | (share >= spec.contaminated_coverage)
        spans = [
            " ".join(all_words[place : place + length].to_list())[:_SPAN_CHARACTERS]
            for place, length in judged.select("place", "words_in_row").iter_rows()
        ]
        named = self._index.items[judged["item"].to_list()].select("eval", "eval_id")
        ends = pl.col("position") + pl.col("words_in_row")
        return judged.hstack(named).select(
            "text",
            "eval",
            "eval_id",
            pl.lit(METHOD).alias("method"),
            pl.Series("score", share, dtype=pl.Float64()),
            pl.col("words_in_row").cast(pl.Int32),
            pl.Series("span", spans, dtype=pl.String()),
            pl.format("{}-{}", pl.col("position") + 1, ends).alias("eval_span"),
            pl.Series("verdict", np.where(strong, "contaminated", "suspect"), dtype=pl.String()),
        )

    def _with_clean(self, row_ids: pl.Series, found: pl.DataFrame) -> pl.DataFrame:
        texts = pl.DataFrame({"row_id": row_ids, "text": np.arange(len(row_ids))})
        return (
            texts.join(found, on="text", how="left", maintain_order="left_right")
            .with_columns(pl.col("verdict").fill_null("clean"))
            .select(CONTAMINATION.names())
        )


def scan(
    index: Index, spec: ContaminationSpec, batches: Iterable[pl.DataFrame], *, what: str, total: int | None = None
) -> Iterator[pl.DataFrame]:
    """Rows of `CONTAMINATION` for batches with ``row_id`` and ``text``; progress is told under ``what``."""
    scanner = Scanner(index, spec)
    with track(what, total) as task:
        for batch in batches:
            yield scanner.scan(batch)
            task.advance(batch.height)


def _count_up(many: np.ndarray) -> np.ndarray:
    """0, 1, ... many[0]-1, 0, 1, ... many[1]-1, and so on."""
    ends = np.cumsum(many)
    return np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - many, many)
