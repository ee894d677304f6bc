"""Work on blocks of texts on all cores, in order, a few blocks in memory at a time."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
import polars as pl

Result = TypeVar("Result")


def text_blocks(batches: Iterable[pl.DataFrame], *columns: str, size: int) -> Iterator[pl.DataFrame]:
    """The rows of batches in blocks whose texts, in the given columns, are about ``size`` bytes together."""
    for batch in batches:
        lengths = [pl.col(column).fill_null("").str.len_bytes().cast(pl.Int64()) for column in columns]
        sizes = batch.select(pl.sum_horizontal(lengths).alias("bytes"))["bytes"]
        block = (sizes.cum_sum() - sizes) // size
        edges = [*np.flatnonzero(np.diff(block.to_numpy(), prepend=-1)).tolist(), batch.height]
        for first, after in pairwise(edges):
            yield batch[first:after]


def in_parallel(
    work: Callable[[pl.DataFrame], Result], blocks: Iterable[pl.DataFrame]
) -> Iterator[tuple[pl.DataFrame, Result]]:
    """Blocks and their results in order. Threads suffice: the work is in NumPy, Polars, zlib and ONNX Runtime."""
    workers = os.cpu_count() or 1
    waiting: deque[tuple[pl.DataFrame, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for block in blocks:
            waiting.append((block, pool.submit(work, block)))
            if len(waiting) > 2 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
