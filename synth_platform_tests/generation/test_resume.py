"""Runs that stop and go on: with the same settings nothing is asked twice, with others nothing is mixed in.

Each of the four ways in which the best-known tool of this field loses or mixes rows is a test here: a changed shard
size, a changed template, a changed model, and a write that fails.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.digest import digest_texts
from synth_platform.errors import StorageError
from synth_platform.generation.answers.earlier import EarlierAnswers
from synth_platform.generation.answers.lengths import Lengths
from synth_platform.generation.answers.outcome import Outcome, outcome_frame
from synth_platform.generation.budget import BudgetSpent
from synth_platform.generation.run.meter import read_status
from synth_platform.generation.schema import GENERATIONS
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.manifest import PartEntry
from synth_platform.snapshots.unfinished import unfinished_elsewhere
from synth_platform.workspace import Workspace
from synth_platform_tests.generation.mock_server import Fault
from synth_platform_tests.generation.runs import ASSET, Run, execute, sample, start, texts
from synth_platform_tests.generation.test_faults import check_whole, digest_of, endpoint_run, wait_for
from synth_platform_tests.pipeline import (
    dataset,
    mock_engine,
    mock_environment,
    perfect_answers,
    read_book,
    synth,
    write_spec,
)

WORDS_PER_ANSWER = 5
"""Of the mock engine's answers, which it reports as their tokens."""


def stopped_half_way(run: Run) -> None:
    """Begin a run and have it stopped by its budget, with a shard begun."""
    some = Run(**{**vars(run), "budget": {"output_tokens": 90 * WORDS_PER_ANSWER}, "fields": run.fields})
    with pytest.raises(BudgetSpent):
        execute(some)


def answers(snapshot: Snapshot) -> list[str]:
    return snapshot.scan().select("text").collect()["text"].to_list()


def expected(run: Run) -> list[str]:
    return [f"Nothing is known of {digest_of(text)}." for text in texts(run)]


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> EarlierAnswers:
    """A hundred answers in ten shards, every seventh of which failed."""
    workspace = Workspace(tmp_path_factory.mktemp("earlier"))
    identity = Identity(ASSET, None, "1", {})
    writer = SnapshotWriter(
        workspace.snapshots, identity, {"generations": GENERATIONS}, scratch=workspace.scratch, run_id="test"
    )
    for shard in range(10):
        numbers = range(10 * shard, 10 * shard + 10)
        rows = outcome_frame(
            [Outcome("ok", f"answer {n}") if n % 7 else Outcome("failed", f"failed {n}") for n in numbers]
        )
        ids = pl.DataFrame({"id": digest_texts([str(n) for n in numbers])})
        filled = ids.hstack(rows).with_columns(
            pl.concat_list("id").alias("requests"),
            *(pl.lit("", pl.String).alias(name) for name in ("prompt_id", "model", "engine_digest")),
        )
        writer.commit_shard("generations", shard, filled.select(GENERATIONS.names()))
    writer.use_shards("generations", 10)
    return EarlierAnswers(writer.commit())


def keys_of_earlier(earlier: EarlierAnswers) -> list[str]:
    return earlier.version.scan().select(pl.col("requests").list.first()).collect().to_series().to_list()


