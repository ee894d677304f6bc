"""Documents from files of every kind, whatever is wrong with them; nothing is lost without a reason."""

import gzip
import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import httpx
import obstore
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import S3Store
from polars.testing import assert_frame_equal
from pydantic import TypeAdapter

from synth_platform.errors import SourceError
from synth_platform.sources.build import build_documents, source_fingerprint
from synth_platform.sources.config import SourceSpec
from synth_platform.sources.playground import generate_document, iter_documents, split_of
from synth_platform.sources.rows import source_stamp
from synth_platform_tests.conftest import write_jsonl

SPEC = TypeAdapter(SourceSpec)
ROWS = [{"text": f"Document number {n} says something of its own.", "n": n} for n in range(20)]


def build_batches(
    folder: Path, home: Path, seed: int = 1, used: frozenset[str] = frozenset(), **source: object
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Documents and skipped rows of one source, as they come."""
    return build_documents(
        [SPEC.validate_python({"type": "files", "name": "mine", **source})],
        base=folder,
        seed=seed,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        used=used,
        scratch=home / "scratch",
    )


def build(folder: Path, seed: int = 1, used: frozenset[str] = frozenset(), **source: object):
    """Documents and skipped rows of one source."""
    tables: dict[str, list[pl.DataFrame]] = {"documents": [], "skipped": []}
    for table, rows in build_batches(folder, folder, seed, used, **source):
        tables[table].append(rows)
    return pl.concat(tables["documents"]), pl.concat(tables["skipped"])


def lines(folder: Path, *rows: bytes, name: str = "rows.jsonl") -> str:
    (folder / name).write_bytes(b"\n".join(rows))
    return name


def test_sources_of_one_name_do_not_meet(tmp_path: Path) -> None:
    """Two datasets, or two cycles, may be made at the same time in one home."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder, word in zip(folders, ("river", "mountain"), strict=True):
        for n in range(8):
            text = f"This {word} is told of at some length, so that text {n // 2} has a near duplicate"
            write_jsonl(folder / f"{n}.jsonl", [{"text": f"{text}{'!' * (n % 2)}"}, {"text": f"{word} {n} " * (n + 3)}])
    select = {"near_dedup": {"threshold": 0.5}, "sample": {"documents": 7}}
    alone = [list(build_batches(folder, tmp_path, path="*.jsonl", select=select)) for folder in folders]
    both = [build_batches(folder, tmp_path, path="*.jsonl", select=select) for folder in folders]
    together = list(zip_longest(*both))
    for before, after in zip(alone, zip(*together, strict=True), strict=True):
        found = [one for one in after if one is not None]
        assert [table for table, _ in found] == [table for table, _ in before]
        for (_, expected), (_, rows) in zip(before, found, strict=True):
            assert_frame_equal(rows, expected)
    reasons = pl.concat(rows for table, rows in alone[0] if table == "skipped")["reason"].value_counts()
    assert {"near_duplicate", "not_sampled"} <= set(reasons["reason"])
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "reason", "detail"),
    [
        (b"not json", "invalid_json", "character 0"),
        (b'{"text": null}', "missing_text", "is null"),
        (b'{"other": 1}', "missing_text", "other"),
        (b'{"text": 7}', "text_not_string", "int"),
        (b'{"text": "  "}', "empty_text", ""),
        (b'{"text": "a\\u0000b"}', "nul_character", "character 1"),
        (b'{"text": "a\\ud800b"}', "invalid_unicode", "surrogate"),
        (b'{"text": "a\xffb"}', "invalid_utf8", "byte offset"),
        (b'{"text": "a", "text": "b"}', "duplicate_key", "text"),
        (b'{"text": "a", "x": NaN}', "not_finite", "NaN"),
        (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep", "64"),
        (b"[1, 2]", "not_an_object", "list"),
    ],
)
def test_bad_rows_are_kept_with_place_and_reason(tmp_path: Path, bad: bytes, reason: str, detail: str) -> None:
    path = lines(tmp_path, b'{"text": "first"}', bad, b'{"text": "last"}', b"")
    documents, skipped = build(tmp_path, path=path)
    assert documents["text"].to_list() == ["first", "last"]
    assert skipped.height == 1
    row = skipped.row(0, named=True)
    assert row["location"] == "rows.jsonl:2"
    assert row["reason"] == reason, row
    assert detail in row["detail"], row


def test_torn_last_line_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    documents, skipped = build(tmp_path, path=lines(tmp_path, b'{"text": "first"}', b'{"text": "la'))
    assert documents.height == 1 and skipped["reason"].to_list() == ["truncated_record"]


