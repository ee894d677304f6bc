"""Try a spec with some values changed, without editing its file."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.errors import SpecError

_EVERY = "*"


def with_quality_changes(spec: DatasetSpec, changes: Sequence[str]) -> DatasetSpec:
    """The spec with other limits.

    Args:
        spec: the dataset.
        changes: ``quality.RECIPE.LIMIT=VALUE``, the value as in YAML; a ``*`` for the recipe means all of them. A limit
            inside another has a dot: ``support.similarity``.

    Raises:
        SpecError: a change cannot be read, or is none of limits that stored generations can be judged by.
    """
    attributes = spec.model_dump(exclude_unset=True)
    for change in changes:
        for recipe, limit, value in _read(change, [recipe.name for recipe in spec.recipes]):
            _put(attributes, ("quality", recipe, *limit.split(".")), value)
    try:
        return DatasetSpec.model_validate(attributes)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise SpecError("the changed spec is not valid:\n  " + "\n  ".join(problems), where="--what-if") from None


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value inside nested mappings; those that are missing are made."""
    *outer, last = path
    for name in outer:
        held = values.get(name)
        values[name] = held if isinstance(held, dict) else {}
        values = values[name]
    values[last] = value


def _read(change: str, recipes: Sequence[str]) -> Iterator[tuple[str, str, Any]]:
    key, equals, text = change.partition("=")
    parts = key.strip().split(".", 2)
    if not equals or len(parts) != 3 or parts[0] != "quality":
        raise SpecError(
            f"{change!r} is no change of a limit",
            where="--what-if",
            fix="write quality.RECIPE.LIMIT=VALUE, such as quality.math.max_html=3 or quality.*.max_html=null",
        )
    if parts[1] != _EVERY and parts[1] not in recipes:
        raise SpecError(f"there is no recipe {parts[1]!r}", where="--what-if", fix=f"use one of: {', '.join(recipes)}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(f"the value {text!r} cannot be read", where="--what-if") from None
    for recipe in recipes if parts[1] == _EVERY else [parts[1]]:
        yield recipe, parts[2], value
