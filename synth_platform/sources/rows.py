"""The rows of any source, a bounded number at a time, in the columns of `ROWS`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_file
from synth_platform.errors import SourceError
from synth_platform.file_digests import DigestFile
from synth_platform.sources import python_docs
from synth_platform.sources.config import ColumnsSpec, FilesSource, PlaygroundSource, PythonDocsSource, SourceSpec
from synth_platform.sources.fields import FieldMap, Skip
from synth_platform.sources.locations import SourceFile, find_files
from synth_platform.sources.playground import LICENSE, generate_document, iter_documents
from synth_platform.sources.readers import format_of, header_of, read_records, suffixes_of
from synth_platform.sources.schema import ROWS

RowBatch = tuple[pl.DataFrame, list[Skip]]
"""Rows that can be read, and those that cannot with the reason."""

_BATCH_ROWS = 512
_SAMPLE_DOCUMENTS = 20
_TEXT_METADATA = ["path", "title"]


def read_rows(source: SourceSpec, *, base: Path, seed: int) -> Iterator[RowBatch]:
    """All rows of a source in order.

    Raises:
        SourceError: a file is missing, damaged, or lacks a column that the spec names.
    """
    if isinstance(source, PlaygroundSource):
        return _in_batches(_playground_rows(source, seed))
    if isinstance(source, PythonDocsSource):
        return _in_batches(_python_docs_rows())
    return _file_rows(source, base, seed)


def source_fingerprint(source: SourceSpec, base: Path, digest_file: DigestFile = digest_file) -> str:
    """What changes when the content of the source does.

    Args:
        source: the source.
        base: folder that relative paths start from.
        digest_file: gives the digest of a local file, which it may know already.

    Raises:
        SourceError: the source cannot be found.
    """
    if isinstance(source, PlaygroundSource):
        return digest([generate_document(index, seed=0).text for index in range(_SAMPLE_DOCUMENTS)])
    if isinstance(source, PythonDocsSource):
        return digest(list(python_docs.iter_topics()))
    return digest([(file.name, file.version(digest_file)) for file in _files(source, base)])


def source_stamp(source: SourceSpec, base: Path) -> str:
    """What changes at least when the content of the source does; no file is read for it.

    Raises:
        SourceError: the source cannot be found.
    """
    if isinstance(source, FilesSource):
        return digest([(file.name, file.stamp()) for file in _files(source, base)])
    return source_fingerprint(source, base)


def _files(source: FilesSource, base: Path) -> list[SourceFile]:
    return find_files(source.paths, base, suffixes_of(source.format))


def _file_rows(source: FilesSource, base: Path, seed: int) -> Iterator[RowBatch]:
    files = _files(source, base)
    if source.max_files is not None:
        chosen = sorted(files, key=lambda file: digest(seed, file.name))[: source.max_files]
        files = [file for file in files if file in chosen]
    number = 0
    for file in files:
        fields = FieldMap(_columns(source, file), source.license, source.select)
        _check_header(file, header_of(file, source.format), fields.named)
        for records in read_records(file, source.format, fields.wanted):
            yield fields.map(records.rows, number)
            number += len(records.rows)


def _columns(source: FilesSource, file: SourceFile) -> ColumnsSpec:
    if format_of(file.name, source.format) != "text":
        return source.columns
    metadata = list(dict.fromkeys([*source.columns.metadata, *_TEXT_METADATA]))
    return source.columns.model_copy(update={"metadata": metadata})


def _check_header(file: SourceFile, header: Sequence[str] | None, named: Sequence[str]) -> None:
    missing = [name for name in named if header is not None and name not in header]
    if missing:
        raise SourceError(
            f"there is no column {missing[0]!r}",
            where=file.name,
            fix=f"set `columns` to some of: {', '.join(header or [])[:300]}",
        )


def _playground_rows(source: PlaygroundSource, seed: int) -> Iterator[dict[str, Any]]:
    for document in iter_documents(source.documents, seed=seed, kinds=source.kinds, planted=source.planted):
        yield {
            "location": f"{source.name}:{document.index}",
            "text": document.text,
            "license": LICENSE,
            "language": "en",
            "metadata": json.dumps(document.metadata(), ensure_ascii=False),
        }


def _python_docs_rows() -> Iterator[dict[str, Any]]:
    for name, text in python_docs.iter_topics():
        yield {
            "location": f"pydoc_data.topics:{name}",
            "id": name,
            "text": text,
            "url": python_docs.address(name),
            "license": python_docs.LICENSE,
            "language": "en",
            "metadata": json.dumps({"topic": name}),
        }


def _in_batches(rows: Iterator[dict[str, Any]]) -> Iterator[RowBatch]:
    batch: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        batch.append({"number": number, **row})
        if len(batch) == _BATCH_ROWS:
            yield pl.DataFrame(batch, schema=ROWS), []
            batch = []
    if batch:
        yield pl.DataFrame(batch, schema=ROWS), []
