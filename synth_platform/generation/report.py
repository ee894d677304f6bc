"""What a finished version of generations says of itself: outcomes, tokens, speed, cost, pictures."""

from typing import Any

import polars as pl

from synth_platform.generation.budget import engine_cost
from synth_platform.plots import bars, histogram, lines
from synth_platform.snapshots import Snapshot

_HISTOGRAM_ROWS = 50_000
_HOUR = 3600.0


def describe_generations(snapshot: Snapshot) -> dict[str, Any]:
    """Plain values by name, and Markdown pictures under ``pictures``."""
    rows, details = snapshot.scan(), snapshot.manifest.details
    prompt_tokens, tokens = (
        rows.select(pl.col("prompt_tokens").sum(), pl.col("completion_tokens").sum()).collect().row(0)
    )
    statuses = dict(rows.group_by("status").len().sort("status").collect().iter_rows())
    described: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "tokens": tokens,
        **{f"outcome_{name}": count for name, count in statuses.items()},
        "model": str(details.get("model", "")),
        "sessions": details.get("sessions", 0),
        **_usage(details, tokens),
        **_estimated(details.get("estimate")),
        "pictures": {"plots": _pictures(rows, statuses, details)},
    }
    return {name: value for name, value in described.items() if value is not None}


def _usage(details: dict[str, Any], tokens: int) -> dict[str, Any]:
    seconds = float(details.get("engine_seconds", 0.0))
    cost = engine_cost(details)
    faults = details.get("faults") or {}
    return {
        "engine_hours": round(seconds / _HOUR, 5),
        "tokens_per_engine_second": round(tokens / seconds, 1) if seconds else None,
        "cost": None if cost is None else round(cost, 4),
        "tries_again": ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items())) or "none",
    }


def _estimated(estimate: dict[str, Any] | None) -> dict[str, Any]:
    """What was expected before the run, of all recipes together."""
    if not estimate:
        return {}
    hours, cost = estimate["engine_hours"], estimate["cost"]
    return {
        "estimated_output_tokens": estimate["output_tokens"],
        "estimated_engine_hours": None if hours is None else round(hours, 5),
        "estimated_cost": None if cost is None else round(cost, 4),
        "estimate_rests_on": "; ".join(estimate["assumptions"]),
    }


def _pictures(rows: pl.LazyFrame, statuses: dict[str, int], details: dict[str, Any]) -> str:
    lengths = rows.select("completion_tokens").head(_HISTOGRAM_ROWS).collect()["completion_tokens"].drop_nulls()
    points = details.get("points") or []
    curves = {
        "output": [(point["at"], point["output_tokens"]) for point in points],
        "prompt": [(point["at"], point["prompt_tokens"]) for point in points],
    }
    return "\n\n".join(
        [
            lines(curves, title="Tokens per second", x="seconds since the session began", y="tokens/s"),
            histogram(lengths.to_list(), title="Answer length", x="tokens", y="generations"),
            bars(statuses, title="Outcomes", x="generations"),
        ]
    )
