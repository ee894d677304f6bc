"""Leaks are measured on texts in which the answer is known."""

import random
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from synth_platform.errors import SynthError
from synth_platform.privacy.intervals import Difference, Share
from synth_platform.privacy.leaks import DOCUMENTS, OUTPUTS, Batches, LeakOptions, Leaks, measure_leaks

WORDS = [
    f"{first}{second}" for first in ("lor", "mip", "dal", "ser", "quo", "ven") for second in ("a", "em", "is", "ort")
]


def prose(rng: random.Random, words: int = 40) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def batches(rows: list[dict[str, Any]], schema: pl.Schema, size: int = 7) -> Batches:
    def go() -> Iterator[pl.DataFrame]:
        for start in range(0, len(rows), size):
            yield pl.DataFrame(rows[start : start + size], schema=schema)

    return go


def corpus(count: int = 40) -> list[dict[str, Any]]:
    rng = random.Random(1)
    return [
        {"id": f"d{number}", "text": f"{prose(rng)} person{number}@web.de {prose(rng)}", "used": number % 2 == 0}
        for number in range(count)
    ]


def outputs_of(rows: list[dict[str, Any]], make: Any) -> list[dict[str, Any]]:
    used = [row for row in rows if row["used"]]
    return [
        {"document_id": row["id"], "source": row["text"], "text": make(number, row["text"])}
        for number, row in enumerate(used)
    ]


def measure(rows: list[dict[str, Any]], outputs: list[dict[str, Any]], **options: Any) -> Leaks:
    return measure_leaks(batches(rows, DOCUMENTS), batches(outputs, OUTPUTS), LeakOptions(**options))


def test_outputs_that_copy_nothing_leak_nothing() -> None:
    rows, rng = corpus(), random.Random(9)
    leaks = measure(rows, outputs_of(rows, lambda number, text: f"{prose(rng)} info{number}@gmail.com"))
    assert [(one.entity, one.share) for one in leaks.copied] == [("email", Share(0, 20))]
    assert [(one.used, one.held_out) for one in leaks.disclosures] == [(Share(0, 20), Share(0, 20))] * 3
    assert leaks.spans.own.hits == leaks.spans.others.hits == leaks.spans.held_out.hits == 0
    assert leaks.anonymity.invented == Share(20, 20) and leaks.anonymity.below == Share(0, 20)
    assert not leaks.persons_measured and (leaks.documents, leaks.held_out, leaks.outputs) == (20, 20, 20)


def test_every_fourth_output_repeats_its_source() -> None:
    rows, rng = corpus(), random.Random(9)
    leaks = measure(rows, outputs_of(rows, lambda number, text: text if number % 4 == 0 else prose(rng)))
    assert [(one.entity, one.share) for one in leaks.copied] == [("email", Share(5, 5))]
    assert [one.used for one in leaks.disclosures] == [Share(5, 20)] * 3
    assert [one.held_out for one in leaks.disclosures] == [Share(0, 20)] * 3
    assert leaks.disclosures[0].excess.value == 0.25
    assert leaks.spans.own.value == pytest.approx(0.25) and leaks.spans.others.hits == 0
    assert leaks.anonymity.below == Share(5, 5)


def test_what_comes_out_of_another_document_is_told_apart() -> None:
    rows = corpus()
    used = [row["text"] for row in rows if row["used"]]
    leaks = measure(rows, outputs_of(rows, lambda number, text: used[(number + 1) % len(used)]))
    assert [one.share for one in leaks.copied] == [Share(0, 20)]
    assert leaks.spans.own.hits == 0 and leaks.spans.others.value == 1.0
    assert leaks.disclosures[2].used == Share(20, 20)


def test_matches_with_held_out_documents_cancel_out() -> None:
    rows = corpus()
    everything = " ".join(row["text"] for row in rows)
    leaks = measure(rows, outputs_of(rows, lambda number, text: everything))
    for one in leaks.disclosures:
        assert one.used == one.held_out == Share(20, 20) and one.excess.value == 0
        low, high = one.excess.interval
        assert low < 0 < high


def test_what_many_documents_have_is_neither_rare_nor_below_k() -> None:
    rows = [{**row, "text": f"{row['text']} Write to hotline@telia.se"} for row in corpus()]
    leaks = measure(rows, outputs_of(rows, lambda number, text: "Write to hotline@telia.se"), k=5)
    assert leaks.disclosures[0].used == Share(0, 20)
    assert leaks.anonymity.below == Share(0, 1) and leaks.anonymity.invented == Share(0, 1)
    assert [one.share for one in leaks.copied] == [Share(20, 20)]


@pytest.mark.parametrize(("k", "below"), [(3, 0), (4, 1)])
def test_k_is_the_number_of_source_documents(k: int, below: int) -> None:
    rows = corpus()
    for row in rows[:3]:
        row["text"] += " shared@telia.se"
    leaks = measure(rows, outputs_of(rows, lambda number, text: "shared@telia.se"), k=k)
    assert leaks.anonymity.below == Share(below, 1)


def test_the_sample_is_bounded_and_does_not_hang_on_the_order() -> None:
    rows, rng = corpus(), random.Random(9)
    outputs = outputs_of(rows, lambda number, text: text if number % 4 == 0 else prose(rng))
    one = measure(rows, outputs, sample=8, spans=20)
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert measure(shuffled, outputs, sample=8, spans=20) == one
    assert one.sampled == one.sampled_held_out == 8 and one.spans.own.total == 8 * 20


def test_distinct_entities_are_sampled_beyond_the_bound() -> None:
    rows = corpus()
    leaks = measure(rows, outputs_of(rows, lambda number, text: text), distinct=5)
    assert leaks.anonymity.sampled and leaks.anonymity.below == Share(5, 5)


@pytest.mark.parametrize("used", [True, False])
def test_both_groups_are_needed(used: bool) -> None:
    rows = [{**row, "used": used} for row in corpus()]
    with pytest.raises(SynthError, match="no document was"):
        measure(rows, [])


def test_the_report_names_every_number() -> None:
    rows = corpus()
    text = measure(rows, outputs_of(rows, lambda number, text: text)).describe()
    for part in ("Copied or invented", "Excess disclosure", "Rare word spans", "few documents have"):
        assert f"### {part}" in text or part in text
    assert "not measured" in text and "100.00%" in text and "20 of 20" in text
    assert "@" not in text  # no value in clear


def test_newcombe_agrees_with_the_paper() -> None:
    # Newcombe 1998, table II: 56/70 - 48/80 by method 10 is 0.0524 to 0.3339; 10/10 - 0/20 is 0.6791 to 1.
    low, high = Difference(Share(56, 70), Share(48, 80)).interval
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)
    low, high = Difference(Share(10, 10), Share(0, 20)).interval
    assert (round(low, 4), round(high, 4)) == (0.6791, 1.0)
