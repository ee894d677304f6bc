"""Read rows from JSON lines, Parquet, CSV and text files, a bounded number at a time.

A row that cannot be read is handed on as a bad row with its place; a file that is damaged is refused by name.
"""

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from synth_platform.errors import SourceError
from synth_platform.sources.json_rows import BadRow, parse_row
from synth_platform.sources.locations import SourceFile, reading

MAX_ROW_BYTES = 64 << 20
"""Longest row that is read into memory."""
_BATCH_ROWS = 1024
_BATCH_BYTES = 16 << 20
_SURROGATE = re.compile("[\ud800-\udfff]")
_BOM = b"\xef\xbb\xbf"
_COMPRESSIONS = (".gz", ".zst", ".zstd")
_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".csv": "csv",
    ".txt": "text",
    ".md": "text",
    ".markdown": "text",
}


@dataclass
class Records:
    """Some rows of one file, in order.

    Args:
        file: name of the file.
        rows: place of the row in the file, and its values by column; or why it cannot be read.
    """

    file: str
    rows: list[tuple[str, dict[str, Any] | BadRow]] = field(default_factory=list)
    bytes: int = 0

    def add(self, location: str, row: dict[str, Any] | BadRow, size: int) -> bool:
        """Take a row; True when the batch is full."""
        self.rows.append((location, row))
        self.bytes += size
        return len(self.rows) >= _BATCH_ROWS or self.bytes >= _BATCH_BYTES


def suffixes_of(format: str) -> list[str]:
    """Names of files that count as data of a format when a folder is given; ``auto``: of any."""
    plain = [suffix for suffix, kind in _FORMATS.items() if format in ("auto", kind)]
    return plain + [suffix + packed for suffix in plain if _FORMATS[suffix] != "parquet" for packed in _COMPRESSIONS]


def format_of(name: str, format: str = "auto") -> str:
    """Format of a file by its name, unless one is given.

    Raises:
        SourceError: the name does not tell.
    """
    if format != "auto":
        return format
    plain = _without_compression(name)
    for suffix, kind in _FORMATS.items():
        if plain.endswith(suffix):
            return kind
    raise SourceError(
        "the name of the file does not tell its format", where=name, fix="set format: jsonl, parquet, csv or text"
    )


def read_records(file: SourceFile, format: str = "auto", columns: Sequence[str] | None = None) -> Iterator[Records]:
    """Rows of a file in batches.

    Args:
        file: one that `find_files` found.
        format: jsonl, parquet, csv, text, or auto to go by the name.
        columns: columns that are wanted, so that others need not be read (Parquet); None: all.

    Raises:
        SourceError: the file is missing, damaged or not what its format says.
    """
    kind = format_of(file.name, format)
    with reading(file.name), naming_damage(file.name):
        if kind == "parquet":
            yield from _read_parquet(file, columns)
            return
        with file.open() as raw, decompressed(raw, file.name) as stream:
            yield from {"jsonl": _read_jsonl, "csv": _read_csv, "text": _read_text}[kind](stream, file.name)


def header_of(file: SourceFile, format: str = "auto") -> list[str] | None:
    """Columns of a Parquet or CSV file; None for formats in which each row has its own."""
    kind = format_of(file.name, format)
    with reading(file.name), naming_damage(file.name):
        if kind == "parquet":
            with file.open() as raw:
                return pq.ParquetFile(pa.PythonFile(raw, mode="r")).schema_arrow.names
        if kind == "csv":
            with file.open() as raw, decompressed(raw, file.name) as stream:
                return _csv_header(csv.reader(_decoded_lines(stream, _Place()), strict=True), file.name)
    return None


def _without_compression(name: str) -> str:
    name = name.lower()
    return next((name.removesuffix(end) for end in _COMPRESSIONS if name.endswith(end)), name)


