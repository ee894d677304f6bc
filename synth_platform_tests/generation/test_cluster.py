"""Generation on a Ray cluster of several nodes: the same snapshot, whoever made it and whoever was lost."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from synth_platform.errors import EngineError
from synth_platform.generation.budget import BudgetSpent
from synth_platform_tests.generation.runs import Run, execute, sample
from synth_platform_tests.pipeline import mock_environment, read_book

ENGINE = {"type": "ray", "model": "mock", "replicas": 2, "concurrency": 8}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head without CPUs and two nodes, each with room for one server."""
    monkeypatch.setenv("SYNTH_ENGINE", str(mock_environment(tmp_path / "engine", latency=0.05)))
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        started.add_node(num_cpus=1)
        started.add_node(num_cpus=1)
        started.connect()
        yield started
    finally:
        ray.shutdown()
        started.shutdown()


def test_a_lost_node_costs_what_it_had_in_flight(cluster: Cluster, tmp_path: Path) -> None:
    run = Run(str(tmp_path / "home"), ENGINE, prompts=600, shard_size=16)
    book = tmp_path / "engine" / "mock"
    lost: list[int] = []

    def remove_a_node() -> None:
        while len(read_book(book)) < 200:
            time.sleep(0.05)
        lost.append(len(read_book(book)))
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    remover = threading.Thread(target=remove_a_node)
    remover.start()
    snapshot = execute(run)
    remover.join()
    rows = snapshot.scan().collect()
    assert lost and lost[0] < 600
    assert rows["prompt_id"].n_unique() == rows.height == 600
    assert set(rows["status"]) == {"ok"}
    probes = 3  # each start of a server asks for a completion
    assert len(read_book(book)) <= 600 + ENGINE["concurrency"] + probes
    alone = execute(Run(str(tmp_path / "alone"), {**ENGINE, "type": "vllm", "replicas": 1}, prompts=600, shard_size=16))
    assert snapshot.manifest.digest == alone.manifest.digest
    assert snapshot.manifest.snapshot_id == alone.manifest.snapshot_id


def test_a_budget_of_tokens_holds_over_all_nodes(cluster: Cluster, tmp_path: Path) -> None:
    run = Run(str(tmp_path / "home"), ENGINE, prompts=200, shard_size=8, fields={"max_tokens": 40})
    with pytest.raises(BudgetSpent, match=r"5\d\d of 600 tokens are written|600 of 600 tokens are written"):
        execute(replace(run, budget={"output_tokens": 600}))
    sent = len(read_book(tmp_path / "engine" / "mock"))
    assert execute(run).scan().collect()["completion_tokens"].unique().to_list() == [5]
    assert (600 - 40) / 5 < sent <= 600 / 5
    assert len(read_book(tmp_path / "engine" / "mock")) == 200, "what was answered is not asked for again"

    longer = sample(replace(run, prompts=250, reuse=True), 25)
    assert len(longer.outcomes) == 25 and {one.status for one in longer.outcomes} == {"ok"}
    assert longer.output_tokens == 5 * 5, "answers of before tell nothing of the engine's speed"
    assert len(read_book(tmp_path / "engine" / "mock")) == 200 + 5


def test_a_cluster_that_is_too_small_is_told(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="a server needs 64 CPUs, and the Ray cluster has 2"):
        execute(Run(str(tmp_path / "home"), {**ENGINE, "cpus_per_replica": 64}, prompts=10))
