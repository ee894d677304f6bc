"""What the tables of all commands share."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

MOST_ROWS = 200
_TEXT_CHARACTERS = 600
_LEAST_WIDTH = 12
"""Of a column that gives way to others, unless what it holds is shorter."""


def show_rows(
    console: Console,
    rows: Sequence[Mapping[str, Any]],
    nothing: str,
    *,
    whole: Collection[str] = (),
    spare: Collection[str] = (),
) -> None:
    """A table of like rows.

    Args:
        console: where to.
        rows: at most `MOST_ROWS` are shown, the last ones.
        nothing: said where there are none.
        whole: columns that are never broken, such as names that people copy; numbers are not, either.
        spare: columns that are left out where the terminal is too narrow for all.
    """
    if not rows:
        console.print(nothing)
        return
    shown = [{name: _as_text(value) for name, value in row.items()} for row in rows[-MOST_ROWS:]]
    names = list(rows[0])
    if _width(shown, names) > console.width:
        names = [name for name in names if name not in spare and any(row[name] for row in shown)]
    table = Table(*names)
    for row in shown:
        table.add_row(*(escape(row[name]) for name in names))
    numbers = {name for name in names if any(isinstance(row[name], int) for row in rows)}
    cut_nothing(table, *(place for place, name in enumerate(names) if name in {*whole, *numbers}))
    console.print(table)
    if left_out := [name for name in rows[0] if name in spare and name not in names]:
        console.print(f"the terminal is too narrow for {' and '.join(left_out)}: --json has them")


def cut_nothing(table: Table, *whole: int) -> None:
    """Have no cell lose a character; some columns are never broken, and the others give way to them."""
    for place, column in enumerate(table.columns):
        longest = max(Text.from_markup(str(cell)).cell_len for cell in (column.header, *column.cells))
        column.overflow, column.no_wrap = "fold", place in whole
        column.min_width = longest if place in whole else min(longest, _LEAST_WIDTH)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _width(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> int:
    """Characters that a table needs to break nothing, its lines included."""
    return 1 + sum(3 + max(map(cell_len, (name, *(row[name] for row in rows)))) for name in names)


def cut(value: Any) -> str:
    """A value as text, cut short."""
    text = str(value)
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…"


def align_right(table: Table, *columns: int) -> None:
    """Have columns of numbers end at the same place."""
    for column in columns:
        table.columns[column].justify = "right"
