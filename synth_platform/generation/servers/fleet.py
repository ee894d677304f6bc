"""The servers of our own: as many as the spec wants, each with GPUs or cores of its own, restarted when they die."""

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth_platform.errors import EngineError
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.client import Endpoint
from synth_platform.generation.servers.environment import EngineEnvironment, check_arguments
from synth_platform.generation.servers.vllm_server import VllmServer, check_weights, end_orphans, log_tail

_MOST_FRUITLESS = 8
"""Deaths in a row without an answer in between, after which the engine is given up."""
_FROZEN_SECONDS = 30.0
"""A server that runs but completes nothing for so long is started anew."""
_MOST_STARTS = 5
_LONGEST_BACKOFF_SECONDS = 30.0
_DEFAULT_SEQUENCES = 256


class OwnedHost:
    """A server that we started, and start again."""

    starts_full = True

    def __init__(self, server: VllmServer, spec: VllmEngine, tell: Callable[[str], None]) -> None:
        self._server, self._spec, self._tell = server, spec, tell
        self._fruitless, self._answers = 0, 0
        self._failing_since = 0.0
        self._smaller: dict[str, Any] = {}
        self.name = server.name

    @property
    def endpoint(self) -> Endpoint:
        return self._server.endpoint

    async def was_killed(self) -> bool:
        for _ in range(20):  # its socket closes a moment before it ends
            if self._server.exit_code() is not None:
                return self._server.was_killed()
            await asyncio.sleep(0.05)
        return False

    async def revive(self, failed_probes: int, answers: int) -> Endpoint:
        if not failed_probes:
            self._failing_since = time.monotonic()
        frozen = time.monotonic() - self._failing_since > _FROZEN_SECONDS
        if self._server.exit_code() is None and not frozen:
            return self.endpoint
        await self._restart(answers)
        self._failing_since = time.monotonic()
        return self.endpoint

    async def _restart(self, answers: int) -> None:
        """Start it anew, later and later, with less load if it ran out of memory."""
        while True:
            self._fruitless = self._fruitless + 1 if answers == self._answers else 1
            self._answers = answers
            self._give_up_or_shrink()
            pause = min(2.0 ** (self._fruitless - 1) - 1, _LONGEST_BACKOFF_SECONDS)
            code = self._server.exit_code()
            self._tell(
                f"engine: {self.name} {'is frozen' if code is None else f'died (exit code {code})'};"
                f" starting it anew{f' in {pause:.0f} s' if pause else ''}"
            )
            await asyncio.gather(asyncio.to_thread(self._server.stop), asyncio.sleep(pause))
            self._server.launch(self._smaller)  # here, not in a thread: the kernel ends it with its thread
            try:
                await asyncio.to_thread(self._server.await_ready)
                return
            except EngineError as error:
                self._tell(f"engine: {error.what.splitlines()[0]}")

    def _give_up_or_shrink(self) -> None:
        if self._server.ran_out_of_memory() and self._server.exit_code() is not None:
            if self._smaller:
                raise self._gave_up("ran out of memory, with a smaller load too")
            self._smaller = smaller_load(self._spec)
            self._tell(f"engine: {self.name} ran out of memory; trying {self._smaller}")
        if self._fruitless > _MOST_FRUITLESS:
            raise self._gave_up(f"died {_MOST_FRUITLESS} times without an answer in between")

    def _gave_up(self, why: str) -> EngineError:
        return EngineError(
            f"the engine {why}:\n{log_tail(self._server.log)}",
            where=str(self._server.log),
            fix="the log's end says why; mend it and run again: what was answered is kept",
        )


