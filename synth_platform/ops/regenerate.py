"""What makes datasets anew by itself: the schedule of a cadence, and the sensor that notices changes.

Both ask the plan first, and request a run only where it says that something would be made. The run is one of the
dataset's ordinary job, in which every stage asks for the gates before it.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import PARTITION_NAME_TAG

from synth_platform.config import code_digest
from synth_platform.digest import digest
from synth_platform.errors import SynthError
from synth_platform.judging.labels import labels_stamp
from synth_platform.naming import group_name
from synth_platform.ops.cycles import cycles_made, left_out, newest_cycle, some_of
from synth_platform.ops.long_look import LongLook
from synth_platform.ops.plan import CyclePlan, Planner, is_test_set, look_at_each
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import StageAsset
from synth_platform.ops.tags import DATASET_TAG, run_tags
from synth_platform.privacy.persons import model_digest, model_stamp
from synth_platform.prompts.templates import Template
from synth_platform.quality.conformance import rule_code
from synth_platform.sources.rows import source_stamp
from synth_platform.workspace import Workspace, WorkspaceAtRest

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

_SECONDS = 60
_RUNS_LOOKED_AT = 200
# The rescan sensor answers for test sets; the others change nothing that is made.
_NOT_WATCHED = {"benchmarks", "regenerate", "cadence", "owners", "tags"}


def regenerate_sensor_name(dataset: str) -> str:
    """Name of the sensor that notices changes."""
    return f"{group_name(dataset)}_regenerate"


def cycle_schedule_name(dataset: str) -> str:
    """Name of the schedule that makes the newest cycle."""
    return f"{group_name(dataset)}_cycle"


@dataclass(frozen=True)
class Regenerator:
    """What the schedule and the sensor of a dataset know of it.

    Args:
        spec: the dataset.
        base: folder of its spec.
        stages: what makes its assets, in the order of the pipeline.
        partitions: its cycles.
        job: makes all of it.
        loaded: fingerprints of what was read when the dataset was loaded.
        read_again: the same of what the files hold now.
    """

    spec: "DatasetSpec"
    base: Path
    stages: Sequence[StageAsset]
    partitions: dg.TimeWindowPartitionsDefinition | None
    job: Any
    loaded: Mapping[str, str]
    read_again: Callable[[], Mapping[str, str]]
    look: LongLook["_Found"] = field(default_factory=lambda: LongLook["_Found"]())

    def schedule(self) -> dg.ScheduleDefinition:
        """Makes the newest cycle that has ended, at the times of the cadence, if anything of it is to be made.

        A schedule without partitions of its own is caught up with once after a standstill, not once for each time
        that was missed; and since the newest cycle is taken by the clock, that one run makes the newest.
        """
        cadence = self.spec.cadence
        assert cadence is not None

        def due(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
            return self._due(context, workspace)

        return dg.schedule(
            cron_schedule=cadence.schedule_cron,
            execution_timezone=cadence.timezone,
            job=self.job,
            name=cycle_schedule_name(self.spec.name),
            description=f"Makes the newest cycle of {self.spec.name} that has ended, as far as it is not made yet.",
        )(due)

    def _due(
        self, context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource
    ) -> dg.RunRequest | dg.SkipReason:
        assert self.partitions is not None
        cycle = newest_cycle(self.partitions)
        if cycle is None:
            return dg.SkipReason("No cycle has ended yet.")
        if is_running(context.instance, job_name=self.job.name, tags={PARTITION_NAME_TAG: cycle}):
            return dg.SkipReason(f"The cycle {cycle} is being made.")
        try:
            _forget_code()
            planner = Planner(self.stages, workspace.open().at_rest())
            current = not self._newer() and planner.plan(cycle).is_current
        except Exception as error:  # this is the only tick of the period; the run makes no more than what has changed
            context.log.warning(f"It cannot be told what is to be made, so a run is requested: {error}")
            current = False
        if current:
            return dg.SkipReason(f"The cycle {cycle} is made, and nothing of it has changed.")
        return dg.RunRequest(partition_key=cycle, tags=run_tags(self.spec, cycle, "schedule"))

    def sensor(self) -> dg.SensorDefinition:
        """Notices changed specs, templates, sources and code; says what would be made anew, or requests it."""
        automatic = self.spec.regenerate.on_change == "automatic"

        def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
            return self._watch(context, workspace.open())

        return dg.sensor(
            name=regenerate_sensor_name(self.spec.name),
            job=self.job,
            minimum_interval_seconds=_SECONDS,
            default_status=dg.DefaultSensorStatus.RUNNING,
            description=f"Notices changes of what {self.spec.name} is made of, and "
            + ("has made anew what they concern." if automatic else "says what would be made anew; it makes nothing."),
        )(watch)

    def _watch(self, context: dg.SensorEvaluationContext, workspace: Workspace) -> dg.SensorResult:
        memory = _Memory.load(context.cursor)
        tagged = is_running(context.instance, tags={DATASET_TAG: self.spec.name})
        if tagged or _is_chosen(context.instance, self.spec.name):
            return _skip("A run of the dataset is under way.", memory)
        try:
            if newer := self._newer():
                return _skip(_say_newer(newer), memory)
            found = self.look.result(memory.dump(), lambda: self._find(workspace.at_rest(), memory))
        except SynthError as error:
            return _skip(f"What the dataset is made of cannot be looked at: {error}", memory)
        if found is None:
            return _skip("The dataset is still being looked at; a later look tells what was found.", memory)
        if not found.is_made:
            said = "Nothing has been made yet; what was never made is not begun."
            return _skip(said + left_out(found.others), replace(memory, seen=found.seen))
        if found.plans is None:
            return _skip(memory.said, memory)
        return self._propose(memory, found, found.plans)

    def _find(self, at_rest: WorkspaceAtRest, memory: "_Memory") -> "_Found":
        """Look at what the dataset is made of and at its versions, and at what a run would make if they are others."""
        _forget_code()
        cycles, others = cycles_made(at_rest.snapshots, f"{self.spec.name}/documents", self.partitions)
        if self.spec.regenerate.cycles == "newest":
            cycles = cycles[-1:]
        versions = _versions(self.stages, at_rest, cycles)
        is_made = any(current for asset, _, current in versions if not is_test_set(asset))
        found = _Found(self._look(sources=is_made), digest(versions), is_made, others)
        if not is_made or (memory.seen, memory.made) == (found.seen, found.made):
            return found
        plans = Planner(self.stages, at_rest).plans(cycles)
        return replace(found, plans=[plan for plan in plans if not plan.is_current])

    def _propose(self, memory: "_Memory", found: "_Found", changed: Sequence[CyclePlan]) -> dg.SensorResult:
        """Say what would be made anew, and request it if the spec says so."""
        plans = [plan for plan in changed if not plan.is_new]
        said = _say(plans, self.spec.name) + _say_begun([plan for plan in changed if plan.is_new], self.spec.name)
        now = _Memory(found.seen, found.made, said + left_out(found.others))
        if any(step.state == "unknown" for plan in plans for step in plan.steps):
            return _skip(now.said, memory)  # so that the next tick looks again
        changing = [plan for plan in plans if plan.makes_something]
        why = _changed(memory.seen, found.seen)
        # Where nothing but versions has changed, a run was ended or has failed: that is for people to look at.
        if not changing or not why or self.spec.regenerate.on_change != "automatic":
            return _skip(now.said, now)
        requests = [
            dg.RunRequest(partition_key=plan.partition, tags=run_tags(self.spec, plan.partition, f"changed: {why}"))
            for plan in changing
        ]
        return dg.SensorResult(run_requests=requests, cursor=now.dump())

    def _newer(self) -> list[str]:
        """What has been changed since the dataset was loaded: a run would go by the files as they are now.

        Raises:
            SpecError: the files cannot be used any more.
        """
        now = self.read_again()
        return [name for name, before in self.loaded.items() if now[name] != before]

    def _look(self, *, sources: bool) -> dict[str, str]:
        """Fingerprints of what the dataset is made of; no source is read for them.

        Args:
            sources: whether to ask for files of sources and labels, which may lie in a bucket or on the hub.
        """
        spec, base = self.spec, self.base
        seen = {"the spec": digest(spec.model_dump(mode="json", exclude=_NOT_WATCHED))}
        seen["the suites"] = digest([stage.dataset.suites for stage in self.stages])
        seen["the code"] = digest(sorted((s.key.to_user_string(), s.code_version) for s in self._asset_specs()))
        for recipe in spec.recipes:
            seen[f"the template of {recipe.name}"] = Template.load(recipe.template_name, base).digest
            if (code := rule_code(recipe.conformance_rule)) is not None:
                seen[f"the conformance rule of {recipe.name}"] = code
        if spec.privacy.ner is not None:
            seen["the model that finds persons"] = model_stamp(spec.privacy.ner)
        for source in spec.sources if sources else ():
            seen[f"files of {source.name}"] = source_stamp(source, base)
        for recipe in spec.recipes if sources else ():
            if recipe.judge is not None and recipe.judge.labels is not None:
                seen[f"labels of {recipe.name}"] = labels_stamp(recipe.judge.labels, base)
        return seen

    def _asset_specs(self) -> Iterable[dg.AssetSpec]:
        return (one for stage in self.stages for one in stage.definition.specs)


@dataclass(frozen=True)
class _Found:
    """What a look found.

    Args:
        seen: fingerprints of what the dataset is made of.
        made: digest of its versions.
        is_made: whether there are any.
        others: cycles that the cadence has no more.
        plans: those of what is not current; None: all is as it was at the last look.
    """

    seen: Mapping[str, str]
    made: str
    is_made: bool
    others: Sequence[str]
    plans: Sequence[CyclePlan] | None = None


@dataclass(frozen=True)
class _Memory:
    """What the sensor remembers from tick to tick.

    Args:
        seen: fingerprints of what the dataset is made of.
        made: digest of the versions that were looked at.
        said: what was said of them.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    said: str = ""

    @classmethod
    def load(cls, cursor: str | None) -> "_Memory":
        """What a cursor holds; an older one may hold more."""
        known = json.loads(cursor) if cursor else {}
        return cls(**{one.name: known[one.name] for one in fields(cls) if one.name in known})

    def dump(self) -> str:
        return json.dumps(asdict(self))


