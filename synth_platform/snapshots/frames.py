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


def left_in_step(left: Iterable[pl.DataFrame], right: Iterable[pl.DataFrame], *, on: str) -> Iterator[pl.DataFrame]:
    """Rows of a table beside those of another that has some of its keys, in the same order; null where it has none.

    Raises:
        SnapshotError: the other table has keys of its own, or another order.
    """
    rights = iter(right)
    held: pl.DataFrame | None = None
    for one in left:
        while (held is None or held.height < one.height) and (more := next(rights, None)) is not None:
            held = more if held is None else pl.concat([held, more])
        if held is None:
            raise SnapshotError(f"rows are not in step: there is no table to look up {on} in")
        beside = one.join(held.head(one.height), on=on, how="left", maintain_order="left")
        used = one.join(held.head(one.height), on=on, how="semi").height
        if beside.height != one.height or not held[on].head(used).is_in(one[on].implode()).all():
            raise SnapshotError(f"rows are not in step: {on} is doubled or out of order")
        held = held.slice(used)
        yield beside
    if (held is not None and held.height) or next(rights, None) is not None:
        raise SnapshotError(f"rows are not in step: there are more {on} than expected")
