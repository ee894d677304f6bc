"""What support by the source finds, next to counting the words that the source has, and what it costs.

    python -m synth_platform_tests.benchmarks.quality_support [--data DATA] [--encoder NAME]

Good are the English tables, FAQs and tutorials of the labelled set without a fault, hard cases included. Bad are: the
same answers beside another document; the same with one sentence from an answer to another document put at the end; and
the set's answers with one invented number, date or name, or one changed unit. Scores: the share of supported sentences
at the default similarity, the lowest cosine of a sentence, the share of the answer's words that the source has, and
this share of the sentence in which it is lowest. AUC is of all rows. Recall is at the threshold that rejects 5% of the
good answers to one half of the documents, counted on the answers to the other half, and so are its false alarms.
With `--data` (`sources/rust_book.jsonl.gz`: id, text) also rows per second, of stretches of a real book of 300 tokens
beside others of 300 tokens, none there twice.
"""

import argparse
import json
import os
import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from synth_platform.encoder import DEFAULT_ENCODER, Encode, Encoder, find_encoder
from synth_platform.privacy.intervals import Share
from synth_platform.quality.config import SupportSpec
from synth_platform.quality.conformance import RULES
from synth_platform.quality.detectors.rows import Rows
from synth_platform.quality.detectors.sentences import statements
from synth_platform.quality.detectors.support import measure_support
from synth_platform.quality.screen import screen
from synth_platform.workspace import Workspace
from synth_platform_tests.benchmarks.contamination_speed import paragraphs
from synth_platform_tests.quality.labelled import LabelledRow, rows

_EDITS = ("invented_number", "invented_date", "invented_name", "changed_unit")
_FALSE_ALARMS = 0.05
_LIMITS = (0.8, 1.0)
_AMONG = 8
_CHARACTERS = 1_250
_WORD = re.compile(r"\w+")

Scores = Mapping[str, np.ndarray]
"""By score, one value for each row; the lower, the worse."""


@dataclass(frozen=True)
class Sample:
    """Rows of one kind, and which half of the documents each belongs to."""

    rows: Sequence[LabelledRow]
    half: np.ndarray
    scores: Scores


def samples(encode: Encode) -> tuple[Sample, dict[str, Sample]]:
    """The good rows, and the bad ones by kind."""
    labelled = [row for row in rows() if row.recipe != "math" and row.language == "en"]
    good = [row for row in labelled if not row.reasons and statements(row.text)]
    sources = sorted({row.source_text for row in labelled})
    rng = random.Random(0)
    bad = {
        "another document": [replace(row, source_text=_other(row, sources, rng)) for row in good],
        "one foreign sentence": [_with_foreign_sentence(row, good, rng) for row in good],
        **{edit: [row for row in labelled if row.reasons == {edit}] for edit in _EDITS},
    }
    halves = {row.name: sources.index(row.source_text) % 2 for row in labelled}
    return _sample(good, halves, encode), {kind: _sample(some, halves, encode) for kind, some in bad.items()}


def long_samples(encode: Encode) -> tuple[Sample, dict[str, Sample]]:
    """The same good answers beside their own document among others, and beside only others: about 1,000 words."""
    labelled = [row for row in rows() if row.recipe != "math" and row.language == "en"]
    good = [row for row in labelled if not row.reasons and statements(row.text)]
    sources = sorted({row.source_text for row in labelled})
    rng, own, others = random.Random(1), [], []
    for row in good:
        drawn = rng.sample([one for one in sources if one != row.source_text], _AMONG)
        others.append(replace(row, source_text="\n\n".join(drawn)))
        own.append(replace(row, source_text="\n\n".join([*drawn[1:4], row.source_text, *drawn[4:]])))
    halves = {row.name: sources.index(row.source_text) % 2 for row in good}
    return _sample(own, halves, encode), {"eight other documents": _sample(others, halves, encode)}


def _other(row: LabelledRow, sources: Sequence[str], rng: random.Random) -> str:
    return rng.choice([source for source in sources if source != row.source_text])


def _with_foreign_sentence(row: LabelledRow, good: Sequence[LabelledRow], rng: random.Random) -> LabelledRow:
    other = rng.choice([one for one in good if one.source_text != row.source_text])
    return replace(row, text=f"{row.text}\n\n{rng.choice(statements(other.text))}")


