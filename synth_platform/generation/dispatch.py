"""From a request to its outcome: who sends it, who tries again, and which request took an engine down.

A failed try is held against a request only while its server answers others; when the engine is at fault requests
wait, however long, and lose nothing. A request that was in flight when an engine died is a suspect: suspects go
last, in small groups and then alone, so that one poisonous request ends as one failed row.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from zlib import crc32

from synth_platform.generation.budget import Budget
from synth_platform.generation.client import Client, Trouble
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.outcome import Outcome
from synth_platform.generation.pool import Diagnosis, Pool, Server

_TRIAL_GROUP = 8
"""Suspects of one death that run together; those of two deaths run alone."""
_FATAL_LONE_DEATHS = 2
_MOST_REJECTIONS = 100
"""Rejections as busy, while others are answered, before they are held against a request."""

Record = Callable[[Outcome], Awaitable[None]]
"""Makes an outcome durable."""


@dataclass(eq=False, slots=True)
class Work:
    """A request on its way.

    Args:
        messages: as JSON.
        fields: all other fields, as a JSON object.
        most_tokens: longest answer, reserved in the budget while it is in flight.
        record: is awaited with the outcome before the slot is given on.
        done: becomes the outcome.
    """

    messages: str
    fields: str
    most_tokens: int
    record: Record
    done: asyncio.Future[Outcome]
    charged: int = 0
    rejections: int = 0
    deaths: int = 0
    lone_deaths: int = 0


class Dispatcher:
    """Sends what it is asked for as fast as the servers take it.

    Args:
        client: speaks with the servers.
        servers: at least one.
        settings: attempts and patience.
        budget: what may be spent.
    """

    def __init__(self, client: Client, servers: list[Server], settings: ClientSettings, budget: Budget) -> None:
        self._client, self._settings, self._budget = client, settings, budget
        self.pool = Pool(servers, client, settings, self._pump, self.fail)
        self.faults: Counter[str] = Counter()
        """Tries without an outcome, by kind."""
        self._queue: deque[Work] = deque()
        self._suspects: list[Work] = []
        self._delayed: set[Work] = set()
        self._attempts: dict[asyncio.Task[None], Work] = {}
        self._error: BaseException | None = None

    async def __aenter__(self) -> "Dispatcher":
        self.pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.pool.stop()
        attempts = list(self._attempts)
        for attempt in attempts:
            attempt.cancel()
        await asyncio.gather(*attempts, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        """Requests that a server has."""
        return sum(server.in_flight for server in self.pool.servers)

    @property
    def waiting(self) -> int:
        """Requests that no server has yet."""
        return len(self._queue) + len(self._suspects) + len(self._delayed)

    async def ask(self, messages: str, fields: str, most_tokens: int, record: Record) -> Outcome:
        """The outcome of a request, once it is recorded.

        Raises:
            EngineError: no server answers any more, or all refuse everything; the request is not to blame.
            BudgetSpent: the next request does not fit the budget.
            StorageError: an outcome could not be recorded.
        """
        if self._error is not None:
            raise self._error
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(Work(messages, fields, most_tokens, record, done))
        self._pump()
        return await done

    def fail(self, error: BaseException) -> None:
        """End everything with an error."""
        if self._error is not None:
            return
        self._error = error
        for attempt in list(self._attempts):
            attempt.cancel()
        for work in (*self._queue, *self._suspects, *self._delayed, *self._attempts.values()):
            if not work.done.done():
                work.done.set_exception(error)
        self._queue.clear()
        self._suspects.clear()

    def _pump(self) -> None:
        """Give the servers what they can take."""
        while self._error is None and (found := self._next()) is not None:
            work, server = found
            if work.done.cancelled():
                continue
            if (reason := self._budget.refuses(work.most_tokens)) is not None:
                self._requeue(work)
                if not self._attempts:  # else what is in flight may yet leave room
                    self.fail(reason)
                return
            self._budget.reserve(work.most_tokens)
            server.in_flight += 1
            if work.deaths:
                server.on_trial += 1
                server.trial_group = _trial_group(work)
            attempt = asyncio.create_task(self._attempt(work, server))
            self._attempts[attempt] = work
            attempt.add_done_callback(self._attempted)

    def _next(self) -> tuple[Work, Server] | None:
        """The next request and its server. Suspects wait until there is nothing else to do."""
        if self._queue:
            server = self.pool.pick(crc32(self._queue[0].messages.encode("utf-8", "surrogatepass")))
            return None if server is None else (self._queue.popleft(), server)
        if self._suspects and not self._delayed:
            work = min(self._suspects, key=lambda one: one.deaths)
            server = self.pool.pick_for_trial(_trial_group(work))
            if server is not None:
                self._suspects.remove(work)
                return work, server
        return None

    async def _attempt(self, work: Work, server: Server) -> None:
        sent, on_trial = time.monotonic(), work.deaths > 0
        outcome: Outcome | None = None
        pause = 0.0
        try:
            try:
                outcome = await self._client.complete(
                    server.endpoint, work.messages, work.fields, trusted=server.trusted
                )
                self.pool.answered(server, time.monotonic() - sent)
            except Trouble as trouble:
                self.faults[trouble.fault] += 1
                outcome, pause = await self._judge(work, server, trouble, sent)
            if outcome is not None:
                await work.record(outcome)
        finally:
            server.in_flight -= 1
            server.on_trial -= on_trial
            self._budget.settle(work.most_tokens, _used_tokens(work, outcome))
        if outcome is None:
            self._try_again(work, pause)
        elif not work.done.done():
            work.done.set_result(outcome)

    def _attempted(self, attempt: asyncio.Task[None]) -> None:
        work = self._attempts.pop(attempt)
        if attempt.cancelled():
            work.done.cancel()
        elif (error := attempt.exception()) is not None:
            self.fail(error)
            if not work.done.done():
                work.done.set_exception(error)
        self._pump()

    async def _judge(self, work: Work, server: Server, trouble: Trouble, sent: float) -> tuple[Outcome | None, float]:
        """Whose fault a failed try was: the outcome, or None and seconds until the next try."""
        if trouble.fault == "busy":
            self.pool.busy(server, trouble.wait)
            work.rejections += 1
            theirs = work.rejections > _MOST_REJECTIONS and server.last_answer > sent
            return self._charge(work, trouble) if theirs else (None, 0.0)
        if trouble.fault == "lost":
            diagnosis = await self.pool.diagnose(server)
            if diagnosis.dead:
                return (self._suspect(work, diagnosis) if diagnosis.blame else None), 0.0
        if await self.pool.proves_itself(server, sent):
            return self._charge(work, trouble)
        return None, self.pool.pause(0)

    def _suspect(self, work: Work, diagnosis: Diagnosis) -> Outcome | None:
        """Hold the death of a server against a request; twice alone with it is proof."""
        work.deaths += 1
        work.lone_deaths += diagnosis.crowd == 1
        if work.lone_deaths < _FATAL_LONE_DEATHS:
            return None
        return Outcome(
            "failed", error=f"the engine died of it {work.deaths} times, {work.lone_deaths} times alone with it"
        )

    def _charge(self, work: Work, trouble: Trouble) -> tuple[Outcome | None, float]:
        work.charged += 1
        if work.charged >= self._settings.attempts:
            return Outcome("failed", error=trouble.words), 0.0
        return None, max(self.pool.pause(work.charged), trouble.wait or 0.0)

    def _try_again(self, work: Work, pause: float) -> None:
        if self._error is not None:
            if not work.done.done():
                work.done.set_exception(self._error)
            return
        if pause <= 0:
            self._requeue(work)
            return
        self._delayed.add(work)
        asyncio.get_running_loop().call_later(pause, self._ready, work)

    def _ready(self, work: Work) -> None:
        self._delayed.discard(work)
        self._requeue(work)
        self._pump()

    def _requeue(self, work: Work) -> None:
        if work.deaths:
            self._suspects.append(work)
        else:
            self._queue.appendleft(work)


def _trial_group(work: Work) -> int:
    return _TRIAL_GROUP if work.deaths == 1 else 1


def _used_tokens(work: Work, outcome: Outcome | None) -> int:
    """Tokens that a try has cost: the longest answer where the server does not say."""
    if outcome is None or outcome.status in ("failed", "refused_by_engine"):
        return 0
    return work.most_tokens if outcome.completion_tokens is None else outcome.completion_tokens
