"""What the terminal shows: progress while work goes on, tables when it is done."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from synth_platform.contamination.files import CalibrationRun, ScanSummary
from synth_platform.generation.estimate import Estimate
from synth_platform.generation.tuning.profile import EngineProfile
from synth_platform.generation.tuning.search import say
from synth_platform.progress import Listener, Task, clock, listen
from synth_platform.quality.replay import Replay
from synth_platform.snapshots.catalog import Diff, Trace
from synth_platform.snapshots.verify import Report
from synth_platform.summary import Summary
from synth_platform.workspace import Workspace

if TYPE_CHECKING:
    from synth_platform.ops.doctor.examine import Examined
    from synth_platform.ops.forecast import Bill
    from synth_platform.ops.plan import CyclePlan
    from synth_platform.ops.takedown import Report as Takedown

_PLAIN_SECONDS = 10.0
_TEXT_CHARACTERS = 600
_MOST_REASONS = 12
_MOST_ROWS = 200
_WORK = {"none": "", "reuse": "reuse", "check": "check", "make": "make"}


@contextmanager
def progress(console: Console) -> Iterator[None]:
    """Show all work done inside the block: bars in a terminal, a line now and then elsewhere."""
    if not console.is_terminal:
        with listen(_plain(console)):
            yield
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        console=console,
        transient=True,
    )
    with bars, listen(_bars(bars, console)):
        yield


def _plain(console: Console) -> Listener:
    started: dict[int, float] = {}

    def hear(task: Task, finished: bool) -> None:
        now = time.monotonic()
        if finished or now - started.setdefault(id(task), now) >= _PLAIN_SECONDS:
            started[id(task)] = now
            console.print(f"  {escape(task.describe())}")

    return hear


def _bars(bars: Progress, console: Console) -> Listener:
    shown: dict[int, TaskID] = {}

    def hear(task: Task, finished: bool) -> None:
        rate = escape(" · ".join(task.describe().split(" · ")[1:]))
        if id(task) not in shown:
            shown[id(task)] = bars.add_task(task.stage, total=task.total, rate=rate)
        bars.update(shown[id(task)], completed=task.done, total=task.total, rate=rate)
        if finished:
            bars.remove_task(shown.pop(id(task)))
            console.print(f"  [green]✓[/green] {escape(task.describe())}")

    return hear


def show_estimate(console: Console, dataset: str, estimate: Estimate) -> None:
    """The bill of a run that was not started."""
    title = f"{dataset}: estimate"
    table = Table("recipe", "prompts", "prompt tokens", "output tokens", title=title, title_justify="left")
    for load in estimate.loads:
        lengths = (load.prompts * load.prompt_tokens, load.prompts * load.output_tokens)
        table.add_row(load.recipe, f"{load.prompts:,}", *(f"{length:,.0f}" for length in lengths))
    table.add_row("all", f"{estimate.prompts:,}", f"{estimate.prompt_tokens:,.0f}", f"{estimate.output_tokens:,.0f}")
    _right(table, 1, 2, 3)
    console.print(table)
    hours, cost = estimate.engine_hours, estimate.cost
    console.print(f"engine hours: {'not known' if hours is None else f'{hours:,.2f}'}")
    if cost is not None and estimate.cost_per_million is not None:
        price = f"at {estimate.price_per_hour:g} per hour"
        console.print(f"cost: {cost:,.2f} {price}; {estimate.cost_per_million:,.4f} per million output tokens")
    console.print("resting on:")
    for line in estimate.assumptions:
        console.print(f"  - {escape(line)}")


def show_plan(console: Console, dataset: str, plans: Sequence["CyclePlan"], bill: "Bill") -> None:
    """What a run would make: asset by asset for one cycle, cycle by cycle for several."""
    if len(plans) == 1:
        _show_steps(console, dataset, plans[0])
    else:
        _show_cycles(console, dataset, plans)
    console.print(f"engine: {escape(bill.describe())}")
    for line in bill.at_most.assumptions if bill.at_most is not None and bill.at_most.prompts else ():
        console.print(f"  - {escape(line)}")


def _show_steps(console: Console, dataset: str, plan: "CyclePlan") -> None:
    title = f"{dataset}{f', cycle {plan.partition}' if plan.partition else ''}: plan"
    table = Table("asset", "state", "a run would", "why", title=title, title_justify="left")
    for step in plan.steps:
        table.add_row(step.asset, step.state, _WORK[step.work], escape("; ".join(step.why)))
    console.print(table)
    if plan.is_current:
        console.print("everything is current: a run would find all of it")


def _show_cycles(console: Console, dataset: str, plans: Sequence["CyclePlan"]) -> None:
    table = Table("cycle", "plan", title=f"{dataset}: {len(plans):,} cycles", title_justify="left")
    changing = [plan for plan in plans if not plan.is_current]
    made = [plan for plan in changing if not plan.is_new]
    for plan in made[-_MOST_ROWS:]:
        table.add_row(plan.partition or "", escape(plan.describe()))
    if made:
        console.print(table)
    new = [plan.partition or "" for plan in changing if plan.is_new]
    console.print(
        f"{len(plans) - len(changing):,} of {len(plans):,} cycles are current, {len(made):,} would change,"
        f" {len(new):,} were never made{f' ({new[0]} to {new[-1]})' if new else ''}"
    )


def show_findings(console: Console, found: Sequence["Examined"]) -> None:
    """What the doctor found, each with its remedy; a count at the end."""
    table = Table("", "what", "where", "why it matters", "what mends it", show_lines=True)
    for one in found:
        finding = one.finding
        state = "[green]mended[/green]" if one.mended else "note" if finding.note else "[red]wrong[/red]"
        fix = f"{'' if one.mended or finding.mend is None else '--fix: '}{finding.fix}"
        cells = (finding.what, finding.where, finding.why, fix + (f" (failed: {one.failure})" if one.failure else ""))
        table.add_row(state, *map(escape, cells))
    if found:
        console.print(table)
    wrong, mended = sum(one.wrong for one in found), sum(one.mended for one in found)
    fixable = sum(one.wrong and one.finding.mend is not None for one in found)
    console.print(
        f"wrong: {wrong}"
        + (f", mended: {mended}" if mended else "")
        + (f"; `synth doctor --fix` mends {fixable}" if fixable else "")
    )


def show_profile(console: Console, dataset: str, profile: EngineProfile, trials: Sequence[Mapping[str, Any]]) -> None:
    """What the tuning tried, and what it found."""
    table = Table(
        "settings", "round", "prompts", "tokens/s", "", title=f"{dataset}: settings tried", title_justify="left"
    )
    for trial in trials:
        speed = "failed" if trial["failure"] else f"{trial['tokens_per_second']:,.0f}"
        table.add_row(
            trial["settings"], str(trial["round"]), str(trial["prompts"]), speed, escape(trial["failure"] or "")
        )
    _right(table, 1, 2, 3)
    console.print(table)
    console.print(f"fastest: {escape(say(profile.arguments))}, {profile.concurrency} requests in flight")
    if profile.gain is not None:
        console.print(f"{profile.tokens_per_second:,.0f} output tokens/s, {profile.gain:.2f} times the engine as it is")
    console.print(f"`engine.tuned: true` in the spec of {dataset} uses it")


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


def show_scan(console: Console, summary: ScanSummary) -> None:
    """What a scan of files found."""
    table = Table("test set", "contaminated", "suspect", title="Test items found", title_justify="left")
    for name in summary.evals:
        counts = summary.by_eval.get(name, {})
        table.add_row(escape(name), f"{counts.get('contaminated', 0):,}", f"{counts.get('suspect', 0):,}")
    _right(table, 1, 2)
    console.print(table)
    verdicts = ", ".join(f"{count:,} {verdict}" for verdict, count in summary.verdicts.items())
    rate = summary.bytes / 1e6 / max(summary.seconds, 1e-9)
    console.print(
        f"{summary.documents:,} documents: {verdicts}; {summary.seconds:,.1f} s with the index, {rate:,.1f} MB/s"
    )
    if summary.expected:
        console.print(escape(summary.expected))
    if summary.unread:
        places = ", ".join(summary.unread_places)
        console.print(f"[red]not scanned:[/red] {summary.unread:,} rows without readable text ({escape(places)})")
    console.print(f"hits: {escape(summary.out)}")


def show_calibration(console: Console, run: CalibrationRun) -> None:
    """Thresholds, what they do, and the negatives to look at by hand."""
    table = Table("verdict", "from", "recall", "95%", "false alarms", "95%", title="Thresholds", title_justify="left")
    for name, measured in (("contaminated", run.calibration.contaminated), ("suspect", run.calibration.suspect)):
        spans = (measured.recall_interval, measured.false_alarms_interval)
        recall, alarms = (f"{low:.2%} to {high:.2%}" for low, high in spans)
        shares = (f"{measured.recall:.2%}", f"{measured.false_alarms:.2%}")
        table.add_row(name, f"{measured.threshold:.4f}", shares[0], recall, shares[1], alarms)
    console.print(table)
    for rate, recall in run.recalls.items():
        console.print(f"recall at {rate} false alarms: {recall:.2%}")
    looked_at = Table("negative", "item", "score", "text", title="Negatives most like test items: look at them by hand")
    for row in run.top_negatives:
        looked_at.add_row(row["id"], str(row["eval_id"]), f"{row['score']:.3f}", escape(row["span"]))
    console.print(looked_at)


def show_summary(console: Console, summary: Summary, workspace: Workspace) -> None:
    """The closing summary of a run."""
    console.print()
    stages = Table("stage", "rows", "tokens", title=_title(summary), title_justify="left")
    for kind, counts in summary.stages.items():
        stages.add_row(kind, f"{counts.rows:,}", f"{counts.tokens:,}")
    _right(stages, 1, 2)
    console.print(stages)
    if summary.acceptance:
        recipes = Table("recipe", "accepted by quality", "facts right")
        for recipe, share in summary.acceptance.items():
            accuracy = summary.fact_accuracy.get(recipe)
            recipes.add_row(recipe, f"{share:.1%}", "not known" if accuracy is None else f"{accuracy:.1%}")
        _right(recipes, 1, 2)
        console.print(recipes)
    for title, counts in (("rejected for", summary.rejected), ("documents skipped for", summary.skipped)):
        if counts:
            reasons = Table(title, "rows")
            for reason, count in list(counts.items())[:_MOST_REASONS]:
                reasons.add_row(escape(reason), f"{count:,}")
            _right(reasons, 1)
            console.print(reasons)
    found = summary.contamination
    console.print(
        f"contamination: {found.get('documents', 0):,} documents and {found.get('generations', 0):,} generations"
        f" contain test items; {found['found']:,} of {found['planted']:,} planted ones found;"
        f" {found['released']:,} released"
    )
    if summary.engine_hours:
        each = summary.per_accepted_million
        words = [f"{summary.engine_hours * 60:,.1f} engine minutes"]
        words += [f"{summary.cost:,.2f} in money"] if summary.cost is not None else []
        words += [f"{each['engine_hours_per_accepted_million_tokens']:,.3f} hours"] if each else []
        words[-1] += " per million accepted tokens" if each else ""
        if "cost_per_accepted_million_tokens" in each:
            words.append(f"{each['cost_per_accepted_million_tokens']:,.4f} in money per million accepted tokens")
        console.print("engine: " + ", ".join(words))
    gates = summary.gates
    console.print(f"gates: {gates['passed']:,} passed, {gates['failed']:,} failed, {gates['warned']:,} warned")
    for mark, lines in (("[red]closed[/red]", summary.closed_gates), ("[yellow]warned[/yellow]", summary.warnings)):
        for line in lines:
            console.print(f"  {mark} {escape(line)}")
    for problem in summary.problems:
        console.print(f"[red]problem:[/red] {escape(problem)}")
    _show_next(console, summary, workspace)


def _title(summary: Summary) -> str:
    cycle = f", cycle {summary.partition}" if summary.partition else ""
    return f"{summary.dataset}{cycle}: {'done' if summary.ok else 'NOT RELEASED'} in {summary.seconds:,.0f} s"


def _show_next(console: Console, summary: Summary, workspace: Workspace) -> None:
    home = f" --home {workspace.home}"
    if summary.release:
        console.print(f"\nrelease: {escape(summary.release['path'])}")
        console.print(
            f"  {summary.release['rows']:,} rows, {summary.release['tokens']:,} tokens,"
            f" digest {summary.release['digest']}"
        )
        console.print(f"next: read its README.md; look at graph and checks with  synth ui{home}")
        console.print(f"      follow a row with  synth trace ROW_ID{home}  or prove it again with  synth verify{home}")
    else:
        console.print(
            "\nnothing was released. What was made is kept; after mending the cause the same command goes on."
        )
        console.print(f"next: look at the failing checks with  synth ui{home}")


def show_rows(console: Console, rows: Sequence[Mapping[str, Any]], nothing: str) -> None:
    """A table of like rows."""
    if not rows:
        console.print(nothing)
        return
    table = Table(*rows[0])
    for row in rows[-_MOST_ROWS:]:
        table.add_row(
            *(
                escape("" if value is None else f"{value:,}" if isinstance(value, int) else str(value))
                for value in row.values()
            )
        )
    console.print(table)


def show_replays(console: Console, replays: Sequence[Replay]) -> None:
    """What other limits would change: totals by recipe, then the reasons that change, and some rows."""
    totals = Table("recipe", "rows", "accepted", "would be", "tokens", "would be")
    for one in replays:
        before, after = one.accepted
        row = (one.rows, before, _changed(before, after), one.tokens[0], _changed(*one.tokens))
        totals.add_row(one.recipe, *(f"{value:,}" if isinstance(value, int) else value for value in row))
    console.print(totals)
    reasons = Table("recipe", "reason", "rows", "would be")
    for one in replays:
        for reason, (before, after) in one.changed_reasons().items():
            reasons.add_row(one.recipe, escape(reason), f"{before:,}", _changed(before, after))
    console.print(reasons if reasons.row_count else "no verdict would change")
    for one in replays:
        for what, ids in (("accepted", one.gained), ("rejected", one.lost)):
            if ids:
                console.print(f"{one.recipe}: would be {what}, for example {', '.join(ids)}")
    again = [one.recipe for one in replays if not one.measured]
    if again:
        console.print(f"measured again, since the detectors, the form or the encoder changed: {', '.join(again)}")


def _changed(before: int, after: int) -> str:
    return f"{after:,}" + (f" ({after - before:+,})" if after != before else "")


def show_trace(console: Console, trace: Trace) -> None:
    """A row's way, from its document on."""
    for takedown in trace.taken_down:
        why = f": {takedown['reason']}" if takedown["reason"] else ""
        console.print(f"[bold]taken down[/bold] {takedown['at'][:10]} by {escape(takedown['by'])}{escape(why)}")
    for title, row in (("document", trace.document), ("prompt", trace.prompt), ("generation", trace.generation)):
        if row:
            console.print(f"[bold]{title}[/bold]")
            for name, value in row.items():
                if value is not None:
                    console.print(f"  {name}: {escape(_cut(value))}")
    for verdict in trace.verdicts:
        shown = {name: value for name, value in verdict.items() if value not in (None, [])}
        console.print(
            f"[bold]verdict[/bold] {escape(', '.join(f'{name} {_cut(value)}' for name, value in shown.items()))}"
        )
    for kind, ids in trace.descendants.items():
        console.print(f"[bold]{kind} made of it[/bold]: {len(ids):,}  {escape(', '.join(ids[:10]))}")
    console.print("[bold]versions[/bold]")
    for asset, snapshot in sorted(trace.snapshots.items()):
        console.print(f"  {asset}: {snapshot}")


