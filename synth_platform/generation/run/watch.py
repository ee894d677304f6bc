"""What happens once a second beside the work: the reading, the status file, the ledger's sync, notes on the cost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from synth_platform.errors import SynthError
from synth_platform.generation.answers.shards import Session
from synth_platform.generation.budget import Budget
from synth_platform.generation.run.meter import Meter, Reading, StatusSink
from synth_platform.generation.run.shard_generator import Generator
from synth_platform.progress import Task

_TICK_SECONDS = 1.0
_SYNC_SECONDS = 2.0
_NOTE_SECONDS = 30.0


class Watch:
    """What happens once a second beside the work: reading, status file, sync, notes on what was spent."""

    def __init__(
        self, generator: Generator, meter: Meter, status: StatusSink, task: Task | None, budget: Budget
    ) -> None:
        self._generator, self._meter, self._status, self._task = generator, meter, status, task
        self._budget = budget
        self._synced = self._noted = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch while the block runs; the last reading says how it ended."""
        beat = asyncio.create_task(self._beat())
        state = "stopped"
        try:
            yield
            state = "finished"
        except SynthError as error:
            state = f"stopped: {error.what}"
            raise
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            self._read(state)
            with contextlib.suppress(SynthError):  # the reason of the end is what counts
                await asyncio.to_thread(self.note)

    async def _beat(self) -> None:
        while True:
            self._read("running")
            await asyncio.sleep(_TICK_SECONDS)
            now = self._meter.seconds
            try:
                if now - self._synced >= _SYNC_SECONDS:
                    self._synced = now
                    await asyncio.to_thread(self._sync)
                if now - self._noted >= _NOTE_SECONDS:
                    self._noted = now
                    await asyncio.to_thread(self.note)
            except SynthError as error:
                self._generator.dispatcher.fail(error)
                return

    def _read(self, state: str) -> None:
        dispatcher, reading = self._generator.dispatcher, self._meter.reading
        servers = dispatcher.pool.servers
        reading.state = state
        reading.in_flight, reading.waiting = dispatcher.in_flight, dispatcher.waiting
        reading.limit = sum(server.limit.limit for server in servers if server.up)
        reading.faults = dict(dispatcher.faults)
        reading.servers, reading.servers_up = len(servers), sum(server.up for server in servers)
        queues = [
            server.metrics["num_requests_waiting"] for server in servers if "num_requests_waiting" in server.metrics
        ]
        reading.server_queue = int(sum(queues)) if queues else None
        asked = sum(server.metrics.get("prefix_cache_queries", 0.0) for server in servers)
        hits = sum(server.metrics.get("prefix_cache_hits", 0.0) for server in servers)
        reading.cache_hits = round(hits / asked, 4) if asked else None
        hours = self._budget.spent.engine_seconds / 3600
        reading.engine_hours = round(hours, 5)
        reading.cost = self._budget.cost_of(hours)
        self._meter.tick()
        self._status.write(reading)
        if self._task is not None:
            self._task.set(reading.done, kept=reading.kept, tokens=reading.output_tokens, note=_note_of(reading))

    def _sync(self) -> None:
        for store in list(self._generator.stores):
            store.ledger.sync()

    def note(self) -> None:
        """Leave word of the cost so far: each recipe's share of the engine's time, by its tokens."""
        counts = dict(self._generator.counts)
        made = sum(count.output_tokens for count in counts.values())
        seconds = self._budget.session_seconds * self._budget.units
        points = [asdict(point) for point in self._meter.points]
        for store, count in counts.items():
            share = count.output_tokens / made if made else 1 / len(counts)
            store.note(
                Session(
                    **asdict(count),
                    engine_seconds=round(seconds * share, 3),
                    busy_seconds=round(self._meter.seconds * self._budget.units * share, 3),
                    faults=dict(self._generator.dispatcher.faults),
                    points=points,
                )
            )


def _note_of(reading: Reading) -> str:
    parts = [f"{reading.in_flight} in flight"]
    if reading.cache_hits is not None:
        parts.append(f"{reading.cache_hits:.0%} cached")
    if reading.kept:
        parts.append(f"{reading.kept:,} kept from before")
    if reading.servers_up < reading.servers:
        parts.append(f"{reading.servers - reading.servers_up} of {reading.servers} servers out")
    troubled = {name: count for name, count in reading.outcomes.items() if name not in ("ok", "truncated")}
    parts += [f"{count:,} {name}" for name, count in sorted(troubled.items())]
    parts += [f"{count:,} tries {kind}" for kind, count in sorted(reading.faults.items())]
    return ", ".join(parts)
