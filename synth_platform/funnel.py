"""How many rows and tokens come through: from what was read, stage by stage, to what is released."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import kind_of

STAGES = ("documents", "prompts", "generations", "accepted", "mixture", "release")
"""Stages whose main tables hold rows of the dataset itself."""
_TOKENS = {"prompts": "prompt_tokens", "generations": "completion_tokens"}


@dataclass(frozen=True)
class Step:
    """What a stage holds over all recipes; tokens are not known of what was only read, or was erased."""

    name: str
    rows: int
    tokens: int | None = None


def step_of(stage: str, members: Sequence[Snapshot]) -> Step:
    """Rows and tokens of one stage's versions.

    Args:
        stage: one of `STAGES`.
        members: its versions, one per recipe.
    """
    rows = sum(one.manifest.rows for one in members)
    if any(one.removal is not None for one in members):
        return Step(stage, rows)  # only what the manifests say is left
    column = _TOKENS.get(stage, "tokens")
    return Step(stage, rows, sum(int(one.scan().select(pl.col(column).sum()).collect().item() or 0) for one in members))


def funnel(lineage: Iterable[Snapshot]) -> list[Step]:
    """From rows read to the last stage that some versions come from; stages that they do not have are left out."""
    by_stage: dict[str, list[Snapshot]] = {}
    for one in lineage:
        by_stage.setdefault(kind_of(one.manifest.asset) or "", []).append(one)
    read = sum(one.manifest.counts.get("read", 0) for one in by_stage.get("documents", ()))
    return [Step("rows read", read), *(step_of(name, by_stage[name]) for name in STAGES if name in by_stage)]
