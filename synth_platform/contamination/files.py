"""Scan any files of texts for any files of test items, without a dataset and without Dagster."""

import io
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from synth_platform.contamination.calibration import Calibration, calibrate, load_calibration, recall_at
from synth_platform.contamination.config import BenchmarkSpec, ExactSpec, Method
from synth_platform.contamination.eval_index import build_eval_index
from synth_platform.contamination.evals import read_benchmark
from synth_platform.contamination.paraphrase import ParaphraseMatcher
from synth_platform.contamination.scan import Scanner, scan
from synth_platform.contamination.words import split_words
from synth_platform.encoder import Encode, Encoder, find_encoder
from synth_platform.errors import SourceError
from synth_platform.progress import track
from synth_platform.sources.json_rows import BadRow, parse_row
from synth_platform.sources.locations import SourceFile, find_files, reading
from synth_platform.sources.readers import decompressed, format_of, naming_damage, read_records, suffixes_of

HITS = pl.Schema(
    {
        "document_id": pl.String(),
        "eval": pl.String(),
        "eval_id": pl.String(),
        "method": pl.String(),
        "score": pl.Float64(),
        "verdict": pl.String(),
        "document_span": pl.String(),
        "eval_span": pl.String(),
        "document_start": pl.Int64(),
        "document_end": pl.Int64(),
    }
)
"""One row per document and test item found in it; spans are cut short, start and end are bytes of the text."""

_TEXTS = pl.Schema({"row_id": pl.String(), "text": pl.String()})
_CHUNK_BYTES = 8 << 20
_ROWS_AT_ONCE = 8_192
_PLACES_NAMED = 3
_SCORED_AT_ONCE = 500
_NEGATIVES_SHOWN = 20


