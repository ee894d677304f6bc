"""Rows per second and peak memory of the deterministic screen, against datatrove's quality filters in the same run.

    python -m synth_platform_tests.benchmarks.screen_speed --data DATA --peer ENVIRONMENT/bin/python

The peer's environment needs `pip install "datatrove[processing]==0.10.1" spacy`. A row is about 300 tokens of real
paragraphs, drawn anew, with a source text of the same size; half of the answer's paragraphs are the source's. Ours
measures everything that it measures in a dataset (form, leftovers, repetition, copying, language, numbers, names,
units, personal data) and judges it, from Parquet files; datatrove runs its Gopher repetition, Gopher quality and C4
filters alone on a part of the same texts, on as many processes as there are cores.
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform_tests.benchmarks.contamination_speed import paragraphs

_CHARACTERS = 1_250
_ROWS_PER_FILE = 50_000
_PEER_ROWS = 6_000
_INSTRUCTIONS = "Rewrite the document below as a short tutorial, and use only what it says.\n\nDocument:\n"

_OURS = """
import json, resource, sys, time
import polars as pl
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.conformance import RULES
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.screen import screen
files = json.loads(sys.argv[1])
def read(columns):
    for file in files:
        frame = pl.read_parquet(file, columns=columns, use_statistics=False)
        for batch in frame.iter_slices(4096):
            yield batch
started = time.monotonic()
rows = kept = 0
prompts = (batch.rename({"prompt_id": "id"}) for batch in read(["prompt_id", "messages", "source_text", "metadata"]))
generations = read(["id", "prompt_id", "text", "status", "prompt_tokens"])
for metrics in screen(prompts, generations, rule=RULES["tutorial"]):
    judged = apply_limits(metrics, QualitySpec())
    rows += judged.height
    kept += (judged["verdict"] == "accepted").sum()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"rows": rows, "kept": kept, "seconds": time.monotonic() - started, "memory_mb": memory}))
"""

_PEER = """
import json, os, sys, time
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import C4QualityFilter, GopherQualityFilter, GopherRepetitionFilter
from datatrove.pipeline.readers import JsonlReader
from loguru import logger
logger.remove()
folder = sys.argv[1]
workers = len([name for name in os.listdir(folder) if name.endswith(".jsonl")])
started = time.monotonic()
for one in (GopherRepetitionFilter, GopherQualityFilter, C4QualityFilter):
    # Each by itself, so that none sees fewer rows for what another took out.
    LocalPipelineExecutor([JsonlReader(folder, glob_pattern="*.jsonl"), one()], tasks=workers, workers=workers,
                          logging_dir=folder + "/logs-" + one.__name__).run()
print(json.dumps({"seconds": time.monotonic() - started}))
"""


def make_rows(parts: list[str], count: int, seed: int) -> pl.DataFrame:
    """Rows as generations beside their prompts."""
    rng = random.Random(seed)
    sources, texts = [], []
    for _ in range(count):
        source = _draw(parts, rng, _CHARACTERS)
        shared = source[: len(source) // 2]
        sources.append(source)
        texts.append(shared + "\n\n" + _draw(parts, rng, _CHARACTERS - len(shared)))
    ids = [f"{seed}-{number}" for number in range(count)]
    messages = [json.dumps([{"role": "user", "content": _INSTRUCTIONS + source}]) for source in sources]
    columns = {"id": ids, "prompt_id": ids, "text": texts, "source_text": sources, "messages": messages}
    nothing = [
        pl.lit("ok").alias("status"),
        pl.lit(None, pl.String()).alias("metadata"),
        pl.lit(300).alias("prompt_tokens"),
    ]
    return pl.DataFrame(columns).with_columns(nothing)


def _draw(parts: list[str], rng: random.Random, characters: int) -> str:
    drawn: list[str] = []
    while sum(map(len, drawn)) < characters:
        drawn.append(rng.choice(parts))
    return "\n\n".join(drawn)[:characters]


def run(python: str, script: str, argument: str) -> dict[str, Any]:
    """What a script prints, in a process of its own."""
    done = subprocess.run([python, "-c", script, argument], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--peer", help="python of an environment with datatrove")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    parts = paragraphs(arguments.data)
    with tempfile.TemporaryDirectory() as scratch:
        files = []
        for seed in range(max(arguments.rows // _ROWS_PER_FILE, 1)):
            files.append(f"{scratch}/{seed:03}.parquet")
            make_rows(parts, min(_ROWS_PER_FILE, arguments.rows), seed).write_parquet(files[-1])
        tenth = files[: max(len(files) // 10, 1)]
        ours = [run(sys.executable, _OURS, json.dumps(tenth)) for _ in range(arguments.rounds)]
        whole = run(sys.executable, _OURS, json.dumps(files))
        result: dict[str, Any] = {
            "rows per second": [round(one["rows"] / one["seconds"]) for one in ours],
            "rows per second, all": round(whole["rows"] / whole["seconds"]),
            "rows": whole["rows"],
            "memory in MB, a tenth": [round(one["memory_mb"]) for one in ours],
            "memory in MB, all": round(whole["memory_mb"]),
        }
        if arguments.peer:
            rates = [_peer(arguments.peer, tenth[0], Path(scratch) / f"peer-{n}") for n in range(arguments.rounds)]
            result["datatrove rows per second"] = [round(rate) for rate in rates]
            result["ratio"] = round(result["rows per second, all"] / statistics.median(rates), 1)
    print(json.dumps(result, indent=1))


def _peer(python: str, file: str, folder: Path) -> float:
    folder.mkdir()
    texts = pl.read_parquet(file, columns=["id", "text"]).head(_PEER_ROWS)
    workers = os.cpu_count() or 1
    for number in range(workers):
        lines = [json.dumps(row) for row in texts[number::workers].iter_rows(named=True)]
        (folder / f"{number}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return texts.height / run(python, _PEER, str(folder))["seconds"]


if __name__ == "__main__":
    main()
