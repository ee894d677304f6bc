"""Diversity has its known values on constructed texts and falls when texts repeat each other."""

import math
import random

import numpy as np
import pytest

from synth_platform.contamination.words import split_words
from synth_platform.review.blocks import blocks
from synth_platform.review.config import DiversitySpec
from synth_platform.review.diversity import METRICS, DiversityResult, diversity_of, mtld
from synth_platform.review.samples import RowSample
from synth_platform.review.similarity import nearest_cosine, self_bleu, similarities, vendi_score
from synth_platform_tests.review.rows import frame, measure_diversity, prose

SPEC = DiversitySpec(rows=200, block_words=1000)


def unlike(count: int) -> list[str]:
    return [" ".join(f"t{text}word{word}" for word in range(20)) for text in range(count)]


def measure(texts: list[str]) -> DiversityResult:
    return measure_diversity([frame(texts)], SPEC)


def test_texts_without_a_common_word_are_all_different() -> None:
    figures = measure(unlike(200)).overall
    assert figures.vendi.value == pytest.approx(200, abs=0.1)  # a few of 2**20 features are shared by chance
    values = {name: figure.value for name, figure in figures.figures.items()}
    assert values["distinct_1"] == values["distinct_4"] == 1.0
    assert values["nearest_cosine"] == pytest.approx(0, abs=0.01) and values["self_bleu"] < 0.01


def test_texts_that_are_all_the_same_count_as_one() -> None:
    result = measure([unlike(1)[0]] * 200)
    assert result.overall.vendi.value == pytest.approx(1) and result.overall.vendi.low == pytest.approx(1)
    metrics = result.metrics()
    assert metrics["nearest_cosine"] == pytest.approx(1) and metrics["self_bleu"] == pytest.approx(1)
    assert metrics["distinct_1"] == pytest.approx(20 / 1000)
    assert metrics["compression_ratio"] > 20 and metrics["shared_bytes"] > 0.9
    assert set(metrics) == set(METRICS)


def test_vendi_counts_groups_of_equal_texts() -> None:
    cosines = np.kron(np.eye(4), np.ones((25, 25)))
    assert vendi_score(cosines).value == pytest.approx(4)
    eigenvalues = np.array([1.5, 0.5]) / 2
    expected = math.exp(-(eigenvalues * np.log(eigenvalues)).sum())
    assert vendi_score(np.array([[1, 0.5], [0.5, 1]])).value == pytest.approx(expected)


def test_nearest_cosine_of_known_vectors() -> None:
    vectors = {"east": [2.0, 0.0], "north": [0.0, 3.0], "between": [1.0, 1.0]}
    cosines = similarities(
        split_words(list(vectors)), list(vectors), lambda texts: np.array([vectors[t] for t in texts])
    )
    assert nearest_cosine(cosines).value == pytest.approx(math.sqrt(0.5))


def brute_bleu(texts: list[list[str]]) -> float:
    scores = []
    for own, text in enumerate(texts):
        logs = 0.0
        for n in range(1, 5):
            grams = [[tuple(t[i : i + n]) for i in range(len(t) - n + 1)] for t in texts]
            matched = sum(
                min(grams[own].count(gram), max(g.count(gram) for other, g in enumerate(grams) if other != own))
                for gram in set(grams[own])
            )
            logs += math.log(max(matched, 0.1) / len(grams[own])) / 4
        closest = min((abs(len(t) - len(text)), len(t)) for other, t in enumerate(texts) if other != own)[1]
        scores.append(math.exp(logs + min(0.0, 1 - closest / len(text))))
    return sum(scores) / len(scores)


@pytest.mark.parametrize("seed", range(5))
def test_self_bleu_is_that_of_its_definition(seed: int) -> None:
    rng = random.Random(seed)
    texts = [rng.choices("abcdef", k=rng.randint(4, 15)) for _ in range(8)]
    assert self_bleu(split_words([" ".join(text) for text in texts])).value == pytest.approx(brute_bleu(texts))


def test_distinct_ngrams_do_not_reach_into_the_next_text() -> None:
    result = measure_diversity([frame(["a b c d"] * 50)], DiversitySpec(rows=50, block_words=100)).metrics()
    assert result["distinct_1"] == pytest.approx(4 / 100)
    assert result["distinct_4"] == pytest.approx(1 / 25)


def test_mtld_of_known_texts() -> None:
    # All different: no stretch ever ends. Two words in turn: one after 10 words, the fewest that count.
    assert mtld(np.arange(300)) == 300
    assert mtld(np.array([1, 2] * 50)) == pytest.approx(10)


def test_repeating_texts_are_less_diverse_by_every_measure() -> None:
    varied = measure(prose(400, words=80, vocabulary=5000)).metrics()
    narrow = measure(prose(400, words=80, vocabulary=50)).metrics()
    lower = ("distinct_1", "distinct_2", "distinct_3", "distinct_4", "mtld", "vendi_share")
    higher = ("compression_ratio", "shared_bytes", "nearest_cosine", "self_bleu")
    assert all(narrow[name] < varied[name] for name in lower)
    assert all(narrow[name] > varied[name] for name in higher)


def test_a_larger_version_of_the_same_kind_is_as_diverse() -> None:
    small, large = (measure(prose(count, seed=count)).overall.figures for count in (600, 3000))
    for name in ("distinct_1", "distinct_2", "compression_ratio", "self_bleu"):
        assert small[name].low < large[name].high and large[name].low < small[name].high, name


def test_order_batches_and_workers_make_no_difference() -> None:
    rows = frame(prose(900), ["faq" if n % 2 else "math" for n in range(900)])
    expected = measure_diversity([rows], SPEC)
    assert measure_diversity(rows.sample(fraction=1, shuffle=True, seed=3).iter_slices(37), SPEC) == expected
    whole = RowSample(SPEC.rows, 0)
    for part in rows.iter_slices(250):
        worker = RowSample(SPEC.rows, 0)
        for block in blocks([part]):
            worker.add(block)
        whole.merge(worker)
    assert diversity_of(whole, SPEC) == expected
    assert "Vendi score" in expected.describe()


def test_little_or_nothing_to_measure() -> None:
    assert measure([]).overall.rows == 0
    assert measure(["one text"]).metrics()["distinct_1"] == 1.0
    assert measure(["", "?"]).overall.rows == 2
