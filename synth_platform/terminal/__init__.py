"""What the terminal shows: progress while work goes on, tables when it is done."""

from synth_platform.terminal.bars import progress
from synth_platform.terminal.contamination import show_calibration, show_scan
from synth_platform.terminal.doctor import show_findings
from synth_platform.terminal.engine import show_profile, show_status
from synth_platform.terminal.plan import show_estimate, show_plan
from synth_platform.terminal.screen import show_replays
from synth_platform.terminal.summary import show_summary
from synth_platform.terminal.tables import show_rows
from synth_platform.terminal.takedown import show_takedown
from synth_platform.terminal.versions import show_diff, show_report, show_trace

__all__ = [
    "progress",
    "show_calibration",
    "show_diff",
    "show_estimate",
    "show_findings",
    "show_plan",
    "show_profile",
    "show_replays",
    "show_report",
    "show_rows",
    "show_scan",
    "show_status",
    "show_summary",
    "show_takedown",
    "show_trace",
]
