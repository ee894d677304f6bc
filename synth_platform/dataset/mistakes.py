"""Mistakes of a spec in words: line, key, and what to write instead."""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from synth_platform.config import KeyMistake
from synth_platform.strict_yaml import Document

Keys = tuple[str | int, ...]
_NO_MAPPING = ("dict_type", "model_type", "model_attributes_type", "mapping_type")
_NO_TYPE = ("union_tag_not_found", "union_tag_invalid")
_FEW = 8
_SHOWN = 60


def explain(error: ValidationError, model: type[BaseModel], document: Document, prefix: Keys, path: Path) -> str:
    """All problems of a spec, a line each.

    Args:
        error: of pydantic.
        model: what the file was read as.
        document: the file.
        prefix: keys of what was validated, within the file.
        path: of the file.
    """
    count = error.error_count()
    lines = [f"the dataset spec has {count} problem{'s' if count > 1 else ''}:"]
    given = _value_at(document.value, prefix)
    for problem in error.errors(include_url=False):
        keys = _real_keys(problem, model, given)
        key = ".".join(map(str, keys)) or "(whole spec)"
        lines.append(f"  {path.name}:{document.line((*prefix, *keys))}  {key}: {_say(problem, model)}")
    return "\n".join(lines)


def nearest(word: str, words: Sequence[str]) -> str | None:
    """The one of some words that was most likely meant, if any was."""
    return next(iter(get_close_matches(word, words, 1)), None)


def _real_keys(problem: Any, model: type[BaseModel], value: Any) -> Keys:
    """Where a problem is in the file: pydantic's location without the names of union members, which stand in none."""
    location = problem["loc"]
    kept = [*_present(location, value)]
    if location and kept[-1:] != [location[-1]]:
        expected = [kind for kind in _kinds_at(model, location[:-1]) if _is_model(kind)]
        kept += [location[-1]] if any(location[-1] in kind.model_fields for kind in expected) else []
    return (*kept, *_present(_keys_below(problem), _value_at(value, kept)))


def _keys_below(problem: Any) -> Keys:
    """Where below its location pydantic found the problem, as far as that is known."""
    context = problem.get("ctx", {})
    if problem["type"] in _NO_TYPE:
        return (context["discriminator"].strip("'"),)
    error = context.get("error")
    return error.keys if isinstance(error, KeyMistake) else ()


def _present(keys: Sequence[str | int], value: Any) -> Keys:
    """Those of some nested keys that a value has."""
    kept: list[str | int] = []
    for key in keys:
        if _has(value, key):
            value = value[key]
            kept.append(key)
    return tuple(kept)


def _value_at(value: Any, keys: Sequence[str | int]) -> Any:
    for key in keys:
        value = value[key] if _has(value, key) else None
    return value


def _has(value: Any, key: str | int) -> bool:
    if isinstance(value, dict):
        return key in value
    return isinstance(value, list) and isinstance(key, int) and key < len(value)


