"""What the tables of all commands share."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

MOST_ROWS = 200
_TEXT_CHARACTERS = 600


def show_rows(console: Console, rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """A table of like rows."""
    if not rows:
        console.print(nothing)
        return
    table = Table(*rows[0])
    for row in rows[-MOST_ROWS:]:
        table.add_row(
            *(
                escape("" if value is None else f"{value:,}" if isinstance(value, int) else str(value))
                for value in row.values()
            )
        )
    console.print(table)


def cut(value: Any) -> str:
    """A value as text, cut short."""
    text = str(value)
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…"


def align_right(table: Table, *columns: int) -> None:
    """Have columns of numbers end at the same place."""
    for column in columns:
        table.columns[column].justify = "right"
