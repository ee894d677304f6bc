"""One thing that is wrong, why that matters, and what mends it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "dead_run",
    "held_slots",
    "orphan_engine",
    "engine_environment",
    "unfinished_version",
    "leftover_files",
    "damaged_part",
    "damaged_manifest",
    "newer_format",
    "broken_head",
    "storage",
    "failed_partition",
    "stale_checks",
    "unreadable_spec",
    "dagster_schema",
    "dagster_database",
    "disk_space",
    "read_only",
    "several_hosts",
]


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Args:
        kind: what sort of thing.
        what: is wrong, in one sentence.
        where: a run, file, folder or asset.
        why: it matters.
        fix: what `mend` does; without one, what the user can do.
        mend: puts it right; only where nothing alive and nothing that a reader could see is touched.
        note: nothing is wrong; it is only good to know.
    """

    kind: Kind
    what: str
    where: str
    why: str
    fix: str
    mend: Callable[[], None] | None = field(default=None, repr=False, compare=False)
    note: bool = False

    def as_json(self) -> dict[str, Any]:
        """The finding as one JSON object."""
        shown = {name: getattr(self, name) for name in ("kind", "what", "where", "why", "fix", "note")}
        return {**shown, "fixable": self.mend is not None}