def _sample(some: Sequence[LabelledRow], halves: Mapping[str, int], encode: Encode) -> Sample:
    frame = pl.DataFrame({"text": [row.text for row in some], "source_text": [row.source_text for row in some]})
    cosines = [np.array(one) for one in measure_support(Rows(frame), encode)["sentence_support"]]
    similarity = SupportSpec().similarity
    scores = {
        "support": np.array([(one >= similarity).mean() for one in cosines]),
        "least support": np.array([one.min() for one in cosines]),
        "words in source": np.array([_known(row.text, row.source_text) for row in some]),
        "words in source, least sentence": np.array(
            [min(_known(one, row.source_text) for one in statements(row.text)) for row in some]
        ),
    }
    return Sample(some, np.array([halves[row.name] for row in some]), scores)


def _known(text: str, source: str) -> float:
    """Share of the words of a text that its source has."""
    known, words = set(_WORD.findall(source.lower())), _WORD.findall(text.lower())
    return sum(word in known for word in words) / max(len(words), 1)


def compare(good: Sample, bad: Mapping[str, Sample]) -> Iterator[tuple[str, str, float, Share, Share]]:
    """Kind, score, AUC, recall, and false alarms on the half that did not set the threshold."""
    for kind, sample in bad.items():
        for name, values in sample.scores.items():
            own = good.scores[name]
            caught, alarms = zip(*(_across(own, good.half, values, sample.half, half) for half in (0, 1)), strict=True)
            yield kind, name, _auc(values, own), _sum(caught), _sum(alarms)


def _across(
    good: np.ndarray, good_half: np.ndarray, bad: np.ndarray, bad_half: np.ndarray, half: int
) -> tuple[Share, Share]:
    """With the threshold of the other half: bad rows below it, and good ones."""
    threshold = np.quantile(good[good_half != half], _FALSE_ALARMS, method="lower")
    return _below(bad[bad_half == half], threshold), _below(good[good_half == half], threshold)


def _below(values: np.ndarray, threshold: float) -> Share:
    return Share(int((values < threshold).sum()), len(values))


def _sum(shares: Iterable[Share]) -> Share:
    held = list(shares)
    return Share(sum(one.hits for one in held), sum(one.total for one in held))


def _auc(bad: np.ndarray, good: np.ndarray) -> float:
    """How often a bad row scores lower than a good one; of equal scores half."""
    ordered = np.sort(good)
    lower = np.searchsorted(ordered, bad, "left") + np.searchsorted(ordered, bad, "right")
    return float(1 - lower.mean() / 2 / len(good))


def stretches(data: Path) -> pl.DataFrame:
    """Rows of prompts and generations in one: stretches of the first half of a book beside such of the second."""
    texts: list[str] = [""]
    for part in dict.fromkeys(paragraphs(data)):
        texts[-1] += f"{part}\n\n"
        if len(texts[-1]) > _CHARACTERS:
            texts.append("")
    count = len(texts) // 2
    ids = [str(number) for number in range(count)]
    columns: dict[str, Any] = {"id": ids, "prompt_id": ids, "text": texts[:count], "source_text": texts[count:][:count]}
    nothing = [pl.lit(None, pl.String()).alias(name) for name in ("messages", "metadata")]
    return pl.DataFrame(columns).with_columns(pl.lit("ok").alias("status"), pl.lit(0).alias("prompt_tokens"), *nothing)


def rate(frame: pl.DataFrame, encode: Encode | None) -> float:
    """Rows per second of the whole screen."""
    prompts = frame.select(pl.col("prompt_id").alias("id"), "source_text", "messages", "metadata")
    generations = frame.select("id", "prompt_id", "text", "status", "prompt_tokens")
    started = time.monotonic()
    measured = sum(one.height for one in screen([prompts], [generations], rule=RULES["none"], encode=encode))
    return measured / (time.monotonic() - started)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    options = parser.parse_args()
    files = find_encoder(options.encoder, Workspace.from_env().encoders, print)
    encode = Encoder(files, threads=1).encode
    for make in (samples, long_samples):
        _print(*make(encode))
    if options.data:
        frame = stretches(options.data)
        rates = {
            name: [round(rate(frame, one)) for _ in range(2)] for name, one in (("with", encode), ("without", None))
        }
        print(json.dumps({"rows": frame.height, "cores": os.cpu_count(), "rows per second": rates}))


def _print(good: Sample, bad: Mapping[str, Sample]) -> None:
    print(f"\n{'kind':24} {'score':32} {'AUC':>6}  recall at about 5% false alarms; false alarms")
    for kind, name, area, caught, alarms in compare(good, bad):
        print(f"{kind:24} {name:32} {area:6.3f}  {caught}; {alarms}")
    for limit in _LIMITS:
        print(f"rejected by min_support {limit}:")
        for kind, sample in {"good": good, **bad}.items():
            print(f"    {kind:24} {_below(sample.scores['support'], limit)}")


if __name__ == "__main__":
    main()
