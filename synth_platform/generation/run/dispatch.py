"""From a request to its outcome: who sends it, who tries again, and which request took an engine down.

A failed try is held against a request only while its server answers others; when the engine is at fault requests
wait, however long, and lose nothing. A request that was in flight when an engine died is a suspect: suspects go
last, in small groups and then alone, so that one poisonous request ends as one failed row.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import Outcome
from synth_platform.generation.budget import Budget
from synth_platform.generation.config import ClientSettings
from synth_platform.generation.servers.client import Client, Trouble
from synth_platform.generation.servers.pool import Diagnosis, Pool, Server

_TRIAL_GROUP = 8
"""Suspects of one death that run together; those of two deaths run alone."""
_FATAL_LONE_DEATHS = 2
_MOST_REJECTIONS = 100
"""Rejections as busy, while others are answered, before they are held against a request."""
_WRITING_SHARE = 0.1
"""Most of the time that may go into writing outcomes: what comes sooner is written together."""


@dataclass(eq=False, slots=True)
class Work:
    """A request on its way.

    Args:
        messages: as JSON.
        fields: all other fields, as a JSON object.
        most_tokens: longest answer, reserved in the budget while it is in flight.
        ledger: where its outcome is recorded.
        shard: under which shard.
        key: by which key.
        done: hears the outcome once it is recorded.
    """

    messages: str
    fields: str
    most_tokens: int
    ledger: Ledger
    shard: int
    key: str
    done: Callable[[Outcome], None]
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
        self._attempts: set[asyncio.Task[None]] = set()
        self._recorder = _Recorder(self._recorded, self.fail)
        self._failed: asyncio.Future[None] | None = None
        self._hungry: tuple[int, asyncio.Future[None]] | None = None

    async def __aenter__(self) -> "Dispatcher":
        self._failed = asyncio.get_running_loop().create_future()
        self.pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._failed is not None:
            self._failed.cancel()  # answers still come while all is being stopped: nothing more is sent for them
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

    def submit(self, work: Iterable[Work]) -> None:
        """Take requests; each one's ``done`` hears its outcome, unless everything fails before."""
        self._queue.extend(work)
        self._pump()

    async def until(self, finished: asyncio.Future[None]) -> None:
        """Wait for something that outcomes bring about.

        Raises:
            EngineError: no server answers any more, or all refuse everything; no request is to blame.
            BudgetSpent: the next request does not fit the budget.
            StorageError: an outcome could not be recorded.
        """
        assert self._failed is not None
        await asyncio.wait((finished, self._failed), return_when=asyncio.FIRST_COMPLETED)
        if not finished.done():
            self._failed.result()

    async def until_fewer_wait(self, than: int) -> None:
        """Wait until fewer requests than this wait for a server; raises as `until`."""
        while self.waiting >= than:
            hungry = asyncio.get_running_loop().create_future()
            self._hungry = (than, hungry)
            await self.until(hungry)

    def fail(self, error: BaseException) -> None:
        """End everything with an error."""
        if self._failed is None or self._failed.done():
            return
        self._failed.set_exception(error)
        self._failed.exception()  # somebody may wait for it, nobody has to
        for attempt in list(self._attempts):
            attempt.cancel()

    def _pump(self) -> None:
        """Give the servers what they can take, and ask for more."""
        self._send()
        if self._hungry is not None and self.waiting < self._hungry[0] and not self._hungry[1].done():
            self._hungry[1].set_result(None)

    def _send(self) -> None:
        while not self._has_failed() and (found := self._next()) is not None:
            work, server = found
            if (reason := self._budget.refuses(work.most_tokens)) is not None:
                self._requeue(work)
                if not self.in_flight:  # else what is in flight may yet leave room
                    self.fail(reason)
                return
            self._budget.reserve(work.most_tokens)
            server.in_flight += 1
            if work.deaths:
                server.on_trial += 1
                server.trial_group = _trial_group(work)
            attempt = asyncio.create_task(self._attempt(work, server, work.deaths > 0))
            self._attempts.add(attempt)
            attempt.add_done_callback(self._attempted)

    def _has_failed(self) -> bool:
        return self._failed is None or self._failed.done()

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

    async def _attempt(self, work: Work, server: Server, on_trial: bool) -> None:
        sent = time.monotonic()
        outcome, pause = None, 0.0
        try:
            outcome = await self._client.complete(server.endpoint, work.messages, work.fields, trusted=server.trusted)
            self.pool.answered(server, time.monotonic() - sent)
        except Trouble as trouble:
            self.faults[trouble.fault] += 1
            outcome, pause = await self._judge(work, server, trouble, sent)
        finally:
            if outcome is None:
                self._release(work, server, on_trial, None)
        if outcome is None:
            self._try_again(work, pause)
        else:
            self._recorder.add(_Answer(work, server, on_trial, outcome))

    def _recorded(self, answers: Sequence["_Answer"]) -> None:
        """Outcomes are written: now their slots are free."""
        for answer in answers:
            self._release(answer.work, answer.server, answer.on_trial, answer.outcome)
        for answer in answers:
            answer.work.done(answer.outcome)
        self._pump()

    def _release(self, work: Work, server: Server, on_trial: bool, outcome: Outcome | None) -> None:
        server.in_flight -= 1
        server.on_trial -= on_trial
        self._budget.settle(work.most_tokens, _used_tokens(work, outcome))

    def _attempted(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        if not attempt.cancelled() and (error := attempt.exception()) is not None:
            self.fail(error)

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
        if pause > 0:
            self._delayed.add(work)
            asyncio.get_running_loop().call_later(pause, self._ready, work)
        else:
            self._requeue(work)
            self._pump()

    def _ready(self, work: Work) -> None:
        self._delayed.discard(work)
        self._requeue(work)
        self._pump()

    def _requeue(self, work: Work) -> None:
        if work.deaths:
            self._suspects.append(work)
        else:
            self._queue.appendleft(work)


@dataclass(frozen=True, slots=True)
class _Answer:
    """An outcome on its way into the ledger."""

    work: Work
    server: Server
    on_trial: bool
    outcome: Outcome


class _Recorder:
    """Group commit: a lone outcome is written at once, those that come while writing was busy lately, together.

    Args:
        recorded: hears which outcomes are written.
        failed: hears why some could not be.
    """

    def __init__(self, recorded: Callable[[Sequence[_Answer]], None], failed: Callable[[BaseException], None]) -> None:
        self._recorded, self._failed = recorded, failed
        self._waiting: list[_Answer] = []
        self._next = 0.0

    def add(self, answer: _Answer) -> None:
        """Write an outcome now or soon."""
        self._waiting.append(answer)
        if len(self._waiting) > 1:
            return  # the first one has it planned
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next:
            self._write()
        else:
            loop.call_at(self._next, self._write)

    def _write(self) -> None:
        answers, self._waiting = self._waiting, []
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            self._append(answers)
            self._next = started + (clock() - started) / _WRITING_SHARE
            self._recorded(answers)
        except Exception as error:  # of any kind: the loop, which calls this, would only log it, and all would wait
            self._failed(error)

    def _append(self, answers: Sequence[_Answer]) -> None:
        rows: dict[tuple[Ledger, int], list[tuple[str, Outcome]]] = {}
        for answer in answers:
            place = (answer.work.ledger, answer.work.shard)
            rows.setdefault(place, []).append((answer.work.key, answer.outcome))
        for (ledger, shard), outcomes in rows.items():
            ledger.append(shard, outcomes)


def _trial_group(work: Work) -> int:
    return _TRIAL_GROUP if work.deaths == 1 else 1


def _used_tokens(work: Work, outcome: Outcome | None) -> int:
    """Tokens that a try has cost: the longest answer where the server does not say."""
    if outcome is None or outcome.status in ("failed", "refused_by_engine"):
        return 0
    return work.most_tokens if outcome.completion_tokens is None else outcome.completion_tokens