def smaller_load(spec: VllmEngine) -> dict[str, Any]:
    """Arguments for a second try where memory did not suffice; they change no answer."""
    smaller: dict[str, Any] = {"max_num_seqs": max(int(spec.arguments.get("max_num_seqs", _DEFAULT_SEQUENCES)) // 2, 1)}
    if "gpu_memory_utilization" in spec.arguments:
        smaller["gpu_memory_utilization"] = round(max(float(spec.arguments["gpu_memory_utilization"]) - 0.1, 0.1), 2)
    return smaller


@contextmanager
def run_fleet(
    spec: VllmEngine,
    environment: EngineEnvironment,
    folder: Path,
    tell: Callable[[str], None],
    *,
    name: str = "vllm",
) -> Iterator[list[OwnedHost]]:
    """Start all servers, give them once they answer, and stop them at the end.

    Args:
        spec: model, arguments, replicas.
        environment: the engine's environment.
        folder: for logs and the records of running servers.
        tell: hears how far the start is.
        name: of the servers, in front of their number.

    Raises:
        EngineError: the model or an argument is refused, there are too few GPUs, or a server does not start.
    """
    if spec.seeds and environment.kind == "cpu":
        raise EngineError(
            "vLLM's CPU build dies of a request with a seed", where="engine.seeds", fix="set it to false here"
        )
    check_weights(spec)
    check_arguments(environment, spec.arguments)
    end_orphans(folder)
    servers = [
        VllmServer(spec, environment, folder, name=f"{name}-{number}", variables=variables, tell=tell)
        for number, variables in enumerate(shares(spec, environment))
    ]
    try:
        _start(servers, spec)
        yield [OwnedHost(server, spec, tell) for server in servers]
    finally:
        with ThreadPoolExecutor(len(servers)) as threads:
            list(threads.map(VllmServer.stop, servers))


def _start(servers: list[VllmServer], spec: VllmEngine) -> None:
    """Start all at once; again if one was killed from outside, and once with less load if memory did not suffice."""
    changes: dict[str, Any] = {}
    for last in (False,) * (_MOST_STARTS - 1) + (True,):
        for server in servers:
            server.launch(changes)
        try:
            with ThreadPoolExecutor(len(servers)) as threads:
                list(threads.map(VllmServer.await_ready, servers))
            return
        except EngineError:
            killed = any(server.was_killed() for server in servers)
            too_large = not changes and any(server.ran_out_of_memory() for server in servers)
            for server in servers:
                server.stop()
            if last or not (killed or too_large):
                raise
            if too_large:
                changes = smaller_load(spec)


def units(spec: VllmEngine, environment: EngineEnvironment) -> int:
    """What is paid for by the hour: GPUs, or servers where there are none."""
    return spec.replicas * (spec.gpus_per_replica if environment.kind == "gpu" else 1)


def shares(spec: VllmEngine, environment: EngineEnvironment) -> list[dict[str, str]]:
    """Each server's own variables: its GPUs, or its cores where there are none.

    Raises:
        EngineError: there are fewer GPUs than all servers together need.
    """
    if environment.kind == "gpu":
        return _gpu_shares(spec, visible_gpus(os.environ | spec.environment))
    cores = sorted(os.sched_getaffinity(0))
    if spec.replicas == 1 or "VLLM_CPU_OMP_THREADS_BIND" in spec.environment:
        return [{} for _ in range(spec.replicas)]
    return [{"VLLM_CPU_OMP_THREADS_BIND": _core_share(cores, n, spec.replicas)} for n in range(spec.replicas)]


def _gpu_shares(spec: VllmEngine, gpus: list[str]) -> list[dict[str, str]]:
    each = spec.gpus_per_replica
    if spec.replicas * each > len(gpus):
        raise EngineError(
            f"{spec.replicas} servers with {each} GPUs each need {spec.replicas * each} GPUs,"
            f" and {len(gpus)} are visible",
            where="engine.replicas",
            fix="lower engine.replicas or engine.arguments.tensor_parallel_size, or make more visible"
            " (CUDA_VISIBLE_DEVICES)",
        )
    return [{"CUDA_VISIBLE_DEVICES": ",".join(gpus[n * each : (n + 1) * each])} for n in range(spec.replicas)]


def visible_gpus(variables: Mapping[str, str] = os.environ) -> list[str]:
    """GPUs that a process with these variables may use."""
    if (named := variables.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu for gpu in named.split(",") if gpu.strip()]
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    return [str(number) for number, line in enumerate(listed.splitlines()) if line.startswith("GPU ")]


def _core_share(cores: list[int], number: int, of: int) -> str:
    """Cores of one server; where there are more servers than cores, some share one."""
    low = number * len(cores) // of
    high = max((number + 1) * len(cores) // of, low + 1)
    return ",".join(map(str, cores[low:high]))


def machine(environment: EngineEnvironment) -> list[str]:
    """What the engine runs on: the models of the GPUs, or how many cores there are."""
    if environment.kind == "cpu":
        return [f"{len(os.sched_getaffinity(0))} cores"]
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[:-1]
