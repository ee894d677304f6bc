"""What the doctor found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synth_platform.terminal.tables import cut_nothing

if TYPE_CHECKING:
    from synth_platform.ops.doctor.examine import Examined


def show_findings(console: Console, found: Sequence["Examined"]) -> None:
    """What the doctor found, each with its remedy; a count at the end."""
    table = Table("", "what", "where", "why it matters", "what mends it", show_lines=True)
    for one in found:
        finding = one.finding
        state = "[green]mended[/green]" if one.mended else "note" if finding.note else "[red]wrong[/red]"
        fix = f"{'' if one.mended or finding.mend is None else '--fix: '}{finding.fix}"
        cells = (finding.what, finding.where, finding.why, fix + (f" (failed: {one.failure})" if one.failure else ""))
        table.add_row(state, *map(escape, cells))
    if found:
        cut_nothing(table)
        console.print(table)
    wrong, mended = sum(one.wrong for one in found), sum(one.mended for one in found)
    fixable = sum(one.wrong and one.finding.mend is not None for one in found)
    console.print(
        f"wrong: {wrong}"
        + (f", mended: {mended}" if mended else "")
        + (f"; `synth doctor --fix` mends {fixable}" if fixable else "")
    )