@contextmanager
def decompressed(raw: BinaryIO, name: str) -> Iterator[BinaryIO]:
    lower = name.lower()
    if lower.endswith(".gz"):
        _refuse_empty(raw, name)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb"))
    elif lower.endswith((".zst", ".zstd")):
        _refuse_empty(raw, name)
        unpacked = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        yield io.BufferedReader(cast(io.RawIOBase, unpacked), 1 << 20)
    else:
        yield raw


def _refuse_empty(raw: BinaryIO, name: str) -> None:
    """An empty file is no valid archive, though the libraries take it for one without content."""
    if not raw.read(1):
        raise SourceError("the file is empty, not even an archive", where=name, fix="copy it again")
    raw.seek(0)


@contextmanager
def naming_damage(name: str) -> Iterator[None]:
    """Name the file where a library finds it damaged."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        raise _damaged(name, error) from error
    except OSError as error:
        # Arrow reports truncated archives and pages as plain OSErrors without a number.
        if error.errno is None and not isinstance(error, ConnectionError | TimeoutError):
            raise _damaged(name, error) from error
        raise


def _damaged(name: str, error: Exception) -> SourceError:
    return SourceError(
        f"the file is damaged or truncated: {(str(error) or type(error).__name__).splitlines()[0][:200]}",
        where=name,
        fix="copy or download it again; none of its rows were used",
    )


@dataclass
class _Place:
    """Where in a file a reader is."""

    line: int = 0
    offset: int = 0
    ended: bool = True
    """Whether the latest line had its line break."""


def _lines(stream: BinaryIO, place: _Place) -> Iterator[bytes | None]:
    """Lines without their breaks; None for one longer than a row may be."""
    size = 0
    while line := stream.readline(MAX_ROW_BYTES + 1):
        place.line, place.offset = place.line + 1, place.offset + size
        size, too_long = len(line), len(line) > MAX_ROW_BYTES and not line.endswith(b"\n")
        while too_long and (rest := stream.readline(MAX_ROW_BYTES)):
            size += len(rest)
            line = rest
            if rest.endswith(b"\n"):
                break
        place.ended = line.endswith(b"\n")
        if place.line == 1 and not too_long:
            line = line.removeprefix(_BOM)
        yield None if too_long else line.rstrip(b"\r\n")


def _read_jsonl(stream: BinaryIO, name: str) -> Iterator[Records]:
    place, batch = _Place(), Records(name)
    for line in _lines(stream, place):
        if line is not None and not line.strip():
            continue
        if place.line == 1 and line is not None and line.lstrip().startswith(b"["):
            raise SourceError(
                "the file is one JSON array, not JSON lines",
                where=name,
                fix="write one object per line, for example with: jq -c '.[]'",
            )
        row = BadRow("too_large", _limit()) if line is None else parse_row(line, place.offset, place.ended)
        if batch.add(f"{name}:{place.line}", row, len(line or b"")):
            yield batch
            batch = Records(name)
    yield batch


def _limit() -> str:
    return f"longer than {MAX_ROW_BYTES >> 20} MiB"


def _read_text(stream: BinaryIO, name: str) -> Iterator[Records]:
    data = stream.read(MAX_ROW_BYTES + 1)
    row: dict[str, Any] | BadRow
    if len(data) > MAX_ROW_BYTES:
        row = BadRow("too_large", _limit())
    else:
        try:
            text = data.removeprefix(_BOM).decode()
            row = {"text": text.replace("\r\n", "\n"), "path": name, "title": _heading(text)}
        except UnicodeDecodeError as error:
            row = BadRow("invalid_utf8", f"byte offset {error.start}")
    yield Records(name, [(f"{name}:1", row)])


def _heading(text: str) -> str | None:
    """The first Markdown heading of the first level."""
    lines = (line for line in text.splitlines() if line.startswith("# "))
    return next((line[2:].strip() for line in lines), None)


def _decoded_lines(stream: BinaryIO, place: _Place) -> Iterator[str]:
    """Lines for the csv module; bytes that are not UTF-8 become lone surrogates, found again afterwards."""
    while line := stream.readline(MAX_ROW_BYTES):
        place.line += 1
        if place.line == 1:
            line = line.removeprefix(_BOM)
        place.offset += len(line)
        yield line.decode("utf-8", "surrogateescape")


def _csv_header(rows: Iterator[list[str]], name: str) -> list[str]:
    header = next(rows, [])
    if len(set(header)) != len(header):
        twice = sorted({column for column in header if header.count(column) > 1})
        raise SourceError(f"two columns are called {twice[0]!r}", where=f"{name}:1", fix="rename one of them")
    return header


def _read_csv(stream: BinaryIO, name: str) -> Iterator[Records]:
    csv.field_size_limit(MAX_ROW_BYTES)  # the module's default is 128 KiB, too little for documents
    place, batch = _Place(), Records(name)
    rows = csv.reader(_decoded_lines(stream, place), strict=True)
    header = _csv_header(rows, name)
    while True:
        line, offset = place.line + 1, place.offset
        try:
            values = next(rows, None)
            if values is None:
                break
            row = _csv_row(header, values, offset)
        except csv.Error as error:
            row = _csv_problem(str(error), name, line, place.line)
        if row is not None and batch.add(f"{name}:{line}", row, place.offset - offset):
            yield batch
            batch = Records(name)
    yield batch


def _csv_row(header: list[str], values: list[str], offset: int) -> dict[str, Any] | BadRow | None:
    if not values:
        return None  # a blank line
    if any(_SURROGATE.search(value) for value in values):
        return BadRow("invalid_utf8", f"in the row at byte offset {offset}")
    if len(values) != len(header):
        return BadRow("wrong_field_count", f"{len(values)} fields, {len(header)} columns")
    return {column: value or None for column, value in zip(header, values, strict=True)}


def _csv_problem(problem: str, name: str, line: int, last_line: int) -> BadRow:
    """A bad row; but a quote that swallows the rows behind it must not pass for one."""
    if "field limit" in problem or ("end of data" in problem and last_line > line):
        raise SourceError(
            "a quote is opened and never closed, so all that follows is lost",
            where=f"{name}:{line}",
            fix='close the quote, or double it ("") if it belongs to the text',
        )
    return BadRow("truncated_record" if "end of data" in problem else "invalid_csv", problem)


def _read_parquet(file: SourceFile, columns: Sequence[str] | None) -> Iterator[Records]:
    number = 0
    with file.open() as raw:
        parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"), pre_buffer=False, page_checksum_verification=True)
        known = parquet.schema_arrow.names
        wanted = known if columns is None else [column for column in known if column in set(columns)]
        rows_at_once = _parquet_rows(parquet)
        for part in parquet.iter_batches(batch_size=rows_at_once, columns=wanted, use_threads=False):
            batch = Records(file.name)
            for row in _parquet_rows_of(part):
                number += 1
                batch.add(f"{file.name} row {number}", row, 0)
            yield batch


def _parquet_rows(parquet: pq.ParquetFile) -> int:
    """Rows per batch, fewer where rows are large."""
    metadata = parquet.metadata
    total = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    each = total / max(metadata.num_rows, 1)
    return max(1, min(_BATCH_ROWS, int(_BATCH_BYTES / max(each, 1))))


def _parquet_rows_of(part: pa.RecordBatch) -> list[dict[str, Any] | BadRow]:
    try:
        return cast("list[dict[str, Any] | BadRow]", part.to_pylist())
    except UnicodeDecodeError:
        # Strings in Parquet need not be UTF-8: find the rows that are not.
        return [_parquet_row(part.slice(index, 1)) for index in range(part.num_rows)]


def _parquet_row(one: pa.RecordBatch) -> dict[str, Any] | BadRow:
    try:
        return one.to_pylist()[0]
    except UnicodeDecodeError as error:
        return BadRow("invalid_utf8", f"byte offset {error.start} of the value")