def test_a_stopped_run_goes_on_without_asking_again(tmp_path: Path) -> None:
    with mock_engine(tmp_path) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, fields={"max_tokens": 5})
        stopped_half_way(run)
        asked = len(engine.requests())
        assert 80 <= asked <= 90
        snapshot = execute(run)
        assert len(engine.requests()) == run.prompts, "an answer was asked for twice"
    check_whole(snapshot, run)
    assert answers(snapshot) == expected(run)
    assert not list((tmp_path / "home" / "data").rglob("*.log")), "the ledger of a committed version is gone"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shard_size": 7}, "shard_size 16 -> 7"),
        ({"template": "Explain document {number} instead."}, "prompts has changed"),
        ({"fields": {"max_tokens": 6}}, "sampling.max_tokens 5 -> 6"),
    ],
)
def test_changed_settings_begin_anew_and_say_so(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    with mock_engine(tmp_path) as engine:
        before = endpoint_run(tmp_path / "home", engine.url, fields={"max_tokens": 5})
        stopped_half_way(before)
        asked = len(engine.requests())
        after = Run(**{**vars(before), **changes})
        snapshot = execute(after)
        assert len(engine.requests()) == asked + after.prompts, "an answer to other settings was used"
        check_whole(snapshot, after)
        assert answers(snapshot) == expected(after)
        lines = list(unfinished_elsewhere(after.workspace().snapshots, identity_of(snapshot)))
        assert len(lines) == 1 and said in lines[0]
        again = execute(before)
        assert len(engine.requests()) == asked + after.prompts + before.prompts - asked, "the first run was not kept"
        assert answers(again) == expected(before)


def identity_of(snapshot: Snapshot) -> Any:
    manifest = snapshot.manifest
    return Identity(manifest.asset, manifest.partition, manifest.code_version, manifest.settings)


def test_another_model_behind_the_same_name_never_gives_old_text(tmp_path: Path) -> None:
    run = endpoint_run(tmp_path / "home", "http://unused/v1", fields={"max_tokens": 5})
    with mock_engine(tmp_path / "a") as engine:
        run.engine["urls"] = [engine.url]
        stopped_half_way(run)
    new = {text: f"The other model knows {number}." for number, text in enumerate(texts(run))}
    with mock_engine(tmp_path / "b", new, root="mock-2") as engine:
        run.engine["urls"] = [engine.url]
        snapshot = execute(run)
        assert len(engine.requests()) == run.prompts
    assert answers(snapshot) == list(new.values())


def test_a_full_disk_ends_the_run_and_costs_nothing_else(small_disk: Path, tmp_path: Path) -> None:
    """The answers of 400 prompts do not fit on the disk; once there is room the run goes on."""
    long = {text: f"{number} " + "word " * 1500 for number, text in enumerate(texts(Run("", {}, prompts=400)))}
    home = small_disk / "home"
    with mock_engine(tmp_path, long) as engine:
        run = endpoint_run(home, engine.url, prompts=400, shard_size=400, fields={"max_tokens": 5000})
        with pytest.raises(StorageError, match="No space left"):
            execute(run)
        assert run.workspace().snapshots.head(ASSET, None) is None
        asked = len(engine.requests())
        subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
        snapshot = execute(run)
        again = len(engine.requests()) - run.prompts
        assert again <= run.engine["concurrency"] + 16, f"{again} of {asked} answers were not kept"
    check_whole(snapshot, run)
    assert answers(snapshot) == list(long.values())


def test_kill_of_a_run_on_s3_repeats_some_seconds_at_most(s3_root: str, tmp_path: Path) -> None:
    with mock_engine(tmp_path, latency=0.2) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, prompts=300)
        process = start(run, SYNTH_DATA=s3_root)
        with wait_for(lambda: len(engine.requests()) > 150):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        before = engine.requests()
        assert start(run, SYNTH_DATA=s3_root).wait(timeout=120) == 0, (tmp_path / "home" / "run.log").read_text()
        again = len(engine.requests()) - run.prompts
    assert set(before) <= set(engine.requests())
    assert again <= 4 * 8 / 0.2, "more than about four seconds of answers were asked for again"


def test_output_tokens_never_exceed_the_budget(tmp_path: Path) -> None:
    with mock_engine(tmp_path) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, fields={"max_tokens": 20})
        for limit in (100, 300, 700):
            some = Run(**{**vars(run), "budget": {"output_tokens": limit}})
            with pytest.raises(BudgetSpent, match=r"the budget is used up: \d+ of \d+ tokens are written"):
                execute(some)
            spent = len(engine.requests()) * WORDS_PER_ANSWER
            assert limit - 20 < spent <= limit
        execute(run)
        assert len(engine.requests()) == run.prompts


def test_a_sample_of_what_is_there_asks_for_nothing(tmp_path: Path) -> None:
    """Of shards that are committed, of one that is begun, and of the version before."""
    with mock_engine(tmp_path) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, fields={"max_tokens": 5})
        first = sample(run, 20)
        assert len(engine.requests()) == len(first.outcomes) == 20
        assert first.output_tokens == 20 * WORDS_PER_ANSWER
        stopped_half_way(run)
        asked = len(engine.requests())
        again = sample(run, 20)
        assert len(engine.requests()) == asked and again.output_tokens == 0
        assert sorted(one.text for one in again.outcomes) == sorted(one.text for one in first.outcomes)
        execute(run)
        longer = sample(Run(**{**vars(run), "prompts": 400, "reuse": True}), 40)
        assert len(engine.requests()) == 200 + 20 and len(longer.outcomes) == 40
        assert longer.output_tokens == 20 * WORDS_PER_ANSWER, "answers of before tell nothing of the engine's speed"


