"""One line of JSON, read strictly: no duplicate keys, no NaN, no bottomless nesting."""

import json
import re
from dataclasses import dataclass
from typing import Any

_MAX_DEPTH = 64
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


@dataclass(frozen=True)
class BadRow:
    """Why a row cannot be read."""

    reason: str
    detail: str = ""


class _Refused(ValueError):
    def __init__(self, bad: BadRow) -> None:
        super().__init__(bad.reason)
        self.bad = bad


def parse_row(line: bytes, offset: int, ended: bool) -> dict[str, Any] | BadRow:
    """The object in a line, or why there is none.

    Args:
        line: the line without its break.
        offset: where the line begins in the (unpacked) file, for messages.
        ended: whether a line break followed; if not, an incomplete line was torn.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return BadRow("invalid_utf8", f"byte offset {offset + error.start}")
    if line.count(b"[") + line.count(b"{") > _MAX_DEPTH and _depth(line) > _MAX_DEPTH:
        return BadRow("too_deep", f"nested deeper than {_MAX_DEPTH}")
    try:
        value = _DECODER.decode(text)
    except _Refused as refused:
        return refused.bad
    except json.JSONDecodeError as error:
        if not ended:
            return BadRow("truncated_record", "the last line is torn")
        return BadRow("invalid_json", f"{error.msg} at character {error.pos}")
    except ValueError as error:  # a whole number of thousands of digits
        return BadRow("invalid_json", str(error)[:100])
    except RecursionError:
        return BadRow("too_deep", "nested too deeply")
    if not isinstance(value, dict):
        return BadRow("not_an_object", f"a {type(value).__name__}, not an object")
    return value


def _depth(line: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", line)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(BadRow("duplicate_key", f"the key {twice[:60]!r} occurs twice"))
    return values


def _number(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _Refused(BadRow("not_finite", f"the number {text[:40]} is too large"))
    return value


def _constant(text: str) -> Any:
    raise _Refused(BadRow("not_finite", f"{text} is no JSON number"))


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)
