"""The engine profile: the settings that `synth tune` found fastest for a dataset, and what they gain."""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

import polars as pl

from synth_platform.config import StrictModel
from synth_platform.errors import EngineError
from synth_platform.generation.config import ClientSettings, VllmEngine
from synth_platform.generation.tuning.search import Trial, best_of, first_words, say
from synth_platform.generation.tuning.trial import in_flight
from synth_platform.plots import bars
from synth_platform.snapshots import Snapshot, SnapshotWriter
from synth_platform.workspace import Workspace

Spec = TypeVar("Spec", bound=ClientSettings)
_FAILURE_CHARACTERS = 4000
PROFILE_FILE = "profile.json"
TRIALS = pl.Schema(
    {
        "round": pl.Int64(),
        "settings": pl.String(),
        "prompts": pl.Int64(),
        "output_tokens": pl.Int64(),
        "seconds": pl.Float64(),
        "startup_seconds": pl.Float64(),
        "tokens_per_second": pl.Float64(),
        "failure": pl.String(),
    }
)
"""``settings`` as JSON; ``tokens_per_second`` of output, per GPU or server; ``failure`` says why there is no speed."""


class EngineProfile(StrictModel):
    """What to add to the engine's settings."""

    arguments: dict[str, Any]
    """Of vLLM; none if its defaults were the fastest."""
    concurrency: int
    """Requests in flight at one server."""
    tokens_per_second: float
    """Of output, per GPU or server, with these settings."""
    before: float | None
    """The same without them, on the same prompts; None: it does not run without them."""

    @property
    def gain(self) -> float | None:
        """How many times faster."""
        return self.tokens_per_second / self.before if self.before else None


def profile_key(dataset: str) -> str:
    """Key path of a dataset's engine profile."""
    return f"{dataset}/engine_profile"


def read_profile(snapshot: Snapshot) -> EngineProfile:
    """The profile that a version holds."""
    return EngineProfile.model_validate_json(snapshot.read_file(PROFILE_FILE))


def tuned(spec: Spec, workspace: Workspace, dataset: str) -> Spec:
    """The engine's settings with the dataset's profile, if they ask for it; what the spec says itself stays.

    Raises:
        EngineError: there is no profile yet.
    """
    if not isinstance(spec, VllmEngine) or not spec.tuned:
        return spec
    found = workspace.snapshots.head(profile_key(dataset), None)
    if found is None:
        raise EngineError(
            f"{dataset} has no engine profile yet",
            where="engine.tuned",
            fix=f"run: synth tune {dataset}, or set engine.tuned to false",
        )
    profile = read_profile(found)
    changes: dict[str, Any] = {"arguments": {**profile.arguments, **spec.arguments}}
    if "concurrency" not in spec.model_fields_set:
        changes["concurrency"] = profile.concurrency
    return spec.model_copy(update=changes)


def write_profile(writer: SnapshotWriter, trials: Sequence[Trial], engine: VllmEngine) -> None:
    """Write every trial, and the profile of the fastest of the last round."""
    best, as_it_is = best_of(trials)
    profile = EngineProfile(
        arguments=dict(best.settings),
        concurrency=in_flight(engine, best.settings),
        tokens_per_second=round(best.tokens_per_second, 2),
        before=None if as_it_is is None else round(as_it_is.tokens_per_second, 2),
    )
    writer.write("trials", pl.DataFrame([_row(trial) for trial in trials], schema=TRIALS))
    writer.add_file(PROFILE_FILE, profile.model_dump_json(indent=1).encode())
    writer.count(trials=len(trials), failed=sum(trial.failure is not None for trial in trials))


def trial_rows(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The last trial of each settings, fastest of the last round first."""
    rows = snapshot.scan().collect().group_by("settings", maintain_order=True).last()
    ordered = rows.sort("round", "tokens_per_second", descending=True, nulls_last=True)
    return [
        {
            "settings": say(json.loads(row["settings"])),
            "round": row["round"],
            "prompts": row["prompts"],
            "tokens_per_second": row["tokens_per_second"],
            "startup_seconds": row["startup_seconds"],
            "failure": first_words(row["failure"]) if row["failure"] else None,
        }
        for row in ordered.iter_rows(named=True)
    ]


def describe_profile(snapshot: Snapshot) -> dict[str, Any]:
    """What was found: plain values, the table ``trials`` and the picture ``plot`` as Markdown."""
    profile, rows = read_profile(snapshot), trial_rows(snapshot)
    table = ["| " + " | ".join(rows[0]) + " |", "|" + "---|" * len(rows[0])]
    for row in rows:
        cells = ("" if value is None else str(value).replace("|", "\\|") for value in row.values())
        table.append(f"| {' | '.join(cells)} |")
    speeds = {row["settings"]: row["tokens_per_second"] for row in rows if row["failure"] is None}
    return {
        "settings": say(profile.arguments),
        "concurrency": profile.concurrency,
        "tokens_per_second": profile.tokens_per_second,
        **({"gain": round(profile.gain, 3)} if profile.gain is not None else {}),
        "trials": "\n".join(table),
        "plot": bars(speeds, title="Speed in the last round that each reached", x="output tokens/s per GPU or server"),
    }


def _row(trial: Trial) -> dict[str, Any]:
    measured = trial.measured
    return {
        "round": trial.round,
        "settings": json.dumps(dict(trial.settings), sort_keys=True),
        "prompts": trial.prompts,
        "output_tokens": measured.output_tokens if measured else None,
        "seconds": round(measured.seconds, 3) if measured else None,
        "startup_seconds": round(measured.startup_seconds, 3) if measured else None,
        "tokens_per_second": round(trial.tokens_per_second, 2) if measured else None,
        "failure": trial.failure[:_FAILURE_CHARACTERS] if trial.failure else None,
    }
