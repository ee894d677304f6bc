"""Fixtures that several folders share: a workspace, an S3 server, the shared real data."""

import gzip
import json
import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import settings

from synth_platform.workspace import Workspace

os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
os.environ.setdefault("SYNTH_ENCODERS", str(Path.cwd() / ".synth" / "encoders"))  # fetched once for all tests

# The same examples for the same code: a red run is due to a change. Others: pytest --hypothesis-profile=search
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile("repeatable")

_MEMORY, _ENOUGH_BYTES = Path("/dev/shm"), 4 << 30


def _is_usable(folder: Path) -> bool:
    """Whether a folder in memory has room for tests, and lets them start the programs that they put there."""
    if not os.access(folder, os.W_OK):
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize > _ENOUGH_BYTES and not found.f_flag & os.ST_NOEXEC


if _is_usable(_MEMORY):
    # Dagster's databases wait for the disk at every event, which is a seventh of the time of a run.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))

SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for engines, daemons and pages."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that fill a machine by themselves (a real engine, a browser, a Ray cluster) run one after the other.

    Those of a module that has a group of its own stay in it: two marks would make a third group.
    """
    for item in items:
        heavy = item.get_closest_marker("engine") or item.get_closest_marker("ui") or "cluster" in item.nodeid
        if heavy and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group("heavy"))


@pytest.fixture(autouse=True)
def _instances_are_closed() -> Iterator[None]:
    """A test that leaves an instance of Dagster open fails, and not the one in which it is collected as garbage.

    Dagster notes which instance a process is in, and would then find itself in one that is gone.
    """
    enter, leave = dg.DagsterInstance.__enter__, dg.DagsterInstance.__exit__
    entered: list[dg.DagsterInstance] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dg.DagsterInstance, "__enter__", lambda one: entered.append(one) or enter(one))
        patched.setattr(dg.DagsterInstance, "__exit__", lambda one, *error: entered.remove(one) or leave(one, *error))
        yield
    assert not entered, "close what opened it: a context for a tick is used in a with statement"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace in an empty folder."""
    return Workspace(tmp_path / "home")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real documents and benchmarks, where they are at hand."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """An S3 server in this process; its URL."""
    server_module = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = server_module.ThreadedMotoServer(port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_root(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An ``s3://`` prefix in an empty bucket, and the environment to reach it."""
    import httpx

    bucket = f"b{uuid.uuid4().hex}"
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    httpx.put(f"{s3_server}/{bucket}").raise_for_status()
    return f"s3://{bucket}/root"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for one megabyte, where such a disk may be mounted."""
    folder = tmp_path / "small-disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount on this machine")
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


def free_port() -> int:
    """A TCP port that nobody uses right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write JSON lines, gzipped if the name ends so."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text, "utf-8")
    return path


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tokenizer in the Hugging Face layout."""
    from synth_platform.pilot.corpus import examples
    from synth_platform.pilot.tokenizer import chat_text, save_tokenizer, train_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [chat_text(example.prompt, example.answer) for example in examples(200, seed=0)]
    save_tokenizer(train_tokenizer(texts), folder, 2048)
    return folder
