"""What a takedown found and did."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from synth_platform.ops.takedown import Report as Takedown


def show_takedown(console: Console, report: "Takedown") -> None:
    """What a takedown found and did."""
    counted = ", ".join(f"{rows:,} {stage}" for stage, rows in report.rows.items() if rows) or "nothing"
    console.print(f"{len(report.documents):,} documents, of which were made: {counted}")
    for one in report.releases:
        cycle = f" {one.partition}" if one.partition else ""
        became = f"→ {one.patch}" if one.patch else "to be patched"
        console.print(f"  {one.dataset}{cycle} release {one.release} {became}, {one.rows:,} rows taken out")
    for one in report.readers:
        kept = "they will get a current release" if report.takedown is None else "they still have it"
        became = f"they have {one.became} now" if one.became else kept
        of = f" of {one.cycle}" if one.cycle else ""
        console.print(f"  {one.dataset} at {escape(one.destination)}: readers{of} had {one.release}; {became}")
    for one in report.left_out:
        examples = escape(", ".join(one.examples))
        console.print(f"  {one.documents:,} left out of {one.asset} as {one.reason}, so in no version: {examples}")
    for note in report.notes:
        console.print(f"  {escape(note)}")
    erased = sum(one.erased for one in report.held)
    if left := len(report.held) - erased:
        console.print(
            f"  {left:,} versions have their text, replaced ones too" + ("" if erased else "; --erase removes them")
        )
    if erased:
        console.print(f"  {erased:,} versions erased, {report.erased_bytes / 1e6:,.1f} MB; their manifests are kept")
        console.print("  Dagster's event log may still show the first rows of them: see the README")
    said = "would be withdrawn" if report.takedown is None else "withdrawn"
    for withdrawn in report.withdrawn:
        console.print(f"  {said}: {escape(withdrawn)}")
    for problem in report.problems:
        console.print(f"  [red]✗[/red] {escape(problem)}")
    if report.takedown is None:
        console.print("nothing was changed; the same without --dry-run does it")
    elif not report.problems:
        console.print(
            f"[green]✓[/green] takedown {report.takedown}: in no current release, and barred from every later one"
        )
