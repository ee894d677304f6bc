"""Any files can be scanned, and what cannot be read is named."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from synth_platform.cli import app
from synth_platform.contamination.files import HITS
from synth_platform_tests.conftest import write_jsonl

QUESTION = "How many lanterns hung over the quay of Grimsdal when the seven ferries came home at midnight?"
CLEAN = "The weather was fine and nobody expected rain before the evening."


def scan(tmp_path: Path, *documents: str, method: str = "exact"):
    arguments = [
        "contamination",
        "scan",
        "--evals",
        str(tmp_path / "exam.jsonl"),
        "--out",
        str(tmp_path / "hits.parquet"),
    ]
    for path in documents:
        arguments += ["--documents", str(tmp_path / path)]
    return CliRunner().invoke(app, [*arguments, "--method", method, "--json", "--home", str(tmp_path / "home")])


@pytest.fixture
def exam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "home"))  # the command sets it for its process: undone with this
    write_jsonl(tmp_path / "exam.jsonl", [{"id": "e1", "question": QUESTION}])
    return tmp_path


def test_jsonl_gzip_and_parquet_are_scanned_together(exam: Path) -> None:
    rows = [{"id": number, "text": f"{CLEAN} {QUESTION if number == 2 else ''}"} for number in range(5)]
    write_jsonl(exam / "one.jsonl", rows)
    with gzip.open(exam / "two.jsonl.gz", "wt") as file:
        file.writelines(json.dumps({"id": f"z{row['id']}", "text": row["text"]}) + "\n" for row in rows)
    pl.DataFrame(rows).with_columns(pl.format("p{}", "id").alias("id")).write_parquet(exam / "three.parquet")
    done = scan(exam, "one.jsonl", "*.gz", "three.parquet")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["documents"] == 15 and found["verdicts"] == {"clean": 12, "suspect": 0, "contaminated": 3}
    hits = pl.read_parquet(exam / "hits.parquet")
    assert hits.schema == HITS
    assert hits["document_id"].to_list() == ["2", "p2", "z2"] or sorted(hits["document_id"]) == ["2", "p2", "z2"]
    assert set(hits["eval"]) == {"exam"} and set(hits["eval_id"]) == {"e1"}


def test_no_hit_makes_an_empty_file_with_the_columns(exam: Path) -> None:
    write_jsonl(exam / "one.jsonl", [{"id": "a", "text": CLEAN}])
    assert scan(exam, "one.jsonl").exit_code == 0
    assert pl.read_parquet(exam / "hits.parquet").schema == HITS


def test_rows_that_cannot_be_read_are_counted_and_named(exam: Path) -> None:
    good = json.dumps({"id": "a", "text": f"{CLEAN} {QUESTION}"})
    (exam / "one.jsonl").write_text(f'{good}\nnot json\n{{"id": "b"}}\n{{"text": "no id"}}\n{{"id": "c", "te')
    done = scan(exam, "one.jsonl")
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert (found["documents"], found["unread"]) == (2, 3)
    assert [place.rsplit(":", 1)[1] for place in found["unread_places"]] == ["2", "3", "5"]
    assert found["verdicts"]["contaminated"] == 1


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.jsonl", None, "no such file"),
        ("torn.jsonl.gz", gzip.compress(b'{"id": "a", "text": "b"}\n' * 900, mtime=0)[:-9], "damaged"),
        ("table.parquet", "no column", "no column 'text'"),
        ("notes.txt", b"words", "JSON lines or Parquet"),
    ],
    ids=["missing", "torn", "no column", "another kind"],
)
def test_files_that_cannot_be_used_are_refused_by_name(exam: Path, name: str, content: object, expected: str) -> None:
    if isinstance(content, bytes):
        (exam / name).write_bytes(content)
    elif content is not None:
        pl.DataFrame({"id": ["a"], "body": ["b"]}).write_parquet(exam / name)
    done = scan(exam, name)
    assert done.exception is not None
    assert expected in str(done.exception) and name in str(done.exception)
    assert not (exam / "hits.parquet").exists()