@dataclass
class ScanSummary:
    """What a scan of files saw and found."""

    documents: int = 0
    bytes: int = 0
    items: int = 0
    evals: list[str] = field(default_factory=list)
    verdicts: dict[str, int] = field(default_factory=lambda: {"clean": 0, "suspect": 0, "contaminated": 0})
    """Documents by their worst verdict."""
    by_eval: dict[str, dict[str, int]] = field(default_factory=dict)
    """Hits by test set and verdict."""
    unread: int = 0
    unread_places: list[str] = field(default_factory=list)
    seconds: float = 0.0
    expected: str = ""
    """What the thresholds for rewordings find and mistake."""
    out: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values, with the rate in MB per second."""
        return asdict(self) | {"mb_per_second": round(self.bytes / 1e6 / max(self.seconds, 1e-9), 2)}


@dataclass(frozen=True)
class CalibrationRun:
    """A calibration, and the texts to look at by hand.

    Args:
        calibration: thresholds and what they do.
        recalls: share of rewordings found at rates of false alarms.
        top_negatives: the negatives that look most like test items: id, eval, eval_id, score, span.
    """

    calibration: Calibration
    recalls: dict[str, float]
    top_negatives: list[dict[str, Any]]


def scan_files(
    documents: Sequence[str],
    evals: Sequence[str],
    out: Path,
    *,
    methods: Sequence[Method],
    encoder: str,
    calibration: str | None,
    cache: Path,
    exact: ExactSpec | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> ScanSummary:
    """Scan documents for test items and write the hits.

    Args:
        documents: paths or globs of JSON lines or Parquet with ``id`` and ``text``.
        evals: paths or globs of test sets with ``id``, ``question`` and optional ``choices``, ``answer``, ``passage``.
        out: Parquet file of `HITS`.
        methods: how to look.
        encoder: for rewordings.
        calibration: file with its thresholds; None: those that come along.
        cache: folder for fetched encoders.
        exact: what counts as a copy.
        tell: hears what happens before the scan.

    Raises:
        SynthError: a file is missing or damaged, or the encoder cannot be had.
    """
    started = time.monotonic()
    found = find_files(documents, Path.cwd(), suffixes_of("auto"))
    measured, encode = _for_paraphrase(methods, encoder, calibration, cache, tell)
    index = build_eval_index(_items(evals), methods, measured)
    items = index.parts.select("eval", "eval_id").unique()
    summary = ScanSummary(
        items=items.height,
        evals=items["eval"].unique().sort().to_list(),
        expected=measured.describe() if measured else "",
        out=str(out),
    )
    tell(f"Looking for {summary.items:,} items of {', '.join(summary.evals)} by {', '.join(methods)}")
    scanner = Scanner(index, exact or ExactSpec(), methods, encode)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(out.name + ".unfinished")
    with pq.ParquetWriter(unfinished, _arrow_schema()) as writer:
        for _, rows in scan(scanner, _texts(found, summary), what="scanning"):
            _count(summary, rows)
            writer.write_table(_hits(rows).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(_arrow_schema()))
    unfinished.replace(out)
    summary.seconds = time.monotonic() - started
    return summary


def calibrate_files(
    positives: Sequence[str],
    negatives: Sequence[str],
    evals: Sequence[str],
    *,
    encoder: str,
    cache: Path,
    thresholds: tuple[float, float] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> CalibrationRun:
    """Measure an encoder's thresholds on labelled texts.

    Args:
        positives: files with ``id``, ``text`` and ``eval_id``: the item that the text rewords.
        negatives: files with ``id`` and ``text`` (or ``question``) that reword no item.
        evals: the test sets.
        encoder: a sentence-transformers model.
        cache: folder for fetched encoders.
        thresholds: suspect and contaminated, to be measured; None: set them by the false alarms.
        tell: hears what happens.

    Raises:
        SynthError: a file is missing, damaged, or has no rows.
    """
    encode = Encoder(find_encoder(encoder, cache, tell)).encode
    index = build_eval_index(_items(evals), ["paraphrase"])
    matcher = ParaphraseMatcher(index.segments, encode, least=-1.0)
    named = dict(index.segments.select("item", "eval_id").iter_rows())
    good, wanted = _labelled(positives, "eval_id")
    bad, _ = _labelled(negatives, None)
    right = _scores(matcher, good, [{item} for item in wanted], named, "scoring positives")
    wrong = _scores(matcher, bad, None, named, "scoring negatives")
    one, other = [score for score, _ in right], [score for score, _ in wrong]
    about = "; ".join(
        f"{what}: {names}"
        for what, names in (("rewordings", _names(positives)), ("others", _names(negatives)), ("evals", _names(evals)))
    )
    top = sorted(range(len(wrong)), key=lambda number: -other[number])[:_NEGATIVES_SHOWN]
    return CalibrationRun(
        calibrate(encoder, one, other, thresholds=thresholds, about=about),
        {f"{rate:.2%}": recall_at(one, other, rate) for rate in (0.01, 0.001)},
        [{"id": bad["row_id"][number], "score": round(other[number], 4), **wrong[number][1]} for number in top],
    )


def _for_paraphrase(
    methods: Sequence[Method], encoder: str, calibration: str | None, cache: Path, tell: Callable[[str], None]
) -> tuple[Calibration | None, Encode | None]:
    if "paraphrase" not in methods:
        return None, None
    measured = load_calibration(calibration, encoder, Path.cwd())
    # One thread each: the blocks already keep all cores busy.
    return measured, Encoder(find_encoder(encoder, cache, tell), threads=1).encode


def _items(evals: Sequence[str]) -> Iterator[pl.DataFrame]:
    for file in find_files(evals, Path.cwd(), suffixes_of("auto")):
        yield from read_benchmark(BenchmarkSpec(name=_eval_name(file.name), path=file.name), Path.cwd())


def _eval_name(path: str) -> str:
    """A test set's name from its file's: gsm8k_test of data/gsm8k_test.jsonl.gz."""
    stem = path.rsplit("/", 1)[-1].split(".")[0].lower()
    return re.sub(r"[^a-z0-9_-]", "-", stem).strip("-_")[:64] or "evals"


def _texts(files: Sequence[SourceFile], summary: ScanSummary) -> Iterator[pl.DataFrame]:
    """Frames of ``row_id`` and ``text``; rows without are counted as unread."""
    for file in files:
        with reading(file.name), naming_damage(file.name):
            if format_of(file.name) == "parquet":
                frames = _read_parquet(file, summary)
            elif format_of(file.name) == "jsonl":
                frames = _read_jsonl(file, summary)
            else:
                raise SourceError("documents are JSON lines or Parquet", where=file.name, fix="convert the file")
            for frame in frames:
                summary.documents += frame.height
                summary.bytes += int(frame["text"].str.len_bytes().sum())
                yield frame


def _read_parquet(file: SourceFile, summary: ScanSummary) -> Iterator[pl.DataFrame]:
    with file.open() as raw:
        parquet = pq.ParquetFile(pa.PythonFile(raw, mode="r"))
        names = parquet.schema_arrow.names
        if "text" not in names:
            raise SourceError("there is no column 'text'", where=file.name, fix=f"columns: {', '.join(names)}"[:200])
        wanted = [name for name in ("id", "text") if name in names]
        row = 0
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, columns=wanted):
            frame = cast(pl.DataFrame, pl.from_arrow(batch))
            yield _checked(frame, [f"{file.name}:{row + number + 1}" for number in range(frame.height)], summary)
            row += frame.height


def _read_jsonl(file: SourceFile, summary: ScanSummary) -> Iterator[pl.DataFrame]:
    line = 0
    with file.open() as raw, decompressed(raw, file.name) as stream:
        for chunk in _chunks(stream):
            frame = _parse(chunk, file.name, line, summary)
            line += chunk.count(b"\n")
            yield frame


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Whole lines, some megabytes at a time."""
    while chunk := stream.read(_CHUNK_BYTES):
        yield chunk if chunk.endswith(b"\n") else chunk + stream.readline()


