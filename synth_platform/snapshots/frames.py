"""Walk several tables in step, a bounded number of rows at a time."""

from collections.abc import Iterable, Iterator

import polars as pl

from synth_platform.errors import SnapshotError

BATCH_ROWS = 2048


def rebatch(frames: Iterable[pl.DataFrame], rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """The same rows in batches of exactly ``rows``, the last one shorter."""
    held: list[pl.DataFrame] = []
    height = 0
    for frame in frames:
        held.append(frame)
        height += frame.height
        while height >= rows:
            whole = pl.concat(held)
            yield whole.head(rows)
            held = [whole.slice(rows)]
            height -= rows
    if height:
        yield pl.concat(held)


def in_step(
    left: Iterable[pl.DataFrame], right: Iterable[pl.DataFrame], *, left_on: str, right_on: str
) -> Iterator[pl.DataFrame]:
    """Rows of two tables side by side, where both hold the same keys in the same order.

    A join without its memory. Columns of the right table that the left has too are left out.

    Raises:
        SnapshotError: the keys differ: a row is missing, doubled or out of order.
    """
    rights = rebatch(right)
    for one in rebatch(left):
        other = next(rights, None)
        if other is None or not one[left_on].equals(other[right_on], check_names=False):
            raise SnapshotError(
                f"rows are not in step: {left_on} and {right_on} differ",
                fix="materialize the earlier of the two assets again",
            )
        yield one.hstack(other.select(column for column in other.columns if column not in one.columns))
    if next(rights, None) is not None:
        raise SnapshotError(f"rows are not in step: more {right_on} than {left_on}")
