"""Canaries: the same ones anywhere, found where they come out, and told with their uncertainty."""

import random

import polars as pl
import pytest

from synth_platform.privacy.canaries import (
    PLANTED,
    Canaries,
    canary_of,
    choose_documents,
    decoys,
    find_canaries,
    plant,
)
from synth_platform.privacy.intervals import Share
from synth_platform.statistics import bound_of_none

IDS = [f"d{number}" for number in range(500)]


def search(shown: dict[int, str | None], planted: int = 10, released: tuple[str, ...] = ()) -> Canaries:
    """Outputs of 40 prompts, the first of which have a canary; ``shown`` gives the text of some."""
    rows = [(f"p{number}", canary_of(f"d{number}", 1).name) for number in range(planted)]
    texts = [shown.get(number, "A text of its own.") for number in range(40)]
    outputs = pl.DataFrame({"prompt_id": [f"p{n}" for n in range(40)], "text": pl.Series(texts, dtype=pl.String)})
    batches = [outputs[start : start + 7] for start in range(0, 40, 7)]
    found = find_canaries(pl.DataFrame(rows, PLANTED, orient="row"), batches, [pl.Series(released, dtype=pl.String)], 3)
    assert found is not None
    return found


def test_documents_are_chosen_by_seed_and_id_alone() -> None:
    chosen = choose_documents(IDS, 1, 20)
    assert len(chosen) == 20 and chosen < set(IDS)
    assert choose_documents(random.Random(5).sample(IDS, len(IDS)), 1, 20) == chosen, "whatever their order"
    assert choose_documents(IDS, 1, 21) > chosen, "more canaries keep the documents that had one"
    assert len(choose_documents(IDS, 2, 20) & chosen) < 10
    assert choose_documents(IDS, 1, 0) == frozenset() and choose_documents(IDS[:3], 1, 20) == set(IDS[:3])


def test_each_document_has_a_name_of_its_own() -> None:
    names = {canary_of(one, seed).name for one in IDS for seed in (1, 2)}
    assert len(names) == 2 * len(IDS) and all(len(name) == 12 and name.isalpha() for name in names)
    assert canary_of("d1", 1) == canary_of("d1", 1) and canary_of("d1", 1).name in canary_of("d1", 1).sentence


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("It stands alone. And it ends here.", "It stands alone."),
        ("1. Take it, e.g. now", "1. Take it, e.g. now"),
        ("No end", "No end"),
        ("", ""),
    ],
)
def test_the_sentence_comes_after_a_sentence(text: str, before: str) -> None:
    canary = canary_of("d1", 1)
    planted = plant(text, canary)
    assert planted.startswith(f"{before} {canary.sentence}")
    assert planted.replace(f" {canary.sentence}", "") == text


def test_what_comes_out_is_counted() -> None:
    name = [canary_of(f"d{number}", 1).name for number in range(10)]
    texts = {
        0: f"It was {name[0].upper()}'s, and {name[0]} had it.",
        1: f"*{name[1]}* and {name[2]}",
        3: None,
        4: " \n",
        20: f"By {name[5]}.",
    }
    found = search(texts, released=(f"From {name[0].lower()}.", "", "Nothing."))
    assert found.planted == 10
    assert found.names == Share(2, 8), "outputs without text show nothing and do not count"
    assert found.outputs == Share(2, 8)
    assert found.elsewhere == Share(2, 38)
    assert found.decoys == Share(0, 1000) and found.released == 1
    measured = found.metrics()
    assert measured["share"] == 0.25 and 0 < measured["share_lower"] < 0.25 < measured["share_upper"] < 1
    assert measured["released"] == 1 and measured["elsewhere"] == 2


def test_samples_of_one_prompt_count_once_per_name() -> None:
    name = canary_of("d0", 1).name
    planted = pl.DataFrame([("a", name), ("b", name), ("a", name)], PLANTED, orient="row")
    outputs = pl.DataFrame({"prompt_id": ["a", "b", "c"], "text": [name, name, "x"]})
    found = find_canaries(planted, [outputs], [], 0)
    assert found is not None and found.names == Share(1, 1) and found.outputs == Share(2, 2)
    assert found.elsewhere == Share(0, 3)


def test_decoys_tell_what_chance_finds() -> None:
    first, second, *_ = sorted(decoys(3))
    found = search({0: f"{first.title()} met {second}.", 30: first})
    assert found.decoys == Share(2, 1000) and found.outputs.hits == found.elsewhere.hits == 0
    assert decoys(3) != decoys(4)


def test_nothing_found_is_told_with_its_bound() -> None:
    assert f"{bound_of_none(300):.1%}" == "1.0%" and f"{bound_of_none(50):.1%}" == "5.8%" and bound_of_none(0) == 1.0
    found = search({})
    assert found.metrics()["share_upper"] == bound_of_none(10) and found.metrics()["share_lower"] == 0.0
    assert "none: at most 25.89%" in found.describe() and "the mixture has 0 rows" in found.describe()


def test_nothing_planted_is_not_measured() -> None:
    assert find_canaries(PLANTED.to_frame(), [], [], 0) is None
