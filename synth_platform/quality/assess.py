"""Judge generations row by row: metrics, verdict, and every reason against a row."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from synth_platform.progress import track
from synth_platform.quality import detectors
from synth_platform.quality.config import QualitySpec
from synth_platform.quality.conformance import Rule
from synth_platform.quality.facts import check_facts
from synth_platform.quality.rows import with_prompts
from synth_platform.quality.schema import QUALITY


def assess(
    prompts: Iterable[pl.DataFrame],
    generations: Iterable[pl.DataFrame],
    spec: QualitySpec,
    *,
    rule: Rule,
    total: int | None = None,
) -> Iterator[pl.DataFrame]:
    """One row of `QUALITY` per generation, in their order.

    Args:
        prompts: rows of `PROMPTS`.
        generations: rows of `GENERATIONS`, in step with the prompts.
        spec: what a row must keep.
        rule: what is wrong with the format of an answer.
        total: number of generations, for the progress.

    Raises:
        SnapshotError: prompts and generations do not hold the same rows.
    """
    made = with_prompts(prompts, generations)
    with track("quality", total) as task:
        for batch in made:
            rows = [assess_row(row, spec, rule) for row in batch.iter_rows(named=True)]
            task.advance(len(rows))
            yield pl.DataFrame(rows, schema=QUALITY)


def assess_row(row: Mapping[str, Any], spec: QualitySpec, rule: Rule) -> dict[str, Any]:
    """Metrics, verdict and reasons of one generation joined with its prompt."""
    text, source = row["text"], row["source_text"]
    reasons: list[str] = [] if row["status"] == "ok" else [str(row["status"])]
    metrics: dict[str, Any] = dict.fromkeys(QUALITY.names())
    if text:
        metrics |= _measure(text, source)
        reasons += _broken_limits(metrics, spec)
        reasons += _broken_rules(text, row, spec, rule)
        found, facts = _facts(text, source, row["metadata"], spec)
        metrics |= found
        reasons += facts
    elif not reasons:
        reasons.append("empty")
    verdict = "rejected" if reasons else "accepted"
    return metrics | {"generation_id": row["generation_id"], "verdict": verdict, "reasons": reasons}


def _measure(text: str, source: str) -> dict[str, float | int]:
    return {
        "characters": len(text),
        "length_ratio": len(text) / max(len(source), 1),
        "duplicate_lines": detectors.duplicate_lines(text),
        "duplicate_ngrams": detectors.duplicate_ngrams(text),
        "compression_ratio": detectors.compression_ratio(text),
        "copied_share": detectors.copied_share(text, source),
    }


def _broken_limits(metrics: Mapping[str, Any], spec: QualitySpec) -> Iterator[str]:
    for reason, metric, low, high in (
        ("too_short", "length_ratio", spec.min_length_ratio, None),
        ("too_long", "length_ratio", None, spec.max_length_ratio),
        ("repetition:lines", "duplicate_lines", None, spec.max_duplicate_lines),
        ("repetition:ngrams", "duplicate_ngrams", None, spec.max_duplicate_ngrams),
        ("repetition:compression", "compression_ratio", spec.min_compression_ratio, None),
        ("copied", "copied_share", None, spec.max_copied_share),
    ):
        value = metrics[metric]
        if (low is not None and value < low) or (high is not None and value > high):
            yield reason


def _broken_rules(text: str, row: Mapping[str, Any], spec: QualitySpec, rule: Rule) -> Iterator[str]:
    if spec.require_format:
        yield from (f"format:{problem}" for problem in rule(text))
    if spec.reject_refusals and detectors.is_refusal(text):
        yield "refusal"
    if spec.reject_chatter and detectors.has_chatter(text):
        yield "chatter"
    if detectors.has_control_tokens(text):
        yield "control_tokens"
    if detectors.has_placeholder(text):
        yield "placeholder"
    if detectors.echoes_prompt(text, _instructions(row)):
        yield "prompt_echo"


def _instructions(row: Mapping[str, Any]) -> str:
    """What the prompt says beside the document."""
    messages = json.loads(row["messages"])
    return "\n".join(message["content"] for message in messages).replace(row["source_text"], "\n")


def _facts(text: str, source: str, metadata: str | None, spec: QualitySpec) -> tuple[dict[str, Any], list[str]]:
    known = json.loads(metadata) if metadata else {}
    check = check_facts(text, source, known) if isinstance(known, dict) else None
    if check is None:
        return {}, []
    reasons = [
        name
        for name, value, low in (
            ("wrong_facts", check.accuracy, spec.min_fact_accuracy),
            ("few_facts", check.coverage, spec.min_fact_coverage),
        )
        if low is not None and (value is None or value < low)
    ]
    metrics = {
        "facts_correct": len(check.correct),
        "facts_wrong": len(check.wrong),
        "fact_accuracy": check.accuracy,
        "fact_coverage": check.coverage,
    }
    return metrics, reasons
