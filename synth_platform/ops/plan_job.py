"""The plan in Dagster's interface: a job that shows what a run would make, and makes nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from synth_platform.naming import group_name
from synth_platform.ops.failures import failing_for_people
from synth_platform.ops.forecast import Bill, bill_of
from synth_platform.ops.plan import CyclePlan, Planner
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.stage import StageAsset
from synth_platform.ops.tags import dataset_tags

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec


def plan_job_name(dataset: str) -> str:
    """Name of the job that shows the plan."""
    return f"{group_name(dataset)}_plan"


def plan_job(
    spec: "DatasetSpec",
    base: Path,
    stages: Sequence[StageAsset],
    partitions: dg.PartitionsDefinition[str] | None,
    release: dg.AssetKey,
) -> dg.JobDefinition:
    """Shows the plan of a cycle in its run, and as an observation on the page of the release."""
    name = plan_job_name(spec.name)

    @dg.op(name=f"{name}_of_a_run", description="Compares every stage with the version that is there.")
    def show(context: dg.OpExecutionContext, workspace: WorkspaceResource) -> None:
        partition = context.partition_key if context.has_partition_key else None
        opened = workspace.open().at_rest()
        with failing_for_people():
            found = Planner(stages, opened).plan(partition)
            described = _metadata(found, bill_of([found], spec, base, opened))
        context.log.info(found.describe())
        context.add_output_metadata(described)
        context.log_event(dg.AssetObservation(release, partition=partition, metadata=described))

    @dg.job(
        name=name,
        description=f"Says what a run of {spec.name} would make, why, and what it would take. It makes nothing.",
        partitions_def=partitions,
        executor_def=dg.in_process_executor,
        tags=dataset_tags(spec),
    )
    def job() -> None:
        show()

    return job


def _metadata(plan: CyclePlan, bill: Bill) -> dict[str, dg.MetadataValue]:
    records = [
        dg.TableRecord({"asset": one.asset, "state": one.state, "work": one.work, "why": "; ".join(one.why)})
        for one in plan.steps
    ]
    columns = [dg.TableColumn(name) for name in ("asset", "state", "work", "why")]
    return {
        "plan": dg.MetadataValue.table(records, dg.TableSchema(columns)),
        "summary": dg.MetadataValue.text(plan.describe()),
        "engine": dg.MetadataValue.text(bill.describe()),
    }
