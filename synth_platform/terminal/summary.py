"""The closing summary of a run."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synth_platform.terminal.tables import align_right

if TYPE_CHECKING:
    from synth_platform.summary import Summary
    from synth_platform.workspace import Workspace

_MOST_REASONS = 12


def show_summary(console: Console, summary: "Summary", workspace: "Workspace") -> None:
    """The closing summary of a run."""
    console.print()
    stages = Table("stage", "rows", "tokens", title=_title(summary), title_justify="left")
    for kind, counts in summary.stages.items():
        stages.add_row(kind, f"{counts.rows:,}", f"{counts.tokens:,}")
    align_right(stages, 1, 2)
    console.print(stages if summary.stages else _title(summary))
    if summary.acceptance:
        recipes = Table("recipe", "accepted by quality", "facts right")
        for recipe, share in summary.acceptance.items():
            accuracy = summary.fact_accuracy.get(recipe)
            recipes.add_row(recipe, f"{share:.1%}", "not known" if accuracy is None else f"{accuracy:.1%}")
        align_right(recipes, 1, 2)
        console.print(recipes)
    for title, counts in (
        ("rejected for (some for several)", summary.rejected),
        ("documents skipped for", summary.skipped),
    ):
        if counts:
            reasons = Table(title, "rows")
            for reason, count in list(counts.items())[:_MOST_REASONS]:
                reasons.add_row(escape(reason), f"{count:,}")
            align_right(reasons, 1)
            console.print(reasons)
    found = summary.contamination
    planted = f" {found['found']:,} of {found['planted']:,} planted ones found;" if found["planted"] else ""
    console.print(
        f"contamination: {found.get('documents', 0):,} documents and {found.get('generations', 0):,} generations"
        f" contain test items;{planted} {found['released']:,} released"
    )
    if summary.engine_hours:
        each = summary.per_accepted_million
        words = [f"{summary.engine_hours * 60:,.1f} engine minutes"]
        words += [f"{summary.cost:,.2f} in money"] if summary.cost is not None else []
        words += [f"{each['engine_hours_per_accepted_million_tokens']:,.3f} hours"] if each else []
        words[-1] += " per million accepted tokens" if each else ""
        if "cost_per_accepted_million_tokens" in each:
            words.append(f"{each['cost_per_accepted_million_tokens']:,.4f} in money per million accepted tokens")
        console.print("engine: " + ", ".join(words))
    gates = summary.gates
    console.print(f"gates: {gates['passed']:,} passed, {gates['failed']:,} failed, {gates['warned']:,} warned")
    for mark, lines in (("[red]closed[/red]", summary.closed_gates), ("[yellow]warned[/yellow]", summary.warnings)):
        for line in lines:
            console.print(f"  {mark} {escape(line)}")
    for problem in summary.problems:
        console.print(f"[red]problem:[/red] {escape(problem)}")
    _show_next(console, summary, workspace)


def _title(summary: "Summary") -> str:
    cycle = f", cycle {summary.partition}" if summary.partition else ""
    return f"{summary.dataset}{cycle}: {'done' if summary.ok else 'NOT RELEASED'} in {summary.seconds:,.0f} s"


def _show_next(console: Console, summary: "Summary", workspace: "Workspace") -> None:
    home = f" --home {escape(str(workspace.home))}"
    if summary.release:
        console.print(f"\nrelease: {escape(summary.release['path'])}")
        console.print(
            f"  {summary.release['rows']:,} rows, {summary.release['tokens']:,} tokens,"
            f" digest {summary.release['digest']}"
        )
        console.print(f"next: read its README.md; look at graph and checks with  synth ui{home}")
        console.print(f"      follow a row with  synth trace ROW_ID{home}  or prove it again with  synth verify{home}")
    else:
        console.print(
            "\nnothing was released. What was made is kept; after mending the cause the same command goes on."
        )
        look_at = "the failing checks" if summary.closed_gates else "the run"
        console.print(f"next: look at {look_at} with  synth ui{home}")
