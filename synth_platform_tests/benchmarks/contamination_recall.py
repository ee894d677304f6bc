"""What the contamination scan finds and mistakes, on labelled rewordings and on planted copies.

    python -m synth_platform_tests.benchmarks.contamination_recall --data DATA

Labelled: GSM8K test questions reworded by an LLM, against GSM8K's training questions as negatives; the same rewordings
inside documents of 1,000 words of a real book, against the documents as they are. Planted: items of MMLU, GSM8K and
HumanEval of eight words and more, in ten kinds of dress, between paragraphs of the book; and the book itself, in which
there is nothing to find. Thresholds are the defaults. DATA holds `evals/{gsm8k_test,gsm8k_train,mmlu_test,humaneval}`,
`labelled/gsm8k_rephrased` (id, text, eval_id) and `sources/rust_book` (id, text), all `.jsonl.gz`.
"""

import argparse
import gzip
import json
import random
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.contamination.calibration import load_calibration, recall_at
from synth_platform.contamination.config import BenchmarkSpec, ExactSpec
from synth_platform.contamination.eval_index import build_eval_index
from synth_platform.contamination.evals import read_benchmark
from synth_platform.contamination.paraphrase import ParaphraseMatcher
from synth_platform.contamination.scan import Scanner, scan
from synth_platform.contamination.words import split_words
from synth_platform.encoder import DEFAULT_ENCODER, Encoder, find_encoder
from synth_platform.workspace import Workspace
from synth_platform_tests.benchmarks.contamination_speed import paragraphs

_WORDS = 1_000
_AT_ONCE = 200
_PLANTED_FROM = 8


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a gzipped file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def read_items(data: Path, *names: str) -> pl.DataFrame:
    """Items of some test sets."""
    specs = [BenchmarkSpec(name=name, path=str(data / "evals" / f"{name}.jsonl.gz")) for name in names]
    return pl.concat([batch for spec in specs for batch in read_benchmark(spec, data)])


def best_scores(matcher: ParaphraseMatcher, texts: list[str], wanted: list[int] | None = None) -> list[float]:
    """Of each text the highest score, with the wanted item or with any."""
    best = [-1.0] * len(texts)
    for start in range(0, len(texts), _AT_ONCE):
        for found in matcher.find(split_words(texts[start : start + _AT_ONCE])):
            number = start + found.text
            if wanted is None or wanted[number] == found.item:
                best[number] = max(best[number], found.score)
    return best


def documents(data: Path, rng: random.Random, inside: str = "") -> str:
    """About 1,000 words of the book, with a text between two paragraphs."""
    pool, parts, words = paragraphs(data), [], 0
    while words < _WORDS:
        parts.append(rng.choice(pool))
        words += len(parts[-1].split())
    if inside:
        parts.insert(rng.randrange(len(parts)), inside)
    return "\n\n".join(parts)


def dresses(rng: random.Random) -> Mapping[str, Callable[[str], str]]:
    """Ways in which a copy may differ."""
    some: Callable[[float], bool] = lambda share: rng.random() < share  # noqa: E731

    def mark(text: str) -> str:
        return " ".join(
            f"<b>{word}</b>" if some(0.1) else f"**{word}**" if some(0.1) else word for word in text.split()
        )

    return {
        "verbatim": lambda text: text,
        "wrapped": lambda text: "\n".join(textwrap.wrap(text, rng.choice([30, 40, 60]))),
        "lower case": str.lower,
        "no punctuation": lambda text: re.sub(r"[^\w\s]", "", text),
        "numbers": lambda text: re.sub(r"\b\d{4,}\b", lambda found: f"{int(found[0]):,}", text.replace(",", "")),
        "10% dropped": lambda text: " ".join(word for word in text.split() if not some(0.1)),
        "markup": mark,
        "table row": lambda text: "| Question | From |\n|---|---|\n| " + " ".join(text.split()) + " | exam |",
        "table cells": lambda text: "| " + " | ".join(textwrap.wrap(text, 30)) + " |",
        "FAQ": lambda text: f"## FAQ\n\n**Q: {text}**\n\nA: It depends.",
    }


def labelled(data: Path, cache: Path) -> dict[str, Any]:
    """Recall of rewordings by themselves and inside documents."""
    items = read_items(data, "gsm8k_test")
    number_of = {item: number for number, item in enumerate(items["id"])}
    calibration = load_calibration(None, DEFAULT_ENCODER, data)
    encode = Encoder(find_encoder(DEFAULT_ENCODER, cache, print)).encode
    index = build_eval_index([items], ["paraphrase"], calibration, encode)
    matcher = ParaphraseMatcher(index.segments, encode, least=-1.0)
    reworded = rows(data / "labelled" / "gsm8k_rephrased.jsonl.gz")
    wanted = [number_of[row["eval_id"]] for row in reworded]
    positives = best_scores(matcher, [row["text"] for row in reworded], wanted)
    negatives = best_scores(matcher, [row["question"] for row in rows(data / "evals" / "gsm8k_train.jsonl.gz")])
    rng = random.Random(0)
    inside = best_scores(matcher, [documents(data, rng, row["text"]) for row in reworded], wanted)
    outside = best_scores(matcher, [documents(data, rng) for _ in range(2_000)])
    threshold = calibration.contaminated.threshold
    return {
        "recall at 1%": recall_at(positives, negatives, 0.01),
        "recall at 0.1%": recall_at(positives, negatives, 0.001),
        "inside 1,000 words: recall at 0.1%": recall_at(inside, outside, 0.001),
        "inside 1,000 words: recall at the default threshold": sum(one >= threshold for one in inside) / len(inside),
        "documents without: false alarms in 2,000": sum(one >= threshold for one in outside),
    }


def planted(data: Path, most: int) -> dict[str, Any]:
    """Recall of copies by kind, and false alarms in the book."""
    items = read_items(data, "gsm8k_test", "mmlu_test", "humaneval")
    scanner = Scanner(build_eval_index([items], ["exact"]), ExactSpec(), ["exact"])
    long = items.filter(pl.col("question").str.extract_all(r"\S+").list.len() >= _PLANTED_FROM)
    rng, pool, found = random.Random(1), paragraphs(data), {}
    for kind, change in dresses(rng).items():
        sample = long.sample(min(most, long.height), seed=2) if most else long
        texts = [
            "\n\n".join([*rng.choices(pool, k=3), change(text), *rng.choices(pool, k=3)]) for text in sample["question"]
        ]
        given = pl.DataFrame({"row_id": (sample["eval"] + "/" + sample["id"]).to_list(), "text": texts})
        hits = pl.concat([some for _, some in scan(scanner, [given], what=kind)])
        right = hits.filter(pl.col("row_id") == pl.col("eval") + "/" + pl.col("eval_id"), verdict="contaminated")
        found[kind] = right["row_id"].n_unique() / sample.height
    book = pl.DataFrame(
        [{"row_id": row["id"], "text": row["text"]} for row in rows(data / "sources/rust_book.jsonl.gz")]
    )
    verdicts = pl.concat([some for _, some in scan(scanner, [book], what="book")])["verdict"].value_counts()
    return {"items": long.height, "recall": found, "book": dict(verdicts.iter_rows())}


def main() -> None:
    """Measure, and print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--most", type=int, default=0, help="Planted items per kind; 0: all")
    given = options.parse_args()
    data = given.data.resolve()
    cache = Workspace.from_env().encoders
    print(json.dumps({"labelled": labelled(data, cache), "planted": planted(data, given.most)}, indent=1))


if __name__ == "__main__":
    main()
