"""The dataset spec: everything a `defs.yaml` may say, validated with errors that name file, line and key."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dagster import DagsterInvalidDefinitionError
from dagster._core.definitions.utils import is_valid_owner
from dagster._utils.schedules import cron_string_iterator, is_valid_cron_string
from dagster._utils.tags import normalize_tags
from pydantic import Field, ValidationError, field_validator, model_validator

from synth_platform.alerts.config import Channel
from synth_platform.config import KeyMistake, Name, StrictModel
from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec
from synth_platform.dataset.mistakes import explain
from synth_platform.dataset.stage_gates import stage_gates
from synth_platform.dataset.times import Period, cycle_cron, schedule_cron, times_alike
from synth_platform.errors import SpecError
from synth_platform.generation.config import BudgetSpec, EngineSpec, TuningSpec
from synth_platform.judging.config import JudgeSpec
from synth_platform.mixing.config import MixtureSpec
from synth_platform.naming import EVALS_GROUP, REFUSED_GROUP, names_alike
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.secrets import spelled_secret
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.config import GateSpec, QualitySpec
from synth_platform.quality.conformance import rule_for
from synth_platform.release.config import ReleaseSpec
from synth_platform.review.config import ReviewSpec
from synth_platform.snapshots.retention import RetentionSpec
from synth_platform.sources.config import SourceSpec
from synth_platform.strict_yaml import Document, read_yaml

COMPONENT_TYPE = "synth_platform.dataset.DatasetComponent"
SPEC_FILE = "defs.yaml"
_ANY_TIME = 1_700_000_000.0
_OWNER = re.compile(r"team:[\w.-]+|[^@\s]+@[^@\s]+")


class CadenceSpec(StrictModel):
    """When the dataset is made anew: one cycle per period, each with fresh seeds."""

    every: Period | None = None
    """Length of a cycle; or give ``cron``."""
    cron: str | None = None
    """Instead of ``every``: a cycle begins, and the one before is made, at each of its times."""
    at: str | None = None
    """When the schedule makes the newest cycle that has ended: `:15`, `06:00`, `Mon 06:00`, or `1 06:00` (day of the
    month), as ``every`` has it. None: at once when it has ended."""
    start: str = Field(pattern=r"\d{4}-\d{2}-\d{2}")
    """First day of the first cycle, YYYY-MM-DD."""
    timezone: str = "UTC"
    """Time zone of cycles and schedule, such as Europe/Berlin."""
    reuse_documents: bool = False
    """Whether a cycle may use documents that an earlier cycle used."""
    deadline_hours: float | None = Field(default=None, gt=0)
    """How long after the schedule's time the release may take before it counts as late; None: a quarter of a period."""

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"there is no time zone {timezone!r}; write one such as Europe/Berlin") from None
        return timezone

    @model_validator(mode="after")
    def _check_times(self) -> "CadenceSpec":
        if (self.every is None) == (self.cron is None):
            raise ValueError("give one of every and cron")
        if self.cron is not None and self.at is not None:
            raise ValueError("cron says when already; leave at out")
        if self.cron is not None and not (len(self.cron.split()) == 5 and is_valid_cron_string(self.cron)):
            raise ValueError(f"{self.cron!r} is no cron expression of five parts, such as '0 6 * * 1'")
        start = date.fromisoformat(self.start)
        try:
            next(cron_string_iterator(_ANY_TIME, self.schedule_cron, "UTC"))
        except ValueError:
            raise ValueError(f"{self.schedule_cron!r} names a day that never comes") from None
        if alike := times_alike(self.cycle_cron, self.timezone, start):
            raise ValueError(
                f"{len(alike)} cycles begin around {alike[0]:%Y-%m-%d %H:%M}, when clocks in {self.timezone} go back,"
                " and cannot be told apart; leave timezone out (in UTC no hour comes twice), or choose other hours"
            )
        return self

    @property
    def cycle_cron(self) -> str:
        """When cycles begin, as a cron expression."""
        return self.cron or cycle_cron(self.every or "day")

    @property
    def schedule_cron(self) -> str:
        """When the schedule makes the newest cycle, as a cron expression."""
        return schedule_cron(self.every, self.at) if self.every and self.at else self.cycle_cron

    @property
    def several_a_day(self) -> bool:
        """Whether the day alone does not name a cycle."""
        minute, hour = self.cycle_cron.split()[:2]
        return not (minute.isdigit() and hour.isdigit())


class RegenerateSpec(StrictModel):
    """What happens when the spec, a template or a source has changed since a dataset was made."""

    on_change: Literal["never", "propose", "automatic"] = "propose"
    """`propose`: a sensor says what would be made anew, and makes nothing. `automatic`: it requests the run, which
    may use the engine. `never`: there is no such sensor."""
    cycles: Literal["newest", "all"] = "newest"
    """Which of the cycles that were made are looked at."""


