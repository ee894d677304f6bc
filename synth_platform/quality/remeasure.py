"""Use again what was measured: generations are judged anew without being measured anew, where nothing else changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.digest import digest
from synth_platform.encoder import Encoder, EncoderFiles, find_encoder
from synth_platform.judging.grades import read_grades
from synth_platform.privacy.canaries import planted_in
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.persons import model_settings
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.config import QualitySpec, with_defaults
from synth_platform.quality.conformance import COMPUTING, rule_code, rule_for
from synth_platform.quality.schema import GRADED, METRICS
from synth_platform.quality.screen import SCREEN_VERSION, screen
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.frames import left_in_step

MEASURED = "measured"
"""Detail of a quality snapshot: what determined its metrics."""


def limits_of(recipe: RecipeSpec, quality: QualitySpec) -> QualitySpec:
    """The limits of a recipe: what the spec says, and the defaults of the form that it asks for."""
    rule = recipe.conformance_rule
    return with_defaults(quality, rule if isinstance(rule, str) else "none")


def encoder_of(
    recipe: RecipeSpec, limits: QualitySpec, cache: Path, tell: Callable[[str], None] = lambda line: None
) -> EncoderFiles | None:
    """The sentence encoder that a recipe's limits ask for; None: they ask for none, or the answers compute.

    Args:
        recipe: the recipe.
        limits: its limits.
        cache: folder for fetched encoders.
        tell: hears what is being fetched.

    Raises:
        EncoderError: it cannot be had.
    """
    asked = limits.asked_support
    return None if asked is None or _computes(recipe) else find_encoder(asked.encoder, cache, tell)


def _computes(recipe: RecipeSpec) -> bool:
    return recipe.conformance_rule in COMPUTING if isinstance(recipe.conformance_rule, str) else False


def measured_settings(recipe: RecipeSpec, privacy: PrivacySpec, encoder: EncoderFiles | None) -> dict[str, Any]:
    """What of a spec, and of the code and models that it names, determines the metrics of a recipe's generations.

    Raises:
        SpecError: a function that the spec names cannot be had.
    """
    rule = recipe.conformance_rule
    code = rule_code(rule)
    return {
        "conformance": rule if isinstance(rule, str) else rule.model_dump(mode="json"),
        **({"conformance_code": code} if code else {}),
        "personal_data": {"regions": privacy.regions, "ner": privacy.ner, **model_settings(privacy.ner)},
        **({"answer_schema": recipe.answer_schema} if recipe.answer_schema else {}),
        **({"encoder": encoder.digest} if encoder else {}),
    }


@dataclass(frozen=True)
class Material:
    """What is judged of a recipe: the answers, what they were asked for, and what a judge says of them."""

    prompts: Snapshot
    generations: Snapshot
    judge_prompts: Snapshot | None = None
    judgements: Snapshot | None = None

    def digests(self) -> tuple[str, ...]:
        """Of all that there is."""
        some = (self.prompts, self.generations, self.judge_prompts, self.judgements)
        return tuple(one.manifest.digest for one in some if one is not None)


def measured_digest(recipe: RecipeSpec, privacy: PrivacySpec, made: Material, encoder: EncoderFiles | None) -> str:
    """Equal for equal metrics: detectors, the form asked for, generations, and what they were made of."""
    return digest(SCREEN_VERSION, measured_settings(recipe, privacy, encoder), made.digests())


def find_measured(snapshots: Snapshots, asset: str, partition: str | None, measured: str) -> Snapshot | None:
    """The newest version of a quality asset with these metrics; damaged ones are passed over."""
    for record in reversed(snapshots.history(asset, partition)):
        found = snapshots.open(asset, partition, record.snapshot_id)
        if found is not None and found.manifest.details.get(MEASURED) == measured and found.is_whole():
            return found
    return None


def metrics_of(
    recipe: RecipeSpec, privacy: PrivacySpec, made: Material, encoder: EncoderFiles | None, known: Snapshot | None
) -> Iterator[pl.DataFrame]:
    """``generation_id`` and metrics of each generation: read where an earlier version measured them, else measured."""
    if known is not None:
        return known.batches("quality", columns=["generation_id", *METRICS.names()])
    rule = recipe.conformance_rule
    detected = screen(
        made.prompts.batches("prompts"),
        made.generations.batches(),
        rule=rule_for(rule, recipe.answer_schema),
        computes=_computes(recipe),
        privacy=privacy,
        canaries=planted_in(made.prompts)["canary"].unique().to_list(),
        encode=Encoder(encoder, threads=1).encode if encoder else None,
        total=made.generations.manifest.rows,
    )
    return _with_grades(detected, made)


def _with_grades(detected: Iterator[pl.DataFrame], made: Material) -> Iterator[pl.DataFrame]:
    """The judge's grades beside what was detected."""
    if made.judge_prompts is None or made.judgements is None:
        nothing = [pl.lit(None, kind).alias(name) for name, kind in GRADED.items()]
        yield from (batch.with_columns(nothing) for batch in detected)
        return
    grades = (
        batch.filter(pl.col("good").is_null()).select("generation_id", *GRADED.names())
        for batch in read_grades(made.judge_prompts, made.judgements)
    )
    yield from left_in_step(detected, grades, on="generation_id")
