"""Gates on a whole version: they look at what the review measured."""

from collections.abc import Sequence

import dagster as dg
import polars as pl

from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.gating import Judged, gate_checks
from synth_platform.quality.gates import Gate
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import input_of
from synth_platform.workspace import Workspace

GATES = (
    Gate("accounting", "unreviewed", 0, 0, "critical", "Synthetic rows of the mixture that were not looked at"),
    Gate("yield", "yield/accepted_share", 0.3, None, "warning", "Share of the generations that were accepted"),
    Gate(
        "exact_duplicates",
        "near_duplicates/exact_duplicate_share",
        None,
        0.01,
        "warning",
        "Share of rows whose text another row of the version has",
    ),
    Gate(
        "near_duplicates",
        "near_duplicates/near_duplicate_share",
        None,
        0.1,
        "warning",
        "Share of rows with a near duplicate in the version",
    ),
    Gate(
        "seen_before",
        "near_duplicates/earlier_near_share",
        None,
        0.5,
        "warning",
        "Share of rows with a near duplicate in the release before",
    ),
    Gate(
        "template_collapse",
        "openings/opening_largest_per_1000",
        None,
        100,
        "warning",
        "Rows of 1,000 that begin with the same words; published: 115 for a generator that collapsed, 3 for one that"
        " did not",
    ),
    Gate("drift", "drift_from_release/vocabulary_divergence_excess", None, 0.2, "warning", "Change of the vocabulary"),
    Gate("length_drift", "drift_from_release/length_shift", None, 0.5, "warning", "Change of the length of rows"),
    Gate("disclosure", "privacy/disclosure_excess_lower", None, 0.05, "warning", "What rows disclose of documents"),
    Gate("canaries_released", "canaries/released", 0, 0, "critical", "Rows with a made-up name that was planted"),
    Gate("toxicity", "bias/toxic_share", None, 0.01, "warning", "Share of rows with a toxic term that nothing excuses"),
    Gate("gender_shift", "bias/gender_ratio_shift", -0.1, 0.1, "warning", "Change of the share of female terms"),
    Gate("representation", "bias/max_representation_shift", -0.2, 0.2, "warning", "Largest change of a group's share"),
)
_WITHOUT_COMPARISON = 0.0
"""What a gate sees where there is nothing to compare with: the first release, no document held out, or no
canary planted."""


def review_checks(dataset: DatasetContext, gates: Sequence[Gate]) -> dg.AssetChecksDefinition:
    """The gates of `<dataset>/review`."""
    return gate_checks(dataset, dataset.asset("review"), gates, _profile)


def _profile(workspace: Workspace, snapshot: Snapshot) -> Judged:
    rows = snapshot.scan("measures").collect()
    metrics = {f"{section}/{metric}": float(value) for section, metric, value in rows.iter_rows()}
    sections_there = set(rows["section"])
    missing = {gate.metric: _WITHOUT_COMPARISON for gate in GATES if gate.metric.split("/")[0] not in sections_there}
    missing["unreviewed"] = abs(_synthetic_rows(workspace, snapshot) - snapshot.manifest.tables["minhash"].rows)
    sections = snapshot.manifest.details["sections"]
    return Judged(
        missing | metrics,
        {gate.name: sections.get(gate.metric.split("/")[0], "*nothing to compare with yet*") for gate in GATES},
    )


def _synthetic_rows(workspace: Workspace, snapshot: Snapshot) -> int:
    mixture = workspace.snapshots.require(input_of(snapshot, "mixture")).scan("mixture")
    wanted = mixture.filter((pl.col("origin") == "synthetic") & (pl.col("epoch") == 0))
    return int(wanted.select(pl.len()).collect().item())
