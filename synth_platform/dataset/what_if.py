"""Try a spec with some values changed, without editing its file."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.errors import SpecError

_EVERY = "*"


def with_changes(spec: DatasetSpec, changes: Sequence[str]) -> DatasetSpec:
    """The spec with other limits, or other policies for personal data in outputs.

    Args:
        spec: the dataset.
        changes: ``quality.RECIPE.LIMIT=VALUE`` or ``privacy.output.ENTITY=POLICY``, the value as in YAML; a ``*`` for
            the recipe means all of them. A limit inside another has a dot: ``support.similarity``.

    Raises:
        SpecError: a change cannot be read, or is none that stored generations can be judged by.
    """
    attributes = spec.model_dump(exclude_unset=True)
    for change in changes:
        for path, value in _read(change, [recipe.name for recipe in spec.recipes]):
            _put(attributes, path, value)
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


def _read(change: str, recipes: Sequence[str]) -> Iterator[tuple[list[str], Any]]:
    """Where in the spec a change goes, and the new value."""
    key, equals, text = change.partition("=")
    path = key.strip().split(".")
    known = path[0] == "quality" or path[:2] == ["privacy", "output"]
    if not equals or len(path) < 3 or not known:
        raise SpecError(
            f"{change!r} is no change of a limit",
            where="--what-if",
            fix="write quality.RECIPE.LIMIT=VALUE, such as quality.math.max_html=3 or quality.*.max_html=null, or"
            " privacy.output.ENTITY=POLICY, such as privacy.output.email=reject",
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(f"the value {text!r} cannot be read", where="--what-if") from None
    if path[0] == "privacy":
        yield path, value
        return
    if path[1] != _EVERY and path[1] not in recipes:
        raise SpecError(f"there is no recipe {path[1]!r}", where="--what-if", fix=f"use one of: {', '.join(recipes)}")
    for recipe in recipes if path[1] == _EVERY else [path[1]]:
        yield ["quality", recipe, *path[2:]], value
