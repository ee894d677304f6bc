"""The closing summary of a dataset: what every stage holds, what was rejected and why, which gates are open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import polars as pl

from synth_platform.funnel import STAGES, step_of
from synth_platform.generation.budget import engine_cost, per_accepted_million
from synth_platform.ops.guard import Judgement
from synth_platform.quality.accept import contaminated
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of, kind_of


@dataclass
class StageCounts:
    """Rows and tokens of a stage over all recipes."""

    rows: int = 0
    tokens: int = 0


@dataclass
class Summary:
    """One object for people and for `--json`."""

    dataset: str
    partition: str | None
    seconds: float
    documents: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    prompts: int = 0
    generations: int = 0
    accepted: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    rejected_rows: int = 0
    fact_accuracy: dict[str, float] = field(default_factory=dict)
    acceptance: dict[str, float] = field(default_factory=dict)
    contamination: dict[str, int] = field(default_factory=lambda: {"planted": 0, "found": 0, "released": 0})
    gates: dict[str, int] = field(default_factory=lambda: {"passed": 0, "failed": 0, "warned": 0})
    stages: dict[str, StageCounts] = field(default_factory=dict)
    closed_gates: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    engine_hours: float = 0.0
    """Of GPUs; of servers, where there are none."""
    cost: float | None = None
    per_accepted_million: dict[str, float] = field(default_factory=dict)
    """Engine hours, and cost where there is a price, per million accepted tokens."""
    release: dict[str, Any] | None = None
    ok: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def summarise(
    dataset: str,
    partition: str | None,
    heads: Sequence[Snapshot],
    judged: Sequence[Judgement],
    blocking: Iterable[tuple[str, str]],
    *,
    seconds: float,
    success: bool,
    problems: Sequence[str] = (),
) -> Summary:
    """Gather the summary.

    Args:
        dataset: its name.
        partition: the cycle.
        heads: current versions of the dataset's assets.
        judged: how the gates judged them.
        blocking: asset and name of each blocking gate.
        seconds: how long the run took.
        success: whether the run ended well.
        problems: why it did not.
    """
    by_kind: dict[str, list[Snapshot]] = {}
    for head in heads:
        by_kind.setdefault(kind_of(head.manifest.asset) or "", []).append(head)
    summary = Summary(dataset, partition, round(seconds, 1), problems=list(problems))
    for kind, members in by_kind.items():
        _add_stage(summary, kind, members)
    summary.stages = {kind: summary.stages[kind] for kind in STAGES if kind in summary.stages}
    _add_rejected(summary, by_kind.get("accepted", ()), by_kind.get("quality", ()))
    _add_cost(summary, by_kind)
    _add_contamination(summary, by_kind)
    _add_gates(summary, judged, set(blocking))
    summary.ok = success and not summary.gates["failed"]
    if summary.ok and (releases := by_kind.get("release")):
        release = releases[0].manifest
        summary.release = {
            "path": releases[0].location,
            "snapshot": release.snapshot_id,
            "digest": release.digest,
            "rows": release.rows,
            "tokens": release.counts.get("tokens", 0),
        }
    return summary


def _add_stage(summary: Summary, kind: str, members: Sequence[Snapshot]) -> None:
    rows = sum(member.manifest.rows for member in members)
    if kind in ("documents", "prompts", "generations", "accepted"):
        setattr(summary, kind, rows)
    if kind in STAGES:
        summary.stages[kind] = StageCounts(rows, step_of(kind, members).tokens or 0)
    if kind == "documents":
        summary.skipped = _count(member.scan("skipped").select("reason") for member in members)
    if kind == "quality":
        for member in members:
            _add_quality(summary, member)


def _add_rejected(summary: Summary, accepted: Sequence[Snapshot], quality: Sequence[Snapshot]) -> None:
    """Reasons from what was rejected; from the verdicts of recipes whose gate let nothing be accepted by them."""
    used = {input_of(one, "quality").snapshot_id for one in accepted}
    stopped = {_recipe(one): one for one in quality if one.manifest.snapshot_id not in used}
    split = [one for one in accepted if _recipe(one) not in stopped]
    rejected = [one.scan("rejected") for one in split]
    rejected += [one.scan().filter(pl.col("verdict") != "accepted") for one in stopped.values()]
    summary.rejected = _count(
        rows.select(pl.col("reasons").explode(empty_as_null=True).alias("reason")) for rows in rejected
    )
    summary.rejected_rows = sum(one.manifest.tables["rejected"].rows for one in split)
    summary.rejected_rows += sum(one.manifest.counts.get("rejected", 0) for one in stopped.values())


def _recipe(snapshot: Snapshot) -> str:
    return snapshot.manifest.asset.split("/")[-1]


def _add_cost(summary: Summary, by_kind: Mapping[str, Sequence[Snapshot]]) -> None:
    made = [member.manifest.details for member in by_kind.get("generations", ())]
    seconds = sum(float(details.get("engine_seconds", 0.0)) for details in made)
    costs = [cost for details in made if (cost := engine_cost(details)) is not None]
    summary.engine_hours = round(seconds / 3600, 5)
    summary.cost = round(sum(costs), 4) if costs else None
    accepted = summary.stages["accepted"].tokens if "accepted" in summary.stages else 0
    price = summary.cost / summary.engine_hours if summary.cost and summary.engine_hours else None
    summary.per_accepted_million = per_accepted_million({"engine_seconds": seconds, "price_per_hour": price}, accepted)


def _add_quality(summary: Summary, quality: Snapshot) -> None:
    counts, recipe = quality.manifest.counts, _recipe(quality)
    summary.acceptance[recipe] = round(counts.get("accepted", 0) / max(quality.manifest.rows, 1), 4)
    stated = counts.get("facts_correct", 0) + counts.get("facts_wrong", 0)
    if stated:
        summary.fact_accuracy[recipe] = round(counts["facts_correct"] / stated, 4)


def _count(frames: Iterable[pl.LazyFrame]) -> dict[str, int]:
    some = list(frames)
    if not some:
        return {}
    counted = (
        pl.concat(some)
        .drop_nulls()
        .group_by("reason")
        .len()
        .sort(["len", "reason"], descending=[True, False])
        .collect()
    )
    return dict(counted.iter_rows())


def _add_contamination(summary: Summary, by_kind: Mapping[str, Sequence[Snapshot]]) -> None:
    planted: set[str] = set()
    for documents in by_kind.get("documents", ()):
        rows = documents.scan().filter(pl.col("metadata").str.json_path_match("$.planted[0]").is_not_null())
        planted |= set(rows.select("id").collect()["id"])
    found: dict[str, set[str]] = {"documents": set(), "generations": set()}
    for scanned in by_kind.get("contamination", ()):
        if "contamination" in scanned.manifest.tables and not scanned.manifest.asset.endswith("/release"):
            what = "documents" if scanned.manifest.asset.endswith("/documents") else "generations"
            found[what] |= set(contaminated(scanned.batches()))
    bad = planted | found["documents"]
    released = sum(
        release.scan()
        .filter(
            pl.col("document_id").is_in(list(bad))
            | pl.col("generation_id").fill_null("").is_in(list(found["generations"]))
        )
        .select(pl.len())
        .collect()
        .item()
        for release in by_kind.get("release", ())
    )
    summary.contamination = {
        "planted": len(planted),
        "found": len(planted & found["documents"]),
        "released": released,
        "documents": len(found["documents"]),
        "generations": len(found["generations"]),
    }


def _add_gates(summary: Summary, judged: Sequence[Judgement], blocking: set[tuple[str, str]]) -> None:
    for one in judged:
        line = f"{one.asset} · {one.gate}: {_shown(one.metadata.get('observed'))} ({one.metadata.get('bounds', '')})"
        if one.passed:
            summary.gates["passed"] += 1
        elif (one.asset, one.gate) in blocking or one.metadata.get("error"):
            summary.gates["failed"] += 1
            summary.closed_gates.append(line)
        else:
            summary.gates["warned"] += 1
            summary.warnings.append(line)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) else str(value)
