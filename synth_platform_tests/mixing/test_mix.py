"""Mixtures keep their weights and budgets, and are the same bytes however their input is cut."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import synth_platform.mixing.mix
from synth_platform.errors import SnapshotError, SpecError
from synth_platform.mixing.config import MixtureSpec
from synth_platform.mixing.mix import ComponentPlan, Read, at_hand, draw, draw_all, mix, plan_mixture
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


def component_rows(count: int, recipe: str = "a") -> pl.DataFrame:
    frame = pl.DataFrame(
        [
            {"row_id": f"{recipe}{n}", "text": f"text {n}", "origin": "synthetic", "recipe": recipe, "tokens": 10}
            for n in range(count)
        ],
        schema_overrides=dict(COMPONENT_ROWS.items()),
    )
    missing = (pl.lit(None, kind).alias(name) for name, kind in COMPONENT_ROWS.items() if name not in frame.columns)
    return frame.with_columns(missing).select(COMPONENT_ROWS.names())


def mixed(read: Read, scratch: Path, **spec: object) -> pl.DataFrame:
    there = at_hand(read)
    wanted = MixtureSpec.model_validate(spec)
    drawn = draw_all(
        plan_mixture({name: int(rows["tokens"].sum()) for name, rows in there.items()}, wanted), there, wanted, 3
    )
    made = pl.concat(mix(pl.concat(drawn.values()), read, scratch))
    assert not list(scratch.iterdir()), "something was left behind"
    return made


def test_order_and_bytes_do_not_depend_on_how_the_input_is_cut(tmp_path: Path) -> None:
    every = component_rows(500)
    made = [mixed(lambda cut=cut: every.iter_slices(cut), tmp_path / "scratch") for cut in (1, 7, 500)]
    assert made[0].height == 500
    assert made[0].equals(made[1]) and made[0].equals(made[2])
    assert made[0]["text"].to_list() != every["text"].to_list()


def test_texts_are_read_once_however_many_buckets_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    components = [component_rows(300, "a"), component_rows(50, "b")]
    reads: list[int] = []

    def read() -> Iterator[pl.DataFrame]:
        reads.append(1)
        for rows in components:
            yield from rows.iter_slices(32)

    asked = {"weights": {"a": 1, "b": 1}, "max_epochs": 2.5}
    whole = mixed(read, tmp_path / "scratch", **asked)
    assert whole.group_by("recipe").len().sort("recipe").rows() == [("a", 125), ("b", 125)]
    assert set(whole.filter(pl.col("recipe") == "b")["epoch"]) == {0, 1, 2}
    reads.clear()
    monkeypatch.setattr(synth_platform.mixing.mix, "_BUCKET_TOKENS", 100)
    assert mixed(read, tmp_path / "scratch", **asked).equals(whole)
    assert len(reads) == 2, "once for what there is, and once for the texts"


def test_rows_that_are_others_than_those_that_were_drawn_are_not_mixed(tmp_path: Path) -> None:
    drawn = draw(ComponentPlan("a", 1.0, 5000, 5000), at_hand(lambda: [component_rows(500)])["a"], seed=3)
    with pytest.raises(SnapshotError, match="not those that were drawn"):
        list(mix(drawn, lambda: [component_rows(500).reverse()], tmp_path))


def test_rows_of_unknown_length_are_not_weighed_as_if_they_had_none() -> None:
    rows = component_rows(10).with_columns(tokens=pl.when(pl.col("row_id") != "a3").then(10))
    with pytest.raises(SnapshotError, match="1 of 10 rows of 'a' have no token count"):
        at_hand(lambda: rows.iter_slices(4))
