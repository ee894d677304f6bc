"""A released dataset at a glance: what came through, what it took, which gates it passed."""

from collections.abc import Mapping, Sequence
from typing import Any

from synth_platform.funnel import Step, funnel
from synth_platform.generation.budget import engine_cost
from synth_platform.plots import bars
from synth_platform.release.card import GateResult
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import kind_of

_HOUR = 3600.0


def gate_counts(judged: Sequence[GateResult]) -> dict[str, Any]:
    """How many gates passed, and which of those that only warn did not."""
    missed = [f"{one.asset} · {one.gate}: {one.observed} ({one.bounds})" for one in judged if not one.passed]
    return {"passed": sum(one.passed for one in judged), "warned": missed}


def overview(lineage: Sequence[Snapshot], gates: Mapping[str, Any]) -> str:
    """Markdown: the funnel with a picture, time and cost, gates.

    Args:
        lineage: the release, then all that it was made from.
        gates: see `gate_counts`; empty if not known.
    """
    # A patch is made from the release that it replaces, whose rows must not be counted too.
    lineage = [one for one in lineage if one is lineage[0] or kind_of(one.manifest.asset) != "release"]
    steps = funnel(lineage)
    lines = ["| stage | rows | tokens |", "|---|---:|---:|", *map(_row, steps)]
    picture = bars({one.name: one.rows for one in steps}, title="Rows from source to release", x="rows")
    return "\n".join([*lines, "", *_effort(lineage), *_gates(gates), "", picture])


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
    return [f"- gates: {gates['passed']} passed, {len(warned)} warned", *(f"  - warned: {line}" for line in warned)]