def test_what_was_taken_over_costs_nothing_after_a_stop_either(tmp_path: Path) -> None:
    with mock_engine(tmp_path) as engine:
        before = endpoint_run(tmp_path / "home", engine.url, prompts=100, fields={"max_tokens": 5})
        execute(before)
        after = Run(**{**vars(before), "prompts": 200, "reuse": True})
        with pytest.raises(BudgetSpent, match=r"2\d\d of 250 tokens are written"):
            execute(Run(**{**vars(after), "budget": {"output_tokens": 50 * WORDS_PER_ANSWER}}))
        snapshot = execute(Run(**{**vars(after), "budget": {"output_tokens": 100 * WORDS_PER_ANSWER}}))
        assert len(engine.requests()) == 200
    check_whole(snapshot, after)
    assert answers(snapshot) == expected(after)


def test_answers_that_nobody_has_counted_are_counted_when_they_are_taken_over(
    tmp_path: Path, tokenizer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mock_engine(tmp_path, None, Fault("uncounted")) as engine:
        before = endpoint_run(tmp_path / "home", engine.url, prompts=50)
        before.engine["tokenizer"] = str(tokenizer_folder)
        with monkeypatch.context() as patched:
            patched.setattr(Lengths, "known", lambda self, outcomes: list(outcomes))
            assert execute(before).scan().select(pl.col("completion_tokens").null_count()).collect().item() == 50
        snapshot = execute(Run(**{**vars(before), "prompts": 60, "reuse": True}))
        assert len(engine.requests()) == 60
    counted = snapshot.scan().select("completion_tokens").collect().to_series()
    assert counted.to_list() == ChatTokenizer.load("mock", str(tokenizer_folder)).count(answers(snapshot))


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(0, 130), max_size=40))
def test_earlier_answers_are_found_in_any_order(rows: list[int], versions: EarlierAnswers) -> None:
    keys = keys_of_earlier(versions)
    known = dict(zip(keys, answers(versions.version), strict=True))
    asked = [keys[row] if row < len(keys) else f"{row:032x}" for row in rows]
    found = versions.read(asked)
    assert {key: outcome.text for key, outcome in found.items()} == {
        key: known[key] for key in asked if key in known and "failed" not in known[key]
    }


