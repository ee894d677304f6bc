"""What other limits would change: stored generations judged anew, row by row beside the verdicts that stand."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from synth_platform.errors import SynthError
from synth_platform.privacy.config import PrivacySpec
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.accept import accept, contaminated
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.remeasure import (
    Material,
    encoder_of,
    find_measured,
    limits_of,
    measured_digest,
    metrics_of,
)
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import input_of, kind_of
from synth_platform.snapshots.frames import in_step

_EXAMPLES = 5
_VERDICT = ["generation_id", "reasons"]
_NOT_QUALITY = ("contaminated", "contaminated_prompt", "contaminated_source")


@dataclass
class Replay:
    """How a recipe's rows fare under other limits.

    Args:
        recipe: its name.
        rows: all generations.
        accepted: accepted rows, before and after.
        tokens: tokens of the accepted rows, before and after.
        reasons: rows by reason, before and after.
        gained: ids of some rows that would be accepted.
        lost: ids of some rows that would no longer be.
        measured: whether the metrics were read (False: every row had to be measured again).
        scanned: whether it is known which rows have test questions (False: none is counted as rejected for one).
    """

    recipe: str
    rows: int = 0
    accepted: list[int] = field(default_factory=lambda: [0, 0])
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    reasons: dict[str, list[int]] = field(default_factory=dict)
    gained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    measured: bool = True
    scanned: bool = True

    def changed_reasons(self) -> dict[str, tuple[int, int]]:
        """Reasons whose number of rows would change, the largest change first."""
        changed = {name: (before, after) for name, (before, after) in self.reasons.items() if before != after}
        return dict(sorted(changed.items(), key=lambda item: (-abs(item[1][1] - item[1][0]), item[0])))


def replay(
    snapshots: Snapshots,
    dataset: str,
    partition: str | None,
    recipe: RecipeSpec,
    quality: QualitySpec,
    privacy: PrivacySpec,
    encoders: Path,
) -> Replay:
    """Judge a recipe's stored generations under the given limits; nothing is written.

    Args:
        snapshots: all versions.
        dataset: name of the dataset.
        partition: the cycle.
        recipe: the recipe, as the changed spec has it.
        quality: its limits in the changed spec.
        privacy: the policies in the changed spec.
        encoders: folder for fetched sentence encoders.

    Raises:
        SynthError: the recipe's rows have not been judged yet, or the encoder that the limits ask for cannot be had.
    """
    asset = f"{dataset}/quality/{recipe.name}"
    accepted = snapshots.current(f"{dataset}/accepted/{recipe.name}", partition)
    judged_before = _judged(snapshots, asset, partition, accepted)
    asked = {kind_of(ref.asset): snapshots.require(ref) for ref in judged_before.manifest.inputs}
    made = Material(asked["prompts"], asked["generations"], asked.get("judge_prompts"), asked.get("judgements"))
    limits = limits_of(recipe, quality)
    encoder = encoder_of(recipe, limits, encoders)
    measured = measured_digest(recipe, privacy, made, encoder)
    known = find_measured(snapshots, asset, partition, measured)
    found = Replay(recipe.name, measured=known is not None)
    metrics = metrics_of(recipe, privacy, made, encoder, known)
    judged = (apply_limits(batch, limits, privacy.output).select("generation_id", "reasons") for batch in metrics)
    tokens = (
        batch.rename({"id": "generation_id"}) for batch in made.generations.batches(columns=["id", "completion_tokens"])
    )
    if accepted is not None and input_of(accepted, "quality").snapshot_id == judged_before.manifest.snapshot_id:
        rejected = accepted.batches("rejected", columns=_VERDICT)
    else:
        scans = _Scans(snapshots, dataset, partition, recipe.name, made)
        found.scanned = scans.whole
        rejected = scans.rejected(judged_before, made)
    verdicts = _Verdicts(rejected)
    for batch in in_step(tokens, judged, left_on="generation_id", right_on="generation_id"):
        _count(found, batch, verdicts)
    return found


def _judged(snapshots: Snapshots, asset: str, partition: str | None, accepted: Snapshot | None) -> Snapshot:
    """The verdicts that stand: the newest, also where nothing was accepted after them since a gate closed."""
    if (judged := snapshots.current(asset, partition)) is not None:
        return judged
    if accepted is None:
        raise SynthError(f"{asset} has not been materialized yet: there are no verdicts to compare with")
    return snapshots.require(input_of(accepted, "quality"))


class _Scans:
    """What the scans for test questions say of a recipe's material, as far as they were made of it."""

    def __init__(self, snapshots: Snapshots, dataset: str, partition: str | None, recipe: str, made: Material) -> None:
        documents = input_of(made.prompts, "documents").snapshot_id
        answers = made.generations.manifest.snapshot_id
        self._documents = _scan_of(documents, snapshots.current(f"{dataset}/contamination/documents", partition))
        self._answers = _scan_of(answers, snapshots.current(f"{dataset}/contamination/{recipe}", partition))

    @property
    def whole(self) -> bool:
        """Whether all of it was scanned."""
        return self._answers is not None and self._documents is not None

    def rejected(self, judged: Snapshot, made: Material) -> Iterator[pl.DataFrame]:
        """What is rejected by these scans and by verdicts."""
        rows = accept(
            made.prompts.batches("prompts"),
            made.generations.batches(),
            judged.batches(),
            contaminated_generations=_contaminated(self._answers, "contamination"),
            contaminated_prompts=_contaminated(self._answers, "prompts"),
            contaminated_documents=_contaminated(self._documents, "contamination"),
        )
        return (batch.select(_VERDICT) for table, batch in rows if table == "rejected")


def _scan_of(version: str, scan: Snapshot | None) -> Snapshot | None:
    """A scan, if it was made of a version."""
    return scan if scan is not None and any(ref.snapshot_id == version for ref in scan.manifest.inputs) else None


def _contaminated(scan: Snapshot | None, table: str) -> dict[str, str]:
    return contaminated(scan.batches(table)) if scan is not None else {}


class _Verdicts:
    """Reasons against each row, as they stand; asked for in the rows' order, so that none is held."""

    def __init__(self, rejected: Iterable[pl.DataFrame]) -> None:
        self._rejected = (row for batch in rejected for row in batch.iter_rows())
        self._next = next(self._rejected, None)

    def of(self, row_id: str) -> list[str]:
        """Reasons against the next row."""
        if self._next is None or self._next[0] != row_id:
            return []
        reasons = self._next[1]
        self._next = next(self._rejected, None)
        return reasons


def _count(found: Replay, batch: pl.DataFrame, verdicts: _Verdicts) -> None:
    for row_id, tokens, reasons in batch.select("generation_id", "completion_tokens", "reasons").iter_rows():
        before = verdicts.of(row_id)
        after = [*reasons, *_kept(before)]
        found.rows += 1
        for side, some in enumerate((before, after)):
            found.accepted[side] += not some
            found.tokens[side] += 0 if some else tokens or 0
            for reason in set(some):
                found.reasons.setdefault(reason, [0, 0])[side] += 1
        if bool(before) != bool(after):
            examples = found.gained if before else found.lost
            if len(examples) < _EXAMPLES:
                examples.append(row_id)


def _kept(reasons: list[str]) -> Iterator[str]:
    """Reasons that limits of quality have no part in."""
    return (reason for reason in reasons if reason.partition(":")[0] in _NOT_QUALITY)
