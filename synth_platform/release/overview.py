"""A released dataset at a glance: what came through, what it took, which gates it passed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from synth_platform.funnel import Step
from synth_platform.generation.budget import engine_cost
from synth_platform.plots import bars
from synth_platform.quality.subjects import OWN, SUBJECTS, subject_of
from synth_platform.release.card import GateResult
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import kind_of

_HOUR = 3600.0


def gate_counts(judged: Sequence[GateResult]) -> dict[str, Any]:
    """How many gates passed, in all and by subject, and which of those that only warn did not."""
    missed = [f"{one.asset} · {one.gate}: {one.observed} ({one.bounds})" for one in judged if not one.passed]
    every = Counter(subject_of(one.gate).title for one in judged)
    passed = Counter(subject_of(one.gate).title for one in judged if one.passed)
    by_subject = {one.title: [passed[one.title], every[one.title]] for one in (*SUBJECTS, OWN) if one.title in every}
    return {"passed": sum(one.passed for one in judged), "warned": missed, "by_subject": by_subject}


def one_release(lineage: Sequence[Snapshot]) -> list[Snapshot]:
    """A release and all that it was made from, without the release that a patch replaces: its rows count once."""
    return [one for one in lineage if one is lineage[0] or kind_of(one.manifest.asset) != "release"]


def overview(steps: Sequence[Step], lineage: Sequence[Snapshot], gates: Mapping[str, Any]) -> str:
    """Markdown, short enough that the interface shows it at once: the funnel, time and cost, gates.

    Args:
        steps: the funnel.
        lineage: the release, then all that it was made from.
        gates: see `gate_counts`; empty if not known.
    """
    lines = ["| stage | rows | tokens |", "|---|---:|---:|", *map(_row, steps)]
    return "\n".join([*lines, "", *_effort(one_release(lineage)), *_gates(gates)])


def funnel_picture(steps: Sequence[Step]) -> str:
    """The funnel as a picture."""
    return bars({one.name: one.rows for one in steps}, title="Rows from source to release", x="rows")


def _row(step: Step) -> str:
    return f"| {step.name} | {step.rows:,} | {'' if step.tokens is None else f'{step.tokens:,}'} |"


def _effort(lineage: Sequence[Snapshot]) -> list[str]:
    """Working time of all stages, and what the engine took."""
    manifests = [one.manifest for one in lineage]
    seconds = sum((one.committed_at - one.started_at).total_seconds() for one in manifests)
    details = [one.details for one in manifests if kind_of(one.asset) == "generations"]
    engine = sum(float(one.get("engine_seconds", 0.0)) for one in details) / _HOUR
    costs = [cost for one in details if (cost := engine_cost(one)) is not None]
    money = f", cost {sum(costs):,.2f}" if costs else ""
    return [f"- working time of all stages: {seconds / _HOUR:.2f} h; engine hours: {engine:.2f}{money}"]


def _gates(gates: Mapping[str, Any]) -> list[str]:
    if not gates:
        return []
    warned: Sequence[str] = gates["warned"]
    subjects: Mapping[str, Sequence[int]] = gates.get("by_subject", {})
    by_subject = ", ".join(f"{title} {passed}/{all_}" for title, (passed, all_) in subjects.items())
    return [
        f"- gates: {gates['passed']} passed, {len(warned)} warned" + (f" ({by_subject})" if by_subject else ""),
        *(f"  - warned: {line}" for line in warned),
    ]
