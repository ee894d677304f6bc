"""Sources on an S3 that refuses, stalls and breaks off: the right rows, or one clear error in bounded time."""

import gzip
import io
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from synth_platform.digest import digest
from synth_platform.errors import SourceError
from synth_platform.snapshots.store import open_objects
from synth_platform.sources.locations import SourceFile, find_files
from synth_platform.sources.readers import read_records
from synth_platform_tests.snapshots.fault_proxy import FaultProxy, Kind, S3Fault, fault_proxy

ROWS = 3000
TRY_SECONDS, RETRY_SECONDS, SLACK = 0.5, 1.5, 5.0


def jsonl(rows: pl.DataFrame) -> bytes:
    return rows.write_ndjson().encode()


def packed(rows: pl.DataFrame) -> bytes:
    return gzip.compress(jsonl(rows), mtime=0)


def parquet(rows: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    rows.write_parquet(file, row_group_size=300, compression="uncompressed")
    return file.getvalue()


FILES: dict[str, Callable[[pl.DataFrame], bytes]] = {"a.jsonl": jsonl, "a.jsonl.gz": packed, "a.parquet": parquet}


@pytest.fixture
def proxy(s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """In front of the bucket; files take several requests."""
    monkeypatch.setattr("synth_platform.sources.locations._READ_BYTES", 40_000)
    with fault_proxy(s3_server) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
        yield running


def stored(name: str, s3_root: str, s3_server: str) -> tuple[str, list[dict[str, Any]]]:
    """A file in the bucket: its address and its rows."""
    rows = pl.DataFrame({"id": range(ROWS), "text": [digest(number) for number in range(ROWS)]})
    bucket = s3_root.removeprefix("s3://").split("/")[0]
    httpx.put(f"{s3_server}/{bucket}/in/{name}", content=FILES[name](rows)).raise_for_status()
    return f"s3://{bucket}/in/{name}", rows.to_dicts()


def found(address: str) -> SourceFile:
    (file,) = find_files([address], Path(), [])
    return file


def failing(kind: Kind, every: int = 1) -> list[S3Fault]:
    return [S3Fault(method, kind, 1000, every) for method in ("GET", "HEAD")]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["500", "503", "reset", "half body"])
def test_a_store_that_fails_now_and_then_gives_the_right_rows(
    proxy: FaultProxy, kind: Kind, name: str, s3_root: str, s3_server: str
) -> None:
    address, rows = stored(name, s3_root, s3_server)
    proxy.faults = failing(kind, every=2)
    assert [row for batch in read_records(found(address)) for _, row in batch.rows] == rows
    assert len(proxy.seen) > 6, "the file was to take several requests"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("403", "a.jsonl"), ("503", "a.jsonl"), ("stall", "a.jsonl"), *(("half body", name) for name in FILES)],
)
def test_a_store_that_goes_away_is_one_clear_error_in_bounded_time(
    proxy: FaultProxy, kind: Kind, name: str, s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no damaged file, which nobody would mend."""
    address, rows = stored(name, s3_root, s3_server)
    impatient = partial(open_objects, try_seconds=TRY_SECONDS, retry_seconds=RETRY_SECONDS)
    monkeypatch.setattr("synth_platform.sources.locations.open_objects", impatient)
    batches = read_records(found(address))
    read = [row for _, row in next(batches).rows]
    proxy.faults = failing(kind)
    started = time.monotonic()
    with pytest.raises(SourceError, match="the object store refused") as told:
        read.extend(row for batch in batches for _, row in batch.rows)
    assert time.monotonic() - started < RETRY_SECONDS + TRY_SECONDS + SLACK
    assert address in str(told.value) and "AWS_ENDPOINT_URL" in str(told.value)
    assert read == rows[: len(read)]


def test_who_may_not_list_or_open_is_told_so(proxy: FaultProxy, s3_root: str, s3_server: str) -> None:
    address, _ = stored("a.jsonl", s3_root, s3_server)
    file = found(address)
    proxy.faults = failing("403")
    for look in (lambda: found(address), lambda: next(read_records(file))):
        with pytest.raises(SourceError, match="the object store refused"):
            look()