def test_earlier_answers_are_not_searched_from_the_start_for_every_shard(
    versions: EarlierAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    part_batches = Snapshot.part_batches

    def counting(self: Snapshot, part: PartEntry, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        opened.append(part.path)
        return part_batches(self, part, columns)

    keys = keys_of_earlier(versions)
    versions.read(keys[:1])
    monkeypatch.setattr(Snapshot, "part_batches", counting)
    monkeypatch.setattr(Snapshot, "scan", lambda self: pytest.fail("all of it was read"))
    for first in range(0, len(keys), 10):
        versions.read(keys[first : first + 10])
    assert len(opened) == len(set(opened)) == 10


@pytest.mark.parametrize("budget", [{"cost": 1.0}, {"engine_hours": 4 / 3600}])
def test_a_budget_of_time_or_money_ends_the_run_and_is_not_forgotten(budget: dict[str, float], tmp_path: Path) -> None:
    # All of it takes eight seconds and more; what is allowed is enough to begin, however busy the machine is.
    with mock_engine(tmp_path, latency=0.3) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, budget=budget)
        run.engine["price_per_hour"] = 3600.0 / 4  # four seconds
        with pytest.raises(BudgetSpent, match=f"engine hours are used, .* in money(.|\n)*budget.{next(iter(budget))}"):
            execute(run)
        asked = len(engine.requests())
        assert 0 < asked < run.prompts
        with pytest.raises(BudgetSpent, match="in money"):
            execute(run)
        assert len(engine.requests()) == asked, "a budget that is used up pays for nothing more"
        without = Run(**{**vars(run), "budget": {}})
        assert execute(without).manifest.details["engine_seconds"] > 4


def test_status_tells_a_running_run_from_a_dead_one(tmp_path: Path) -> None:
    with mock_engine(tmp_path, latency=0.3) as engine:
        run = endpoint_run(tmp_path / "home", engine.url)
        process = start(run)
        folder = run.workspace().status
        with wait_for(lambda: any(one["done"] > 20 for one in read_status(folder))):
            (running,) = read_status(folder, "test")
        assert running["state"] == "running" and running["in_flight"] == 8 and running["total"] == 200
        assert running["output_tokens"] == running["outcomes"]["ok"] * WORDS_PER_ANSWER
        assert running["seconds_left"] > 0
        metrics = (folder / "test.prom").read_text()
        assert 'synth_generation_prompts{dataset="test",partition=""} 200' in metrics
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert read_status(folder, "test")[0]["state"].startswith("dead")
        assert execute(run).manifest.rows == 200
        (finished,) = read_status(folder, "test")
        assert finished["state"] == "finished" and finished["done"] == 200 and finished["kept"] > 20


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_stop_stops_its_server_and_keeps_its_answers(
    how: signal.Signals, tmp_path: Path, tokenizer_folder: Path
) -> None:
    """What Ctrl+C does in a terminal, and Dagster's terminate button to a run's process."""
    known = perfect_answers(24, planted=2)
    environment = mock_environment(tmp_path / "environment", known, latency=0.3)
    recipe = {"name": "faq", "sampling": {"max_tokens": 400}}
    attributes = dataset("http://unused/v1", tokenizer_folder, recipes=[recipe])
    attributes["engine"] = {"type": "vllm", "model": "synth-tiny", "context_length": 2048, "concurrency": 4}
    path, home = write_spec(tmp_path / "spec", attributes), tmp_path / "home"
    process = synth("materialize", str(path), home=home, wait=False, environment={"SYNTH_ENGINE": str(environment)})
    book = environment / "mock"
    with wait_for(lambda: len(read_book(book)) > 8):
        process.send_signal(how)
    assert process.wait(timeout=60) != 0
    time.sleep(0.5)
    assert not list((home / "logs").rglob("server-*.json")), "the server was not stopped"
    before = read_book(book)
    again = synth("materialize", str(path), "--json", home=home, environment={"SYNTH_ENGINE": str(environment)})
    assert again.returncode == 0, again.err
    assert len(read_book(book)) - 24 <= 4, "more was asked again than was in flight"
    assert set(before) <= set(read_book(book))


def test_the_ledger_is_synced_while_answers_come(tmp_path: Path) -> None:
    """Without fsync a power cut would cost what only the page cache had."""
    shim = tmp_path / "shim"
    shim.mkdir()
    (shim / "sitecustomize.py").write_text(
        "import os\n"
        "real = os.fsync\n"
        "def fsync(handle):\n"
        "    name = os.readlink(f'/proc/self/fd/{handle}')\n"
        f"    open({str(tmp_path / 'synced.txt')!r}, 'a').write(name + '\\n')\n"
        "    return real(handle)\n"
        "os.fsync = fsync\n"
    )
    with mock_engine(tmp_path, latency=0.3) as engine:
        run = endpoint_run(tmp_path / "home", engine.url)
        path = os.pathsep.join([str(shim), *filter(None, [os.environ.get("PYTHONPATH")])])
        assert start(run, PYTHONPATH=path).wait(timeout=60) == 0, (tmp_path / "home" / "run.log").read_text()
    synced = (tmp_path / "synced.txt").read_text().splitlines()
    logs = [name for name in synced if name.endswith(".log")]
    assert len(logs) >= 2, "the ledger was not synced every few seconds"
    assert any("/ledger/" in name and not name.endswith(".log") for name in synced), "nor was its folder"


def test_rows_name_the_requests_that_made_them(tmp_path: Path) -> None:
    with mock_engine(tmp_path) as engine:
        snapshot = execute(endpoint_run(tmp_path / "home", engine.url, prompts=20))
    keys = snapshot.scan().select(pl.col("requests").list.first()).collect()["requests"]
    assert keys.n_unique() == 20 and keys.str.len_chars().unique().to_list() == [32]