def _say(problem: Any, model: type[BaseModel]) -> str:
    kind, message, given, keys = problem["type"], problem["msg"], problem.get("input"), problem["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(str(keys[-1]), _kinds_at(model, keys[:-1]))
    if kind == "missing":
        return "is required"
    if kind in _NO_TYPE:
        return _no_type(problem, _kinds_at(model, keys))
    if kind == "list_type":
        return f"is no list; {_list_instead(given, _kinds_at(model, (*keys, 0)))}"
    if kind in _NO_MAPPING:
        in_list = bool(keys) and isinstance(keys[-1], int)
        return f"is no mapping; {_mapping_instead(given, _kinds_at(model, keys), in_list)}"
    names_secret = bool(keys) and str(keys[-1]).endswith("_env")
    # Some write the secret itself where the name of its variable belongs.
    told = isinstance(given, str | int | float | bool) and not names_secret
    return message.removeprefix("Value error, ") + (f" (given: {str(given)[:_SHOWN]!r})" if told else "")


def _unknown_key(key: str, kinds: Sequence[Any]) -> str:
    allowed = list(dict.fromkeys(name for kind in kinds if _is_model(kind) for name in kind.model_fields))
    if meant := nearest(key, allowed):
        return f"unknown key; did you mean {meant!r}?"
    if 0 < len(allowed) <= _FEW:
        return f"unknown key; use one of: {', '.join(allowed)}"
    return "unknown key; check its spelling, or remove it (`synth schema` has all keys)"


def _no_type(problem: Any, kinds: Sequence[Any]) -> str:
    key, tags = problem["ctx"]["discriminator"].strip("'"), _tags(kinds)
    if "tag" not in problem["ctx"]:
        return f"has no {key}; use one of: {', '.join(f'{key}: {tag}' for tag in tags)}"
    given = problem["ctx"]["tag"][:_SHOWN]
    meant = nearest(given, tags)
    near = f"did you mean {meant!r}? " if meant else ""
    return f"there is no {key} {given!r}; {near}use one of: {', '.join(tags)}"


def _list_instead(given: Any, items: Sequence[Any]) -> str:
    """What to write where a list belongs."""
    if isinstance(given, dict):
        names = any(_is_model(kind) and "name" in kind.model_fields for kind in items)
        if names and given and not {"name", "type"} & set(given):
            return f"write a list: - name: {next(iter(given))}"
        return "write a list: put '- ' before its first key, and indent the others as far"
    given = "VALUE" if given is None else given
    if any(map(_is_model, items)):
        return f"write a list: - {_first_key(given, items)}"
    return f"write a list: [{str(given)[:_SHOWN]}]"


def _mapping_instead(given: Any, kinds: Sequence[Any], in_list: bool) -> str:
    """What to write where a mapping belongs."""
    if given is None:
        return "write its keys below it, or leave it out"
    if isinstance(given, list):
        return "write keys and values, without the '- ' of a list"
    if not any(map(_is_model, kinds)):
        return "write keys and values, such as KEY: VALUE"
    return f"write {'a list: -' if in_list else 'below it:'} {_first_key(given, kinds)}"


def _first_key(given: Any, kinds: Sequence[Any]) -> str:
    """What to begin a mapping with, where its type, name or one value was given instead."""
    tags = _tags(kinds)
    if tags:
        meant = nearest(str(given), tags)
        return f"type: {meant}" if meant else f"type: TYPE (one of {', '.join(tags)})"
    models = [kind for kind in kinds if _is_model(kind)]
    names = [name for kind in models for name in kind.model_fields]
    if "name" in names:
        return f"name: {str(given)[:_SHOWN]}"
    more = "" if len(names) <= _FEW else ", ..."
    return f"KEY: VALUE (keys: {', '.join(names[:_FEW])}{more})"


def _kinds_at(model: type[BaseModel], keys: Sequence[str | int]) -> list[Any]:
    """What a value may be at a location of pydantic's."""
    kinds: list[Any] = [model]
    for key in keys:
        kinds = _members(kinds, key) or [found for kind in kinds for found in _inside(kind, key)] or kinds
    return kinds


def _members(kinds: Sequence[Any], name: str | int) -> list[Any]:
    """Those members of a union that pydantic has this name for; none where there is but one."""
    if len(kinds) < 2 or not isinstance(name, str):
        return []
    return [kind for kind in kinds if _is_model(kind) and (name in _tags([kind]) or kind.__name__ in name)]


def _inside(kind: Any, key: str | int) -> list[Any]:
    """What may stand in a value of a kind."""
    if _is_model(kind):
        return _kinds(kind.model_fields[key].annotation) if key in kind.model_fields else []
    if get_origin(kind) is list and isinstance(key, int):
        return _kinds(get_args(kind)[0])
    return _kinds(get_args(kind)[1]) if get_origin(kind) is dict else []


def _kinds(annotation: Any) -> list[Any]:
    """The members of a union, also where it is annotated."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    return [annotation]


def _tags(kinds: Sequence[Any]) -> list[str]:
    """The values of `type` that models may have."""
    fields = [kind.model_fields.get("type") for kind in kinds if _is_model(kind)]
    types = [field.annotation for field in fields if field is not None]
    return [tag for kind in types if get_origin(kind) is Literal for tag in get_args(kind)]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
