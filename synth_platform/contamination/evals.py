"""Read test sets into one shape."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.contamination.config import BenchmarkColumns, BenchmarkSpec
from synth_platform.contamination.schema import EVAL_ITEMS
from synth_platform.digest import digest
from synth_platform.errors import SourceError
from synth_platform.sources.json_rows import BadRow
from synth_platform.sources.locations import find_files
from synth_platform.sources.playground import benchmark_questions
from synth_platform.sources.readers import read_records, suffixes_of


def read_benchmark(spec: BenchmarkSpec, base: Path) -> Iterator[pl.DataFrame]:
    """Rows of `EVAL_ITEMS`. A row that cannot be read is an error: a gate must not be blind to an item.

    Raises:
        SourceError: a file is missing, damaged or without items, or a row has no question.
    """
    if spec.builtin == "playground":
        yield _frame(_playground_items(spec.name))
        return
    total = 0
    seen: set[str] = set()
    for file in find_files(spec.paths, base, suffixes_of(spec.format)):
        for records in read_records(file, spec.format):
            items = [_item(spec, location, row) for location, row in records.rows]
            _refuse_doubled_ids(spec, items, seen)
            total += len(items)
            yield _frame(items)
    if not total:
        raise SourceError(f"the benchmark {spec.name!r} has no items", where=", ".join(spec.paths))


def benchmark_fingerprint(spec: BenchmarkSpec, base: Path) -> str:
    """What changes when the test set's content does."""
    if spec.builtin == "playground":
        return digest([question.question for question in benchmark_questions()])
    return digest([(file.name, file.version()) for file in find_files(spec.paths, base, suffixes_of(spec.format))])


def _playground_items(name: str) -> list[dict[str, Any]]:
    return [
        {"id": question.id, "eval": name, "question": question.question, "answer": question.answer}
        for question in benchmark_questions()
    ]


def _item(spec: BenchmarkSpec, location: str, row: dict[str, Any] | BadRow) -> dict[str, Any]:
    if isinstance(row, BadRow):
        raise SourceError(
            f"an item of the benchmark {spec.name!r} cannot be read: {row.reason} {row.detail}".rstrip(),
            where=location,
            fix="mend or remove the row; a benchmark is read whole or not at all",
        )
    columns = spec.columns
    question = row.get(columns.question)
    if not isinstance(question, str) or not question.strip():
        raise SourceError(
            f"an item of the benchmark {spec.name!r} has no text in {columns.question!r}",
            where=location,
            fix=f"set columns.question to one of: {', '.join(map(str, row))[:200]}",
        )
    choices = row.get(columns.choices)
    return {
        "id": _id(row, columns, question, choices),
        "eval": spec.name,
        "question": question,
        "choices": None if choices is None else json.dumps(choices, ensure_ascii=False, default=str),
        "answer": _text(row.get(columns.answer)),
        "passage": _text(row.get(columns.passage)),
    }


def _id(row: dict[str, Any], columns: BenchmarkColumns, question: str, choices: Any) -> str:
    given = row.get(columns.id or "id")
    return digest(question, str(choices)) if given is None else str(given)


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _refuse_doubled_ids(spec: BenchmarkSpec, items: list[dict[str, Any]], seen: set[str]) -> None:
    for item in items:
        if item["id"] in seen:
            raise SourceError(
                f"two items of the benchmark {spec.name!r} have the id {item['id']!r}",
                where=", ".join(spec.paths),
                fix="set columns.id to a unique column, or to one that does not exist: then digests are used",
            )
        seen.add(item["id"])


def _frame(items: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(items, schema=EVAL_ITEMS)
