"""Versions followed, compared and proved."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from synth_platform.terminal.tables import cut

if TYPE_CHECKING:
    from synth_platform.snapshots.catalog import Diff, Trace
    from synth_platform.snapshots.verify import Report


def show_trace(console: Console, trace: "Trace") -> None:
    """A row's way, from its document on."""
    for takedown in trace.taken_down:
        why = f": {takedown['reason']}" if takedown["reason"] else ""
        console.print(f"[bold]taken down[/bold] {takedown['at'][:10]} by {escape(takedown['by'])}{escape(why)}")
    if release := trace.earlier_release:
        cycle = f", cycle {release['partition']}" if release["partition"] else ""
        role = "of" if trace.kind == "release" else "from the making of"
        console.print(
            f"[bold]in no current version[/bold]: {role} the release {release['asset']} {release['snapshot']}{cycle},"
            f" which was current until {release['until']}"
        )
    if trace.also_in:
        console.print(f"another row of this id is in {', '.join(trace.also_in)}: --dataset shows it")
    for title, row in (("document", trace.document), ("prompt", trace.prompt), ("generation", trace.generation)):
        if row:
            console.print(f"[bold]{title}[/bold]")
            for name, value in row.items():
                if value is not None:
                    console.print(f"  {name}: {escape(cut(value))}")
    for verdict in trace.verdicts:
        shown = {name: value for name, value in verdict.items() if value not in (None, [])}
        console.print(
            f"[bold]verdict[/bold] {escape(', '.join(f'{name} {cut(value)}' for name, value in shown.items()))}"
        )
    for kind, ids in trace.descendants.items():
        console.print(f"[bold]{kind} made of it[/bold]: {len(ids):,}  {escape(', '.join(ids[:10]))}")
    console.print("[bold]versions[/bold]")
    for asset, snapshot in sorted(trace.snapshots.items()):
        console.print(f"  {asset}: {snapshot}")


def show_diff(console: Console, diff: "Diff") -> None:
    """What changed between two versions."""
    console.print(f"[bold]{diff.asset}[/bold] {diff.before} → {diff.after}")
    console.print(f"  rows {diff.rows[0]:,} → {diff.rows[1]:,}, tokens {diff.tokens[0]:,} → {diff.tokens[1]:,}")
    console.print(f"  {diff.added:,} added, {diff.removed:,} removed, {diff.changed:,} changed")
    for name, ids in diff.examples.items():
        console.print(f"  {name}, for example: {escape(', '.join(ids))}")
    for name, (old, new) in diff.settings.items():
        console.print(f"  setting {escape(name)}: {escape(cut(old))} → {escape(cut(new))}")
    for name, (old, new) in diff.inputs.items():
        console.print(f"  input {escape(name)}: {old} → {new}")


def show_report(console: Console, report: "Report") -> None:
    """What a verification found."""
    console.print(
        f"{report.versions:,} versions, {report.files:,} files, {report.rows:,} rows,"
        f" {report.bytes / 1e6:,.1f} MB: {len(report.problems) or 'no'} problems"
    )
    for problem in report.problems:
        console.print(f"  [red]✗[/red] {escape(problem)}")
    for removed in report.removed:
        console.print(f"  {escape(removed)}")
