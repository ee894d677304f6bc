"""Gates on a profile: Great Expectations judges each metric; whatever cannot be judged does not pass."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from synth_platform.config import KeyMistake
from synth_platform.quality.config import GateSpec, Severity

if TYPE_CHECKING:
    import pandas as pd

UNREMOVABLE = frozenset(
    {"accounting", "no_contaminated_row", "nothing_unscanned", "canaries_released", "nothing_taken_down"}
)
"""Gates that no spec can remove or weaken: without them a dataset proves nothing."""


@dataclass(frozen=True)
class Gate:
    """Bounds on one metric of a profile.

    Args:
        name: name of the check.
        metric: metric that it looks at.
        min: smallest value that passes; None: no bound.
        max: largest value that passes; None: no bound.
        severity: ``critical`` blocks what comes after.
        description: what the metric is.
    """

    name: str
    metric: str
    min: float | None
    max: float | None
    severity: Severity
    description: str

    def changed(self, spec: GateSpec) -> "Gate":
        """The gate with the bounds and severity that a spec gives."""
        given = spec.model_fields_set
        return replace(
            self,
            min=spec.min if "min" in given else self.min,
            max=spec.max if "max" in given else self.max,
            severity=spec.severity or self.severity,
        )


class Check(Protocol):
    """What a gate and an expectation have in common: a check's name, and whether it stops what comes after."""

    @property
    def name(self) -> str: ...

    @property
    def severity(self) -> Severity: ...


@dataclass(frozen=True)
class GateOutcome:
    """How a gate judged a profile; ``error`` says why it could not."""

    name: str
    passed: bool
    severity: Severity
    observed: float | None
    min: float | None
    max: float | None
    description: str
    error: str = ""


def apply_overrides(gates: Sequence[Gate], overrides: Mapping[str, GateSpec]) -> tuple[Gate, ...]:
    """The gates with a spec's changes; removed ones are left out.

    Raises:
        KeyMistake: a gate does not exist, or may not be changed.
    """
    names = [gate.name for gate in gates]
    for name in overrides:
        if name not in names:
            raise KeyMistake([name], f"there is no gate {name!r}; there are: {', '.join(names)}")
        if name in UNREMOVABLE:
            raise KeyMistake([name], f"the gate {name!r} cannot be changed: it is what proves the dataset")
    enabled = [gate for gate in gates if overrides.get(gate.name, GateSpec()).enabled]
    return tuple(gate.changed(overrides.get(gate.name, GateSpec())) for gate in enabled)


def evaluate(metrics: Mapping[str, float], gates: Sequence[Gate]) -> list[GateOutcome]:
    """Judge every gate. A missing metric, one that is no number, or a crashed expectation does not pass."""
    values = {name: _number(value) for name, value in metrics.items()}
    sound = [gate for gate in gates if values.get(gate.metric) is not None]
    verdicts = _judge(values, sound) if sound else {}
    return [_outcome(gate, metrics, values, verdicts.get(gate.name)) for gate in gates]


def failing_rows(rows: pl.DataFrame, column: str, low: float | None, high: float | None) -> list[int]:
    """Positions of the rows that an expectation on a column finds fault with; nulls are not judged."""
    from great_expectations.expectations import ExpectColumnValuesToBeBetween  # pyright: ignore

    result = validate(
        rows.select(column).to_pandas(),
        [ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)],
        "COMPLETE",
    )[0]
    return [int(position) for position in result.result.get("unexpected_index_list") or []]


def _judge(values: Mapping[str, float | None], gates: Sequence[Gate]) -> dict[str, tuple[bool, str]]:
    """By gate name: whether it passed, and the error if the expectation crashed."""
    import pandas as pd  # late, as Great Expectations: only what judges needs them
    from great_expectations.expectations import ExpectColumnValuesToBeBetween  # pyright: ignore

    frame = pd.DataFrame([{gate.metric: values[gate.metric] for gate in gates}])
    expectations = [
        ExpectColumnValuesToBeBetween(
            column=gate.metric, min_value=gate.min, max_value=gate.max, meta={"gate": gate.name}
        )
        for gate in gates
        if gate.min is not None or gate.max is not None
    ]
    verdicts = {gate.name: (True, "") for gate in gates if gate.min is None and gate.max is None}
    for result in validate(frame, expectations, "BASIC") if expectations else []:
        # By name: the results come in an order of their own.
        name = result.expectation_config.meta["gate"]
        broken = crashed(result)
        verdicts[name] = (bool(result.success) and not broken, "the expectation crashed" if broken else "")
    return verdicts


def crashed(result: Any) -> bool:
    """Whether an expectation raised instead of judging; its result then says no more than that it did not pass."""
    error = result.exception_info or {}
    parts = [part for part in error.values() if isinstance(part, dict)]
    return bool(error.get("raised_exception", False)) or any(part.get("raised_exception") for part in parts)


def validate(frame: "pd.DataFrame", expectations: list[Any], form: str) -> list[Any]:
    """Results of expectations on a frame, in an order of Great Expectations' own.

    Args:
        frame: what they look at.
        expectations: instances of its expectations.
        form: how much a result says: BASIC, or COMPLETE with the places of failing rows.
    """
    import great_expectations as gx

    batch = _batches().get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="gates", expectations=expectations)
    return batch.validate(suite, result_format=form).results


def prepare() -> None:
    """Import what judging needs, seconds that otherwise a process's first judgement takes. Starts no thread."""
    import great_expectations.expectations  # noqa: F401
    import pandas as pd  # noqa: F401

    _batches()


@lru_cache(maxsize=1)
def _batches() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("profiles").add_dataframe_asset("profile")
    return asset.add_batch_definition_whole_dataframe("whole")


def _outcome(
    gate: Gate, metrics: Mapping[str, float], values: Mapping[str, float | None], verdict: tuple[bool, str] | None
) -> GateOutcome:
    observed = values.get(gate.metric)
    passed, error = verdict or (False, "the expectation gave no result")
    if gate.metric not in metrics:
        passed, error = False, f"the profile has no metric {gate.metric!r}"
    elif observed is None:
        passed, error = False, f"the metric {gate.metric!r} is no number: {metrics[gate.metric]!r}"
    # What could not be judged blocks, whatever the gate's own severity.
    severity: Severity = "critical" if error else gate.severity
    return GateOutcome(gate.name, passed, severity, observed, gate.min, gate.max, gate.description, error)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
