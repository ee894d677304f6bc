"""What becomes of rows when a run is killed and goes on with something changed: the platform beside datatrove.

    python -m synth_platform_tests.benchmarks.stops_and_goes_on --peer /path/to/an/environment/bin/python

Each contender begins on 400 prompts, is killed half way, and is started again with another shard size, template or
model; then the rows of its output are compared with what an undisturbed run would have made.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from synth_platform.digest import digest
from synth_platform_tests.generation.runs import Run, execute, start, texts
from synth_platform_tests.pipeline import ROOT, Engine, mock_engine

PROMPTS, SHARD, LATENCY = 400, 40, 0.1
OLD, NEW = "Rewrite document {number} of the book.", "Retell document {number} of the book."

_PEER_SCRIPT = """
import sys
from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.writers import JsonlWriter
from loguru import logger
logger.remove()
url, prompts, template, chunk, folder, model = sys.argv[1:7]
prompts, chunk = int(prompts), int(chunk)

async def rollout(document, generate):
    text = template.format(number=document.id)
    return await generate({"messages": [{"role": "user", "content": text}], "max_tokens": 100})

config = InferenceConfig(server_type="endpoint", model_name_or_path=model, endpoint_url=url,
                         max_concurrent_generations=8, metric_interval=3600)
writer = JsonlWriter(folder + "/out", output_filename="${rank}_${chunk_index}.jsonl", compression=None)
runner = InferenceRunner(rollout_fn=rollout, config=config, output_writer=writer,
                         checkpoints_local_dir=folder + "/checkpoints", records_per_chunk=chunk)
runner.run((Document(text="-", id=str(n)) for n in range(prompts)), 0, 1)
"""


@dataclass(frozen=True)
class Settings:
    """What may change between two runs."""

    shard: int = SHARD
    template: str = OLD
    model: str = "first"


CHANGES = {
    "nothing": Settings(),
    "shard size": Settings(shard=SHARD // 2 - 3),
    "template": Settings(template=NEW),
    "model": Settings(model="second"),
}


@dataclass(frozen=True)
class Result:
    """Rows of the output: all, right ones, and others."""

    rows: int
    right: int
    seconds: float

    def describe(self) -> str:
        """For the table."""
        missing, wrong = PROMPTS - self.right, self.rows - self.right
        return "as it must be" if not missing and not wrong else f"{missing} missing, {wrong} wrong or double"


def answers(settings: Settings) -> dict[str, str]:
    """What a model says to each prompt."""
    prompts = texts(Run("", {}, prompts=PROMPTS, template=settings.template))
    return {text: f"The {settings.model} model says: {digest(text)}" for text in prompts}


def judged(found: list[str], settings: Settings, seconds: float) -> Result:
    """Compare an output's texts with the right ones."""
    wanted = set(answers(settings).values())
    return Result(len(found), len(wanted & set(found)), seconds)


@contextmanager
def served(folder: Path, settings: Settings) -> Iterator[Engine]:
    """The model of some settings; it knows both templates."""
    known = answers(replace(settings, template=OLD)) | answers(replace(settings, template=NEW))
    with mock_engine(folder, known, latency=LATENCY, root=settings.model) as engine:
        yield engine


def half_way(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    """Kill it, and all it started, once half of the prompts were asked."""
    while len(engine.requests()) < PROMPTS // 2 and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def platform(folder: Path, change: Settings) -> Result:
    """The platform: killed, changed, and gone on with."""

    def run(engine: Engine, settings: Settings) -> Run:
        spec = {"type": "endpoint", "urls": [engine.url], "model": "mock", "concurrency": 8}
        return Run(str(folder / "home"), spec, prompts=PROMPTS, shard_size=settings.shard, template=settings.template)

    with served(folder / "a", Settings()) as engine:
        half_way(engine, start(run(engine, Settings())))
    with served(folder / "b", change) as engine:
        started = time.monotonic()
        rows = execute(run(engine, change)).scan().select("text").collect()["text"].to_list()
        return judged(rows, change, time.monotonic() - started)


def datatrove(peer: str) -> Callable[[Path, Settings], Result]:
    """The same with datatrove."""

    def launch(engine: Engine, folder: Path, settings: Settings) -> subprocess.Popen[bytes]:
        url = engine.url.removesuffix("/v1")
        arguments = [url, str(PROMPTS), settings.template, str(settings.shard), str(folder), settings.model]
        command = [peer, "-c", _PEER_SCRIPT, *arguments]
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=quiet, stderr=quiet)

    def contend(folder: Path, change: Settings) -> Result:
        with served(folder / "a", Settings()) as engine:
            half_way(engine, launch(engine, folder, Settings()))
        with served(folder / "b", change) as engine:
            started = time.monotonic()
            launch(engine, folder, change).wait()
            return judged(list(_written(folder / "out")), change, time.monotonic() - started)

    return contend


def _written(folder: Path) -> Iterator[str]:
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            for rollout in json.loads(line)["metadata"]["rollout_results"]:
                yield rollout["text"]


def main() -> None:
    """Compare and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True, help="python of an environment with datatrove")
    contenders: Mapping[str, Callable[[Path, Settings], Result]] = {
        "platform": platform,
        "datatrove": datatrove(parser.parse_args().peer),
    }
    for name, change in CHANGES.items():
        for contender, contend in contenders.items():
            with tempfile.TemporaryDirectory() as folder:
                result = contend(Path(folder), change)
            said = f"{result.describe()} ({result.seconds:.0f} s)"
            print(f"changed: {name:12} {contender:10} {result.rows} rows, {said}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
