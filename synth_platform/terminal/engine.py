"""What engines are doing, and the settings that make one fastest."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from synth_platform.progress import clock
from synth_platform.terminal.tables import align_right

if TYPE_CHECKING:
    from synth_platform.generation.tuning.profile import EngineProfile


def show_status(console: Console, readings: Sequence[Mapping[str, Any]]) -> None:
    """What engines are doing."""
    for one in readings:
        cycle = f" {one['partition']}" if one["partition"] else ""
        console.print(f"[bold]{one['dataset']}{cycle}[/bold]: {escape(one['state'])} (run {one['run_id'][:8]})")
        share = one["done"] / max(one["total"], 1)
        left = f", {clock(one['seconds_left'])} left" if one["seconds_left"] and one["done"] < one["total"] else ""
        console.print(f"  {one['done']:,} of {one['total']:,} prompts ({share:.1%}; {one['kept']:,} from before){left}")
        console.print(
            f"  {one['rows_per_second']:,.1f} rows/s, {one['prompt_tokens_per_second']:,.0f} prompt and"
            f" {one['output_tokens_per_second']:,.0f} output tokens/s over the last seconds"
        )
        hits = "" if one["cache_hits"] is None else f", prefix cache hits {one['cache_hits']:.0%}"
        queue = "" if one["server_queue"] is None else f", {one['server_queue']} queued there"
        console.print(
            f"  {one['in_flight']} in flight of {one['limit']} allowed, {one['waiting']} waiting{queue},"
            f" {one['servers_up']} of {one['servers']} servers up{hits}"
        )
        outcomes = ", ".join(f"{count:,} {name}" for name, count in sorted(one["outcomes"].items())) or "none yet"
        faults = ", ".join(f"{count:,} {name}" for name, count in sorted(one["faults"].items())) or "none"
        console.print(f"  outcomes: {outcomes}; tries without one: {faults}")
        cost = "" if one["cost"] is None else f", {one['cost']:,.2f} in money"
        console.print(f"  {one['output_tokens']:,} output tokens, {one['engine_hours']:.4f} engine hours{cost}")


def show_profile(console: Console, dataset: str, profile: "EngineProfile", trials: Sequence[Mapping[str, Any]]) -> None:
    """What the tuning tried, and what it found."""
    from synth_platform.generation.tuning.search import say  # late: most commands show no profile

    table = Table(
        "settings", "round", "prompts", "tokens/s", "", title=f"{dataset}: settings tried", title_justify="left"
    )
    for trial in trials:
        speed = "failed" if trial["failure"] else f"{trial['tokens_per_second']:,.0f}"
        table.add_row(
            trial["settings"], str(trial["round"]), str(trial["prompts"]), speed, escape(trial["failure"] or "")
        )
    align_right(table, 1, 2, 3)
    console.print(table)
    console.print(f"fastest: {escape(say(profile.arguments))}, {profile.concurrency} requests in flight")
    if profile.gain is not None:
        console.print(f"{profile.tokens_per_second:,.0f} output tokens/s, {profile.gain:.2f} times the engine as it is")
    console.print(f"`engine.tuned: true` in the spec of {dataset} uses it")
