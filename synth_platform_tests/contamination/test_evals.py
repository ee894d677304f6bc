"""Test sets of every layout become one shape; what cannot be read is refused by name."""

import json
from pathlib import Path

import polars as pl
import pytest

from synth_platform.contamination.config import BenchmarkSpec
from synth_platform.contamination.evals import read_benchmark
from synth_platform.contamination.presets import PRESETS
from synth_platform.errors import SourceError
from synth_platform.sources.playground import benchmark_questions
from synth_platform_tests.conftest import write_jsonl


def read(tmp_path: Path, preset: str, row: dict[str, object]) -> dict[str, object]:
    write_jsonl(tmp_path / "exam.jsonl", [row])
    spec = BenchmarkSpec.model_validate({"name": "exam", "preset": preset, "path": "exam.jsonl"})
    item = pl.concat(read_benchmark(spec, tmp_path)).row(0, named=True)
    return {name: item[name] for name in ("question", "choices", "answer", "passage")}


@pytest.mark.parametrize(
    ("preset", "row", "expected"),
    [
        ("mmlu", {"question": "Q?", "choices": ["a", "b"], "answer": 1}, ("Q?", ["a", "b"], "b", None)),
        (
            "arc_easy",
            {"question": "Q?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"},
            ("Q?", ["a", "b"], "b", None),
        ),
        ("hellaswag", {"ctx": "So", "endings": ["x.", "y."], "label": "0"}, ("So", ["x.", "y."], "x.", None)),
        ("piqa", {"goal": "G", "sol1": "one", "sol2": "two", "label": 1}, ("G", ["one", "two"], "two", None)),
        ("boolq", {"question": "is it", "passage": "P", "answer": True}, ("is it", None, "True", "P")),
        ("squad", {"question": "Q?", "context": "C", "answers": {"text": ["t"]}}, ("Q?", None, "t", "C")),
        ("drop", {"question": "Q?", "passage": "P", "answers_spans": {"spans": ["3"]}}, ("Q?", None, "3", "P")),
        ("triviaqa", {"question": "Q?", "answer": {"value": "v"}}, ("Q?", None, "v", None)),
        (
            "winogrande",
            {"sentence": "S _", "option1": "x", "option2": "y", "answer": "y"},
            ("S _", ["x", "y"], "y", None),
        ),
        ("mbpp", {"prompt": "Write f", "code": "def f(): pass"}, ("Write f", None, "def f(): pass", None)),
        (
            "truthfulqa",
            {"question": "Q?", "mc1_targets": {"choices": ["t", "f"], "labels": [1, 0]}},
            ("Q?", ["t", "f"], None, None),
        ),
        (
            "xcsqa",
            {
                "question": {"stem": "Q?", "choices": [{"label": "A", "text": "a"}, {"label": "B", "text": "b"}]},
                "answerKey": "A",
            },
            ("Q?", ["a", "b"], "a", None),
        ),
    ],
)
def test_presets_read_the_fields_layouts(tmp_path: Path, preset: str, row: dict, expected: tuple) -> None:
    found = read(tmp_path, preset, row)
    assert tuple(found.values()) == expected


def test_every_preset_is_a_valid_benchmark() -> None:
    for name in PRESETS:
        spec = BenchmarkSpec.model_validate({"name": name, "preset": name})
        assert spec.paths[0].startswith("hf://datasets/") and spec.description
    assert BenchmarkSpec.model_validate({"name": "gpqa", "preset": "gpqa"}).keep == "hashes"


def test_choices_in_a_csv_are_a_list(tmp_path: Path) -> None:
    (tmp_path / "exam.csv").write_text("id,question,choices,answer\n1,Which?,\"['a', 'b']\",B\n")
    item = pl.concat(read_benchmark(BenchmarkSpec(name="exam", path="exam.csv"), tmp_path)).row(0, named=True)
    assert (item["choices"], item["answer"]) == (["a", "b"], "b")


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
    (tmp_path / "exam.jsonl").write_text("".join(json.dumps({"q": text}) + "\n" for text in ("One?", "Two?")))
    spec = BenchmarkSpec.model_validate({"name": "exam", "path": "exam.jsonl", "columns": {"question": "q"}})
    assert pl.concat(read_benchmark(spec, tmp_path))["id"].n_unique() == 2
