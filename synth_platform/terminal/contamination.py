"""What a scan of files found, and what thresholds do."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synth_platform.terminal.tables import align_right

if TYPE_CHECKING:
    from synth_platform.contamination.files import CalibrationRun, ScanSummary


def show_scan(console: Console, summary: "ScanSummary") -> None:
    """What a scan of files found."""
    table = Table("test set", "contaminated", "suspect", title="Test items found", title_justify="left")
    for name in summary.evals:
        counts = summary.by_eval.get(name, {})
        table.add_row(escape(name), f"{counts.get('contaminated', 0):,}", f"{counts.get('suspect', 0):,}")
    align_right(table, 1, 2)
    console.print(table)
    verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in summary.verdicts.items())
    rate = summary.bytes / 1e6 / max(summary.seconds, 1e-9)
    console.print(
        f"{summary.documents:,} documents: {verdicts}; {summary.seconds:,.1f} s with the index, {rate:,.1f} MB/s"
    )
    if summary.expected:
        console.print(escape(summary.expected))
    if summary.unread:
        places = ", ".join(summary.unread_places)
        console.print(f"[red]not scanned:[/red] {summary.unread:,} rows without readable text ({escape(places)})")
    console.print(f"hits: {escape(summary.out)}")


def show_calibration(console: Console, run: "CalibrationRun") -> None:
    """Thresholds, what they do, and the negatives to look at by hand."""
    table = Table("verdict", "from", "recall", "95%", "false alarms", "95%", title="Thresholds", title_justify="left")
    for name, measured in (("contaminated", run.calibration.contaminated), ("suspect", run.calibration.suspect)):
        spans = (measured.recall_interval, measured.false_alarms_interval)
        recall, alarms = (f"{low:.2%} to {high:.2%}" for low, high in spans)
        shares = (f"{measured.recall:.2%}", f"{measured.false_alarms:.2%}")
        table.add_row(name, f"{measured.threshold:.4f}", shares[0], recall, shares[1], alarms)
    console.print(table)
    for rate, recall in run.recalls.items():
        console.print(f"recall at {rate} false alarms: {recall:.2%}")
    looked_at = Table("negative", "item", "score", "text", title="Negatives most like test items: look at them by hand")
    for row in run.top_negatives:
        looked_at.add_row(row["id"], str(row["eval_id"]), f"{row['score']:.3f}", escape(row["span"]))
    console.print(looked_at)
