"""MB per second and peak memory of the contamination scan, against datatrove's n-gram filter in the same run.

    python -m synth_platform_tests.benchmarks.contamination_speed --data DATA --peer ENVIRONMENT/bin/python

The peer's environment needs `pip install "datatrove[processing]==0.10.1" spacy`. The texts are paragraphs of real
documents, drawn anew until there is enough; MMLU, GSM8K and HumanEval are indexed. Both use all cores and read the same
kind of files; datatrove gets a smaller share of the texts, for its rate does not depend on how many there are. The
second part scans 10,000 texts of about 300 tokens by every method, the encoder included: questions of GSM8K's training
set and paragraphs of the documents, half and half.
"""

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from synth_platform.workspace import Workspace

EVALS = ("gsm8k_test", "mmlu_test", "humaneval")
_DOCUMENT_PARAGRAPHS = 12
_GENERATION_CHARACTERS = 1_300
"""About 300 tokens of English."""

_OURS = """
import json, resource, sys, time
from pathlib import Path
from synth_platform.contamination.config import METHODS
from synth_platform.contamination.files import scan_files
documents, evals, out, method, cache = json.loads(sys.argv[1])
methods = METHODS if method == "all" else (method,)
started = time.monotonic()
found = scan_files(documents, evals, Path(out), methods=methods, encoder="all-MiniLM-L6-v2", calibration=None,
                   cache=Path(cache))
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": time.monotonic() - started, "memory_mb": memory, **found.as_json()}))
"""

_PEER = """
import gzip, json, os, sys, time
import numpy as np
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.utils.text import ngrams, simplify_text
from loguru import logger
logger.remove()
folder, evals, index = json.loads(sys.argv[1])
os.makedirs(index)
config = NGramsDecontConfig(find_query_ngrams=True)
filter = NGramsDecontFilter(index, config)
for path in evals:
    hashes = set()
    for line in gzip.open(path, "rt"):
        row = json.loads(line)
        words = filter.tokenizer.word_tokenize(simplify_text(row["question"], config.norm_config))
        hashes.update(filter.hash_func(" ".join(some)) for some in ngrams(words, config.n_grams))
    np.array(list(hashes), dtype=config.hash_config.np_descr).tofile(
        os.path.join(index, os.path.basename(path).split(".")[0] + ".index.hashes"))
workers = len(os.listdir(folder))
started = time.monotonic()
LocalPipelineExecutor([JsonlReader(folder), NGramsDecontFilter(index, config)], tasks=workers, workers=workers,
                      logging_dir=index + "-logs").run()
print(json.dumps({"seconds": time.monotonic() - started}))
"""


def paragraphs(data: Path) -> list[str]:
    """Paragraphs of the real documents."""
    with gzip.open(data / "sources" / "rust_book.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    return [part for text in texts for part in text.split("\n\n") if len(part) > 40]


def write_documents(path: Path, megabytes: float, parts: list[str], seed: int) -> None:
    """A file of documents of paragraphs drawn at random."""
    rng, written, number = random.Random(seed), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            text = "\n\n".join(rng.choices(parts, k=_DOCUMENT_PARAGRAPHS))
            file.write(json.dumps({"id": f"{seed}-{number}", "text": text}, ensure_ascii=False) + "\n")
            written += len(text.encode())
            number += 1


def generations(data: Path, count: int) -> Iterator[str]:
    """Texts of about 300 tokens: math problems and paragraphs."""
    rng, parts = random.Random(5), paragraphs(data)
    with gzip.open(data / "evals" / "gsm8k_train.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    problems = [f"{row['question']}\n{row['answer']}" for row in rows]
    for number in range(count):
        pool, text = (problems if number % 2 else parts), ""
        while len(text) < _GENERATION_CHARACTERS:
            text += rng.choice(pool) + "\n\n"
        yield text[:_GENERATION_CHARACTERS]


def run(python: str, script: str, *arguments: Any) -> dict[str, Any]:
    """A contender in a process of its own."""
    command = [python, "-c", script, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> None:
    """Measure, and print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--peer", default="", help="Python of an environment with datatrove; empty: ours only")
    options.add_argument("--megabytes", type=float, default=1000)
    options.add_argument("--peer-megabytes", type=float, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--generations", type=int, default=10_000)
    given = options.parse_args()
    evals = [str(given.data.resolve() / "evals" / f"{name}.jsonl.gz") for name in EVALS]
    cache = str(Workspace.from_env().encoders)
    parts = paragraphs(given.data)
    found: dict[str, Any] = {"cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, megabytes in (("small", given.megabytes / 10), ("large", given.megabytes)):
            write_documents(folder / f"{name}.jsonl", megabytes, parts, seed=1)
        (folder / "peer").mkdir()
        for worker in range(os.cpu_count() or 1):
            write_documents(
                folder / "peer" / f"{worker}.jsonl", given.peer_megabytes / (os.cpu_count() or 1), parts, seed=worker
            )
        ours, peers = [], []
        for number in range(given.rounds):
            for name in ("small", "large"):
                one = run(
                    sys.executable, _OURS, [str(folder / f"{name}.jsonl")], evals, str(folder / "hits"), "exact", cache
                )
                found.setdefault(f"memory_mb_{name}", []).append(round(one["memory_mb"]))
                if name == "large":
                    ours.append(one["mb_per_second"])
                    found["us_per_document_and_core"] = 1e6 * one["seconds"] * found["cores"] / one["documents"]
                    found["kb_per_document"] = one["bytes"] / 1e3 / one["documents"]
            if given.peer:
                seconds = run(given.peer, _PEER, str(folder / "peer"), evals, str(folder / f"index-{number}"))[
                    "seconds"
                ]
                peers.append(given.peer_megabytes / seconds)
        found |= {"mb_per_second": ours, "peer_mb_per_second": [round(rate, 3) for rate in peers]}
        if peers:
            found["ratio"] = round(statistics.median(ours) / statistics.median(peers), 1)
        texts = [
            {"id": str(number), "text": text} for number, text in enumerate(generations(given.data, given.generations))
        ]
        (folder / "made.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
        every = [
            run(sys.executable, _OURS, [str(folder / "made.jsonl")], evals, str(folder / "hits"), "all", cache)
            for _ in range(min(given.rounds, 2))
        ]
        found["all_methods"] = {
            "texts": len(texts),
            "seconds": [round(one["seconds"], 1) for one in every],
            "memory_mb": [round(one["memory_mb"]) for one in every],
            "verdicts": every[0]["verdicts"],
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
