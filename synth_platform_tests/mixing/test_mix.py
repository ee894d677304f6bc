"""Mixtures keep their weights and budgets, and are the same bytes however their input is cut."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.errors import SpecError
from synth_platform.mixing.config import MixtureSpec
from synth_platform.mixing.mix import ComponentPlan, draw, draw_all, mix, plan_mixture
from synth_platform.mixing.schema import COMPONENT_ROWS


def rows(name: str, count: int, tokens: int = 10) -> pl.DataFrame:
    return pl.DataFrame({"row_id": [f"{name}{n}" for n in range(count)], "tokens": [tokens] * count})


def plans(available: dict[str, int], **spec: object) -> dict[str, int]:
    found = plan_mixture(available, MixtureSpec.model_validate(spec))
    return {plan.name: plan.target_tokens for plan in found}


def test_without_weights_everything_is_used() -> None:
    assert plans({"a": 700, "b": 300, "c": 0}) == {"a": 700, "b": 300, "c": 0}


def test_weights_are_shares_of_tokens_and_the_scarcest_component_decides() -> None:
    assert plans({"a": 700, "b": 300}, weights={"a": 1, "b": 1}) == {"a": 300, "b": 300}
    assert plans({"a": 700, "b": 300}, weights={"a": 3, "b": 1}, tokens=400) == {"a": 300, "b": 100}
    assert plans({"a": 700, "b": 300}, weights={"a": 1, "b": 1}, max_epochs=2) == {"a": 600, "b": 600}


@pytest.mark.parametrize(
    ("available", "spec", "expected"),
    [
        ({"a": 0, "b": 9}, {"weights": {"a": 1, "b": 1}}, "no accepted rows"),
        ({"a": 9}, {"weights": {"z": 1}}, "'z'"),
        ({"a": 9}, {"tokens": 100}, "all that weights and epochs allow"),
        ({"a": 0}, {}, "nothing to mix"),
    ],
)
def test_impossible_mixtures_say_why(available: dict[str, int], spec: dict, expected: str) -> None:
    with pytest.raises(SpecError, match=expected):
        plans(available, **spec)


@pytest.mark.parametrize("weights", [{"a": -1}, {"a": float("nan")}, {"a": 0}])
def test_invalid_weights_are_refused(weights: dict) -> None:
    with pytest.raises(ValueError):
        MixtureSpec.model_validate({"weights": weights})


@settings(max_examples=40)
@given(
    tokens=st.lists(st.integers(1, 50), min_size=1, max_size=40), budget=st.integers(1, 3000), seed=st.integers(0, 9)
)
def test_a_draw_never_exceeds_its_budget_and_takes_whole_epochs_first(
    tokens: list[int], budget: int, seed: int
) -> None:
    frame = pl.DataFrame({"row_id": [str(n) for n in range(len(tokens))], "tokens": tokens})
    plan = ComponentPlan("a", 1.0, sum(tokens), budget)
    drawn = draw(plan, frame, seed)
    assert drawn["tokens"].sum() <= budget
    assert drawn.select(pl.struct("row_id", "epoch").n_unique()).item() == drawn.height
    if drawn.height:
        *whole, _ = drawn.group_by("epoch").len().sort("epoch").iter_rows()
        assert whole == [(epoch, len(tokens)) for epoch in range(len(whole))]


@settings(max_examples=40)
@given(
    tokens=st.lists(st.integers(1, 50), min_size=1, max_size=40), budget=st.integers(1, 1000), seed=st.integers(0, 9)
)
def test_a_row_that_does_not_fit_is_passed_over_and_the_next_is_tried(
    tokens: list[int], budget: int, seed: int
) -> None:
    frame = pl.DataFrame({"row_id": [str(n) for n in range(len(tokens))], "tokens": tokens})
    epoch = draw(ComponentPlan("a", 1.0, sum(tokens), sum(tokens)), frame, seed)
    left, expected = budget, []
    for row, size in epoch.select("row_id", "tokens").iter_rows():
        if size <= left:
            expected.append(row)
            left -= size
    drawn = draw(ComponentPlan("a", 1.0, sum(tokens), budget), frame, seed)
    assert drawn.filter(pl.col("epoch") == 0)["row_id"].to_list() == expected


def test_long_rows_do_not_keep_short_ones_out() -> None:
    sizes = [5_700] * 107 + [17_791, 730, 1_292]
    frame = pl.DataFrame({"row_id": [f"d{n}" for n in range(len(sizes))], "tokens": sizes})
    for seed in range(20):
        drawn = draw(ComponentPlan("docs", 1.0, sum(sizes), 9_800), frame, seed)
        assert sorted(drawn["tokens"]) == [730, 1_292, 5_700]


def test_a_component_with_a_weight_is_never_left_out_in_silence() -> None:
    available = {"faq": 300, "docs": 10_000}
    at_hand = {"faq": rows("f", 30), "docs": rows("d", 2, 5_000)}
    weighted = MixtureSpec(weights={"faq": 1, "docs": 1})
    with pytest.raises(SpecError, match=r"'docs' a weight, but its share of 300 tokens .* \(5,000\)"):
        draw_all(plan_mixture(available, weighted), at_hand, weighted, seed=1)
    for spec in (MixtureSpec(weights={"faq": 1}), MixtureSpec(weights={"faq": 1, "docs": 0}), MixtureSpec(tokens=999)):
        drawn = draw_all(plan_mixture(available, spec), at_hand, spec, seed=1)
        assert drawn["docs"].is_empty() and drawn["faq"].height, "nobody asked for a share of it"


def test_order_and_bytes_do_not_depend_on_how_the_input_is_cut() -> None:
    frame = pl.DataFrame(
        [{"row_id": f"r{n}", "text": f"text {n}", "origin": "synthetic", "tokens": 10} for n in range(500)],
        schema_overrides=dict(COMPONENT_ROWS.items()),
    )
    every = frame.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in COMPONENT_ROWS.items() if name not in frame.columns
    ).select(COMPONENT_ROWS.names())
    plan = plan_mixture({"a": 5000}, MixtureSpec())[0]
    made = []
    for cut in (1, 7, 500):
        drawn = draw(plan, every.select("row_id", "tokens"), seed=3)
        made.append(pl.concat(mix(drawn, lambda cut=cut: every.iter_slices(cut))))
    assert made[0].height == 500
    assert made[0].equals(made[1]) and made[0].equals(made[2])
    assert made[0]["text"].to_list() != every["text"].to_list()