def is_running(instance: dg.DagsterInstance, **which: Any) -> bool:
    """Whether one of these runs is under way.

    Args:
        instance: of Dagster.
        which: as Dagster's `RunsFilter` takes it.
    """
    return bool(instance.get_runs(dg.RunsFilter(**which, statuses=NOT_FINISHED_STATUSES), limit=1))


def _is_chosen(instance: dg.DagsterInstance, dataset: str) -> bool:
    """Whether assets of a dataset were chosen by hand, or for a backfill, and are about to be made: those runs have no
    tags before they begin."""
    which = dg.RunsFilter(job_name=IMPLICIT_ASSET_JOB_NAME, statuses=NOT_FINISHED_STATUSES)
    runs = instance.get_runs(which, limit=_RUNS_LOOKED_AT)
    return any(key.path[0] == dataset for run in runs for key in run.asset_selection or ())


def _skip(reason: str, memory: _Memory) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=memory.dump())


def _forget_code() -> None:
    """Have functions and models that specs name looked at again: they do not run here, but in runs that load them."""
    code_digest.cache_clear()
    model_digest.cache_clear()


def _versions(
    stages: Sequence[StageAsset], workspace: WorkspaceAtRest, cycles: Sequence[str | None]
) -> list[tuple[str, str | None, str | None]]:
    """Ids of the current versions: all of the newest cycle; of the ones before, which may be thousands, the last."""
    assets = [(asset, stage) for stage in stages for asset in stage.builds]
    looked_at = [(*one, cycle) for cycle in cycles for one in (assets if cycle == cycles[-1] else assets[-1:])]
    snapshots = workspace.snapshots

    def version(looked_at: tuple[str, StageAsset, str | None]) -> tuple[str, str | None, str | None]:
        asset, stage, cycle = looked_at
        ref = snapshots.current_ref(asset, stage.partition(cycle))
        return asset, cycle, ref.snapshot_id if ref is not None else None

    return list(look_at_each(snapshots, version, looked_at))


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What is different, in words; nothing is what is looked at for the first time."""
    if not before:
        return "since it was made"
    return ", ".join(name for name in sorted(before) if before[name] != now.get(name))


def _say_newer(names: Sequence[str]) -> str:
    """Words for what is not loaded yet."""
    return (
        f"Not loaded yet, though changed on disk: {', '.join(names)}. Reload the code location (in the interface,"
        " under Deployment); until then nothing is planned or requested, since a run goes by what is on disk."
    )


def _say_begun(plans: Sequence[CyclePlan], dataset: str) -> str:
    """What is not gone on with, since it was never made as far as its release: it was stopped, or a gate closed."""
    named = some_of([plan.partition or dataset for plan in plans])
    return f" Begun and never released, which is for people to go on with: {named}." if plans else ""


def _say(plans: Sequence[CyclePlan], dataset: str) -> str:
    if not plans:
        return "Everything that was released is current."
    said = "; ".join(f"{plan.partition or dataset}: {plan.describe()}" for plan in plans[:3])
    more = f"; and {len(plans) - 3} more cycles" if len(plans) > 3 else ""
    return f"Would be made anew: {said}{more}. `synth plan {dataset}` shows all of it."
