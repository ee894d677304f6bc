"""Recall and false alarms of the search for personal data, by entity, against Presidio on the same rows.

    python -m synth_platform_tests.benchmarks.privacy_recall --peer ENVIRONMENT/bin/python --data DATA

The peer's environment needs `pip install "presidio-analyzer==2.2.366" spacy`; no model: Presidio gets a blank English
pipeline whose lemmas are the lower-case words, all of its pattern recognisers for every country, and our telephone
regions. Half of the rows hold one valid made-up value in a sentence, half only look as if they did. A value counts as
found if findings of its entity cover at least half of its characters. Speed is measured on one core, on texts of
1.2 kB: the documents of DATA as they are, and with one of the rows with a value put into each.
"""

import argparse
import collections
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # rates are per core; read when polars is imported

import polars as pl

from synth_platform.privacy.entities import find_entities
from synth_platform.privacy.intervals import Share
from synth_platform.privacy.phones import REGIONS
from synth_platform_tests.privacy.lookalikes import negative
from synth_platform_tests.privacy.made import FRAMES, LOCALES, Maker, positive

Row = dict[str, Any]
_DOCUMENT_CHARACTERS = 1_200
_PEER = """
import json, inspect, sys, time
import spacy
from spacy.language import Language
import presidio_analyzer.predefined_recognizers as known
from presidio_analyzer import AnalyzerEngine, PatternRecognizer, RecognizerRegistry
from presidio_analyzer.nlp_engine import SpacyNlpEngine
@Language.component("lower_lemmas")
def lower_lemmas(doc):
    for token in doc:
        token.lemma_ = token.lower_
    return doc
engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": "en"}])
pipeline = spacy.blank("en")
pipeline.add_pipe("lower_lemmas")
engine.nlp = {"en": pipeline}
path, regions, entities = json.loads(sys.argv[1])
registry = RecognizerRegistry(supported_languages=["en"])
registry.add_recognizer(known.PhoneRecognizer(supported_language="en", supported_regions=regions))
for name, kind in inspect.getmembers(known, inspect.isclass):
    if issubclass(kind, PatternRecognizer) and kind is not PatternRecognizer:
        registry.add_recognizer(kind(supported_language="en"))
analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
rows = json.load(open(path))
analyzer.analyze(rows[0], language="en", entities=entities)
started, found = time.process_time(), []
for row in rows:
    hits = analyzer.analyze(row, language="en", entities=entities)
    found.append([[r.entity_type, r.start, r.end, r.score] for r in hits])
print(json.dumps({"seconds": time.process_time() - started, "found": found}))
"""
_PEER_NAMES = {
    "EMAIL_ADDRESS": "email", "PHONE_NUMBER": "phone", "IBAN_CODE": "iban", "CREDIT_CARD": "card", "IP_ADDRESS": "ip",
    "CRYPTO": "wallet",
} | dict.fromkeys(
    ("US_SSN", "US_ITIN", "UK_NHS", "UK_NINO", "ES_NIF", "ES_NIE", "IT_FISCAL_CODE", "PL_PESEL", "SE_PERSONNUMMER",
     "FI_PERSONAL_IDENTITY_CODE", "IN_AADHAAR", "IN_PAN", "AU_TFN", "DE_TAX_ID", "CA_SIN"),
    "national_id",
)  # fmt: skip
_PEER_SCORES = (0.0, 0.4)


