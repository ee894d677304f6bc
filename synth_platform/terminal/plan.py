"""What a run would make, and what that would take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synth_platform.terminal.tables import MOST_ROWS, align_right, cut_nothing

if TYPE_CHECKING:
    from synth_platform.generation.estimate import Estimate
    from synth_platform.ops.forecast import Bill
    from synth_platform.ops.plan import CyclePlan

_WORK = {"none": "", "reuse": "reuse", "check": "check", "make": "make"}


def show_plan(
    console: Console, dataset: str, plans: Sequence["CyclePlan"], bill: "Bill", obstacles: Sequence[str]
) -> None:
    """What a run would make: asset by asset for one cycle, cycle by cycle for several; and what is in its way."""
    if len(plans) == 1:
        _show_steps(console, dataset, plans[0])
    else:
        _show_cycles(console, dataset, plans)
    console.print(f"engine: {escape(bill.describe())}")
    for line in bill.at_most.assumptions if bill.at_most is not None and bill.at_most.prompts else ():
        console.print(f"  - {escape(line)}")
    for problem in obstacles:
        console.print(f"[red]problem:[/red] {escape(problem)}")


def _show_steps(console: Console, dataset: str, plan: "CyclePlan") -> None:
    title = f"{dataset}{f', cycle {plan.partition}' if plan.partition else ''}: plan"
    table = Table("asset", "state", "a run would", "why", title=title, title_justify="left")
    for step in plan.steps:
        table.add_row(step.asset, step.state, _WORK[step.work], escape("; ".join(step.why)))
    cut_nothing(table, 0)
    console.print(table)
    if plan.is_current:
        console.print("everything is current: a run would find all of it")


def _show_cycles(console: Console, dataset: str, plans: Sequence["CyclePlan"]) -> None:
    table = Table("cycle", "plan", title=f"{dataset}: {len(plans):,} cycles", title_justify="left")
    changing = [plan for plan in plans if not plan.is_current]
    made = [plan for plan in changing if not plan.is_new]
    for plan in made[-MOST_ROWS:]:
        table.add_row(plan.partition or "", escape(plan.describe()))
    cut_nothing(table, 0)
    if made:
        console.print(table)
    new = [plan.partition or "" for plan in changing if plan.is_new]
    console.print(
        f"{len(plans) - len(changing):,} of {len(plans):,} cycles are current, {len(made):,} would change,"
        f" {len(new):,} were never released{f' ({new[0]} to {new[-1]})' if new else ''}"
    )


def show_estimate(console: Console, dataset: str, estimate: "Estimate") -> None:
    """The bill of a run that was not started."""
    title = f"{dataset}: estimate"
    table = Table("recipe", "prompts", "prompt tokens", "output tokens", title=title, title_justify="left")
    for load in estimate.loads:
        lengths = (load.prompts * load.prompt_tokens, load.prompts * load.output_tokens)
        table.add_row(load.recipe, f"{load.prompts:,}", *(f"{length:,.0f}" for length in lengths))
    table.add_row("all", f"{estimate.prompts:,}", f"{estimate.prompt_tokens:,.0f}", f"{estimate.output_tokens:,.0f}")
    align_right(table, 1, 2, 3)
    cut_nothing(table, 0, 1, 2, 3)
    console.print(table)
    hours, cost = estimate.engine_hours, estimate.cost
    console.print(f"engine hours: {'not known' if hours is None else f'{hours:,.2f}'}")
    if cost is not None and estimate.cost_per_million is not None:
        price = f"at {estimate.price_per_hour:g} per hour"
        console.print(f"cost: {cost:,.2f} {price}; {estimate.cost_per_million:,.4f} per million output tokens")
    console.print("resting on:")
    for line in estimate.assumptions:
        console.print(f"  - {escape(line)}")
