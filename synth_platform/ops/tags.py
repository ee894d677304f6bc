"""What every run says of itself: which dataset, recipes and cycle, by which spec, and why it was started."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from synth_platform.contamination.config import TEST_SETS
from synth_platform.digest import digest

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

DATASET_TAG, RECIPES_TAG, CYCLE_TAG = "synth/dataset", "synth/recipes", "synth/cycle"
SPEC_TAG, WHY_TAG = "synth/spec", "synth/why"
_FINGERPRINT_LENGTH = 12
_LONGEST = 200


def spec_fingerprint(spec: "DatasetSpec") -> str:
    """A short name for exactly this spec."""
    return digest(spec)[:_FINGERPRINT_LENGTH]


def naming_tags(spec: "DatasetSpec") -> dict[str, str]:
    """Tags that say what a run is about."""
    recipes = ", ".join(recipe.name for recipe in spec.recipes)[:_LONGEST]
    return {
        DATASET_TAG: spec.name,
        SPEC_TAG: spec_fingerprint(spec),
        **({RECIPES_TAG: recipes} if recipes else {}),
    }


def dataset_tags(spec: "DatasetSpec") -> dict[str, str]:
    """Tags of all jobs of a dataset, those that its spec gives them among them."""
    return {**spec.run_tags, **naming_tags(spec)}


def run_tags(spec: "DatasetSpec", cycle: str | None, why: str) -> dict[str, str]:
    """Tags of a run that is started for a reason."""
    return {**dataset_tags(spec), **({CYCLE_TAG: cycle} if cycle else {}), WHY_TAG: why[:_LONGEST]}


def tag_run(instance: dg.DagsterInstance, run: dg.DagsterRun, tags: Mapping[str, str], cycle: str | None) -> None:
    """Give a run the tags that it lacks because no job of ours or of the daemon started it.

    Backfills and assets that were chosen by hand run in Dagster's own job. A run of several datasets keeps none.
    """
    datasets = {key.path[0] for key in run.asset_selection or ()} - {TEST_SETS}
    wanted = {**tags, **({CYCLE_TAG: cycle} if cycle else {})}
    missing = {name: value for name, value in wanted.items() if name not in run.tags}
    if tags and missing and len(datasets) <= 1:
        instance.add_run_tags(run.run_id, missing)