def make_rows(count: int, seed: int) -> list[Row]:
    """Rows with one value each, and as many that only look so."""
    maker = Maker(seed)
    rows: list[Row] = []
    for number in range(count):
        entity = tuple(FRAMES)[number % len(FRAMES)]
        locale = LOCALES[number // len(FRAMES) % len(LOCALES)]
        text, made = positive(maker, entity, locale)
        start = text.index(made.value)
        span = (start, start + len(made.value))
        rows.append({"text": text, "entity": entity, "span": span, "about": made.kind or locale})
        text, about = negative(maker)
        rows.append({"text": text, "entity": "", "span": (0, 0), "about": about})
    return rows


def score(
    rows: Sequence[Row], found: Sequence[Iterable[tuple[str, int, int]]], entities: Iterable[str]
) -> dict[str, Any]:
    """Recall by entity, and rows without a value in which each entity was seen."""
    hits, totals, alarms = collections.Counter(), collections.Counter(), collections.Counter()
    for row, spans in zip(rows, found, strict=True):
        if row["entity"]:
            totals[row["entity"]] += 1
            hits[row["entity"]] += _covered(row, spans)
        else:
            alarms.update({entity for entity, _, _ in spans} or {"none"})
    negatives = sum(not row["entity"] for row in rows)
    return {
        "recall": {name: str(Share(hits[name], totals[name])) for name in entities},
        "false_alarms": {name: str(Share(alarms[name], negatives)) for name in entities},
        "rows_with_a_false_alarm": str(Share(negatives - alarms["none"], negatives)),
    }


def _covered(row: Row, spans: Iterable[tuple[str, int, int]]) -> bool:
    start, end = row["span"]
    seen = {place for entity, one, other in spans if entity == row["entity"] for place in range(one, other)}
    covered = sum(place in seen for place in range(start, end))
    # A secret may be written with its name: `password = "..."`.
    return covered >= (0.2 if row["entity"] == "secret" else 0.5) * (end - start)


def ours(texts: Sequence[str]) -> tuple[float, list[list[tuple[str, int, int]]]]:
    """Seconds of processor time, and the findings of each text."""
    series = pl.Series("text", texts)
    find_entities(series.head(100))
    started = time.process_time()
    found = find_entities(series)
    seconds = time.process_time() - started
    spans: list[list[tuple[str, int, int]]] = [[] for _ in texts]
    for row, entity, start, end in found.select("row", "entity", "start", "end").iter_rows():
        spans[row].append((entity, start, end))
    return seconds, spans


def peer(python: str, texts: Sequence[str]) -> tuple[float, list[list[tuple[str, int, int, float]]]]:
    """The same for Presidio, with scores."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(list(texts), file)
        file.flush()
        command = [python, "-c", _PEER, json.dumps([file.name, list(REGIONS), list(_PEER_NAMES)])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    spans = [[(_PEER_NAMES[name], start, end, score) for name, start, end, score in one] for one in answer["found"]]
    return answer["seconds"], spans


def documents(data: Path, count: int) -> list[str]:
    """Texts of 1.2 kB without entities."""
    text = "\n".join(row["text"] for row in read(data))
    size = _DOCUMENT_CHARACTERS
    return [text[place : place + size] for place in range(0, len(text) - size, size)][:count]


def read(data: Path) -> list[dict[str, str]]:
    """The real documents."""
    with gzip.open(data / "sources" / "rust_book.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def real_hits(data: Path) -> list[dict[str, str]]:
    """Every finding in the real documents, its letters and digits masked."""
    rows = read(data)
    found = find_entities(pl.Series([row["text"] for row in rows]), reserved=True)
    hits = []
    for row, kind, start, end in found.select("row", "kind", "start", "end").iter_rows():
        text = rows[row]["text"]
        masked = "".join("9" if c.isdigit() else "x" if c.isalpha() else c for c in text[start:end])
        hits.append({"id": rows[row]["id"], "kind": kind, "masked": masked, "before": text[max(0, start - 30) : start]})
    return hits


def main() -> None:
    """Measure, and print one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peer", default="", help="Python of an environment with Presidio; empty: ours only")
    options.add_argument("--data", type=Path, help="folder with the real documents")
    options.add_argument("--rows", type=int, default=5_000)
    options.add_argument("--peer-documents", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--misses", type=int, default=0, help="print so many misses and false alarms of each kind")
    given = options.parse_args()
    rows = make_rows(given.rows, given.seed)
    texts = [row["text"] for row in rows]
    seconds, spans = ours(texts)
    found: dict[str, Any] = {
        "rows": len(rows),
        "ours": score(rows, spans, tuple(FRAMES)) | {"rows_per_second": len(rows) / seconds},
    }
    if given.peer:
        seconds, scored = peer(given.peer, texts)
        peer_entities = tuple(dict.fromkeys(_PEER_NAMES.values()))  # it has no patterns for addresses and secrets
        for least in _PEER_SCORES:
            kept = [[span[:3] for span in one if span[3] >= least] for one in scored]
            found[f"peer_from_score_{least}"] = score(rows, kept, peer_entities) | {
                "rows_per_second": len(rows) / seconds
            }
    if given.data:
        found["speed"] = speed(documents(given.data, 3_000), rows, given.peer, given.peer_documents)
        found["real_hits"] = real_hits(given.data)
    print(json.dumps(found, indent=1, ensure_ascii=False))
    _print_errors(rows, spans, given.misses)


def speed(plain: list[str], rows: Sequence[Row], python: str, peer_documents: int) -> dict[str, float]:
    """Documents per second of processor time, without entities and with one each."""
    rng = random.Random(3)
    positives = [row["text"] for row in rows if row["entity"]]
    mixed = []
    for text in plain:
        inserted = rng.choice(positives)
        place = rng.randrange(len(text) - len(inserted)) if len(inserted) < len(text) else 0
        mixed.append(f"{text[:place]}\n{inserted}\n{text[place + len(inserted) :]}")
    result = {}
    for name, documents in (("plain", plain), ("one_entity", mixed)):
        result[f"ours_{name}"] = len(documents) / ours(documents)[0]
        if python:
            result[f"peer_{name}"] = peer_documents / peer(python, documents[:peer_documents])[0]
    return {name: round(rate, 1) for name, rate in result.items()}


def _print_errors(rows: Sequence[Row], found: Sequence[Iterable[tuple[str, int, int]]], most: int) -> None:
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    for row, spans in zip(rows, found, strict=True):
        wrong = not _covered(row, spans) if row["entity"] else bool(spans)
        key = (row["entity"] or "false alarm", row["about"])
        if wrong and seen[key] < most:
            print(*key, repr(row["text"]), [(e, row["text"][s:t]) for e, s, t in spans], file=sys.stderr)
        seen[key] += wrong


if __name__ == "__main__":
    main()
