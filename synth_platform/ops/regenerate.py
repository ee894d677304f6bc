"""What makes datasets anew by itself: the schedule of a cadence, and the sensor that notices changes.

Both ask the plan first, and request a run only where it says that something would be made. The run is one of the
dataset's ordinary job, in which every stage asks for the gates before it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_platform.digest import digest
from synth_platform.errors import SynthError
from synth_platform.naming import group_name
from synth_platform.ops.cycles import newest_cycle
from synth_platform.ops.plan import CyclePlan, Planner, is_test_set
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import StageAsset
from synth_platform.ops.tags import DATASET_TAG, run_tags
from synth_platform.prompts.templates import Template
from synth_platform.sources.rows import source_stamp
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

_SECONDS = 60
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
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
    """

    spec: "DatasetSpec"
    base: Path
    stages: Sequence[StageAsset]
    partitions: dg.TimeWindowPartitionsDefinition | None
    job: Any

    def schedule(self) -> dg.ScheduleDefinition:
        """Makes the newest cycle that has ended, at the times of the cadence, if anything of it is to be made.

        A schedule without partitions of its own is caught up with once after a standstill, not once for each time
        that was missed; and since the newest cycle is taken by the clock, that one run makes the newest.
        """
        cadence = self.spec.cadence
        assert cadence is not None

        def due(context: dg.ScheduleEvaluationContext, workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
            return self._due(context, workspace.open())

        return dg.schedule(
            cron_schedule=cadence.schedule_cron,
            execution_timezone=cadence.timezone,
            job=self.job,
            name=cycle_schedule_name(self.spec.name),
            description=f"Makes the newest cycle of {self.spec.name} that has ended, as far as it is not made yet.",
        )(due)

    def _due(self, context: dg.ScheduleEvaluationContext, workspace: Workspace) -> dg.RunRequest | dg.SkipReason:
        assert self.partitions is not None
        cycle = newest_cycle(self.partitions)
        if cycle is None:
            return dg.SkipReason("No cycle has ended yet.")
        if self._is_running(context.instance, cycle):
            return dg.SkipReason(f"The cycle {cycle} is being made.")
        plan = Planner(self.stages, workspace.at_rest()).plan(cycle)
        if plan.is_current:
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
        at_rest = workspace.at_rest()
        planner = Planner(self.stages, at_rest)
        cycles = self._cycles(planner)
        if self._is_running(context.instance, None):
            return _skip("A run of the dataset is under way.", memory)
        versions = _versions(self.stages, at_rest, cycles)
        is_made = any(current for asset, _, current in versions if not is_test_set(asset))
        try:
            seen = self._look(sources=is_made)
        except SynthError as error:
            return _skip(f"What the dataset is made of cannot be looked at: {error}", memory)
        if not is_made:
            said = "Nothing has been made yet; what was never made is not begun."
            return _skip(said, replace(memory, seen=seen))
        made = digest(versions)
        if memory.seen == seen and memory.made == made:
            return _skip(memory.said, memory)
        why = _changed(memory.seen, seen)
        plans = [plan for plan in planner.plans(cycles) if not plan.is_new and not plan.is_current]
        memory = _Memory(seen, made, _say(plans, self.spec.name), memory.requested)
        if self.spec.regenerate.on_change != "automatic":
            return _skip(memory.said, memory)
        return self._request(plans, why, memory)

    def _request(self, plans: Sequence[CyclePlan], why: str, memory: "_Memory") -> dg.SensorResult:
        """Request a run for each plan, once for what is there now: one that fails is for people to look at."""
        cause = digest(memory.seen)
        certain = [plan for plan in plans if plan.makes_something]
        new = [plan for plan in certain if memory.requested.get(plan.partition or "") != cause]
        requests = [
            dg.RunRequest(
                run_key=f"{cause} {plan.fingerprint}",
                partition_key=plan.partition,
                tags=run_tags(self.spec, plan.partition, f"changed: {why}"),
            )
            for plan in new
        ]
        requested = {**memory.requested, **{plan.partition or "": cause for plan in new}}
        memory = _Memory(memory.seen, memory.made, memory.said, requested)
        if not requests:
            said = f"{memory.said} It was requested before." if certain else memory.said
            return _skip(said, memory)
        return dg.SensorResult(run_requests=requests, cursor=memory.dump())

    def _cycles(self, planner: Planner) -> list[str | None]:
        """The cycles that were made and are looked at."""
        if self.partitions is None:
            return [None]
        made: list[str | None] = [*planner.cycles_made()]
        return made if self.spec.regenerate.cycles == "all" else made[-1:]

    def _look(self, *, sources: bool) -> dict[str, str]:
        """Fingerprints of what the dataset is made of; no source is read for them.

        Args:
            sources: whether to ask for the files of sources, which may lie in a bucket or on the hub.
        """
        spec, base = self.spec, self.base
        seen = {"the spec": digest(spec.model_dump(mode="json", exclude=_NOT_WATCHED))}
        seen["the code"] = digest(sorted((s.key.to_user_string(), s.code_version) for s in self._asset_specs()))
        for recipe in spec.recipes:
            seen[f"the template of {recipe.name}"] = Template.load(recipe.template_name, base).digest
        for source in spec.sources if sources else ():
            seen[f"files of {source.name}"] = source_stamp(source, base)
        return seen

    def _asset_specs(self) -> Iterable[dg.AssetSpec]:
        return (one for stage in self.stages for one in stage.definition.specs)

    def _is_running(self, instance: dg.DagsterInstance, cycle: str | None) -> bool:
        """Whether a run of the dataset, or of one of its cycles, is under way."""
        tags = {DATASET_TAG: self.spec.name} | ({"dagster/partition": cycle} if cycle else {})
        return bool(instance.get_runs(dg.RunsFilter(tags=tags, statuses=_UNFINISHED), limit=1))


@dataclass(frozen=True)
class _Memory:
    """What the sensor remembers from tick to tick.

    Args:
        seen: fingerprints of what the dataset is made of.
        made: digest of the versions that were looked at.
        said: what was said of them.
        requested: by cycle, for which state of ``seen`` a run was requested last.
    """

    seen: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
    said: str = ""
    requested: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, cursor: str | None) -> "_Memory":
        return cls(**json.loads(cursor)) if cursor else cls()

    def dump(self) -> str:
        return json.dumps(asdict(self))


