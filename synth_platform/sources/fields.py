"""Map the columns of a source to the fields of a document, and check each value on the way."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_platform.sources.config import ColumnsSpec, SelectionSpec
from synth_platform.sources.json_rows import BadRow
from synth_platform.sources.schema import ROWS, SKIPPED

_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_ID_CHARACTERS = 512


@dataclass(frozen=True)
class Skip:
    """A row that becomes no document, and why."""

    number: int
    document_id: str | None
    location: str
    reason: str
    detail: str = ""
    url: str | None = None


class _BadValue(ValueError):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class FieldMap:
    """How rows of a source become rows of the `ROWS` schema.

    Args:
        columns: which column holds what.
        license: license of rows that name none.
        select: names the score column and the required ones.
    """

    columns: ColumnsSpec
    license: str | None
    select: SelectionSpec

    @property
    def named(self) -> list[str]:
        """Columns that the spec names, so that each file must have them."""
        columns, select = self.columns, self.select
        named = [columns.text, columns.id, columns.url, columns.license, columns.language, *columns.metadata]
        named += select.required_columns
        named += [select.score.column] if select.score else []
        return list(dict.fromkeys(name for name in named if name is not None))

    @property
    def wanted(self) -> list[str]:
        """All columns that are of use."""
        return list(dict.fromkeys([*self.named, "url", "license", "language"]))

    def map(self, rows: Iterable[tuple[str, dict[str, Any] | BadRow]], start: int) -> tuple[pl.DataFrame, list[Skip]]:
        """Rows that have a text, and the others with the reason; ``start`` numbers the first row."""
        good: list[dict[str, Any]] = []
        bad: list[Skip] = []
        for number, (location, row) in enumerate(rows, start):
            if isinstance(row, BadRow):
                bad.append(Skip(number, None, location, row.reason, row.detail))
                continue
            try:
                good.append({"number": number, "location": location, **self._fields(row)})
            except _BadValue as problem:
                bad.append(Skip(number, None, location, problem.reason, problem.detail))
        return pl.DataFrame(good, schema=ROWS), bad

    def _fields(self, row: dict[str, Any]) -> dict[str, Any]:
        columns = self.columns
        return {
            "text": _text(row, columns.text),
            "id": _own_id(row, columns.id) if columns.id else None,
            "url": _string(row.get(columns.url or "url"), "url"),
            "license": _string(row.get(columns.license or "license"), "license") or self.license,
            "language": _string(row.get(columns.language or "language"), "language"),
            "metadata": _metadata({name: row.get(name) for name in columns.metadata}),
            "score": _score(row.get(self.select.score.column)) if self.select.score else None,
            "missing": next((name for name in self.select.required_columns if _blank(row.get(name))), None),
        }


def skipped_frame(skips: Iterable[Skip], source: str) -> pl.DataFrame:
    """Skipped rows in the order of the source."""
    rows = [
        (skip.document_id, source, skip.location, skip.reason, skip.detail, skip.url)
        for skip in sorted(skips, key=lambda skip: skip.number)
    ]
    return pl.DataFrame(rows, schema=SKIPPED, orient="row")


def _text(row: dict[str, Any], column: str) -> str:
    text = row.get(column)
    if text is None:
        what = "is null" if column in row else f"is not there; the row has: {', '.join(list(row)[:10])[:200]}"
        raise _BadValue("missing_text", f"column {column!r} {what}")
    if not isinstance(text, str):
        raise _BadValue("text_not_string", f"column {column!r} holds a {type(text).__name__}")
    if not text.strip():
        raise _BadValue("empty_text", f"column {column!r} is blank")
    if "\x00" in text:
        raise _BadValue("nul_character", f"at character {text.index(chr(0))}")
    return _valid(text, column)


def _valid(text: str, column: str) -> str:
    if not text.isascii() and (found := _SURROGATE.search(text)):
        raise _BadValue("invalid_unicode", f"lone surrogate in {column!r} at character {found.start()}")
    return text


def _own_id(row: dict[str, Any], column: str) -> str:
    value = row.get(column)
    if _blank(value):
        raise _BadValue("missing_id", f"column {column!r} is empty")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _BadValue("invalid_id", f"column {column!r} holds a {type(value).__name__}")
    own = _valid(str(value), column)
    if len(own) > _MAX_ID_CHARACTERS or not own.isprintable():
        raise _BadValue("invalid_id", f"column {column!r} is over-long or holds control characters")
    return own


def _string(value: Any, column: str) -> str | None:
    if value is None or isinstance(value, str):
        return _valid(value, column).replace("\x00", "") or None if value else None
    return _string(str(value) if isinstance(value, int | float) else _json(value), column)


def _metadata(values: dict[str, Any]) -> str:
    return _valid(_json(values), "metadata")


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=str)


def _finite(value: Any) -> Any:
    """The same with null for NaN and infinity, which Parquet may hold and JSON may not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _score(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())
