"""Test items are found however they are dressed, and nothing else is."""

import random
from pathlib import Path

import polars as pl
import pytest

from synth_platform.contamination import index as index_module
from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec
from synth_platform.contamination.evals import read_benchmark
from synth_platform.contamination.index import build_index
from synth_platform.contamination.scan import Scanner
from synth_platform.contamination.schema import CONTAMINATION, EVAL_ITEMS
from synth_platform.errors import SourceError
from synth_platform.sources.playground import benchmark_questions
from synth_platform_tests.conftest import write_jsonl

SPEC = ContaminationSpec()
QUESTION = "If a train leaves Oslo at 7:15 with 1,200 passengers and a third get off, how many people stay on board?"
FILLER = "The weather was fine and nobody expected rain before the evening, so the market stayed open."


def items(*questions: str, choices: str | None = None, answer: str | None = None) -> pl.DataFrame:
    rows = [
        {"id": f"q{n}", "eval": "exam", "question": text, "choices": choices, "answer": answer}
        for n, text in enumerate(questions)
    ]
    return pl.DataFrame(rows, schema=EVAL_ITEMS)


def scan(index, *texts: str | None) -> pl.DataFrame:
    rows = pl.DataFrame(
        {"row_id": [f"r{n}" for n in range(len(texts))], "text": list(texts)}, schema_overrides={"text": pl.String}
    )
    found = Scanner(index, SPEC).scan(rows)
    assert found.schema == CONTAMINATION
    assert found["row_id"].unique(maintain_order=True).to_list() == rows["row_id"].to_list()
    return found


@pytest.mark.parametrize(
    "dressed",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace(" ", "  \n"),
        "**" + QUESTION.replace("train", "_train_").replace("1,200", "1200") + "**",
        QUESTION.replace("Oslo", "Ｏｓｌｏ"),  # noqa: RUF001 (full-width letters are meant)
    ],
)
def test_items_are_found_in_every_dress(dressed: str) -> None:
    found = scan(build_index([items(QUESTION)], SPEC), f"{FILLER} {dressed} {FILLER}").row(0, named=True)
    assert (found["verdict"], found["eval"], found["eval_id"], found["score"]) == ("contaminated", "exam", "q0", 1.0)
    assert found["span"].startswith("if a train leaves oslo") and found["eval_span"].startswith("1-")


def test_clean_and_missing_texts_have_one_clean_row() -> None:
    found = scan(build_index([items(QUESTION)], SPEC), FILLER, None, "")
    assert found["verdict"].to_list() == ["clean"] * 3
    assert found["eval"].null_count() == 3


def test_a_short_overlap_is_suspect_not_contaminated() -> None:
    words = QUESTION.split()
    found = scan(build_index([items(QUESTION)], SPEC), f"{FILLER} {' '.join(words[:9])} {FILLER}")
    assert found["verdict"].to_list() == ["suspect"]


def test_turns_of_phrase_that_many_items_share_are_no_hit() -> None:
    phrase = "which of the following is the best answer to the question about"
    many = [f"{phrase} {name} and its many long and winding consequences for {name}?" for name in "abcdefghijklm"]
    index = build_index([items(*many)], SPEC)
    assert scan(index, f"{FILLER} {phrase} something else entirely").row(0, named=True)["verdict"] == "clean"
    assert scan(index, many[3]).filter(pl.col("eval_id") == "q3")["verdict"].to_list() == ["contaminated"]


def test_short_questions_are_found_in_company_only() -> None:
    index = build_index(
        [items("What is two plus two?", choices='["three", "four", "five", "six"]', answer="four")], SPEC
    )
    assert scan(index, f"{FILLER} What is two plus two? {FILLER}")["verdict"].to_list() == ["clean"]
    found = scan(index, f"{FILLER} What is two plus two? A) three B) four")["verdict"].to_list()
    assert found == ["clean"]  # letters between the choices: not the item's words in a row
    assert scan(index, "What is two plus two? three, four, five, six: four")["verdict"].to_list() == ["contaminated"]


def test_a_hash_collision_is_no_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = index_module.hash_windows

    def collide(*arguments):
        starts, hashes = honest(*arguments)
        return starts, hashes * 0

    monkeypatch.setattr(index_module, "hash_windows", collide)
    monkeypatch.setattr("synth_platform.contamination.scan.hash_windows", collide)
    index = build_index([items(QUESTION)], SPEC)
    shuffled = QUESTION.split()
    random.Random(0).shuffle(shuffled)
    assert scan(index, " ".join(shuffled))["verdict"].to_list() == ["clean"]
    assert scan(index, QUESTION)["verdict"].to_list() == ["contaminated"]


def test_builtin_benchmark_has_enough_unlike_questions() -> None:
    questions = benchmark_questions()
    assert len(questions) >= 200
    assert len({question.id for question in questions}) == len({q.question for q in questions}) == len(questions)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"question": "What?"}\nnot json\n', "cannot be read: invalid_json"),
        ('{"prompt": "What?"}\n', "no text in 'question'"),
        ('{"question": "a", "id": 1}\n{"question": "b", "id": 1}\n', "two items"),
        ("", "has no items"),
    ],
)
def test_unusable_benchmarks_are_refused_by_name(tmp_path: Path, content: str, expected: str) -> None:
    (tmp_path / "exam.jsonl").write_text(content)
    with pytest.raises(SourceError) as caught:
        list(read_benchmark(BenchmarkSpec(name="exam", path="exam.jsonl"), tmp_path))
    assert expected in str(caught.value) and "exam.jsonl" in str(caught.value)


def test_missing_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        list(read_benchmark(BenchmarkSpec(name="exam", path="exam.jsonl"), tmp_path))
    write_jsonl(tmp_path / "exam.jsonl", [{"q": "One?"}, {"q": "Two?"}])
    spec = BenchmarkSpec.model_validate({"name": "exam", "path": "exam.jsonl", "columns": {"question": "q"}})
    assert pl.concat(read_benchmark(spec, tmp_path))["id"].n_unique() == 2


def test_real_items_planted_in_a_real_book_are_all_found(shared_data: Path) -> None:
    files = {"gsm8k": "gsm8k_test", "humaneval": "humaneval", "mmlu": "mmlu_test"}
    exams = [
        BenchmarkSpec(name=name, path=str(shared_data / "evals" / f"{file}.jsonl.gz")) for name, file in files.items()
    ]
    every = pl.concat([batch for exam in exams for batch in read_benchmark(exam, shared_data)])
    book = pl.read_ndjson(shared_data / "sources" / "rust_book.jsonl.gz")["text"].to_list()
    scanner = Scanner(build_index([every], SPEC), SPEC)
    clean = scanner.scan(pl.DataFrame({"row_id": [str(n) for n in range(len(book))], "text": book}))
    assert set(clean["verdict"]) == {"clean"}

    long = every.filter(pl.col("question").str.split(" ").list.len() >= 10).gather_every(5)
    planted = pl.DataFrame(
        {
            "row_id": (long["eval"] + "/" + long["id"]).to_list(),
            "text": [
                f"{book[n % len(book)][:1500]}\n{text.lower()}\nThe end." for n, text in enumerate(long["question"])
            ],
        }
    )
    found = pl.concat([scanner.scan(batch) for batch in planted.iter_slices(512)])
    named = found.filter(pl.col("verdict") == "contaminated")["row_id"].n_unique()
    assert named == planted.height > 2000