class DatasetSpec(StrictModel):
    """One dataset, from its sources to its release."""

    name: Name
    """First part of every asset key of the dataset."""
    description: str = ""
    """What the dataset is for; shown in the UI and on the dataset card."""
    owners: list[str] = Field(default_factory=list)
    """``team:name`` or e-mail addresses, shown in the UI."""
    tags: dict[str, str] = Field(default_factory=dict)
    """Tags of all assets of the dataset."""
    run_tags: dict[str, str] = Field(default_factory=dict)
    """Tags of all runs of the dataset's jobs, such as ``dagster/priority``, or where a deployment is to run them."""
    seed: int = Field(default=0, ge=0)
    """Decides every random choice except the engine's."""
    sources: list[SourceSpec] = Field(min_length=1)
    """Where documents come from; roles say whether they are rewritten, mixed in, or both."""
    recipes: list[RecipeSpec] = Field(default_factory=list)
    """How documents are rewritten."""
    engine: EngineSpec
    """What generates."""
    judge_engine: EngineSpec | None = None
    """What the judges of the recipes run on. None: the engine that generates."""
    shard_size: int = Field(default=128, ge=1, le=100_000)
    """Prompts that are committed together."""
    budget: BudgetSpec = BudgetSpec()
    """What one version of the generations may cost."""
    tuning: TuningSpec = TuningSpec()
    """How `synth tune` looks for the fastest settings of the engine."""
    quality: dict[Name, QualitySpec] = Field(default_factory=dict)
    """Thresholds by recipe; recipes not named here use the defaults of their format."""
    privacy: PrivacySpec = PrivacySpec()
    """What happens to personal data and secrets, in sources and in what is generated."""
    benchmarks: list[BenchmarkSpec] = Field(default_factory=list)
    """Test sets that the dataset must not contain."""
    contamination: ContaminationSpec = ContaminationSpec()
    """What counts as contaminated."""
    gates: dict[str, dict[str, GateSpec]] = Field(default_factory=dict)
    """Changed bounds or severities: stage, then gate name."""
    suites: str = "suites.yaml"
    """File of expectations (Great Expectations) beside this one; it need not exist."""
    mixture: MixtureSpec = MixtureSpec()
    """Weights and size of the training mixture."""
    review: ReviewSpec = ReviewSpec()
    """How a whole version is looked at before it is released."""
    release: ReleaseSpec = ReleaseSpec()
    """What the dataset card says."""
    retention: RetentionSpec = RetentionSpec()
    """Which versions `synth gc` keeps; default: all."""
    cadence: CadenceSpec | None = None
    """None: made when asked."""
    regenerate: RegenerateSpec = RegenerateSpec()
    """What happens when something that the dataset is made of has changed."""
    alerts: list[Channel] = Field(default_factory=list)
    """Who hears of failed gates, failed runs and missed deadlines, beside those that SYNTH_ALERTS names."""

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if name in (EVALS_GROUP, REFUSED_GROUP):
            raise ValueError(f"assets of the platform begin with {name!r}; give the dataset another name")
        return name

    @field_validator("owners")
    @classmethod
    def _check_owners(cls, owners: list[str]) -> list[str]:
        for owner in owners:
            if not (_OWNER.fullmatch(owner) and is_valid_owner(owner)):
                raise ValueError(f"owner {owner!r} is neither team:NAME nor an e-mail address")
        return owners

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        try:
            return dict(normalize_tags(tags, strict=True))
        except DagsterInvalidDefinitionError as error:
            raise ValueError(str(error)) from None

    @field_validator("gates")
    @classmethod
    def _check_gates(cls, gates: dict[str, dict[str, GateSpec]]) -> dict[str, dict[str, GateSpec]]:
        stage_gates(gates)
        return gates

    @model_validator(mode="after")
    def _check_names(self) -> "DatasetSpec":
        for kind, names in (
            ("source", [source.name for source in self.sources]),
            ("recipe", [recipe.name for recipe in self.recipes]),
            ("benchmark", [benchmark.name for benchmark in self.benchmarks]),
        ):
            for at, name in enumerate(names):
                if name in names[:at]:
                    keys = (f"{kind}s", at, "name")
                    raise KeyMistake(keys, f"two {kind}s are called {name!r}; give each a name of its own")
            if kind != "source" and (alike := names_alike(names)):
                raise KeyMistake([f"{kind}s"], f"the {kind}s {alike}; rename one of them")
        self._check_references()
        return self

    def _check_references(self) -> None:
        recipes = {recipe.name for recipe in self.recipes}
        rewritten = {source.name for source in self.sources if "rewrite" in source.roles}
        mixed_in = {source.name for source in self.sources if "mix_in" in source.roles}
        self._check_recipes(rewritten, mixed_in)
        if rewritten and not self.recipes:
            what = "sources are to be rewritten, but there is no recipe; add recipes or set roles: [mix_in]"
            raise KeyMistake(["sources"], what)
        if self.budget.cost is not None and not self.engine.price_per_hour:
            raise KeyMistake(["budget", "cost"], "budget.cost needs engine.price_per_hour")
        for name in self.quality:
            if name not in recipes:
                what = f"quality names the recipe {name!r}, which does not exist; there are: {_words(recipes)}"
                raise KeyMistake(["quality", name], what)
        self._check_judges()
        for name in self.mixture.weights:
            if name not in recipes | mixed_in:
                what = f"mixture.weights names {name!r}; use recipes and mix-in sources: {_words(recipes | mixed_in)}"
                raise KeyMistake(["mixture", "weights", name], what)

    def _check_recipes(self, rewritten: set[str], mixed_in: set[str]) -> None:
        """A recipe is called as no source in the mixture is, reads sources that are rewritten, and has a rule."""
        for at, recipe in enumerate(self.recipes):
            if recipe.name in mixed_in:
                what = f"{recipe.name!r} is both a recipe and a mix-in source; rename one"
                raise KeyMistake(["recipes", at, "name"], what)
            for number, name in enumerate(recipe.sources or ()):
                if name not in rewritten:
                    raise KeyMistake(
                        ["recipes", at, "sources", number],
                        f"recipe {recipe.name!r} names the source {name!r}, which is not among the sources with role"
                        f" rewrite: {_words(rewritten)}",
                    )
            try:
                rule_for(recipe.conformance_rule)
            except SpecError as error:  # else it would show when all answers are there
                raise KeyMistake(["recipes", at, "conformance"], error.what) from None

    def _check_judges(self) -> None:
        """A judge that rejects must grade all answers, and have been compared with people's verdicts."""
        if self.judge_engine is not None and getattr(self.judge_engine, "tuned", False):
            what = "only the engine that generates is tuned; give its arguments here"
            raise KeyMistake(["judge_engine", "tuned"], f"judge_engine.tuned: {what}")
        judges = {recipe.name: recipe.judge for recipe in self.recipes}
        for name, limits in self.quality.items():
            if limits.min_judge_score is None:
                continue
            if wrong := _why_no_limit(name, limits.min_judge_score, judges[name]):
                keys = ("quality", name, "min_judge_score")
                raise KeyMistake(keys, f"{'.'.join(keys)} {wrong}")


