"""YAML read strictly: no duplicate keys, no aliases, no surprises such as ``no`` for False, positions kept."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from synth_platform.errors import SpecError

_MAX_BYTES = 1_000_000
_MAX_DEPTH = 40
_WORDS_LIKE_BOOLEANS = {"yes", "no", "on", "off", "y", "n"}
_OCTAL = re.compile(r"[-+]?0[0-9_]+")


class Document:
    """A parsed YAML mapping that knows the line of each key."""

    def __init__(self, value: dict[str, Any], lines: dict[tuple[str | int, ...], int]) -> None:
        self.value, self._lines = value, lines

    def line(self, path: tuple[str | int, ...]) -> int:
        """Line of a key path, or of the nearest key around it."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)


def read_yaml(path: Path) -> Document:
    """Read one YAML mapping.

    Raises:
        SpecError: the file is missing, is no YAML mapping, repeats a key, or uses what is too easily misread.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise SpecError("no such file", where=str(path), fix="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"cannot be read as UTF-8 text: {error}", where=str(path)) from error
    if len(text) > _MAX_BYTES:
        raise SpecError("the file is too large for a dataset spec", where=str(path))
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise SpecError(
            f"not valid YAML: {error.problem or error.context}",
            where=f"{path}:{mark.line + 1 if mark else 1}",
            fix="check indentation, quotes and colons there",
        ) from None
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {error}", where=str(path)) from None
    except RecursionError:
        raise SpecError("nested too deep", where=str(path)) from None
    if not isinstance(node, yaml.MappingNode):
        raise SpecError("a dataset spec is a mapping of keys to values", where=str(path))
    lines: dict[tuple[str | int, ...], int] = {}
    value = _Builder(path, lines).build(node, ())
    return Document(value, lines)


class _Builder:
    def __init__(self, path: Path, lines: dict[tuple[str | int, ...], int]) -> None:
        self._path, self._lines = path, lines
        self._seen: set[int] = set()
        self._scalars = yaml.SafeLoader("")

    def build(self, node: yaml.Node, at: tuple[str | int, ...]) -> Any:
        if len(at) > _MAX_DEPTH:
            raise self._error("nested too deep", node)
        if id(node) in self._seen:
            raise self._error("aliases (*name) are not allowed", node, "write the value out")
        self._lines.setdefault(at, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        self._seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*at, index)) for index, child in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, at)

    def _mapping(self, node: yaml.MappingNode, at: tuple[str | int, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge" or key_node.value == "<<":
                raise self._error("merge keys (<<) are not allowed", key_node, "write the values out")
            key = self._construct(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self._error("a key must be plain text", key_node, "put it in quotes")
            if key in result:
                raise self._error(f"the key {key!r} stands twice", key_node, "keep one of them")
            self._lines[(*at, key)] = key_node.start_mark.line + 1
            result[key] = self.build(value_node, (*at, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = node.value
        if node.style is None and text.lower() in _WORDS_LIKE_BOOLEANS:
            raise self._error(f"{text!r} reads as true or false", node, "write true or false, or put it in quotes")
        if node.style is None and _OCTAL.fullmatch(text):
            raise self._error(f"{text!r} reads as an octal number", node, "drop the zeros, or put it in quotes")
        return text if _is_time(node) else self._construct(node)

    def _construct(self, node: yaml.ScalarNode) -> Hashable:
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            reason = getattr(error, "problem", None) or error
            raise self._error(f"{node.value!r} cannot be read: {reason}", node, "put it in quotes") from None

    def _error(self, what: str, node: yaml.Node, fix: str = "") -> SpecError:
        return SpecError(what, where=f"{self._path}:{node.start_mark.line + 1}", fix=fix)


def _is_time(node: yaml.ScalarNode) -> bool:
    """Whether YAML 1.1 makes a date of a text, or a number to the base of 60 such as 750 of 12:30."""
    kind = node.tag.rpartition(":")[2]
    return kind == "timestamp" or (kind in ("int", "float") and ":" in node.value)
