"""Which candidate pairs are near-duplicates, by the n-grams of their texts."""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from synth_platform.contamination.words import split_words
from synth_platform.errors import SynthError
from synth_platform.review.blocks import Block, blocks
from synth_platform.review.candidates import Pairs
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.review.minhash import jaccard, shingle_sets

TextOf = Callable[[Sequence[str]], Mapping[str, str]]
"""Texts of rows by their ids; rows that are gone may be left out."""
_READ_ROWS = 4096


@dataclass(frozen=True)
class Links:
    """Rows that have an earlier near-duplicate, each with the most similar one.

    Args:
        rows: number of the row, ascending.
        others: number of the earlier row.
        similarities: Jaccard similarity of the two.
        verified: whether their texts were compared; otherwise ``similarities`` are estimates.
    """

    rows: np.ndarray
    others: np.ndarray
    similarities: np.ndarray
    verified: np.ndarray


@dataclass
class _Judged:
    """Candidate pairs and what was found out about them."""

    pairs: Pairs
    similarities: np.ndarray
    verified: np.ndarray


class _Store:
    """N-gram sets of rows, in a file that is gone when it is closed; 16 bytes of memory per row."""

    def __init__(self, rows: np.ndarray, scratch: Path | None) -> None:
        self._rows = rows
        self._bounds = np.zeros((len(rows), 2), np.int64)
        self._file = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115 (closed by ``close``)
        self._size = 0

    def put(self, row: int, values: np.ndarray) -> None:
        at = np.searchsorted(self._rows, row)
        if at < len(self._rows) and self._rows[at] == row:
            self._bounds[at] = self._size, values.nbytes
            self._file.write(values.tobytes())
            self._size += values.nbytes

    def get(self, row: int) -> np.ndarray:
        offset, size = self._bounds[np.searchsorted(self._rows, row)].tolist()
        self._file.flush()
        return np.frombuffer(os.pread(self._file.fileno(), size, offset), np.uint64)

    def close(self) -> None:
        self._file.close()


def verify(
    frames: Iterable[pl.DataFrame],
    inside: Pairs,
    earlier: Sequence[tuple[Pairs, pl.LazyFrame, TextOf | None]],
    spec: NearDuplicatesSpec,
    scratch: Path | None = None,
) -> tuple[Links, list[Links]]:
    """Compare the texts of candidate pairs.

    Args:
        frames: the rows of the version once more.
        inside: candidates among them.
        earlier: per earlier version candidates, its sketch, and how to get its texts; without texts, estimates count.
        spec: what counts as near.
        scratch: folder for n-grams of rows that later ones are compared with.

    Returns:
        Links inside the version, and to each earlier version.

    Raises:
        SynthError: ``frames`` are not the rows that the candidates are among.
    """
    judged = [_unjudged(pairs) for pairs in (inside, *(pairs for pairs, _, _ in earlier))]
    read = [judged[0], *(one for one, (_, _, text_of) in zip(judged[1:], earlier, strict=True) if text_of)]
    needed = np.unique(np.concatenate([inside.others, *(one.pairs.rows for one in read)]))
    store = _Store(np.unique(inside.others), scratch)
    try:
        for first, block in _numbered(frames) if len(needed) else ():
            here = needed[np.searchsorted(needed, first) : np.searchsorted(needed, first + block.frame.height)]
            sets = _sets(block.frame["text"].gather(here - first), spec.ngram)
            own = dict(zip(here.tolist(), sets, strict=True))
            for row, values in own.items():
                store.put(row, values)
            span = first, first + block.frame.height
            _judge(judged[0], span, own, store.get)
            for one, (_, table, text_of) in zip(judged[1:], earlier, strict=True):
                if text_of:
                    _judge_with_texts(one, span, own, table, text_of, spec.ngram)
    finally:
        store.close()
    if not judged[0].verified.all():
        raise SynthError(
            "the rows that were read again are not those that were sketched",
            fix="give the same version twice, its rows in the same order",
        )
    links = [_links(one, spec.threshold) for one in judged]
    return links[0], links[1:]


def ids_at(table: pl.LazyFrame, rows: np.ndarray) -> dict[int, str]:
    """Ids of some rows of a sketch, by their numbers."""
    wanted = pl.Series(np.unique(rows), dtype=pl.UInt32())
    found = table.select("id").with_row_index("row").filter(pl.col("row").is_in(wanted.implode())).collect()
    return dict(zip(found["row"], found["id"], strict=True))


def _unjudged(pairs: Pairs) -> _Judged:
    return _Judged(pairs, pairs.estimates.copy(), np.zeros(len(pairs.rows), bool))


def _numbered(frames: Iterable[pl.DataFrame]) -> Iterable[tuple[int, Block]]:
    """Blocks with the number of their first row."""
    first = 0
    for block in blocks(frames, _READ_ROWS):
        yield first, block
        first += block.frame.height


def _sets(texts: pl.Series, ngram: int) -> list[np.ndarray]:
    return shingle_sets(split_words(texts), ngram) if len(texts) else []


def _judge(
    judged: _Judged, span: tuple[int, int], own: Mapping[int, np.ndarray], other: Callable[[int], np.ndarray | None]
) -> None:
    """Compare the pairs of the rows of a span."""
    start, end = np.searchsorted(judged.pairs.rows, span)
    for pair in range(start, end):
        values = other(int(judged.pairs.others[pair]))
        if values is not None:
            judged.similarities[pair] = jaccard(own[int(judged.pairs.rows[pair])], values)
            judged.verified[pair] = True


def _judge_with_texts(
    judged: _Judged,
    span: tuple[int, int],
    own: Mapping[int, np.ndarray],
    table: pl.LazyFrame,
    text_of: TextOf,
    ngram: int,
) -> None:
    start, end = np.searchsorted(judged.pairs.rows, span)
    if start == end:
        return
    ids = ids_at(table, judged.pairs.others[start:end])
    texts = text_of(sorted(set(ids.values())))
    known = {row: texts[name] for row, name in ids.items() if name in texts}
    sets = dict(zip(known, _sets(pl.Series(list(known.values()), dtype=pl.String()), ngram), strict=True))
    _judge(judged, span, own, sets.get)


def _links(judged: _Judged, threshold: float) -> Links:
    """The most similar earlier row of each row, the earliest of equals."""
    near = judged.similarities >= threshold
    rows, others = judged.pairs.rows[near], judged.pairs.others[near]
    similarities, verified = judged.similarities[near], judged.verified[near]
    order = np.lexsort((others, -similarities, rows))
    first = order[np.unique(rows[order], return_index=True)[1]]
    return Links(rows[first], others[first], similarities[first], verified[first])
