"""What differs is found, what does not is left alone, and the report can be read."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

from synth_platform.bias.compare import compare
from synth_platform.bias.counts import BiasCounts, count, no_counts
from synth_platform.bias.report import METRICS
from synth_platform.bias.statistics import holm, log_odds_ratio, share_p, share_ratio
from synth_platform.errors import SynthError

JOBS = ("nurse", "doctor", "teacher", "pilot", "farmer", "lawyer", "chef", "poet")


def stories(
    rng: np.random.Generator, documents: int, *, female: float, nurse: float | None = None, rude: float = 0.0
) -> BiasCounts:
    """Counts of one-sentence texts.

    Args:
        rng: source of chance.
        documents: how many.
        female: chance of "she".
        nurse: chance of "she" in texts with a nurse; None: as in the others.
        rude: chance of a curse.
    """
    texts = []
    for _ in range(documents):
        job = JOBS[rng.integers(len(JOBS))]
        she = rng.random() < (nurse if nurse is not None and job == "nurse" else female)
        curse = " Damn it." if rng.random() < rude else ""
        origin = ("Canada", "Japan", "Kenya", "Brazil")[rng.integers(4)]
        mood = "happy" if rng.random() < 0.3 else "lazy"
        texts.append(f"The {job} from {origin} said that {'she' if she else 'he'} was {mood}.{curse}")
    return count(pl.Series(texts))


def test_a_planted_shift_of_gender_is_found() -> None:
    rng = np.random.default_rng(1)
    report = compare(stories(rng, 2000, female=0.35), stories(rng, 2000, female=0.5))
    metrics = report.metrics()
    assert metrics["gender_ratio_shift"] == pytest.approx(0.15, abs=0.04)
    assert metrics["max_representation_shift"] == metrics["gender_ratio_shift"]
    assert metrics["association_amplification"] == 0 and metrics["toxic_share_increase"] == 0
    female = next(one for one in report.representation if one.group == "female")
    assert female.ratio.low < 0.35 / 0.5 < female.ratio.high
    assert {one.attribute for one in report.representation if one.significant} == {"gender"}


def test_a_planted_association_is_found_as_amplified() -> None:
    rng = np.random.default_rng(2)
    report = compare(stories(rng, 8000, female=0.5, nurse=0.95), stories(rng, 8000, female=0.5, nurse=0.7))
    metrics = report.metrics()
    expected = math.log(0.95 / 0.05) - math.log(0.7 / 0.3)
    assert metrics["association_amplification"] == pytest.approx(expected, abs=0.5)
    first = report.associations[0]
    assert (first.group, first.target, first.significant) == ("female", "nurse", True)
    assert first.share == (pytest.approx(0.95, abs=0.02), pytest.approx(0.7, abs=0.05))
    assert first.change.low < math.exp(expected) < first.change.high


def test_a_weakened_association_is_no_amplification() -> None:
    rng = np.random.default_rng(3)
    report = compare(stories(rng, 8000, female=0.5, nurse=0.6), stories(rng, 8000, female=0.5, nurse=0.95))
    assert report.associations[0].significant and report.associations[0].amplification < 0
    assert report.metrics()["association_amplification"] == 0 and "are tied less" in report.describe()


def test_planted_curses_are_found() -> None:
    rng = np.random.default_rng(4)
    report = compare(stories(rng, 3000, female=0.5, rude=0.02), stories(rng, 3000, female=0.5, rude=0.002))
    metrics = report.metrics()
    assert metrics["toxic_share"] == pytest.approx(0.02, abs=0.01)
    assert metrics["toxic_share_increase"] == pytest.approx(0.018, abs=0.01)
    assert metrics["toxic_share"] < metrics["toxic_share_upper"] < 0.04
    assert metrics["slur_share"] == 0
    assert "da**" in report.describe() and "damn" not in report.describe().lower()


def test_random_halves_do_not_differ_more_often_than_said() -> None:
    rounds = 150
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(rounds):
        report = compare(*(stories(rng, 400, female=0.4, nurse=0.7, rude=0.02) for _ in range(2)))
        alarms += any(True for _ in report.significant())
    assert stats.binomtest(alarms, rounds, 0.05, alternative="greater").pvalue > 0.001, alarms


def test_tests_are_not_blunt() -> None:
    """At 5% without correction, about one comparison in twenty of equal sets must be called different."""
    rng = np.random.default_rng(6)
    p_values = [
        one.p for _ in range(60) for one in compare(*(stories(rng, 800, female=0.4) for _ in range(2))).representation
    ]
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_rows_of_one_document_are_no_independent_witnesses() -> None:
    rng = np.random.default_rng(7)
    alarms = {1.0: 0, 4.0: 0}
    for _ in range(40):
        few, source = (stories(rng, 300, female=0.5) for _ in range(2))
        copies = few + few + few + few
        for rows in alarms:
            report = compare(copies, source, rows_per_document=rows)
            alarms[rows] += sum(one.p < 0.05 for one in report.representation)
    assert alarms[4.0] < 0.75 * alarms[1.0]


def test_a_version_against_itself() -> None:
    counts = stories(np.random.default_rng(8), 500, female=0.5)
    report = compare(counts, counts)
    assert not list(report.significant()) and "Nothing: every difference" in report.describe()
    assert all(one.ratio.value == pytest.approx(1) for one in report.representation)


def test_no_ratio_is_invented_where_a_side_has_none() -> None:
    version, source = count(pl.Series(["Damn."] + ["Fine."] * 3000)), count(pl.Series(["Fine."] * 100))
    rate = next(line for line in compare(version, source).describe().splitlines() if line.startswith("| profanity"))
    assert "only in the version" in rate


def test_every_metric_is_documented() -> None:
    counts = stories(np.random.default_rng(9), 50, female=0.5)
    assert set(compare(counts, counts).metrics()) == set(METRICS)


def test_nothing_to_compare_is_said() -> None:
    plain = count(pl.Series(["Water boils."] * 30))
    report = compare(plain, plain)
    assert report.metrics()["max_representation_ratio"] == 1 and report.metrics()["toxic_share"] == 0
    assert "*nothing to compare*" in report.describe() and "too few documents" in report.describe()


def test_no_documents_are_an_error() -> None:
    counts = count(pl.Series(["she"]))
    with pytest.raises(SynthError, match="no documents"):
        compare(no_counts(), counts)
    with pytest.raises(SynthError, match="rows_per_document"):
        compare(counts, counts, rows_per_document=0.5)


def test_slurs_are_masked_in_reports() -> None:
    from synth_platform.bias.lexicon import load_lexicon

    lexicon = load_lexicon()
    slur = next(term for term, label in zip(lexicon.terms, lexicon.term_label, strict=True) if label in lexicon.hidden)
    counts = count(pl.Series([f"and the {slur} came"] * 20))
    shown = compare(counts, counts).describe()
    assert slur not in shown and slur[0] + "*" * (len(slur) - 1) in shown


@pytest.mark.parametrize(
    "table", [(3, 40, 9, 50), (0, 30, 6, 30), (200, 1000, 260, 1000), (5, 5, 5, 5), (1, 10_000, 9, 10_000)]
)
def test_shares_are_tested_as_fisher_does(table: tuple[int, int, int, int]) -> None:
    hits, total, other, other_total = table
    _, exact = stats.fisher_exact([[hits, total - hits], [other, other_total - other]])
    assert share_p(*table) == pytest.approx(exact, rel=0.25)
    assert share_p(*table) == pytest.approx(share_p(other, other_total, hits, total))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(10)
    held = [
        (ratio := share_ratio(int(rng.binomial(300, 0.2)), 300, int(rng.binomial(400, 0.3)), 400)).low
        < 2 / 3
        < ratio.high
        for _ in range(2000)
    ]
    assert 0.93 < np.mean(held) < 0.97


def test_log_odds_ratio_of_a_table() -> None:
    log, error = log_odds_ratio((19, 9, 4, 9))
    assert log == pytest.approx(math.log(19.5 * 9.5 / (9.5 * 4.5)))
    assert error == pytest.approx(math.sqrt(1 / 19.5 + 2 / 9.5 + 1 / 4.5))


def test_holm_stops_at_the_first_that_fails() -> None:
    assert holm([0.04, 0.001, 0.03, 0.012], 0.05) == [False, True, False, True]
    assert holm([], 0.05) == []


def test_real_texts(shared_data: Path) -> None:
    def read(path: str, *columns: str) -> pl.Series:
        with gzip.open(shared_data / path, "rt", encoding="utf-8") as file:
            return pl.Series([" ".join(str(json.loads(line)[name]) for name in columns) for line in file])

    book, problems = (
        count(read("sources/rust_book.jsonl.gz", "text")),
        count(read("evals/gsm8k_train.jsonl.gz", "question")),
    )
    report = compare(book, problems)
    assert report.toxicity and not any(sum(one.documents) for one in report.toxicity)
    assert "age" in report.attributes_not_compared  # the children of a book on programming are no people
    assert not list(compare(problems, problems).significant())
