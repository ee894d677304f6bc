"""What other limits would change."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from synth_platform.quality.replay import Replay


def show_replays(console: Console, replays: "Sequence[Replay]") -> None:
    """What other limits would change: totals by recipe, then the reasons that change, and some rows."""
    totals = Table("recipe", "rows", "accepted", "would be", "tokens", "would be")
    for one in replays:
        before, after = one.accepted
        row = (one.rows, before, _changed(before, after), one.tokens[0], _changed(*one.tokens))
        totals.add_row(one.recipe, *(f"{value:,}" if isinstance(value, int) else value for value in row))
    console.print(totals)
    reasons = Table("recipe", "reason", "rows", "would be")
    for one in replays:
        for reason, (before, after) in one.changed_reasons().items():
            reasons.add_row(one.recipe, escape(reason), f"{before:,}", _changed(before, after))
    console.print(reasons if reasons.row_count else "no verdict would change")
    for one in replays:
        for what, ids in (("accepted", one.gained), ("rejected", one.lost)):
            if ids:
                console.print(f"{one.recipe}: would be {what}, for example {', '.join(ids)}")
    unscanned = [one.recipe for one in replays if not one.scanned]
    if unscanned:
        console.print(f"not scanned for test questions yet, which may cost some rows more: {', '.join(unscanned)}")
    again = [one.recipe for one in replays if not one.measured]
    if again:
        console.print(f"measured again, since the detectors, the form or the encoder changed: {', '.join(again)}")


def _changed(before: int, after: int) -> str:
    return f"{after:,}" + (f" ({after - before:+,})" if after != before else "")