def show_diff(console: Console, diff: Diff) -> None:
    """What changed between two versions."""
    console.print(f"[bold]{diff.asset}[/bold] {diff.before} → {diff.after}")
    console.print(f"  rows {diff.rows[0]:,} → {diff.rows[1]:,}, tokens {diff.tokens[0]:,} → {diff.tokens[1]:,}")
    console.print(f"  {diff.added:,} added, {diff.removed:,} removed, {diff.changed:,} changed")
    for name, ids in diff.examples.items():
        console.print(f"  {name}, for example: {', '.join(ids)}")
    for name, (old, new) in diff.settings.items():
        console.print(f"  setting {escape(name)}: {escape(_cut(old))} → {escape(_cut(new))}")
    for name, (old, new) in diff.inputs.items():
        console.print(f"  input {escape(name)}: {old} → {new}")


def show_report(console: Console, report: Report) -> None:
    """What a verification found."""
    console.print(
        f"{report.versions:,} versions, {report.files:,} files, {report.rows:,} rows,"
        f" {report.bytes / 1e6:,.1f} MB: {len(report.problems) or 'no'} problems"
    )
    for problem in report.problems:
        console.print(f"  [red]✗[/red] {escape(problem)}")
    for removed in report.removed:
        console.print(f"  {escape(removed)}")


