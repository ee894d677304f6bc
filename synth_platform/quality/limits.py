"""Compare the metrics of generations with a spec's limits: a verdict and every reason against a row.

Judging needs the metrics alone, so stored generations are judged anew under other limits without any engine, and
without measuring again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.privacy.config import Policy, policy_of
from synth_platform.privacy.entities import kinds
from synth_platform.quality.config import QualitySpec


@dataclass(frozen=True)
class Limit:
    """A row is rejected for ``reason`` when a metric is beyond the limit that a field of the spec gives."""

    reason: str
    metric: str
    field: str


LIMITS: Sequence[Limit] = (
    Limit("too_short", "words", "min_words"),
    Limit("too_short", "length_ratio", "min_length_ratio"),
    Limit("too_long", "length_ratio", "max_length_ratio"),
    Limit("repetition:lines", "duplicate_lines", "max_duplicate_lines"),
    Limit("repetition:ngrams", "duplicate_ngrams", "max_duplicate_ngrams"),
    Limit("repetition:top_ngrams", "top_ngrams", "max_top_ngrams"),
    Limit("repetition:compression", "compression_ratio", "min_compression_ratio"),
    Limit("copied", "copied_share", "max_copied_share"),
    Limit("copied", "longest_copied", "max_copied_words"),
    Limit("prompt_echo", "prompt_echo", "max_echoed_words"),
    Limit("html", "html", "max_html"),
    Limit("encoding", "encoding_damage", "max_encoding_damage"),
    Limit("invented:numbers", "invented_numbers", "max_invented_numbers"),
    Limit("invented:dates", "invented_dates", "max_invented_dates"),
    Limit("invented:units", "changed_units", "max_changed_units"),
    Limit("invented:names", "invented_names", "max_invented_names"),
    Limit("lost:numbers", "kept_numbers", "min_kept_numbers"),
    Limit("lost:names", "kept_names", "min_kept_names"),
    Limit("arithmetic:step", "wrong_steps", "max_wrong_steps"),
    Limit("arithmetic:unexplained", "unexplained_numbers", "max_unexplained_numbers"),
    Limit("few_facts", "fact_coverage", "min_fact_coverage"),
    Limit("judge", "judge_score", "min_judge_score"),
    Limit("unsupported", "support", "min_support"),
)
"""A field that begins with ``min`` is the smallest value that passes, one with ``max`` the largest."""

FLAGS: Sequence[Limit] = (
    Limit("truncated", "cut_off", "reject_cut_off"),
    Limit("refusal", "refusal", "reject_refusals"),
    Limit("chatter", "chatter", "reject_chatter"),
    Limit("placeholder", "placeholder", "reject_placeholders"),
)
"""Metrics that are true or false."""


def apply_limits(metrics: pl.DataFrame, spec: QualitySpec, privacy: Mapping[str, Policy] | None = None) -> pl.DataFrame:
    """Rows of metrics with ``support``, ``verdict`` and ``reasons``.

    Args:
        metrics: columns of `METRICS`.
        spec: the limits.
        privacy: what happens to personal data, by entity or kind; None: the defaults.
    """
    found = [_limit(limit, spec) for limit in LIMITS] + [_flag(flag, spec) for flag in FLAGS]
    single = [reason for reason in (*found, *_others(spec)) if reason is not None]
    many = pl.col("format_problems").fill_null([]).list.eval("format:" + pl.element())
    form = many if spec.require_format else pl.lit([], pl.List(pl.String()))
    reasons = (
        pl.concat_list(_status(), form, *single, _personal_data(privacy or {}))
        .list.drop_nulls()
        .list.unique(maintain_order=True)
    )
    judged = metrics.with_columns(_support(spec).alias("support")).with_columns(reasons.alias("reasons"))
    verdict = pl.when(pl.col("reasons").list.len() == 0).then(pl.lit("accepted")).otherwise(pl.lit("rejected"))
    return judged.with_columns(verdict.alias("verdict"))


def _support(spec: QualitySpec) -> pl.Expr:
    """Share of the sentences that are near enough to the source."""
    asked = spec.asked_support
    if asked is None:
        return pl.lit(None, pl.Float64())
    return pl.col("sentence_support").list.eval((pl.element() >= asked.similarity).cast(pl.Float64())).list.mean()


def _personal_data(policies: Mapping[str, Policy]) -> pl.Expr:
    rejected = {
        kind: f"privacy:{entity}" for kind, entity in kinds().items() if policy_of(policies, entity, kind) == "reject"
    }
    reason = pl.element().replace_strict(rejected, default=None, return_dtype=pl.String())
    return pl.col("personal_data").fill_null([]).list.eval(reason)


def _status() -> pl.Expr:
    """A generation that did not end well is rejected for that; a text of blanks is none."""
    ended = pl.when(pl.col("status") != "ok").then(pl.col("status"))
    return pl.coalesce(ended, pl.when(pl.col("words").is_null()).then(pl.lit("empty")))


def _limit(limit: Limit, spec: QualitySpec) -> pl.Expr | None:
    bound = getattr(spec, limit.field)
    if bound is None:
        return None
    value = pl.col(limit.metric)
    beyond = value < bound if limit.field.startswith("min") else value > bound
    return _reason(beyond, limit.reason)


def _flag(flag: Limit, spec: QualitySpec) -> pl.Expr | None:
    return _reason(pl.col(flag.metric), flag.reason) if getattr(spec, flag.field) else None


def _others(spec: QualitySpec) -> list[pl.Expr]:
    reasons = [_reason(pl.col("control_tokens"), "control_tokens"), _reason(pl.col("canary"), "privacy:canary")]
    if spec.require_reached_answer:
        reasons.append(_reason(~pl.col("answer_reached"), "arithmetic:final_answer"))
    if spec.min_fact_accuracy is not None:
        # Where facts are known and none is stated, there is no accuracy, and nothing right.
        known = pl.col("fact_coverage").is_not_null()
        reasons.append(
            _reason(known & (pl.col("fact_accuracy").fill_null(0.0) < spec.min_fact_accuracy), "wrong_facts")
        )
    if spec.min_judge_score is not None:
        written = (pl.col("status") == "ok") & pl.col("words").is_not_null()
        reasons.append(_reason(written & pl.col("judge_score").is_null(), "unjudged"))
    if spec.check_language:
        wanted = pl.col("language").is_in(spec.languages) if spec.languages else _same_language()
        reasons.append(_reason(~wanted, "language"))
    return reasons


def _same_language() -> pl.Expr:
    return pl.col("language") == pl.col("source_language")


def _reason(broken: pl.Expr, reason: str) -> pl.Expr:
    """The reason where the rule is broken; null where it is kept or cannot be judged."""
    return pl.when(broken.fill_null(False)).then(pl.lit(reason))