def _why_no_limit(recipe: str, lowest: float, judge: JudgeSpec | None) -> str | None:
    """Why a recipe's judge cannot reject, if it cannot."""
    if judge is None:
        return f"needs a judge; give the recipe {recipe!r} a `judge` with a rubric and labels"
    if judge.labels is None:
        return f"needs labels: give the judge of {recipe!r} answers that people have judged"
    if judge.share < 1:
        return "needs grades of all answers; set the judge's share to 1"
    if lowest > judge.scale:
        return f"is above the scale of the judge, which ends at {judge.scale}"
    return None


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def load_spec(path: Path) -> DatasetSpec:
    """Read a `defs.yaml`, or a file that holds only its attributes.

    Raises:
        SpecError: with file, line, key and, where possible, the fix.
    """
    document = read_yaml(path)
    prefix: tuple[str | int, ...] = ()
    attributes: Any = document.value
    if "type" in document.value:
        if document.value["type"] != COMPONENT_TYPE:
            raise SpecError(
                f"unknown component type {document.value['type']!r}",
                where=f"{path}:{document.line(('type',))}",
                fix=f"write type: {COMPONENT_TYPE}",
            )
        prefix, attributes = ("attributes",), document.value.get("attributes")
        if attributes is None:
            raise SpecError(
                "the dataset spec is empty",
                where=f"{path}:{document.line(prefix)}",
                fix="write its keys below `attributes:`, beginning with name, sources and engine",
            )
    _refuse_secrets(document, attributes, prefix, path)
    try:
        return DatasetSpec.model_validate(attributes)
    except ValidationError as error:
        raise SpecError(explain(error, DatasetSpec, document, prefix, path), where=str(path)) from None


def file_schema() -> dict[str, Any]:
    """JSON schema of a spec file, with the meaning, type and default of every key."""
    attributes = DatasetSpec.model_json_schema()
    shared = attributes.pop("$defs")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A dataset of synth_platform",
        "type": "object",
        "properties": {"type": {"const": COMPONENT_TYPE}, "attributes": attributes},
        "required": ["type", "attributes"],
        "$defs": shared,
    }


def _refuse_secrets(document: Document, value: Any, keys: tuple[str | int, ...], path: Path) -> None:
    """A spec is read by many and kept in version control: a key or password in it is an error, never repeated."""
    if isinstance(value, str) and (kind := spelled_secret(value)):
        raise SpecError(
            f"the dataset spec holds a secret ({kind.replace('_', ' ')}) at {'.'.join(map(str, keys))}",
            where=f"{path}:{document.line(keys)}",
            fix="take it out and change it; secrets go into environment variables, which a spec may name",
        )
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        _refuse_secrets(document, part, (*keys, key), path)
