"""What every run says of itself: which dataset, recipes and cycle, by which spec, and why it was started."""

from typing import TYPE_CHECKING

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
