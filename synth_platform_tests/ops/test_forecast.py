"""What a run will take: from published figures, from a pilot that the run keeps, from the last version."""

import json
from pathlib import Path
from typing import Any

import pytest

from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, synth, write_spec


def estimate(*arguments: str, home: Path) -> dict[str, Any]:
    done: Any = synth("estimate", *arguments, "--json", home=home)
    assert done.returncode == 0, done.err
    return json.loads(done.out)


def test_the_bill_of_the_published_run_is_about_the_published_one(tmp_path: Path) -> None:
    """FinePhrase: 486 billion tokens in 14.7 thousand hours of H100."""
    found = estimate("finephrase", "--documents", "339000000", "--price", "3", home=tmp_path)
    assert found["output_tokens"] == pytest.approx(486e9, rel=0.05)
    assert found["engine_hours"] == pytest.approx(14_700, rel=0.05)
    assert found["cost"] == pytest.approx(3 * found["engine_hours"])
    assert any("published" in line for line in found["assumptions"])


def test_without_documents_or_figures_it_says_what_is_missing(tmp_path: Path, tokenizer_folder: Path) -> None:
    attributes = dataset("http://unused/v1", tokenizer_folder)
    attributes["sources"] = [{"name": "pages", "type": "files", "path": "pages.jsonl"}]
    spec = str(write_spec(tmp_path, attributes))
    done: Any = synth("estimate", spec, home=tmp_path / "home")
    assert done.returncode == 2 and "add --documents N, or --pilot N" in done.err
    found = estimate(spec, "--documents", "1000", home=tmp_path / "home")
    assert found["prompts"] == 2000 and found["engine_hours"] is None
    assert any("speed is not known" in line for line in found["assumptions"])


def test_a_pilot_measures_and_the_run_keeps_it(tmp_path: Path, tokenizer_folder: Path) -> None:
    known = perfect_answers(24, planted=2, recipes=("table", "faq"))
    with mock_engine(tmp_path, known, latency=0.02) as engine:
        attributes, home = dataset(engine.url, tokenizer_folder), tmp_path / "home"
        spec = str(write_spec(tmp_path, attributes))
        found = estimate(spec, "--pilot", "5", "--price", "2", home=home)
        assert len(engine.requests()) == 2 * 5
        assert found["prompts"] == 2 * 24 and found["engine_hours"] > 0
        assert any("as in 5 sampled now" in line for line in found["assumptions"])

        done: Any = synth("materialize", spec, "--json", home=home)
        assert done.returncode == 0, done.err
        assert len(engine.requests()) == 2 * 24, "the pilot's answers were asked for again"

        after = estimate(spec, "--price", "2", home=home)
        lengths = [len(text.split()) for text in known.values()]
        assert after["output_tokens"] == pytest.approx(sum(lengths), rel=0.02)
        assert found["output_tokens"] == pytest.approx(sum(lengths), rel=0.25)

        there = generated_files(home)
        estimate(spec, "--pilot", "5", home=home)
        assert len(engine.requests()) == 2 * 24, "a finished version was asked for again"
        assert generated_files(home) == there

        attributes["sources"][0]["documents"] = 30
        estimate(str(write_spec(tmp_path, attributes)), "--pilot", "10", home=home)
        asked = engine.requests()
        assert 2 * 24 < len(asked) < 2 * 24 + 2 * 10
        assert len(set(asked)) == len(asked), "a prompt that had an answer was asked again"


def generated_files(home: Path) -> set[Path]:
    return {path for path in (home / "data").rglob("*") if "generations" in path.parts}


@pytest.mark.parametrize("chunk_tokens", [None, 64], ids=["whole", "chunks"])
def test_a_new_recipe_is_reckoned_from_the_documents_that_are_there(
    chunk_tokens: int | None, tmp_path: Path, tokenizer_folder: Path
) -> None:
    home = tmp_path / "home"
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        attributes = dataset(engine.url, tokenizer_folder)
        attributes["recipes"] = [{"name": "faq", "sampling": {"max_tokens": 400}}]
        done: Any = synth("materialize", str(write_spec(tmp_path / "spec", attributes)), "--json", home=home)
        assert done.returncode == 0, done.err
    attributes["recipes"].append({"name": "math", "sampling": {"max_tokens": 400}, "chunk_tokens": chunk_tokens})
    spec = write_spec(tmp_path / "spec", attributes)
    found = {one["recipe"]: one for one in estimate(str(spec), home=home)["recipes"]}
    assert found["faq"]["prompts"] == 24

    twice = estimate(str(spec), "--documents", "48", home=home)["recipes"]
    with mock_engine(tmp_path, {}) as engine:
        attributes["engine"]["urls"] = [engine.url]
        measured = estimate(str(write_spec(tmp_path / "spec", attributes)), "--pilot", "1", home=home)["recipes"]
    real = next(one for one in measured if one["recipe"] == "math")
    assert found["math"]["prompts"] == pytest.approx(real["prompts"], rel=0.2)  # chunks end where paragraphs do
    assert found["math"]["prompt_tokens"] == pytest.approx(real["prompt_tokens"], rel=0.25)
    assert [one["prompts"] for one in twice] == [48, 2 * found["math"]["prompts"]]
