"""The servers that answer: which one gets the next request, which are out, and how they come back."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from synth_platform.errors import EngineError
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.servers.client import Client, Endpoint
from synth_platform.generation.servers.concurrency import AdaptiveLimit

_WATCH_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 60.0
_AFFINITY_SLACK = 1.1
"""A request goes to the server that knows its prefix if that is at most so much busier than the idlest."""
_METRIC = re.compile(r"^vllm:(\w+?)(?:_total)?(?:\{[^}]*\})? ([0-9.eE+-]+)$", re.M)


@dataclass(eq=False)
class Server:
    """One server and how it does.

    Args:
        name: for people.
        endpoint: where it is; changes when it is started anew.
        limit: how many requests it gets.
        revive: brings it back when it was lost, and says where it is then. Gets how many probes have failed since,
            and how many answers it ever gave. Raises EngineError if it never comes back.
        was_killed: whether its process was ended from outside, so that no request is to blame.
    """

    name: str
    endpoint: Endpoint
    limit: AdaptiveLimit
    revive: Callable[[int, int], Awaitable[Endpoint]]
    was_killed: Callable[[], Awaitable[bool]]
    up: bool = True
    trusted: bool = False
    in_flight: int = 0
    on_trial: int = 0
    """Requests in flight that are suspected to have killed a server."""
    trial_group: int = 0
    """Most of them at a time."""
    answers: int = 0
    last_answer: float = field(default_factory=time.monotonic)
    not_before: float = 0.0
    busy_in_a_row: int = 0
    tokens_made: float = 0.0
    last_progress: float = field(default_factory=time.monotonic)
    metrics: dict[str, float] = field(default_factory=dict)
    diagnosis: "asyncio.Task[Diagnosis] | None" = None
    death: "Diagnosis | None" = None

    def load(self) -> float:
        """Share of its limit that is taken."""
        return self.in_flight / self.limit.limit


@dataclass(frozen=True)
class Diagnosis:
    """Why a connection broke: ``dead`` servers take all of their requests along."""

    dead: bool
    blame: bool = False
    crowd: int = 0
    """Requests that were in flight when it died."""


class Pool:
    """All servers of a run.

    Args:
        servers: at least one.
        client: speaks with them.
        settings: limits and patience.
        changed: is called when a server may take requests again.
        failed: is called with the error when no server can come back.
    """

    def __init__(
        self,
        servers: list[Server],
        client: Client,
        settings: ClientSettings,
        changed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.servers, self._client, self._settings = servers, client, settings
        self._changed, self._failed = changed, failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._rng = random.Random()
        self._last_answer = time.monotonic()

    def start(self) -> None:
        """Watch the servers from now on."""
        for server in self.servers:
            self._spawn(self._watch(server))

    async def stop(self) -> None:
        """Watch no more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def pick(self, affinity: int) -> Server | None:
        """A server for an unsuspected request: the one of its prefix if it is not busier, else the idlest."""
        now = time.monotonic()
        free = [
            one
            for one in self.servers
            if one.up and not one.on_trial and one.in_flight < one.limit.limit and one.not_before <= now
        ]
        if not free:
            return None
        idlest = min(free, key=Server.load)
        home = self.servers[affinity % len(self.servers)]
        if home in free and home.load() <= idlest.load() * _AFFINITY_SLACK + 1e-9:
            return home
        return idlest

    def pick_for_trial(self, group: int) -> Server | None:
        """A server that runs nothing, or only suspects in groups of this size, and fewer than that."""
        free = (one for one in self.servers if one.up and (not one.in_flight or _has_room(one, group)))
        return min(free, key=lambda one: one.in_flight, default=None)

    def answered(self, server: Server, seconds: float) -> None:
        """A server gave an outcome."""
        server.answers += 1
        server.trusted = True
        server.last_answer = server.last_progress = self._last_answer = time.monotonic()
        server.busy_in_a_row = 0
        server.limit.answered(seconds, server.in_flight)

    def busy(self, server: Server, wait: float | None) -> None:
        """A server asked for less: give it less, and a pause."""
        server.limit.cut()
        pause = self.pause(server.busy_in_a_row)
        server.busy_in_a_row += 1
        server.not_before = time.monotonic() + max(pause, min(wait or 0.0, _LONGEST_WAIT_SECONDS))
        asyncio.get_running_loop().call_at(
            asyncio.get_running_loop().time() + max(server.not_before - time.monotonic(), 0.0) + 0.001, self._changed
        )

    def pause(self, times: int) -> float:
        """Seconds before the next try, doubling, with jitter."""
        return min(_FIRST_PAUSE_SECONDS * 2.0 ** min(times, 10), _LONGEST_PAUSE_SECONDS) * self._rng.uniform(0.5, 1.5)

    async def diagnose(self, server: Server) -> Diagnosis:
        """Find out, once for all requests that lost their connection, whether the server is gone."""
        if server.diagnosis is None or server.diagnosis.done():
            server.diagnosis = asyncio.create_task(self._diagnose(server, server.in_flight))
        return await asyncio.shield(server.diagnosis)

    async def proves_itself(self, server: Server, since: float) -> bool:
        """Whether a server answered others since a request was sent, or does so now. If not, it is out."""
        if server.last_answer > since:
            return True
        if server.up and await self._client.generates(server.endpoint):
            server.last_answer = self._last_answer = time.monotonic()
            return True
        self.put_out(server)
        return False

    def put_out(self, server: Server) -> None:
        """Send a server nothing more until it has proved itself."""
        if server.up:
            server.up = False
            self._spawn(self._bring_back(server))

    async def _diagnose(self, server: Server, crowd: int) -> Diagnosis:
        if not server.up:
            return server.death or Diagnosis(dead=True)
        if await self._client.alive(server.endpoint):
            return Diagnosis(dead=False)
        server.death = Diagnosis(dead=True, blame=not await server.was_killed(), crowd=crowd)
        self.put_out(server)
        return server.death

    async def _bring_back(self, server: Server) -> None:
        try:
            times = 0
            server.endpoint = await server.revive(times, server.answers)
            while not await self._client.generates(server.endpoint):
                self._check_patience()
                await asyncio.sleep(self.pause(times))
                times += 1
                server.endpoint = await server.revive(times, server.answers)
        except EngineError as error:
            self._failed(error)
            return
        server.last_answer = server.last_progress = self._last_answer = time.monotonic()
        server.death = None
        server.busy_in_a_row, server.not_before, server.up = 0, 0.0, True
        self._changed()

    def _check_patience(self) -> None:
        waited = time.monotonic() - self._last_answer
        if waited > self._settings.patience_seconds:
            raise EngineError(
                f"no engine has answered for {waited:.0f} s",
                where=", ".join(server.endpoint.url for server in self.servers),
                fix="see its log; then run again: what was answered is kept",
            )

    async def _watch(self, server: Server) -> None:
        """Follow the server's own counts; end one that has requests but makes no token."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if not server.up:
                continue
            if (text := await self._client.metrics(server.endpoint)) is not None:
                server.metrics = read_metrics(text)
                server.limit.queue(
                    server.metrics.get("num_requests_running", 0.0), server.metrics.get("num_requests_waiting", 0.0)
                )
                made = server.metrics.get("generation_tokens", 0.0) + server.metrics.get("prompt_tokens", 0.0)
                if made != server.tokens_made:
                    server.tokens_made, server.last_progress = made, time.monotonic()
            if not server.in_flight:
                server.last_progress = time.monotonic()
            stalled = time.monotonic() - server.last_progress
            if stalled > getattr(self._settings, "stall_seconds", float("inf")):
                await self.proves_itself(server, time.monotonic())
                server.last_progress = time.monotonic()

    def _spawn(self, work: Awaitable[None]) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error)


def _has_room(server: Server, group: int) -> bool:
    return server.in_flight == server.on_trial and server.trial_group == group and server.in_flight < group


def read_metrics(text: str) -> dict[str, float]:
    """vLLM's Prometheus counters by name, summed over their labels."""
    found: dict[str, float] = {}
    for name, value in _METRIC.findall(text):
        found[name] = found.get(name, 0.0) + float(value)
    return found
