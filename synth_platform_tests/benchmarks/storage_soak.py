"""The storage's promises over many rounds: racing writers, and writers that are killed at random instants.

python -m synth_platform_tests.benchmarks.storage_soak --rounds 1000 --kills 1000
python -m synth_platform_tests.benchmarks.storage_soak --s3 --rounds 100 --kills 100     # against moto
"""

import argparse
import logging
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from synth_platform.snapshots import Snapshots
from synth_platform.snapshots.store import Store, open_store
from synth_platform_tests.conftest import free_port
from synth_platform_tests.snapshots.writing import Race, check_round, identity_of, make, problems, start_making

_ROUNDS_KEPT = 50


def race(url: str, folder: Path, rounds: int) -> Counter[str]:
    """Eight writers at once, two of them of the same version; how the rounds ended.

    Raises:
        AssertionError: a version was torn or lost, or an error was unclear.
    """
    snapshots, outcomes = Snapshots(open_store(url), folder / "cache"), Counter[str]()
    with Race(url, folder) as writers:
        for number in range(rounds):
            written = writers.run(f"ds/round-{number}")
            check_round(snapshots, f"ds/round-{number}", written)
            errors = [one.error for one in written if one.error]
            outcomes[errors[0] if errors else "both got the same"] += 1
            if (number + 1) % _ROUNDS_KEPT == 0:
                _clear(snapshots.store, folder)
    _clear(snapshots.store, folder)
    return outcomes


def _clear(store: Store, folder: Path) -> None:
    """Look at everything once more, and remove it: a stand-in for S3 looks through all it has for each listing.

    Raises:
        AssertionError: something is wrong with what was written.
    """
    assert (found := problems(store, folder)) == [], found
    for path in store.files(""):
        store.delete(path)


def kill(url: str, folder: Path, kills: int, seed: int) -> Counter[str]:
    """A writer is killed at random instants until it gets through; how far it was each time.

    Raises:
        AssertionError: something torn was visible, or the end is not what an undisturbed writer makes.
    """
    rng, outcomes = random.Random(seed), Counter[str]()
    store, expected, longest = open_store(url), "", 0.5
    for number in range(kills):
        asset = f"ds/killed-{number}"
        process, started = start_making(url, folder, asset), time.monotonic()
        time.sleep(rng.uniform(0.0, longest))
        with suppress(ProcessLookupError):
            process.kill()
        process.join()
        outcomes["killed" if process.exitcode == -signal.SIGKILL else "done before"] += 1
        if process.exitcode == 0:
            longest = max(min(longest, time.monotonic() - started), 0.05)
        snapshots = Snapshots(store, folder / "cache")
        found = snapshots.open(asset, None, identity_of(asset).snapshot_id)
        outcomes["a version stood"] += found is not None
        assert found is None or found.is_whole()
        expected = expected or make(store, folder, "ds/undisturbed")
        assert make(store, folder, asset) == expected
    _clear(store, folder)
    return outcomes


@contextmanager
def _root(folder: Path, *, s3: bool) -> Iterator[str]:
    if not s3:
        yield str(folder / "data")
        return
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it says every request
    server = ThreadedMotoServer(port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    os.environ.update({"AWS_ENDPOINT_URL": f"http://{host}:{port}", **keys})
    httpx.put(f"http://{host}:{port}/soak").raise_for_status()
    try:
        yield "s3://soak/root"
    finally:
        server.stop()


def _say(what: str, outcomes: Counter[str], started: float) -> None:
    print(f"{what} in {time.monotonic() - started:.0f} s, nothing torn or lost: {dict(outcomes)}", flush=True)


def main() -> None:
    """Run it and say what happened."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--s3", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, _root(Path(name), s3=given.s3) as url:
        started = time.monotonic()
        _say(f"{given.rounds} races", race(url, Path(name), given.rounds), started)
        started = time.monotonic()
        _say(f"{given.kills} kills", kill(url, Path(name), given.kills, given.seed), started)


if __name__ == "__main__":
    main()
