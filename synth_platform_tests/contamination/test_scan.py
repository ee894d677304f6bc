"""Test items are found however they are dressed, and nothing else is."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from synth_platform.contamination import word_index
from synth_platform.contamination.config import BenchmarkSpec, ContaminationSpec
from synth_platform.contamination.eval_index import EvalIndex
from synth_platform.contamination.evals import read_benchmark
from synth_platform.contamination.scan import Scanner, scan
from synth_platform_tests.contamination.searches import index, items, search

QUESTION = "If a train leaves Oslo at 7:15 with 1,200 passengers and a third get off, how many people stay on board?"
FILLER = "The weather was fine and nobody expected rain before the evening, so the market stayed open."


@pytest.mark.parametrize(
    "dressed",
    [
        QUESTION,
        QUESTION.upper(),
        QUESTION.replace(" ", "  \n"),
        "**" + QUESTION.replace("train", "_train_").replace("1,200", "1200") + "**",
        "| " + " | ".join(QUESTION.split()) + " |",
        "".join(f"<td>{word}</td>" for word in QUESTION.split()),
        QUESTION.replace("passengers and", "passengers, they say, and"),
        QUESTION.replace("people ", "").replace(" with", ""),
        QUESTION.replace("7:15", "715"),
        QUESTION.replace("Oslo", "Ｏｓｌｏ"),  # noqa: RUF001 (full-width letters are meant)
    ],
)
def test_items_are_found_in_every_dress(dressed: str) -> None:
    found = search(index(items(QUESTION)), f"{FILLER} {dressed} {FILLER}").row(0, named=True)
    assert (found["verdict"], found["eval"], found["eval_id"]) == ("contaminated", "exam", "q0")
    assert found["score"] > 0.85 and found["method"] == "exact"
    assert found["eval_span"].startswith("If a train leaves Oslo") and len(found["eval_span"]) <= 80
    text = f"{FILLER} {dressed} {FILLER}".encode()
    assert text[found["start"] : found["end"]].decode().lower().strip("*|<td>_ ").startswith(("if", "ｉｆ"))  # noqa: RUF001


def test_clean_and_missing_texts_have_one_clean_row() -> None:
    found = search(index(items(QUESTION)), FILLER, None, "")
    assert found["verdict"].to_list() == ["clean"] * 3
    assert found["eval"].null_count() == 3


def test_half_an_item_is_suspect_not_contaminated() -> None:
    words = QUESTION.split()
    found = search(index(items(QUESTION)), f"{FILLER} {' '.join(words[:12])} {FILLER}")
    assert found["verdict"].to_list() == ["suspect"]


def test_the_same_question_about_other_numbers_is_not_the_question() -> None:
    other = QUESTION.replace("7:15", "9:40").replace("1,200", "350")
    scores = [search(index(items(QUESTION)), text)["score"][0] for text in (QUESTION, other)]
    assert scores[1] < scores[0] - 0.2


def test_turns_of_phrase_that_many_items_share_are_no_hit() -> None:
    phrase = "which of the following is the best answer to the question about"
    many = [f"{phrase} {name} and its many long and winding consequences for {name}?" for name in "abcdefghijklm"]
    found = search(index(items(*many)), f"{FILLER} {phrase} something else entirely")
    assert "contaminated" not in found["verdict"].to_list()
    named = [f"{phrase} {name} and its consequences for the {name} trade?" for name in ("ospreys", "quartz", "velvet")]
    found = search(index(items(*many, *named)), f"{FILLER} {named[1]}").sort("score", descending=True)
    assert found["eval_id"][0] == "q14" and found["score"][0] > found["score"][1] + 0.1


def test_short_questions_are_found_in_company_only() -> None:
    animals = ["Armadillo", "Pangolin", "Hedgehog", "Tenrec"]
    searched = index(items("Which animal lives longest?", choices=animals, answer="Pangolin"))
    assert search(searched, f"{FILLER} Which animal lives longest? {FILLER}")["verdict"].to_list() == ["clean"]
    for order in (animals, animals[::-1]):
        lettered = " ".join(f"{letter}) {name}" for letter, name in zip("ABCD", order, strict=True))
        asked = f"{FILLER} Which animal lives longest? {lettered}"
        assert search(searched, asked)["verdict"].to_list() == ["contaminated"]


def test_a_passage_alone_is_suspect_and_its_question_is_not() -> None:
    passage = "The lighthouse of Grimsdal was built by seven brothers who carried granite over the frozen fjord."
    searched = index(items("How many brothers built the lighthouse on the fjord near Grimsdal?", passage=passage))
    assert search(searched, f"{FILLER} {passage}")["verdict"].to_list() == ["suspect"]


def test_a_set_kept_as_hashes_has_no_text_and_is_found() -> None:
    kept = items(QUESTION, keep="hashes", choices=["one", "two"], answer="two")
    assert all(kept[column].null_count() == 1 for column in ("question", "choices", "answer", "passage"))
    found = search(index(kept), f"{FILLER} {QUESTION}").row(0, named=True)
    assert found["verdict"] == "contaminated" and found["eval_span"].startswith("words 1-")


def test_a_hash_collision_is_no_hit(monkeypatch: pytest.MonkeyPatch) -> None:
    def collide(hashes: np.ndarray, *steps: int) -> np.ndarray:
        return np.zeros(max(len(hashes) - max(steps), 0), np.uint64)

    monkeypatch.setattr(word_index, "ngram_hashes", collide)
    monkeypatch.setattr("synth_platform.contamination.exact.ngram_hashes", collide)
    searched = index(items(QUESTION))
    shuffled = QUESTION.split()
    random.Random(0).shuffle(shuffled)
    assert search(searched, " ".join(shuffled))["verdict"].to_list() != ["contaminated"]
    assert search(searched, QUESTION)["verdict"].to_list() == ["contaminated"]


def test_an_index_of_nothing_finds_nothing() -> None:
    every = ("exact", "paraphrase", "code")
    assert search(index(methods=every), QUESTION, methods=every)["verdict"].to_list() == ["clean"]


def test_an_index_is_the_same_after_storing() -> None:
    made = index(items(QUESTION), methods=("exact", "paraphrase", "code"))
    again = EvalIndex.from_tables(made.tables())
    assert again.parts.equals(made.parts) and again.segments.equals(made.segments)
    assert again.calibration == made.calibration


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{FILLER} {QUESTION}" if number % 7 == 0 else FILLER for number in range(100)]
    rows = pl.DataFrame({"row_id": [str(number) for number in range(100)], "text": texts})
    scanner = Scanner(index(items(QUESTION)), ContaminationSpec().exact, ["exact"])
    whole = scanner.scan(rows)
    monkeypatch.setattr("synth_platform.contamination.scan._BLOCK_BYTES", 700)
    found = pl.concat([part for _, part in scan(scanner, rows.iter_slices(13), what="test")])
    assert found.equals(whole) and found["verdict"].value_counts().height == 2


PLANTED_KINDS = {
    "verbatim": lambda text: text,
    "lower": str.lower,
    "table": lambda text: "| Question |\n|---|\n| " + text.replace("\n", " ") + " |",
    "stripped": lambda text: "".join(part for part in text if part.isalnum() or part.isspace()),
}


def test_real_items_planted_in_a_real_book_are_found(shared_data: Path) -> None:
    names = ("gsm8k_test", "humaneval", "mmlu_test")
    exams = [BenchmarkSpec(name=name, path=str(shared_data / "evals" / f"{name}.jsonl.gz")) for name in names]
    every = pl.concat([batch for exam in exams for batch in read_benchmark(exam, shared_data)])
    book = pl.read_ndjson(shared_data / "sources" / "rust_book.jsonl.gz")["text"].to_list()
    scanner = Scanner(index(every), ContaminationSpec().exact, ["exact"])
    clean = scanner.scan(pl.DataFrame({"row_id": [str(number) for number in range(len(book))], "text": book}))
    assert "contaminated" not in set(clean["verdict"])

    long = every.filter(pl.col("question").str.split(" ").list.len() >= 8).gather_every(15)
    for kind, change in PLANTED_KINDS.items():
        texts = [f"{book[n % len(book)][:1500]}\n{change(text)}\nThe end." for n, text in enumerate(long["question"])]
        planted = pl.DataFrame({"row_id": (long["eval"] + "/" + long["id"]).to_list(), "text": texts})
        found = pl.concat([part for _, part in scan(scanner, [planted], what=kind)])
        named = found.filter(pl.col("row_id") == pl.col("eval") + "/" + pl.col("eval_id"), verdict="contaminated")
        assert named.height >= 0.99 * planted.height > 900, kind
