"""The executor of all runs: each step in a process of its own, and word of the process that the run lives in."""

from collections.abc import Iterator

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode

from synth_platform.ops.doctor.runs import worker_tag


class _KnownWorker(dg.Executor):
    """Notes in the run where it lives, so that its death is noticed whatever launched it."""

    def __init__(self, steps: dg.Executor) -> None:
        self._steps = steps

    @property
    def retries(self) -> RetryMode:
        return self._steps.retries

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        plan_context.instance.add_run_tags(plan_context.run_id, worker_tag(plan_context.run_id))
        yield from self._steps.execute(plan_context, execution_plan)


@dg.executor(
    name="multiprocess",
    config_schema=dg.multiprocess_executor.config_schema.as_field(),
    requirements=multiple_process_executor_requirements(),
)
def _known_worker(init_context: dg.InitExecutorContext) -> dg.Executor:
    steps = dg.multiprocess_executor.executor_creation_fn
    assert steps is not None
    return _KnownWorker(steps(init_context))


run_executor = _known_worker.configured(
    {"start_method": {"forkserver": {"preload_modules": ["synth_platform.fork_server"]}}}
)
"""Steps in processes of their own."""
