"""What was recorded is read back, whole or not at all."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.errors import StorageError
from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import STATUSES, Outcome
from synth_platform.snapshots.framed_log import frame, frames
from synth_platform.snapshots.store import open_store

KEYS = st.text("abc", min_size=1, max_size=8)
OUTCOMES = st.builds(
    Outcome,
    status=st.sampled_from(STATUSES),
    text=st.text(max_size=60),
    finish_reason=st.none() | st.sampled_from(["stop", "length"]),
    prompt_tokens=st.none() | st.integers(0, 2**40),
    completion_tokens=st.none() | st.integers(0, 2**40),
    error=st.none() | st.text(max_size=30),
)


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.tuples(st.text("abc", min_size=1, max_size=8), OUTCOMES), min_size=1, max_size=5), max_size=5)
)
def test_what_was_recorded_is_read_back(tmp_path_factory: pytest.TempPathFactory, batches: list) -> None:
    ledger = Ledger(open_store(str(tmp_path_factory.mktemp("ledger"))), "ledger", "w")
    expected: dict[str, Outcome] = {}
    for batch in batches:
        ledger.append(3, batch)
        expected |= dict(batch)
    assert ledger.read(3) == expected
    assert ledger.read(4) == {}
    ledger.close()


@pytest.mark.parametrize("root", ["disk", "s3"])
def test_several_writers_of_a_shard_are_read_together_and_dropped_together(
    root: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = open_store(str(tmp_path) if root == "disk" else request.getfixturevalue("s3_root"))
    one, other = Ledger(store, "ledger", "one"), Ledger(store, "ledger", "other")
    one.append(0, [("a", Outcome("ok", "1"))])
    one.sync()
    one.append(0, [("b", Outcome("ok", "2"))])
    other.append(0, [("c", Outcome("ok", "3"))])
    one.close()
    other.close()
    assert {key: outcome.text for key, outcome in one.read(0).items()} == {"a": "1", "b": "2", "c": "3"}
    assert one.shards() == [0]
    one.drop(0)
    assert one.read(0) == {} and one.shards() == []


@given(st.lists(st.binary(max_size=30), max_size=6), st.data())
def test_a_torn_log_gives_its_whole_records(payloads: list[bytes], data: st.DataObject) -> None:
    log = b"".join(frame(payload) for payload in payloads)
    cut = data.draw(st.integers(0, len(log)))
    found = list(frames(log[:cut]))
    assert found == payloads[: len(found)]
    ends = [sum(len(frame(p)) for p in payloads[: n + 1]) for n in range(len(payloads))]
    assert len(found) == sum(end <= cut for end in ends)


@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=6), st.data())
def test_a_flipped_bit_ends_the_log_there(payloads: list[bytes], data: st.DataObject) -> None:
    log = bytearray(b"".join(frame(payload) for payload in payloads))
    position = data.draw(st.integers(0, len(log) - 1))
    log[position] ^= 1 << data.draw(st.integers(0, 7))
    found = list(frames(bytes(log)))
    assert len(found) < len(payloads)
    assert found == payloads[: len(found)]


def test_a_full_disk_is_named(small_disk: Path) -> None:
    ledger = Ledger(open_store(str(small_disk)), "ledger", "w")
    with pytest.raises(StorageError, match="No space left"):
        for number in range(1000):
            ledger.append(0, [(f"key{number}", Outcome("ok", "x" * 4000))])
    kept = ledger.read(0)
    assert kept and all(outcome == Outcome("ok", "x" * 4000) for outcome in kept.values())