def _skip(reason: str, memory: _Memory) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=memory.dump())


def _versions(
    stages: Sequence[StageAsset], workspace: Workspace, cycles: Sequence[str | None]
) -> list[tuple[str, str | None, str | None]]:
    """Ids of the current versions: all of the newest cycle; of the ones before, which may be thousands, the last."""
    assets = [(asset, stage) for stage in stages for asset in stage.builds]
    looked_at = [(*one, cycle) for cycle in cycles for one in (assets if cycle == cycles[-1] else assets[-1:])]
    current = [
        (asset, cycle, workspace.snapshots.current_ref(asset, stage.partition(cycle)))
        for asset, stage, cycle in looked_at
    ]
    return [(asset, cycle, ref.snapshot_id if ref is not None else None) for asset, cycle, ref in current]


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What is different, in words."""
    if not before:
        return "since it was made"
    return ", ".join(name for name in sorted(before) if before[name] != now.get(name)) or "a version"


def _say(plans: Sequence[CyclePlan], dataset: str) -> str:
    if not plans:
        return "Everything that was made is current."
    said = "; ".join(f"{plan.partition or dataset}: {plan.describe()}" for plan in plans[:3])
    more = f"; and {len(plans) - 3} more cycles" if len(plans) > 3 else ""
    return f"Would be made anew: {said}{more}. `synth plan {dataset}` shows all of it."
