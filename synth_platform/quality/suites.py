"""Suites of Great Expectations in YAML beside a dataset's `defs.yaml`: any expectation, on rows or on the profile.

Expectations on rows look at a seeded sample: they show failing examples, and hold for the whole only as a sample does.
Expectations on the profile look at numbers over all rows, so they make hard gates.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from synth_platform.config import Name, StrictModel
from synth_platform.errors import SpecError
from synth_platform.quality.config import Severity
from synth_platform.quality.gates import crashed, validate
from synth_platform.strict_yaml import Document, read_yaml

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("column", "column_A", "column_B")
_LISTS = ("column_list", "column_set")
_EXAMPLES = 5


class ExpectationSpec(StrictModel):
    """One expectation; keys beyond these are the expectation's own, such as ``column`` and ``min_value``."""

    model_config = ConfigDict(extra="allow")

    name: Name
    """Name of the check in the interface."""
    expect: str = Field(pattern=r"(expect|Expect)\w+")
    """The expectation, such as ``expect_column_values_to_be_between``."""
    on: Literal["rows", "profile"] = "rows"
    """``rows``: a seeded sample of the main table; ``profile``: the metrics that the stage's gates look at, one row."""
    sample: int = Field(default=10_000, ge=1, le=1_000_000)
    """Rows to look at."""
    severity: Severity = "warning"
    """``critical`` stops what comes after."""
    description: str = ""
    """What it is for, shown in the interface."""

    @property
    def arguments(self) -> dict[str, Any]:
        """The expectation's own keys."""
        return dict(self.model_extra or {})


Suites = Mapping[str, Sequence[ExpectationSpec]]
"""Expectations by stage."""


@dataclass(frozen=True)
class ExpectationOutcome:
    """How an expectation turned out; ``error`` says why it could not be judged."""

    name: str
    passed: bool
    severity: Severity
    numbers: dict[str, float | str] = field(default_factory=dict)
    examples: list[Mapping[str, Any]] = field(default_factory=list)
    error: str = ""


def load_suites(path: Path, stages: Sequence[str]) -> Suites:
    """Read the suites of a dataset; none where there is no file.

    Raises:
        SpecError: the file is no mapping of stages to expectations, or an expectation does not exist.
    """
    if not path.is_file():
        return {}
    document = read_yaml(path)
    suites: dict[str, Sequence[ExpectationSpec]] = {}
    for stage, given in document.value.items():
        if stage not in stages:
            raise SpecError(
                f"there is no stage {stage!r}",
                where=f"{path}:{document.line((stage,))}",
                fix=f"use one of: {', '.join(stages)}",
            )
        suites[stage] = _read(given, stage, path, document)
    return suites


def evaluate_suite(
    expectations: Sequence[ExpectationSpec], rows: pl.LazyFrame, total: int, metrics: Mapping[str, float]
) -> list[ExpectationOutcome]:
    """Judge every expectation by itself: one that crashes says nothing of the others, and does not pass."""
    return [_evaluate(one, rows, total, metrics) for one in expectations]


def sample_rows(rows: pl.LazyFrame, total: int, wanted: int, seed: int = 0) -> pl.DataFrame:
    """About so many rows, chosen by a hash of their first column: the same ones each time, in one pass."""
    if total <= wanted:
        return rows.collect()
    key = pl.col(rows.collect_schema().names()[0]).hash(seed)
    share = min(1.0, 1.3 * wanted / total)
    return rows.filter(key < int(share * (2**64 - 1))).head(wanted).collect()


def _read(given: Any, stage: str, path: Path, document: Document) -> Sequence[ExpectationSpec]:
    try:
        expectations = TypeAdapter(list[ExpectationSpec]).validate_python(given)
        for one in expectations:
            _build(one)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in (stage, *first["loc"]))
        raise SpecError(f"{key}: {first['msg']}", where=f"{path}:{document.line((stage,))}") from None
    names = [one.name for one in expectations]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise SpecError(f"two expectations of {stage} are called {sorted(doubled)[0]!r}", where=str(path))
    return expectations


@cache
def _classes() -> dict[str, Any]:
    from great_expectations import expectations

    return {name: getattr(expectations, name) for name in dir(expectations) if name.startswith("Expect")}


def _build(spec: ExpectationSpec) -> Any:
    """The expectation itself.

    Raises:
        SpecError: there is none of this name.
        ValidationError: its arguments are wrong.
    """
    name = "".join(part[:1].upper() + part[1:] for part in spec.expect.split("_"))
    if name not in _classes():
        raise SpecError(f"{spec.name}: Great Expectations has no {spec.expect!r}", fix="see its gallery for the names")
    try:
        return _classes()[name](**spec.arguments)
    except Exception as error:  # pydantic's first version, inside Great Expectations
        said = re.sub(r"\s+", " ", str(error))
        raise SpecError(f"{spec.name}: {spec.expect} does not take these arguments: {said}") from None


def _evaluate(
    spec: ExpectationSpec, rows: pl.LazyFrame, total: int, metrics: Mapping[str, float]
) -> ExpectationOutcome:
    try:
        frame = _frame(spec, rows, total, metrics)
        result = validate(frame, [_build(spec)], "COMPLETE")[0]
    except Exception as error:  # whatever an expectation raises, its gate stays closed
        return ExpectationOutcome(spec.name, False, "critical", error=f"could not be judged: {error}")
    if crashed(result):
        return ExpectationOutcome(spec.name, False, "critical", error="the expectation crashed; is its column there?")
    found = result.result or {}
    places = [int(place) for place in found.get("unexpected_index_list") or []][:_EXAMPLES]
    return ExpectationOutcome(
        spec.name,
        bool(result.success),
        spec.severity,
        _numbers(found),
        [{str(name): value for name, value in row.items()} for row in frame.iloc[places].to_dict("records")],
    )


def _frame(spec: ExpectationSpec, rows: pl.LazyFrame, total: int, metrics: Mapping[str, float]) -> "pd.DataFrame":
    import pandas as pd

    if spec.on == "profile":
        return pd.DataFrame([dict(metrics)])
    names = rows.collect_schema().names()
    asked = [str(spec.arguments[key]) for key in _COLUMNS if key in spec.arguments]
    asked += [str(one) for key in _LISTS for one in spec.arguments.get(key, [])]
    wanted = list(dict.fromkeys([names[0], *(one for one in asked if one in names)])) if asked else names
    sample = sample_rows(rows.select(wanted), total, spec.sample)
    lists = [name for name, kind in sample.schema.items() if isinstance(kind, pl.List)]
    return sample.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join(", ") for name in lists).to_pandas()


def _numbers(found: Mapping[str, Any]) -> dict[str, float | str]:
    """What is worth showing of a result, as plain numbers."""
    numbers: dict[str, float | str] = {}
    for key in ("observed_value", "element_count", "unexpected_count", "unexpected_percent"):
        value = found.get(key)
        if value is not None:
            numbers[key] = float(value) if isinstance(value, int | float) or hasattr(value, "dtype") else str(value)
    return numbers
