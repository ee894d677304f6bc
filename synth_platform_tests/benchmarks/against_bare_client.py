"""Output tokens per second of a real vLLM server, asked by the platform and by a client that keeps nothing.

    python -m synth_platform_tests.benchmarks.against_bare_client

Both send the same prompts to the same server, in turn, with as many in flight; the platform checkpoints every answer
and ends with a committed snapshot. Prefix caching is off, so that the second of a pair gains nothing by the first.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.environment import require
from synth_platform.generation.servers.fleet import run_fleet
from synth_platform.workspace import Workspace
from synth_platform_tests.benchmarks.bare_client import send
from synth_platform_tests.generation.runs import Run, execute, texts

SHARD = 128
"""The default of a dataset."""
FIELDS = {"max_tokens": 300, "temperature": 0.0}
SERVER = {
    "model": "synth-tiny",
    "context_length": 2048,
    "arguments": {"max_num_seqs": 64, "enable_prefix_caching": False},
    "environment": {"VLLM_CPU_OMP_THREADS_BIND": "0"},
}
"""The engine keeps to one core: on all of them it would starve whoever asks, and chance would decide."""


def compare(prompts: int, concurrency: int, pairs: int) -> dict[str, object]:
    """Tokens per second of both, pair by pair; who begins alternates."""
    environment = require(Workspace.from_env().engine)
    rates: dict[str, list[float]] = {"bare": [], "platform": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        run_fleet(VllmEngine.model_validate(SERVER), environment, Path(folder), _tell) as (host,),
    ):
        url = host.endpoint.url
        some = texts(Run(folder, {}, prompts=concurrency, recipe="table"))
        send(url, "synth-tiny", some, FIELDS, concurrency)  # the first requests are slower
        for pair in range(pairs):
            order = list(rates) if pair % 2 else list(reversed(rates))
            shape = {"prompts": prompts, "shard_size": SHARD, "recipe": "table"}
            for contender in order:
                run = Run(f"{folder}/{pair}", _engine(url, concurrency), **shape, fields=FIELDS)
                seconds, tokens = _platform(run) if contender == "platform" else _bare(url, run, concurrency)
                rates[contender].append(tokens / seconds)
                _tell(f"pair {pair + 1} {contender}: {tokens:,} tokens in {seconds:.1f} s, {tokens / seconds:,.0f}/s")
    ratios = [ours / bare for ours, bare in zip(rates["platform"], rates["bare"], strict=True)]
    return {
        "prompts": prompts,
        "in_flight": concurrency,
        "tokens_per_second": {name: round(statistics.median(some)) for name, some in rates.items()},
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
    }


def _engine(url: str, concurrency: int) -> dict[str, object]:
    return {"type": "endpoint", "urls": [url], "model": "synth-tiny", "concurrency": concurrency}


def _platform(run: Run) -> tuple[float, int]:
    started = time.monotonic()
    rows = execute(run).scan().collect()
    return time.monotonic() - started, int(rows["completion_tokens"].sum())


def _bare(url: str, run: Run, concurrency: int) -> tuple[float, int]:
    return send(url, "synth-tiny", texts(run), FIELDS, concurrency)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompts", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    print(json.dumps(compare(options.prompts, options.concurrency, options.pairs), indent=1))


if __name__ == "__main__":
    main()
