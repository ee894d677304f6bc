"""One measurement for the tuning: a server of its own with some settings, and real prompts sent as a run sends them."""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.errors import EngineError
from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.generation.budget import Budget
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.run.dispatch import Dispatcher, Work
from synth_platform.generation.servers.client import Client, Endpoint
from synth_platform.generation.servers.environment import EngineEnvironment
from synth_platform.generation.servers.fleet import shares
from synth_platform.generation.servers.hosts import server_of
from synth_platform.generation.servers.vllm_server import VllmServer, log_tail
from synth_platform.generation.tuning.search import Measured, Settings
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.store import open_store

_WARM_UP = 8
_DEFAULT_SEQUENCES = 256
_USABLE = ("ok", "truncated", "empty")


@dataclass(frozen=True)
class TunePrompt:
    """A prompt of the dataset, and the fields of its recipe's requests as JSON."""

    messages: str
    fields: str
    most_tokens: int


def draw_prompts(rendered: Sequence[tuple[Snapshot, Mapping[str, Any]]], count: int, seed: int) -> list[TunePrompt]:
    """Prompts of several versions, as many of each as it has of all, in random order: any part is like the whole.

    Args:
        rendered: prompts, and the fields of their requests.
        count: how many to draw, if there are so many.
        seed: of the order.
    """
    rows = max(sum(prompts.manifest.rows for prompts, _ in rendered), 1)
    drawn: list[TunePrompt] = []
    for prompts, fields in rendered:
        share = max(round(min(count / rows, 1.0) * prompts.manifest.rows), 1)
        messages = prompts.scan().select(pl.col("messages").sample(share, seed=seed % 2**32)).collect().to_series()
        shown, most = json.dumps(dict(fields), ensure_ascii=False), int(fields["max_tokens"])
        drawn += [TunePrompt(text, shown, most) for text in messages]
    random.Random(seed).shuffle(drawn)
    return drawn[:count]


def in_flight(spec: VllmEngine, settings: Settings) -> int:
    """Requests that keep a server with these settings full."""
    arguments = {**spec.arguments, **settings}
    return max(int(arguments.get("max_num_seqs") or _DEFAULT_SEQUENCES), spec.concurrency)


class TrialServer:
    """Measures candidates, each on a server that lives as long as its measurement.

    Args:
        spec: the engine as it is.
        environment: of the engine.
        folder: for logs.
        prompts: at least as many as any round needs.
    """

    def __init__(
        self, spec: VllmEngine, environment: EngineEnvironment, folder: Path, prompts: Sequence[TunePrompt]
    ) -> None:
        self._spec, self._environment, self._folder, self._prompts = spec, environment, folder, prompts

    def units(self, settings: Settings) -> int:
        """GPUs that a candidate uses; 1 where there are none."""
        return self._with(settings).gpus_per_replica if self._environment.kind == "gpu" else 1

    def measure(self, settings: Settings, prompts: int) -> Measured:
        """Start a server, warm it up, and time it.

        Raises:
            EngineError: it does not start, dies, or does not answer every prompt.
        """
        spec = self._with(settings)
        server = VllmServer(
            spec, self._environment, self._folder, name="tuning", variables=shares(spec, self._environment)[0]
        )
        started = time.monotonic()
        try:
            server.launch()
            server.await_ready()
            return asyncio.run(_measure(server, spec, self._prompts[:prompts], time.monotonic() - started))
        finally:
            server.stop()

    def _with(self, settings: Settings) -> VllmEngine:
        changes: dict[str, Any] = {
            "arguments": {**self._spec.arguments, **settings},
            "concurrency": in_flight(self._spec, settings),
            "replicas": 1,
        }
        return self._spec.model_copy(update=changes)


class _Host:
    """A server that may die only once."""

    starts_full = True

    def __init__(self, server: VllmServer) -> None:
        self._server = server
        self.name, self.endpoint = server.name, server.endpoint

    async def revive(self, failed_probes: int, answers: int) -> Endpoint:
        if (code := self._server.exit_code()) is None and failed_probes < _WARM_UP:
            return self.endpoint
        raise EngineError(f"it died while it was measured (exit code {code}):\n{log_tail(self._server.log)}")

    async def was_killed(self) -> bool:
        return self._server.was_killed()


async def _measure(
    server: VllmServer, spec: VllmEngine, prompts: Sequence[TunePrompt], startup_seconds: float
) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(open_store(folder), "tuning", "trial")
        async with (
            Client(spec.request_seconds) as client,
            Dispatcher(client, [server_of(_Host(server), spec)], spec, Budget()) as dispatcher,
        ):
            await _send(dispatcher, ledger, prompts[:_WARM_UP], "warm-up")
            started = time.monotonic()
            outcomes = await _send(dispatcher, ledger, prompts, "")
            seconds = time.monotonic() - started
        ledger.close()
    if unusable := [outcome for outcome in outcomes if outcome.status not in _USABLE]:
        raise EngineError(f"{len(unusable)} of {len(outcomes)} prompts had no answer: {unusable[0].error}")
    return Measured(sum(outcome.completion_tokens or 0 for outcome in outcomes), seconds, startup_seconds)


async def _send(dispatcher: Dispatcher, ledger: Ledger, prompts: Sequence[TunePrompt], label: str) -> list[Outcome]:
    finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outcomes: list[Outcome] = []

    def done(outcome: Outcome) -> None:
        outcomes.append(outcome)
        if len(outcomes) == len(prompts):
            finished.set_result(None)

    ordered = sorted(prompts, key=lambda prompt: prompt.messages)
    dispatcher.submit(
        Work(prompt.messages, prompt.fields, prompt.most_tokens, ledger, 0, f"{label}{place}", done)
        for place, prompt in enumerate(ordered)
    )
    await dispatcher.until(finished)
    return outcomes
