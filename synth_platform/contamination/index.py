"""The index over test items: their word n-grams by hash, exact because every hit is compared word by word."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.contamination.config import ContaminationSpec
from synth_platform.contamination.normalise import words
from synth_platform.contamination.schema import INDEX_ITEMS, INDEX_NGRAMS, INDEX_WORDS

UNKNOWN = -1
"""Number of a word that is in no test item."""
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Index:
    """Test items, ready to be searched.

    Args:
        items: `INDEX_ITEMS`; the row number is the item's number.
        ngrams: `INDEX_NGRAMS`, sorted by hash.
        vocabulary: `INDEX_WORDS`.
        ngram: words in an n-gram.
    """

    items: pl.DataFrame
    ngrams: pl.DataFrame
    vocabulary: pl.DataFrame
    ngram: int

    def tables(self) -> dict[str, pl.DataFrame]:
        """The tables that `Index` can be made from again."""
        return {"items": self.items, "ngrams": self.ngrams, "words": self.vocabulary}

    def number_words(self, exploded: pl.DataFrame) -> np.ndarray:
        """Numbers of the words in the column ``word``, in order; UNKNOWN for those in no item."""
        numbered = exploded.join(self.vocabulary, on="word", how="left", maintain_order="left")
        return numbered["number"].fill_null(UNKNOWN).to_numpy()


def build_index(batches: Iterable[pl.DataFrame], spec: ContaminationSpec) -> Index:
    """Index the items of all test sets.

    An item is its question; one shorter than an n-gram is taken with its choices and answer, so that short
    questions are found in company only. Equal items are kept once, under the first one's name.
    """
    items = pl.concat([pl.DataFrame(schema=_MATCHED), *(_matched(batch, spec.ngram) for batch in batches)])
    items = items.unique("words", keep="first", maintain_order=True)
    vocabulary = (
        items.select(pl.col("words").explode(empty_as_null=False).alias("word"))
        .unique()
        .sort("word")
        .with_row_index("number")
    ).select("word", pl.col("number").cast(pl.Int32))
    lengths = items["words"].list.len().to_numpy().astype(np.int64)
    exploded = items.select(pl.col("words").explode(empty_as_null=False).alias("word"))
    bare = Index(pl.DataFrame(schema=INDEX_ITEMS), pl.DataFrame(schema=INDEX_NGRAMS), vocabulary, spec.ngram)
    numbers = bare.number_words(exploded)
    ngrams = _ngrams(numbers, lengths, spec)
    covered = _covered_words(ngrams, lengths, spec.ngram)
    numbered = items.select(
        "eval",
        "eval_id",
        _as_lists(numbers, lengths).alias("words"),
        pl.Series("indexed_words", covered, dtype=pl.Int32()),
    )
    return Index(numbered, ngrams, vocabulary.match_to_schema(INDEX_WORDS), spec.ngram)


def hash_windows(numbers: np.ndarray, lengths: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hash of every window of n known words that lies inside one text.

    Args:
        numbers: word numbers of all texts, one after the other.
        lengths: words per text.
        n: words in a window.

    Returns:
        Start positions in ``numbers``, ascending, and the hash of each.
    """
    count = len(numbers) - n + 1
    if count <= 0:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    unknown = np.concatenate([[0], np.cumsum(numbers == UNKNOWN)])
    text = np.repeat(np.arange(len(lengths)), lengths)
    inside = (text[:count] == text[n - 1 :]) & (unknown[n:] == unknown[:count])
    starts = np.flatnonzero(inside)
    hashes = np.zeros(len(starts), np.uint64)
    values = numbers.astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        for offset in range(n):
            hashes = (hashes ^ values[starts + offset]) * _PRIME
            hashes ^= hashes >> np.uint64(29)
    return starts, hashes


_MATCHED = pl.Schema({"eval": pl.String(), "eval_id": pl.String(), "words": pl.List(pl.String())})


def _matched(batch: pl.DataFrame, ngram: int) -> pl.DataFrame:
    """Words by which items are recognised."""
    choices = [" ".join(map(str, _list(text))) for text in batch["choices"]]
    with_choices = batch.with_columns(pl.Series("choices", choices, dtype=pl.String()))
    whole = pl.concat_str("question", "choices", "answer", separator=" ", ignore_nulls=True)
    rows = with_choices.select(
        "eval", pl.col("id").alias("eval_id"), words(pl.col("question")).alias("short"), words(whole).alias("long")
    )
    enough = pl.col("short").list.len() >= ngram
    return rows.select(
        "eval", "eval_id", pl.when(enough).then("short").otherwise("long").alias("words")
    ).match_to_schema(_MATCHED)


def _list(text: str | None) -> list[object]:
    value = json.loads(text) if text else []
    return value if isinstance(value, list) else [value]


def _ngrams(numbers: np.ndarray, lengths: np.ndarray, spec: ContaminationSpec) -> pl.DataFrame:
    starts, hashes = hash_windows(numbers, lengths, spec.ngram)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    item = np.searchsorted(offsets, starts, "right") - 1
    rows = pl.DataFrame(
        {"hash": hashes, "item": item.astype(np.int32), "position": (starts - offsets[item]).astype(np.int32)},
        schema=INDEX_NGRAMS,
    )
    rare = pl.col("item").n_unique().over("hash") <= spec.common_ngram_items
    # An item of nothing but turns of phrase is still to be found.
    return rows.filter(rare | ~rare.any().over("item")).sort("hash", "item", "position")


def _covered_words(ngrams: pl.DataFrame, lengths: np.ndarray, n: int) -> np.ndarray:
    """How many words of each item lie in one of its n-grams."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    marks = np.zeros(int(offsets[-1]) + n + 1, dtype=np.int64)
    starts = offsets[ngrams["item"].to_numpy()] + ngrams["position"].to_numpy()
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + n, -1)
    covered = np.concatenate([[0], np.cumsum(np.cumsum(marks)[: int(offsets[-1])] > 0)])
    return covered[offsets[1:]] - covered[offsets[:-1]]


def _as_lists(numbers: np.ndarray, lengths: np.ndarray) -> pl.Series:
    rows = pl.DataFrame({"item": np.repeat(np.arange(len(lengths)), lengths), "number": numbers.astype(np.int32)})
    lists = rows.group_by("item", maintain_order=True).agg("number")
    every = pl.DataFrame({"item": np.arange(len(lengths))}).join(lists, on="item", how="left", maintain_order="left")
    return every["number"].cast(pl.List(pl.Int32())).fill_null([])
