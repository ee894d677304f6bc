"""S3 that refuses, stalls and loses answers: bounded retries, one clear error, and never two winners."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from synth_platform.errors import StorageError
from synth_platform.snapshots.mirror import mirror
from synth_platform.snapshots.probe import prove_create_only
from synth_platform.snapshots.store import AlreadyExists, LocalStore, S3Store, open_store
from synth_platform_tests.snapshots.fault_proxy import FaultProxy, Kind, S3Fault, fault_proxy
from synth_platform_tests.snapshots.writing import make

TRY_SECONDS, RETRY_SECONDS, SLACK = 1.0, 5.0, 3.0


class OpenBehind(Protocol):
    def __call__(self, *faults: S3Fault, retry_seconds: float = RETRY_SECONDS) -> tuple[S3Store, FaultProxy]: ...


@pytest.fixture
def behind(s3_root: str, s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenBehind]:
    """Opens a store whose requests meet these faults."""
    with ExitStack() as stack:

        def open_behind(*faults: S3Fault, retry_seconds: float = RETRY_SECONDS) -> tuple[S3Store, FaultProxy]:
            proxy = stack.enter_context(fault_proxy(s3_server, *faults))
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            return S3Store(s3_root, TRY_SECONDS, retry_seconds), proxy

        yield open_behind


def writes(proxy: FaultProxy) -> int:
    return sum(method == "PUT" for method, _ in proxy.seen)


@pytest.mark.parametrize("kind", ["500", "503", "reset"])
def test_a_store_that_is_overloaded_for_a_while_is_asked_again(
    behind: OpenBehind, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synth_platform.snapshots.store.s3._FIRST_PAUSE", 0.01)
    store, proxy = behind(S3Fault("PUT", kind, 8), S3Fault("GET", kind, 8), retry_seconds=60)
    store.create("a/manifest.json", b"one")
    assert store.read("a/manifest.json") == b"one"
    assert writes(proxy) == 9


def test_a_write_whose_answer_was_lost_is_known_as_ones_own(behind: OpenBehind, tmp_path: Path) -> None:
    store, proxy = behind(S3Fault("PUT", "lost answer", 2))
    store.create("a/manifest.json", b"one")
    part = tmp_path / "part"
    part.write_bytes(b"rows")
    proxy.faults = [S3Fault("PUT", "lost answer", 1)]
    store.move_in("a/part", part)
    assert store.read("a/manifest.json") == b"one" and store.read("a/part") == b"rows"
    assert not part.exists()


@pytest.mark.parametrize("kind", ["reset", "lost answer", "stall"])
def test_a_removal_that_nobody_answers_is_asked_for_again(behind: OpenBehind, kind: Kind) -> None:
    store, _ = behind(S3Fault("POST", kind, 2))
    store.create("a/x", b"x")
    store.delete("a/x")
    assert store.files("a") == []


@pytest.mark.parametrize("kind", ["reset", "lost answer"])
def test_a_file_that_goes_in_pieces_arrives_whole(behind: OpenBehind, kind: Kind, tmp_path: Path) -> None:
    store, proxy = behind(*(S3Fault(method, kind, 1000, every=2) for method in ("POST", "PUT")))
    part, rows = tmp_path / "part", b"0123456789" * 600_000
    part.write_bytes(rows)
    store.copy_in("a/part", part)
    assert store.read("a/part") == rows and writes(proxy) > 2


def test_a_lost_answer_does_not_make_a_loser_a_winner(behind: OpenBehind) -> None:
    store, proxy = behind()
    store.create("a/manifest.json", b"theirs")
    proxy.faults = [S3Fault("PUT", "lost answer", 1)]
    with pytest.raises(AlreadyExists):
        store.create("a/manifest.json", b"ours")
    assert store.read("a/manifest.json") == b"theirs"


def test_equal_bytes_are_no_excuse_where_every_answer_came(behind: OpenBehind) -> None:
    store, _ = behind()
    store.create("a/lock", b"x")
    with pytest.raises(AlreadyExists):
        store.create("a/lock", b"x")


def test_of_many_writers_behind_a_bad_line_one_wins(behind: OpenBehind) -> None:
    store, _ = behind(S3Fault("PUT", "lost answer", 6), S3Fault("PUT", "503", 6), retry_seconds=60)

    def wins(writer: int) -> bool:
        try:
            store.create("a/manifest.json", f"writer {writer}".encode())
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(wins, range(8)))
    assert sum(won) == 1
    assert store.read("a/manifest.json") == f"writer {won.index(True)}".encode()


@pytest.mark.parametrize("method", ["PUT", "GET"])
@pytest.mark.parametrize("kind", ["503", "reset", "stall", "black hole"])
def test_a_store_that_stays_away_is_a_clear_error_in_bounded_time(behind: OpenBehind, method: str, kind: Kind) -> None:
    store, _ = behind(S3Fault(method, kind, 1000))
    started = time.monotonic()
    with pytest.raises(StorageError, match="the object store refused"):
        store.create("a/x", b"x") if method == "PUT" else store.read("a/x")
    assert time.monotonic() - started < RETRY_SECONDS + TRY_SECONDS + SLACK


def test_a_stall_of_one_request_costs_that_request(behind: OpenBehind) -> None:
    store, _ = behind(S3Fault("PUT", "stall", 1), S3Fault("GET", "stall", 1))
    started = time.monotonic()
    store.create("a/x", b"x")
    assert store.read("a/x") == b"x"
    assert time.monotonic() - started < 2 * TRY_SECONDS + SLACK


def test_a_large_write_on_a_slow_line_has_the_time_that_it_needs(behind: OpenBehind, tmp_path: Path) -> None:
    store, proxy = behind(S3Fault("PUT", "slow line", 1000))
    part, rows = tmp_path / "part", b"x" * (8 << 20)
    part.write_bytes(rows)
    store.move_in("a/part", part)
    assert writes(proxy) == 1 and store.read("a/part") == rows


def test_a_body_that_breaks_off_is_fetched_whole_or_refused(behind: OpenBehind, tmp_path: Path) -> None:
    store, proxy = behind()
    store.create("a/part", b"0123456789" * 10_000)
    proxy.faults = [S3Fault("GET", "half body", 1)]
    target = tmp_path / "part"
    try:
        store.fetch("a/part", target)
    except StorageError:
        return
    assert target.read_bytes() == b"0123456789" * 10_000


def test_a_refusal_is_not_tried_again(behind: OpenBehind) -> None:
    _, proxy = behind()
    elsewhere = S3Store("s3://no-such-bucket/root", TRY_SECONDS, RETRY_SECONDS)
    with pytest.raises((StorageError, FileNotFoundError)):
        elsewhere.create("a/x", b"x")
    assert writes(proxy) == 1


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_who_may_not_is_told_at_once(behind: OpenBehind, method: str) -> None:
    store, proxy = behind(S3Fault(method, "403", 1000))
    with pytest.raises(StorageError, match="check credentials"):
        store.create("a/x", b"x") if method == "PUT" else store.read("a/x")
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("kind", ["503", "lost answer"])
def test_a_log_keeps_what_it_cannot_say_is_written_and_has_it_once(behind: OpenBehind, kind: Kind) -> None:
    store, proxy = behind()
    log = store.open_log("a/log")
    log.append(b"one\n")
    proxy.faults = [S3Fault("PUT", kind, 1000), S3Fault("GET", "503", 1000)]
    with pytest.raises(StorageError):
        log.sync()
    proxy.faults = [S3Fault("PUT", "lost answer", 1)]
    log.append(b"two\n")
    log.close()
    assert b"".join(store.read(path) for path in store.files("a")) == b"one\ntwo\n"


def test_create_only_is_proved_of_good_stores(s3_root: str, tmp_path: Path) -> None:
    for store in (open_store(s3_root), LocalStore(tmp_path / "data")):
        prove_create_only(store)
        assert store.files("") == []


def test_a_store_that_ignores_the_condition_is_found_out(tmp_path: Path) -> None:
    class Careless(LocalStore):
        def create(self, path: str, data: bytes) -> None:
            target = tmp_path / "careless" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)

    with pytest.raises(StorageError, match="16 of 16 writers of one name"):
        prove_create_only(Careless(tmp_path / "careless"))


def test_a_mirror_has_everything_once_and_goes_on_after_a_fault(behind: OpenBehind, tmp_path: Path) -> None:
    store, proxy = behind()
    make(store, tmp_path / "writer")
    there = store.entries("")
    backup = LocalStore(tmp_path / "backup")
    proxy.faults = [S3Fault("GET", "503", 1000)]
    with pytest.raises(StorageError):
        mirror(store, backup)
    assert backup.files("") == []

    proxy.faults = []
    first, again = mirror(store, backup), mirror(store, backup)
    assert (first.copied, first.present, first.bytes) == (len(there), 0, sum(entry.bytes for entry in there))
    assert (again.copied, again.present) == (0, len(there))
    restored, restoring = behind()
    for entry in there:
        restored.delete(entry.path)
    assert mirror(backup, restored).copied == len(there)
    assert restored.files("") == [entry.path for entry in there]
    order = [path for method, path in restoring.seen if method == "PUT"]
    assert order[-2].endswith("/manifest.json") and order[-1].endswith("/refs/00000001.json")