def _parse(chunk: bytes, name: str, line: int, summary: ScanSummary) -> pl.DataFrame:
    """Rows of some lines; line by line where Polars finds fault, so that the bad ones can be named."""
    if b'"' not in chunk:
        return pl.DataFrame(schema=_TEXTS)
    try:
        frame = pl.read_ndjson(io.BytesIO(chunk), schema={"id": pl.String(), "text": pl.String()})
    except pl.exceptions.PolarsError:
        return _parse_lines(chunk, name, line, summary)
    if frame.height != chunk.count(b"\n") + (not chunk.endswith(b"\n")) or frame["id"].null_count():
        return _parse_lines(chunk, name, line, summary)
    return _checked(frame, [f"{name}:{line + number + 1}" for number in range(frame.height)], summary)


def _parse_lines(chunk: bytes, name: str, line: int, summary: ScanSummary) -> pl.DataFrame:
    ids, texts, places = [], [], []
    for number, raw in enumerate(chunk.splitlines(), line + 1):
        if not raw.strip():
            continue
        row = parse_row(raw, 0, True)
        bad = isinstance(row, BadRow) or not isinstance(row.get("text"), str)
        places.append(f"{name}:{number}")
        texts.append(None if bad else cast(dict[str, Any], row)["text"])
        ids.append(None if bad else cast(dict[str, Any], row).get("id"))
    frame = pl.DataFrame(
        {"id": [None if one is None else str(one) for one in ids], "text": texts},
        schema_overrides={"id": pl.String(), "text": pl.String()},
    )
    return _checked(frame, places, summary)


def _checked(frame: pl.DataFrame, places: Sequence[str], summary: ScanSummary) -> pl.DataFrame:
    """Rows with a text; one without an id is called by its place."""
    ids = frame["id"].cast(pl.String) if "id" in frame.columns else pl.Series([None] * frame.height, dtype=pl.String())
    rows = frame.select("text").with_columns(pl.Series("place", places), ids.alias("row_id"))
    missing = rows.filter(pl.col("text").is_null())
    summary.unread += missing.height
    summary.unread_places += missing["place"][: _PLACES_NAMED - len(summary.unread_places)].to_list()
    return rows.filter(pl.col("text").is_not_null()).select(pl.coalesce("row_id", "place").alias("row_id"), "text")


def _count(summary: ScanSummary, rows: pl.DataFrame) -> None:
    worst = rows.select("verdict", pl.col("row_id")).group_by("row_id", maintain_order=True).agg(pl.col("verdict"))
    for verdicts in worst["verdict"].to_list():
        summary.verdicts[max(verdicts, key=list(summary.verdicts).index)] += 1
    hits = rows.filter(pl.col("verdict") != "clean")
    for (name, verdict), count in Counter(hits.select("eval", "verdict").iter_rows()).items():
        of = summary.by_eval.setdefault(name, {"suspect": 0, "contaminated": 0})
        of[verdict] += count


def _hits(rows: pl.DataFrame) -> pl.DataFrame:
    renamed = {"row_id": "document_id", "span": "document_span", "start": "document_start", "end": "document_end"}
    return rows.filter(pl.col("verdict") != "clean").rename(renamed).select(HITS.names())


def _arrow_schema() -> pa.Schema:
    return pl.DataFrame(schema=HITS).to_arrow(compat_level=pl.CompatLevel.oldest()).schema


def _labelled(paths: Sequence[str], label: str | None) -> tuple[pl.DataFrame, list[str]]:
    ids, texts, labels = [], [], []
    for file in find_files(paths, Path.cwd(), suffixes_of("auto")):
        for records in read_records(file):
            for place, row in records.rows:
                text = None if isinstance(row, BadRow) else row.get("text", row.get("question"))
                if isinstance(row, BadRow) or not isinstance(text, str) or (label and row.get(label) is None):
                    raise SourceError(
                        "a labelled row has no " + (f"text and {label}" if label else "text"),
                        where=place,
                        fix="give each row id, text" + (f" and {label}" if label else ""),
                    )
                ids.append(str(row.get("id", place)))
                texts.append(text)
                labels.append(str(row[label]) if label else "")
    return pl.DataFrame({"row_id": ids, "text": texts}, schema=_TEXTS), labels


def _scores(
    matcher: ParaphraseMatcher, texts: pl.DataFrame, wanted: Sequence[set[str]] | None, named: dict[int, str], what: str
) -> list[tuple[float, dict[str, Any]]]:
    """Of each text the highest score, with the wanted item or with any, and what it was found in."""
    best: list[tuple[float, dict[str, Any]]] = [(-1.0, {"eval_id": None, "span": ""})] * texts.height
    with track(what, texts.height) as task:
        for start in range(0, texts.height, _SCORED_AT_ONCE):
            some = texts["text"][start : start + _SCORED_AT_ONCE]
            words = split_words(some)
            for found in matcher.find(words):
                number, item = start + found.text, named[found.item]
                if found.score > best[number][0] and (wanted is None or item in wanted[number]):
                    span = words.excerpt(found.first, found.last, 160)
                    best[number] = (found.score, {"eval_id": item, "span": span})
            task.advance(len(some))
    return best


def _names(paths: Sequence[str]) -> str:
    return ", ".join(path.rsplit("/", 1)[-1] for path in paths)
