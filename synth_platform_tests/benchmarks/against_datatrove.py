"""Documents per second and peak memory, against datatrove's inference runner, on the same mock server.

    python -m synth_platform_tests.benchmarks.against_datatrove --peer /path/to/an/environment/bin/python

The environment needs `pip install datatrove==0.10.1 aiohttp aiofiles aiosqlite httpx orjson xxhash`. Each contender
runs in a process of its own, checkpoints as it goes, and sends the same prompts to the same server without latency. The
ceiling is a bare client that sends the prompts and keeps nothing.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from synth_platform_tests.benchmarks.bare_client import send
from synth_platform_tests.generation.runs import Run, execute
from synth_platform_tests.pipeline import ROOT, mock_engine

WORDS = 60
SHARD = 1024

_PEER_SCRIPT = """
import json, resource, sys, time
from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.writers import JsonlWriter
from loguru import logger
logger.remove()
url, prompts, words, concurrency, chunk, folder = sys.argv[1], *map(int, sys.argv[2:6]), sys.argv[6]

async def rollout(document, generate):
    return await generate({"messages": [{"role": "user", "content": document.text}], "max_tokens": 100})

def documents():
    for number in range(prompts):
        yield Document(text=f"Rewrite document {number} of the book." + " lorem" * words, id=str(number))

runner = InferenceRunner(
    rollout_fn=rollout,
    config=InferenceConfig(server_type="endpoint", model_name_or_path="mock", endpoint_url=url,
                           max_concurrent_generations=concurrency, metric_interval=3600),
    output_writer=JsonlWriter(folder + "/out", output_filename="${rank}_${chunk_index}.jsonl", compression=None),
    checkpoints_local_dir=folder + "/checkpoints", records_per_chunk=chunk)
started = time.monotonic()
runner.run(documents(), 0, 1)
seconds = time.monotonic() - started
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "memory_mb": memory}))
"""


def ours(url: str, prompts: int, concurrency: int, folder: Path) -> dict[str, float]:
    """The platform's generation stage, from prompts to a committed snapshot."""
    engine = {"type": "endpoint", "urls": [f"{url}/v1"], "model": "mock", "concurrency": concurrency}
    started = time.monotonic()
    snapshot = execute(Run(str(folder), engine, prompts=prompts, words=WORDS, shard_size=SHARD))
    assert snapshot.manifest.rows == prompts
    return _measured(started)


def bare(url: str, prompts: int, concurrency: int, folder: Path) -> dict[str, float]:
    """A client that sends and forgets."""
    texts = (f"Rewrite document {number} of the book." + " lorem" * WORDS for number in range(prompts))
    started = time.monotonic()
    send(f"{url}/v1", "mock", texts, {"max_tokens": 100}, concurrency)
    return _measured(started)


def _measured(started: float) -> dict[str, float]:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": time.monotonic() - started, "memory_mb": memory}


def _run(contender: str, url: str, prompts: int, concurrency: int, peer: str) -> dict[str, float]:
    """One contender in a process of its own, from an empty folder."""
    with tempfile.TemporaryDirectory() as folder:
        if contender == "datatrove":
            command = [peer, "-c", _PEER_SCRIPT, url, str(prompts), str(WORDS), str(concurrency), str(SHARD), folder]
        else:
            arguments = ["--only", contender, "--url", url, "--prompts", str(prompts), "--folder", folder]
            command = [sys.executable, "-m", "synth_platform_tests.benchmarks.against_datatrove", *arguments]
            command += ["--concurrency", str(concurrency)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{contender} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def compare(options: argparse.Namespace) -> None:
    """All contenders in turn, several rounds, on one server."""
    results: dict[str, list[float]] = {"bare": [], "ours": [], "datatrove": []}
    memory: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, mock_engine(Path(folder), workers=2, book=False) as engine:
        url = engine.url.removesuffix("/v1")
        for round_number in range(options.rounds):
            for contender, rates in results.items():
                if contender == "datatrove" and not options.peer:
                    continue
                measured = _run(contender, url, options.prompts, options.concurrency, options.peer)
                rates.append(options.prompts / measured["seconds"])
                memory[contender] = measured["memory_mb"]
                print(f"round {round_number + 1} {contender}: {rates[-1]:,.0f} documents/s", flush=True)
        large = _run("ours", url, options.prompts * 10, options.concurrency, options.peer)
    report: dict[str, Any] = {"prompts": options.prompts, "concurrency": options.concurrency}
    for contender, rates in results.items():
        if rates:
            middle = sorted(rates)[len(rates) // 2]
            report[contender] = {"documents_per_second": round(middle), "all": [round(rate) for rate in rates]}
            report[contender]["memory_mb"] = round(memory[contender])
    report["memory_mb_of_ten_times_the_prompts"] = round(large["memory_mb"])
    report["share_of_bare"] = round(_middle(results["ours"]) / _middle(results["bare"]), 3)
    if results["datatrove"]:
        report["times_datatrove"] = round(_middle(results["ours"]) / _middle(results["datatrove"]), 1)
    print(json.dumps(report, indent=1))


def _middle(rates: list[float]) -> float:
    return sorted(rates)[len(rates) // 2]


def main() -> None:
    """Compare, or be one of the contenders."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", default="", help="python of an environment with datatrove")
    parser.add_argument("--prompts", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only")
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.only:
        contender = {"ours": ours, "bare": bare}[options.only]
        print(json.dumps(contender(options.url, options.prompts, options.concurrency, options.folder)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