def show_takedown(console: Console, report: "Takedown") -> None:
    """What a takedown found and did."""
    counted = ", ".join(f"{rows:,} {stage}" for stage, rows in report.rows.items() if rows) or "nothing"
    console.print(f"{len(report.documents):,} documents, of which were made: {counted}")
    for one in report.releases:
        cycle = f" {one.partition}" if one.partition else ""
        became = f"→ {one.patch}" if one.patch else "to be patched"
        console.print(f"  {one.dataset}{cycle} release {one.release} {became}, {one.rows:,} rows taken out")
    erased = sum(one.erased for one in report.held)
    if left := len(report.held) - erased:
        console.print(
            f"  {left:,} versions have their text, replaced ones too" + ("" if erased else "; --erase removes them")
        )
    if erased:
        console.print(f"  {erased:,} versions erased, {report.erased_bytes / 1e6:,.1f} MB; their manifests are kept")
        console.print("  Dagster's event log may still show the first rows of them: see the README")
    for withdrawn in report.withdrawn:
        console.print(f"  withdrawn: {escape(withdrawn)}")
    for problem in report.problems:
        console.print(f"  [red]✗[/red] {escape(problem)}")
    if report.takedown is None:
        console.print("nothing was changed: leave out --dry-run to take them down")
    elif not report.problems:
        console.print(
            f"[green]✓[/green] takedown {report.takedown}: in no current release, and barred from every later one"
        )


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _TEXT_CHARACTERS else text[:_TEXT_CHARACTERS] + "…"


def _right(table: Table, *columns: int) -> None:
    for column in columns:
        table.columns[column].justify = "right"
