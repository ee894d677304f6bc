"""Read test sets into one shape: question, choices, answer and passage, as text and as hashed words."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.contamination.config import BenchmarkColumns, BenchmarkSpec
from synth_platform.contamination.schema import EVAL_ITEMS
from synth_platform.contamination.words import split_words
from synth_platform.digest import digest, digest_file
from synth_platform.errors import SourceError
from synth_platform.file_digests import DigestFile
from synth_platform.sources.json_rows import BadRow
from synth_platform.sources.locations import find_files
from synth_platform.sources.playground import benchmark_questions
from synth_platform.sources.readers import read_records, suffixes_of

SHORT_QUESTION = 8
"""Questions of fewer words are recognised only in company of their choices or answer."""
_TEXTS = ("question", "answer", "passage")


def read_benchmark(spec: BenchmarkSpec, base: Path) -> Iterator[pl.DataFrame]:
    """Rows of `EVAL_ITEMS`. A row that cannot be read is an error: a gate must not be blind to an item.

    Raises:
        SourceError: a file is missing, damaged or without items, or a row has no question.
    """
    if spec.builtin == "playground":
        yield frame_of(spec, _playground_items())
        return
    total = 0
    seen: set[str] = set()
    for file in find_files(spec.paths, base, suffixes_of(spec.format)):
        for records in read_records(file, spec.format):
            items = [_item(spec, location, row) for location, row in records.rows]
            _refuse_doubled_ids(spec, items, seen)
            total += len(items)
            yield frame_of(spec, items)
    if not total:
        raise SourceError(f"the benchmark {spec.name!r} has no items", where=", ".join(spec.paths))


def frame_of(spec: BenchmarkSpec, items: list[dict[str, Any]]) -> pl.DataFrame:
    """Items with ``id``, ``question`` and optional ``choices``, ``answer``, ``passage`` as rows of `EVAL_ITEMS`."""
    texts = {name: [item.get(name) for item in items] for name in _TEXTS}
    choices = [item.get("choices") for item in items]
    columns: dict[str, Any] = {
        "id": [item["id"] for item in items],
        "eval": [spec.name] * len(items),
        "short": [len(item["question"].split()) < SHORT_QUESTION for item in items],
        "choices_words": _nested_words(choices),
        **{f"{name}_words": _hashed(texts[name]) for name in _TEXTS},
    }
    if spec.keep == "text":
        columns |= {**texts, "choices": choices}
    missing = {name: [None] * len(items) for name in EVAL_ITEMS.names() if name not in columns}
    return pl.DataFrame(columns | missing, schema_overrides=dict(EVAL_ITEMS)).select(EVAL_ITEMS.names())


def benchmark_fingerprint(spec: BenchmarkSpec, base: Path, digest_file: DigestFile) -> str:
    """What changes when the test set's content does."""
    if spec.builtin == "playground":
        return digest([question.question for question in benchmark_questions()])
    files = find_files(spec.paths, base, suffixes_of(spec.format))
    return digest([(file.name, file.version(digest_file)) for file in files])


def benchmark_settings(benchmark: BenchmarkSpec, base: Path, digest_file: DigestFile = digest_file) -> dict[str, Any]:
    """What determines a version of a test set: its spec and its content."""
    return {
        "benchmark": benchmark.model_dump(mode="json", exclude={"description"}),
        "content": benchmark_fingerprint(benchmark, base, digest_file),
    }


def _playground_items() -> list[dict[str, Any]]:
    return [
        {"id": question.id, "question": question.question, "answer": question.answer}
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
    question = _value(row, columns.question)
    if not isinstance(question, str) or not question.strip():
        raise SourceError(
            f"an item of the benchmark {spec.name!r} has no text in {columns.question!r}",
            where=location,
            fix=f"set columns.question to one of: {', '.join(map(str, row))[:200]}",
        )
    choices = _choices(row, columns)
    return {
        "id": _id(row, columns, question, choices),
        "question": question,
        "choices": choices,
        "answer": _answer(_value(row, columns.answer), choices),
        "passage": _text(_value(row, columns.passage)),
    }


def _value(row: Any, column: str) -> Any:
    """The value of the first of the named columns that is there; dots lead into nested ones and into lists."""
    for name in column.split("|"):
        if isinstance(row, dict) and name in row:
            return row[name]
        head, _, rest = name.partition(".")
        inside = row.get(head) if rest and isinstance(row, dict) else None
        if isinstance(inside, list):
            return [_value(one, rest) for one in inside]
        if inside is not None:
            return _value(inside, rest)
    return None


def _choices(row: dict[str, Any], columns: BenchmarkColumns) -> list[str] | None:
    if isinstance(columns.choices, list):
        values: Any = [_value(row, column) for column in columns.choices]
    else:
        values = _value(row, columns.choices)
    if isinstance(values, str):  # CSV has no lists
        values = _parsed_list(values)
    if not isinstance(values, list):
        return None
    return [text for value in values if (text := _text(value))]


def _parsed_list(text: str) -> list[Any]:
    try:
        value = ast.literal_eval(text) if text.lstrip().startswith("[") else text
    except (ValueError, SyntaxError):
        value = text
    return value if isinstance(value, list) else [value]


def _answer(value: Any, choices: Sequence[str] | None) -> str | None:
    """The answer as text: of a choice that is named by number or letter, the choice."""
    if isinstance(value, list):
        value = next((one for one in value if one not in (None, "")), None)
    if choices and value is not None and not isinstance(value, bool):
        label = str(value).strip()
        number = int(label) if label.isdecimal() else ord(label.upper()) - ord("A") if len(label) == 1 else -1
        if label not in choices and 0 <= number < len(choices):
            return choices[number]
    return _text(value)


def _text(value: Any) -> str | None:
    if isinstance(value, list):
        return " ".join(filter(None, map(_text, value))) or None
    return value if value is None or isinstance(value, str) else str(value)


def _id(row: dict[str, Any], columns: BenchmarkColumns, question: str, choices: list[str] | None) -> str:
    given = _value(row, columns.id or "id")
    return digest(question, str(choices)) if given is None else str(given)


def _refuse_doubled_ids(spec: BenchmarkSpec, items: list[dict[str, Any]], seen: set[str]) -> None:
    for item in items:
        if item["id"] in seen:
            raise SourceError(
                f"two items of the benchmark {spec.name!r} have the id {item['id']!r}",
                where=", ".join(spec.paths),
                fix="set columns.id to a unique column, or to one that does not exist: then digests are used",
            )
        seen.add(item["id"])


def _hashed(texts: Sequence[str | None]) -> list[list[int]]:
    words = split_words(list(texts))
    return [words.hashes[first:after].tolist() for first, after in zip(words.bounds, words.bounds[1:], strict=False)]


def _nested_words(choices: Sequence[Sequence[str] | None]) -> list[list[list[int]]]:
    hashed = iter(_hashed([text for some in choices for text in some or ()]))
    return [[next(hashed) for _ in some or ()] for some in choices]
