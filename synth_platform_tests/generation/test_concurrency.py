"""How many requests a server gets, and how many tokens a worker may write: limits that move, and never break."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_platform.generation.cluster.loans import TokenLoans
from synth_platform.generation.servers.concurrency import AdaptiveLimit


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def round_trip(limit: AdaptiveLimit, seconds: float = 1.0) -> None:
    """One answer to each request of a full server."""
    for _ in range(limit.limit):
        limit.answered(seconds, limit.limit)


def test_it_doubles_until_the_first_trouble_and_grows_by_one_after_it() -> None:
    clock = Clock()
    limit = AdaptiveLimit(1000, 4, 600.0, clock)
    sizes = []
    for _ in range(4):
        round_trip(limit)
        sizes.append(limit.limit)
    assert sizes[0] == 8 and sizes[-1] >= 60
    limit.cut()
    after = limit.limit
    assert after == int(sizes[-1] * 0.7)
    round_trip(limit)
    assert after <= limit.limit <= after + 1


def test_one_round_trip_is_cut_once() -> None:
    clock = Clock()
    limit = AdaptiveLimit(100, 100, 600.0, clock)
    round_trip(limit, seconds=2.0)
    for _ in range(50):
        limit.cut()
    assert limit.limit == 70
    clock.now += 2.5
    limit.cut()
    assert limit.limit == 49


def test_answers_near_the_time_limit_are_trouble() -> None:
    limit = AdaptiveLimit(100, 100, 10.0, Clock())
    round_trip(limit, seconds=6.0)
    assert limit.limit < 100


def test_a_long_queue_at_the_server_stops_growth_and_a_longer_one_cuts() -> None:
    limit = AdaptiveLimit(1000, 64, 600.0, Clock())
    limit.queue(running=40, waiting=30)
    round_trip(limit)
    assert limit.limit == 64
    limit.queue(running=40, waiting=0)
    round_trip(limit)
    assert limit.limit > 64
    full = limit.limit
    limit.queue(running=10, waiting=100)
    limit.queue(running=10, waiting=100)
    assert limit.limit == full, "so it looks while a server begins"
    limit.queue(running=10, waiting=100)
    assert limit.limit == int(full * 0.7)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=40), st.integers(0, 500))
def test_loans_never_exceed_what_there_is(shards: list[tuple[int, int]], tokens: int) -> None:
    async def work() -> int:
        loans, used = TokenLoans(tokens), 0

        async def shard(worker: str, wanted: int, would_use: int) -> None:
            nonlocal used
            granted = await loans.borrow(worker, wanted, 1)
            await asyncio.sleep(0)
            mine = min(granted, would_use)
            used += mine
            await loans.give_back(worker, granted - mine, mine)

        await asyncio.gather(*(shard(f"w{n % 3}", *one) for n, one in enumerate(shards)))
        return used

    assert asyncio.run(work()) <= tokens


def test_what_a_lost_worker_borrowed_counts_as_spent_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("synth_platform.generation.cluster.loans._LOOK_SECONDS", 0.01)
    clock = Clock()

    async def work() -> int:
        loans = TokenLoans(100, clock)
        assert await loans.borrow("lost", 80, 10) == 80
        waiting = asyncio.create_task(loans.borrow("alive", 50, 10))
        await asyncio.sleep(0.05)
        assert not waiting.done(), "the other one may still return some"
        clock.now += 61
        return await asyncio.wait_for(waiting, 5)

    assert asyncio.run(work()) == 20
