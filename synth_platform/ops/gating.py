"""Gates as Dagster asset checks: one check per gate, numbers and plots in its metadata, failing closed."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.naming import node_name
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.failures import failing_for_people
from synth_platform.ops.guard import JUDGED_VERSION, version_of
from synth_platform.ops.materialization import preview, shown_cell
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.quality.gates import Check, Gate, GateOutcome, evaluate
from synth_platform.quality.subjects import subject_of
from synth_platform.quality.suites import ExpectationOutcome, evaluate_suite
from synth_platform.secrecy import scrub
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.reconcile import Reconciliation
from synth_platform.workspace import Workspace

_PICTURE = "!["
"""How one begins in Markdown."""


@dataclass(frozen=True)
class Judged:
    """What the gates of one snapshot look at.

    Args:
        metrics: the profile; every gate names one of them.
        notes: Markdown (plots, failing examples) by gate name; ``""`` goes to every gate.
    """

    metrics: Mapping[str, float]
    notes: Mapping[str, str] = field(default_factory=dict)


def books(workspace: Workspace, snapshot: Snapshot) -> Reconciliation:
    """The accounting of a snapshot that keeps books."""
    matched = account(workspace.snapshots, snapshot)
    assert matched is not None, f"{snapshot.manifest.asset} keeps no books"
    return matched


def skipped_examples(snapshot: Snapshot) -> str:
    """Rows that a stage left out: how many for each reason, with one of each to look at."""
    skipped = snapshot.scan("skipped")
    counts = skipped.group_by("reason").agg(pl.len().alias("rows"), pl.exclude("reason").first())
    return preview(counts.sort("rows", "reason", descending=[True, False]))


Profile = Callable[[Workspace, Snapshot], Judged]


def blocking_names(checks: Sequence[Check]) -> tuple[str, ...]:
    """Names of the checks that stop what comes after."""
    return tuple(check.name for check in checks if check.severity == "critical")


def gate_checks(
    dataset: DatasetContext,
    asset: str,
    gates: Sequence[Gate],
    profile: Profile,
    *,
    partitioned: bool = True,
) -> dg.AssetChecksDefinition:
    """One check per gate on an asset's current version.

    A gate whose metric is missing or whose evaluation crashed fails with severity ERROR; if the profile
    itself cannot be computed the step fails, no check succeeds, and the guard keeps the gate closed.
    """
    key = dg.AssetKey(asset.split("/"))
    suite = dataset.suites.get(stage_of(asset), ())
    partitions = dataset.partitions if partitioned else None
    described = {gate.name: f"{gate.description}; {_limit(gate.min, gate.max)}" for gate in gates}
    described |= {one.name: one.description or f"{one.expect} on the {one.on}" for one in suite}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # said once for every gate of a dataset with cycles
        specs = [
            dg.AssetCheckSpec(
                one.name,
                asset=key,
                description=_about(one.name, described[one.name]),
                blocking=one.severity == "critical",
                partitions_def=partitions,
            )
            for one in (*gates, *suite)
        ]

    @dg.multi_asset_check(
        name=f"{node_name(asset)}__gates",
        specs=specs,
        description=f"Gates of {asset}.",
    )
    def check(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> Iterator[dg.AssetCheckResult]:
        partition = context.partition_key if partitioned and context.has_partition_key else None
        with failing_for_people():
            yield from judge(context, workspace.open(), partition)

    def judge(
        context: dg.AssetCheckExecutionContext, opened: Workspace, partition: str | None
    ) -> Iterator[dg.AssetCheckResult]:
        snapshot = opened.snapshots.head(asset, partition)
        if snapshot is None:
            raise SnapshotError(f"{asset} has not been materialized", fix="materialize it first")
        judged = profile(opened, snapshot)
        for outcome in evaluate(judged.metrics, gates):
            said = f"measured {_number(outcome.observed)}, {_limit(outcome.min, outcome.max)}"
            examples = judged.notes.get(outcome.name, "")
            yield _result(context, key, snapshot, outcome, _gate_metadata(outcome, judged), said, examples)
        for outcome in evaluate_suite(suite, snapshot.scan(), snapshot.manifest.rows, judged.metrics):
            said = ", ".join(f"{name} {value}" for name, value in outcome.numbers.items())
            examples = _table(outcome.examples) if outcome.examples else ""
            yield _result(context, key, snapshot, outcome, _expectation_metadata(outcome), said, examples)

    return check


def stage_of(asset: str) -> str:
    """The stage whose suite holds for an asset: the second part of its key; the index of test items has its own."""
    parts = asset.split("/")
    return "index" if parts[1:] == ["contamination", "index"] else parts[1]


def _result(
    context: dg.AssetCheckExecutionContext,
    key: dg.AssetKey,
    snapshot: Snapshot,
    outcome: GateOutcome | ExpectationOutcome,
    metadata: Mapping[str, Any],
    said: str,
    examples: str,
) -> dg.AssetCheckResult:
    critical = outcome.severity == "critical"
    error = scrub(outcome.error or "")
    verdict = "passed" if outcome.passed else "NOT PASSED"
    context.log.info(f"{key.to_user_string()} · {outcome.name}: {verdict}, {error or said}")
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=outcome.name,
        passed=outcome.passed,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        metadata={
            JUDGED_VERSION: version_of(snapshot),
            **metadata,
            **({"error": error} if error else {}),
        },
        description=None if outcome.passed else _why(critical, error or said, examples),
    )


def _about(gate: str, description: str) -> str:
    """What a check looks at, under which heading, and what to do where it does not pass."""
    subject = subject_of(gate)
    return f"**{subject.title}.** {description}.\n\n**Where it does not pass:** {subject.remedy}"


def _why(critical: bool, said: str, examples: str) -> str:
    """Why a check did not pass, what follows, and examples as far as they are words: pictures stay in the metadata."""
    follows = "Nothing that reads this asset is made until it passes." if critical else "This only warns."
    words = examples.partition(_PICTURE)[0].strip()
    return "\n\n".join(filter(None, [f"Not passed: {said}. {follows}", words]))


def _gate_metadata(outcome: GateOutcome, judged: Judged) -> dict[str, Any]:
    metadata: dict[str, Any] = {"bounds": _bounds(outcome.min, outcome.max)}
    if outcome.observed is not None:
        metadata["observed"] = float(f"{outcome.observed:.6g}")
    for name in (outcome.name, ""):
        if note := judged.notes.get(name):
            metadata["evidence" if name else "overview"] = dg.MetadataValue.md(note)
    return metadata


def _expectation_metadata(outcome: ExpectationOutcome) -> dict[str, Any]:
    examples = {"failing_rows": dg.MetadataValue.md(_table(outcome.examples))} if outcome.examples else {}
    return {**outcome.numbers, **examples}


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *("| " + " | ".join(shown_cell(row[name]) for name in names) + " |" for row in rows)])


def _bounds(low: float | None, high: float | None) -> str:
    if low is not None and low == high:
        return f"must be {low:g}"
    parts = [f"at least {low:g}"] if low is not None else []
    parts += [f"at most {high:g}"] if high is not None else []
    return " and ".join(parts) or "any value"


def _limit(low: float | None, high: float | None) -> str:
    bounds = _bounds(low, high)
    return bounds if bounds.startswith("must") else f"must be {bounds}"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.4g}"
