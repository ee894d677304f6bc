"""Use again what was measured: generations are judged anew without being measured anew, where nothing else changed."""

from collections.abc import Iterator
from typing import Any

import polars as pl

from synth_platform.digest import digest
from synth_platform.privacy.config import PrivacySpec
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.config import QualitySpec, with_defaults
from synth_platform.quality.conformance import COMPUTING, rule_for
from synth_platform.quality.schema import METRICS
from synth_platform.quality.screen import SCREEN_VERSION, screen
from synth_platform.snapshots import Snapshot, Snapshots

MEASURED = "measured"
"""Detail of a quality snapshot: what determined its metrics."""


def limits_of(recipe: RecipeSpec, quality: QualitySpec) -> QualitySpec:
    """The limits of a recipe: what the spec says, and the defaults of the form that it asks for."""
    rule = recipe.conformance_rule
    return with_defaults(quality, rule if isinstance(rule, str) else "none")


def measured_settings(recipe: RecipeSpec, privacy: PrivacySpec) -> dict[str, Any]:
    """What of a spec determines the metrics of a recipe's generations."""
    rule = recipe.conformance_rule
    return {
        "conformance": rule if isinstance(rule, str) else rule.model_dump(mode="json"),
        "personal_data": {"regions": privacy.regions, "ner": privacy.ner},
        **({"answer_schema": recipe.answer_schema} if recipe.answer_schema else {}),
    }


def measured_digest(recipe: RecipeSpec, privacy: PrivacySpec, prompts: Snapshot, generations: Snapshot) -> str:
    """Equal for equal metrics: detectors, the form asked for, generations, and what they were made of."""
    made_of = (prompts.manifest.digest, generations.manifest.digest)
    return digest(SCREEN_VERSION, measured_settings(recipe, privacy), made_of)


def find_measured(snapshots: Snapshots, asset: str, partition: str | None, measured: str) -> Snapshot | None:
    """The newest version of a quality asset with these metrics; damaged ones are passed over."""
    for record in reversed(snapshots.history(asset, partition)):
        found = snapshots.open(asset, partition, record.snapshot_id)
        if found is not None and found.manifest.details.get(MEASURED) == measured and found.is_whole():
            return found
    return None


def metrics_of(
    recipe: RecipeSpec, privacy: PrivacySpec, prompts: Snapshot, generations: Snapshot, known: Snapshot | None
) -> Iterator[pl.DataFrame]:
    """``generation_id`` and metrics of each generation: read where an earlier version measured them, else measured."""
    if known is not None:
        return known.batches("quality", columns=["generation_id", *METRICS.names()])
    rule = recipe.conformance_rule
    return screen(
        prompts.batches("prompts"),
        generations.batches(),
        rule=rule_for(rule, recipe.answer_schema),
        computes=isinstance(rule, str) and rule in COMPUTING,
        privacy=privacy,
        total=generations.manifest.rows,
    )