def write_every_kind(folder: Path) -> list[str]:
    frame = pl.DataFrame(ROWS)
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (folder / "a.jsonl").write_bytes(data)
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(data))
    with pa.CompressedOutputStream(str(folder / "a.jsonl.zst"), "zstd") as packed:
        packed.write(data)
    frame.write_parquet(folder / "a.parquet")
    frame.write_csv(folder / "a.csv")
    (folder / "texts").mkdir()
    for row in ROWS:
        (folder / "texts" / f"{row['n']:02}.md").write_text(row["text"])
    return ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst", "a.parquet", "a.csv", "texts", "texts/*.md", "a.js*nl"]


def test_every_format_gives_the_same_documents(tmp_path: Path) -> None:
    results = {path: build(tmp_path, path=path)[0] for path in write_every_kind(tmp_path)}
    for path, documents in results.items():
        assert documents.select("id", "text").equals(results["a.jsonl"].select("id", "text")), path


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    write_every_kind(tmp_path)
    for name in ("a.jsonl.gz", "a.jsonl.zst", "a.parquet"):
        whole = (tmp_path / name).read_bytes()
        for share in (0, 0.1, 0.5, 0.99):
            (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(SourceError) as caught:
                build(tmp_path, path=name)
            assert name in str(caught.value), (name, share)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"path": "nowhere.jsonl"}, "no such file"),
        ({"path": "*.nothing"}, "no file matches"),
        ({"path": "a.csv", "columns": {"text": "body"}}, "there is no column 'body'"),
        ({"path": "a.parquet", "columns": {"text": "body"}}, "there is no column 'body'"),
        ({"path": "a.jsonl", "columns": {"id": "same"}}, "not unique"),
        ({"path": "empty.jsonl"}, "gives no document: it has no rows"),
        (
            {"path": "a.jsonl", "columns": {"text": "body"}},
            f"{len(ROWS)} rows read, all skipped: missing_text {len(ROWS)} (column 'body' is not there; the row has: ",
        ),
        ({"path": "ftp://x/a.jsonl"}, "unknown kind of address"),
    ],
)
def test_unusable_sources_are_refused_with_a_reason(tmp_path: Path, source: dict, expected: str) -> None:
    write_every_kind(tmp_path)
    write_jsonl(tmp_path / "a.jsonl", [{**row, "same": "x"} for row in ROWS])
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(SourceError) as caught:
        build(tmp_path, **source)
    assert expected in str(caught.value)


@pytest.mark.parametrize("path", ["hf://datasets/owner/name/a.parquet", "hf://datasets/owner/name/*.parquet"])
def test_a_hub_out_of_reach_is_refused_with_a_reason(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError) as caught:
        build(tmp_path, path=path)
    assert "Connection refused" in str(caught.value) and path in str(caught.value)


def test_empty_source_can_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    spec = {"type": "files", "name": "mine", "path": "empty.jsonl", "allow_empty": True}
    made = list(
        build_documents(
            [SPEC.validate_python(spec)],
            base=tmp_path,
            seed=1,
            count_tokens=lambda texts: [1] * len(texts),
            used=frozenset(),
            scratch=tmp_path,
        )
    )
    assert sum(rows.height for _, rows in made) == 0


def test_files_on_s3_are_read_like_local_ones(s3_root: str, s3_server: str, tmp_path: Path) -> None:
    bucket = s3_root.removeprefix("s3://").split("/")[0]
    data = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    httpx.put(f"{s3_server}/{bucket}/in/a.jsonl.gz", content=gzip.compress(data)).raise_for_status()
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    local, _ = build(tmp_path, path="a.jsonl")
    for path in (f"s3://{bucket}/in/a.jsonl.gz", f"s3://{bucket}/in/*.gz", f"s3://{bucket}/in"):
        assert build(tmp_path, path=path)[0]["id"].to_list() == local["id"].to_list(), path


def test_selection_skips_with_reasons_and_loses_nothing(tmp_path: Path) -> None:
    english = "The cat sat on the mat and looked at the dog that slept by the fire all through the long winter night."
    rows = [
        {"text": english, "score": 5, "tag": "x"},
        {"text": english, "score": 5, "tag": "x"},
        {"text": english.replace("winter", "summer") + " It was warm.", "score": 5, "tag": "x"},
        {
            "text": "Der Hund schlief am Feuer, und die Katze sah ihm die ganze lange Nacht dabei zu.",
            "score": 5,
            "tag": "x",
        },
        {"text": "Too short.", "score": 5, "tag": "x", "language": "en"},
        {"text": english + " Low score.", "score": 1, "tag": "x"},
        {"text": english + " No tag.", "score": 5, "tag": ""},
    ]
    write_jsonl(tmp_path / "a.jsonl", rows)
    select = {
        "languages": ["en"],
        "min_tokens": 5,
        "score": {"column": "score", "min": 3},
        "required_columns": ["tag"],
        "near_dedup": {"threshold": 0.5},
    }
    documents, skipped = build(tmp_path, path="a.jsonl", select=select)
    assert documents["text"].to_list() == [english]
    assert sorted(skipped["reason"]) == sorted(
        ["duplicate", "near_duplicate", "language", "too_short", "score", "missing_column"]
    )


def test_samples_are_seeded_and_never_exceed_their_budget(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    five, _ = build(tmp_path, path="a.jsonl", select={"sample": {"documents": 5}})
    again, skipped = build(tmp_path, path="a.jsonl", select={"sample": {"documents": 5}})
    other, _ = build(tmp_path, seed=2, path="a.jsonl", select={"sample": {"documents": 5}})
    assert five.height == 5 and five.equals(again) and not five.equals(other)
    assert skipped["reason"].to_list() == ["not_sampled"] * 15
    budget, _ = build(tmp_path, path="a.jsonl", select={"sample": {"tokens": 50}})
    assert 40 < budget["tokens"].sum() <= 50


def test_documents_of_earlier_cycles_are_left_out(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    first, _ = build(tmp_path, path="a.jsonl", select={"sample": {"documents": 8}})
    second, skipped = build(tmp_path, path="a.jsonl", used=frozenset(first["id"]))
    assert not set(first["id"]) & set(second["id"]) and second.height == 12
    assert set(skipped["reason"]) == {"used_in_earlier_cycle"}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=12)), min_size=1, max_size=30))
def test_every_row_is_a_document_or_has_a_reason(tmp_path: Path, texts: list) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    try:
        documents, skipped = build(tmp_path, path="a.jsonl")
    except SourceError as error:
        assert "gives no document" in str(error)
        return
    assert documents.height + skipped.height == len(texts)
    assert skipped["reason"].null_count() == 0
    assert documents["id"].n_unique() == documents.height


def test_fingerprint_changes_with_the_content_only(tmp_path: Path) -> None:
    spec = SPEC.validate_python({"type": "files", "name": "mine", "path": "a.jsonl"})
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    before = source_fingerprint(spec, tmp_path)
    (tmp_path / "a.jsonl").touch()
    assert source_fingerprint(spec, tmp_path) == before
    write_jsonl(tmp_path / "a.jsonl", ROWS[1:])
    assert source_fingerprint(spec, tmp_path) != before


def test_new_and_changed_files_are_noticed_without_being_read(
    s3_root: str, s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_root.removeprefix("s3://").split("/")[0]
    objects = S3Store.from_url(f"s3://{bucket}", config={"endpoint": s3_server}, client_options={"allow_http": True})

    def put(name: str, rows: list[dict]) -> None:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
        write_jsonl(tmp_path / "in" / name, rows)
        obstore.put(objects, f"in/{name}", data)

    put("a.jsonl", ROWS)
    monkeypatch.setattr(
        "synth_platform.sources.rows.source_fingerprint", lambda *given: pytest.fail(f"{given} was read")
    )
    for path in ("in", f"s3://{bucket}/in"):
        spec = SPEC.validate_python({"type": "files", "name": "mine", "path": path})
        put("a.jsonl", ROWS)
        (tmp_path / "in" / "b.jsonl").unlink(missing_ok=True)
        stamps = [source_stamp(spec, tmp_path), source_stamp(spec, tmp_path)]
        put("a.jsonl", ROWS[1:])
        stamps.append(source_stamp(spec, tmp_path))
        put("b.jsonl" if path == "in" else "c.jsonl", ROWS)
        stamps.append(source_stamp(spec, tmp_path))
        assert stamps[0] == stamps[1] and len(set(stamps)) == 3, path


def test_playground_is_a_function_of_seed_and_states_its_facts() -> None:
    documents = list(iter_documents(60, seed=1, planted=3))
    assert documents == list(iter_documents(60, seed=1, planted=3))
    assert [one.text for one in documents] != [one.text for one in iter_documents(60, seed=2, planted=3)]
    for document in documents:
        assert all(fact.value in document.text for fact in document.facts)
    assert sum(bool(document.planted) for document in documents) == 3


def test_playground_splits_share_no_invented_word() -> None:
    names = {
        split: {generate_document(index, seed=0, split=split).entity.split()[0].lower() for index in range(200)}
        for split in ("train", "documents")
    }
    assert all(split_of(name) == split for split, some in names.items() for name in some)
    assert not names["train"] & names["documents"]
