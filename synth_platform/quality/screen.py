"""Measure generations, a block at a time on all cores: every detector's metrics, the form, and exact facts."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from synth_platform.encoder import Encode
from synth_platform.parallel import in_parallel, text_blocks
from synth_platform.privacy.canaries import show_any
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.protect import DEFAULT_PRIVACY, find_kinds
from synth_platform.progress import track
from synth_platform.quality.conformance import Rule
from synth_platform.quality.detectors import DETECTORS, Rows
from synth_platform.quality.detectors.support import measure_support
from synth_platform.quality.facts import check_facts
from synth_platform.quality.rows import with_prompts
from synth_platform.quality.schema import DETECTED, SUPPORT

SCREEN_VERSION = "3"
"""Raise it when what is measured changes: metrics that an older version measured are then not used again."""
_BLOCK_BYTES = 1_500_000


def screen(
    prompts: Iterable[pl.DataFrame],
    generations: Iterable[pl.DataFrame],
    *,
    rule: Rule,
    computes: bool = False,
    privacy: PrivacySpec = DEFAULT_PRIVACY,
    canaries: Sequence[str] = (),
    encode: Encode | None = None,
    total: int | None = None,
) -> Iterator[pl.DataFrame]:
    """``generation_id`` and the columns of `DETECTED` for each generation, in their order.

    Args:
        prompts: rows of `PROMPTS`.
        generations: rows of `GENERATIONS`, in step with the prompts.
        rule: what is wrong with the form of an answer.
        computes: whether the recipe's answers may compute numbers.
        privacy: how personal data is looked for.
        canaries: names that were planted in the prompts.
        encode: sentence encoder that tells what the source supports; None: that is not measured.
        total: number of generations, for the progress.

    Raises:
        SnapshotError: prompts and generations do not hold the same rows.
    """
    made = with_prompts(prompts, generations)
    with track("quality", total) as task:
        blocks = text_blocks(made, "text", "source_text", size=_BLOCK_BYTES)
        for block, measured in in_parallel(
            lambda rows: measure(rows, rule, computes=computes, privacy=privacy, canaries=canaries, encode=encode),
            blocks,
        ):
            yield measured
            task.advance(block.height)


def measure(
    frame: pl.DataFrame,
    rule: Rule,
    *,
    computes: bool = False,
    privacy: PrivacySpec = DEFAULT_PRIVACY,
    canaries: Sequence[str] = (),
    encode: Encode | None = None,
) -> pl.DataFrame:
    """``generation_id`` and the columns of `DETECTED` for a block of generations beside their prompts."""
    rows = Rows(frame, computes)
    columns: dict[str, Any] = {"format_problems": pl.Series([rule(text) for text in rows.texts], dtype=_CODES)}
    for detector in DETECTORS:
        columns |= detector(rows)
    columns |= _facts(rows)
    columns["personal_data"] = find_kinds(rows.texts, privacy)
    columns["canary"] = show_any(rows.texts, canaries)
    columns |= dict.fromkeys(SUPPORT, [None] * rows.height) if encode is None else measure_support(rows, encode)
    measured = frame.select("generation_id", "status").with_columns(
        pl.Series(name, values, dtype=DETECTED[name], strict=False) for name, values in columns.items()
    )
    measured = measured.with_columns(_kept("numbers"), _kept("names"))
    # Where nothing was written, there is nothing to measure.
    written = rows.texts.str.contains(r"[\p{L}\p{N}\p{So}]")
    blank = [pl.when(written).then(pl.col(name)).alias(name) for name in DETECTED.names() if name != "status"]
    return measured.with_columns(blank).select("generation_id", *DETECTED.names())


_CODES = pl.List(pl.String())


def _kept(what: str) -> pl.Expr:
    """Share of the source's numbers or names that the answer has; null where the source has none."""
    total = pl.col(f"source_{what}")
    return pl.when(total > 0).then(1 - pl.col(f"lost_{what}") / total).alias(f"kept_{what}")


def _facts(rows: Rows) -> Mapping[str, pl.Series]:
    """How an answer states the facts of a source that knows them."""
    checks = [
        _check(text, source, metadata)
        for text, source, metadata in zip(rows.texts, rows.sources, rows.frame["metadata"], strict=True)
    ]
    return {
        "facts_correct": pl.Series([check and len(check.correct) for check in checks], dtype=pl.Int64()),
        "facts_wrong": pl.Series([check and len(check.wrong) for check in checks], dtype=pl.Int64()),
        "fact_accuracy": pl.Series([check and check.accuracy for check in checks], dtype=pl.Float64()),
        "fact_coverage": pl.Series([check and check.coverage for check in checks], dtype=pl.Float64()),
    }


def _check(text: str, source: str, metadata: str | None) -> Any:
    if not metadata or '"facts"' not in metadata:
        return None
    known = json.loads(metadata)
    return check_facts(text, source, known) if isinstance(known, dict) else None
