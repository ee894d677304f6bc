"""The search for the fastest settings: what it tries, what it keeps, what it skips, and what the profile changes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synth_platform.errors import EngineError
from synth_platform.generation.tuning.search import (
    Measured,
    Trial,
    best_of,
    candidates,
    default_space,
    planned,
    say,
    search,
)
from synth_platform_tests.pipeline import dataset, mock_environment, synth, write_spec

SPACE: dict[str, list[Any]] = {"max_num_seqs": [None, 8, 64], "max_num_batched_tokens": [None, 512]}


def test_the_engine_as_it_is_comes_first_then_each_value_alone() -> None:
    tried = candidates(SPACE, {}, 100, seed=1)
    assert tried[0] == {}
    assert tried[1:4] == [{"max_num_seqs": 8}, {"max_num_seqs": 64}, {"max_num_batched_tokens": 512}]
    assert {say(one) for one in tried[4:]} == {
        "max_num_seqs=8, max_num_batched_tokens=512",
        "max_num_seqs=64, max_num_batched_tokens=512",
    }
    assert candidates(SPACE, {}, 3, seed=1) == tried[:3]


def test_what_the_spec_says_is_not_tried() -> None:
    assert candidates(SPACE, {"max_num_seqs": 32}, 100, seed=1) == [{}, {"max_num_batched_tokens": 512}]


def test_the_space_follows_the_machine() -> None:
    assert "gpu_memory_utilization" not in default_space(0)
    assert default_space(1)["tensor_parallel_size"] == [None]
    assert default_space(8)["tensor_parallel_size"] == [None, 2, 4, 8]
    methods = [one and one["method"] for one in default_space(8)["speculative_config"]]
    assert methods == [None, "ngram", "suffix"]


def run(speeds: Mapping[str, float], units: Mapping[str, int] | None = None) -> tuple[list[Trial], list[str]]:
    """A search over candidates of known speed; one without a speed does not start."""

    def measure(settings: Mapping[str, Any], prompts: int) -> Measured:
        if (speed := speeds.get(say(settings))) is None:
            raise EngineError("the engine ended while starting (exit code 1):\n    torch.OutOfMemoryError: no room")
        return Measured(prompts * 10, prompts * 10 / speed, 1.0)

    said: list[str] = []
    tried = candidates(SPACE, {}, 100, seed=1)
    trials = list(search(tried, 90, measure, lambda one: (units or {}).get(say(one), 1), said.append))
    assert len(trials) <= planned(len(tried))
    return trials, said


ALL = {
    "the engine as it is": 100.0,
    "max_num_seqs=8": 50.0,
    "max_num_seqs=64": 150.0,
    "max_num_batched_tokens=512": 120.0,
    "max_num_seqs=8, max_num_batched_tokens=512": 60.0,
    "max_num_seqs=64, max_num_batched_tokens=512": 140.0,
}


def test_the_fastest_wins_and_is_compared_with_the_engine_as_it_is() -> None:
    trials, said = run(ALL)
    best, as_it_is = best_of(trials)
    assert say(best.settings) == "max_num_seqs=64" and best.prompts == 90
    assert as_it_is is not None and (as_it_is.prompts, round(as_it_is.tokens_per_second)) == (90, 100)
    assert [sum(trial.round == number for trial in trials) for number in (1, 2, 3)] == [6, 3, 2]
    assert not said


def test_what_fails_is_skipped_and_said() -> None:
    trials, said = run({**ALL, "max_num_seqs=64": None})  # type: ignore[dict-item]
    assert say(best_of(trials)[0].settings) == "max_num_seqs=64, max_num_batched_tokens=512"
    assert said == ["tuning: skipped max_num_seqs=64: torch.OutOfMemoryError: no room"]


def test_speed_counts_per_gpu() -> None:
    trials, _ = run(ALL, units={"max_num_seqs=64": 2})
    assert say(best_of(trials)[0].settings) == "max_num_seqs=64, max_num_batched_tokens=512"


def test_an_engine_that_does_not_run_as_it_is_can_still_be_tuned() -> None:
    trials, _ = run({"max_num_seqs=8": 50.0})
    best, as_it_is = best_of(trials)
    assert say(best.settings) == "max_num_seqs=8" and as_it_is is None


def test_nothing_that_runs_is_an_error_with_the_last_words() -> None:
    with pytest.raises(EngineError, match="no settings of the engine work"):
        run({})


def test_a_tuned_dataset_uses_its_profile_and_names_it_among_its_inputs(tmp_path: Path) -> None:
    tuning = {"prompts": 18, "candidates": 3, "space": {"max_num_seqs": [None, 16, 32]}}
    engine = {"type": "vllm", "model": "synth-tiny", "context_length": 1024, "tuned": True}
    sources = [{"type": "playground", "documents": 10}]
    recipes = [{"name": "table", "sampling": {"max_tokens": 400}}]
    changes = {"engine": engine, "tuning": tuning, "sources": sources, "recipes": recipes}
    spec = str(write_spec(tmp_path, dataset("", tmp_path, **changes)))
    home, environment = tmp_path / "home", {"SYNTH_ENGINE": str(mock_environment(tmp_path / "engine"))}
    early = synth("materialize", spec, home=home, environment=environment)
    assert early.returncode == 1 and "run: synth tune small" in early.out + early.err

    done = synth("tune", spec, "--json", home=home, environment=environment)
    assert done.returncode == 0, done.err
    profile = json.loads(done.out)
    assert profile["tokens_per_second"] > 0 and len(profile["trials"]) == 3
    again = synth("tune", spec, "--json", home=home, environment=environment)
    assert json.loads(again.out) == profile, "an equal profile is found, not measured anew"

    synth("materialize", spec, home=home, environment=environment)
    manifest = next((home / "data" / "small" / "generations" / "table").rglob("manifest.json"))
    inputs = json.loads(manifest.read_text())["inputs"]
    assert [one["asset"] for one in inputs] == ["small/prompts/table", "small/engine_profile"]
