"""Rewordings are found where they stand; other questions of the kind are not taken for them."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from synth_platform.contamination.agreement import facts_of, name_agreement, number_agreement
from synth_platform.contamination.calibration import calibrate, load_calibration, recall_at
from synth_platform.contamination.config import METHODS, ExactSpec
from synth_platform.contamination.eval_index import build_eval_index
from synth_platform.contamination.scan import Scanner
from synth_platform.contamination.segments import build_segments
from synth_platform.contamination.windows import make_windows
from synth_platform.contamination.words import split_words
from synth_platform.encoder import DEFAULT_ENCODER, Encoder, EncoderError, find_encoder
from synth_platform.errors import SpecError
from synth_platform.workspace import Workspace
from synth_platform_tests.contamination.searches import items

ASKED = (
    "Marisol bakes 48 rye loaves every morning and sells three quarters of them at the harbour for $5 each. She gives"
    " the rest to the orphanage. How much money does she earn in 6 days?"
)
REWORDED = (
    "Each morning 48 loaves of rye bread leave Marisol's oven. At the harbour 3/4 of them go for 5 dollars apiece, and"
    " what remains goes to the orphanage. What are her earnings after six days?"
)
OTHER = (
    "Marisol bakes 30 rye loaves every morning and sells two thirds of them at the station for $7 each. She takes the"
    " rest home. How many loaves does she take home in 9 days?"
)
PAGE = (
    "The harbour of the old town was rebuilt after the flood. Its quays are of granite, and its cranes were made by"
    " a foundry that no longer exists. Visitors like the lighthouse best, which can be climbed on Sundays. "
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """The default encoder, which a Python package carries."""
    try:
        return Encoder(find_encoder(DEFAULT_ENCODER, Workspace(tmp_path_factory.mktemp("home")).encoders, print))
    except EncoderError as error:
        pytest.skip(f"no encoder: {error}")


@pytest.fixture(scope="module")
def scanner(encoder: Encoder) -> Scanner:
    filler = [
        "How deep is the deepest trench of the Pacific Ocean in metres?",
        "Who painted the ceiling of the chapel?",
    ]
    calibration = load_calibration(None, DEFAULT_ENCODER, Path())
    index = build_eval_index([items(ASKED, *filler)], METHODS, calibration, encoder.encode)
    return Scanner(index, ExactSpec(), METHODS, encoder.encode)


def look(scanner: Scanner, *texts: str) -> pl.DataFrame:
    return scanner.scan(pl.DataFrame({"row_id": [str(number) for number in range(len(texts))], "text": texts}))


def test_a_rewording_is_contaminated_by_itself_and_inside_a_page(scanner: Scanner) -> None:
    found = look(scanner, REWORDED, PAGE * 6 + REWORDED + " " + PAGE * 6)
    assert found["verdict"].to_list() == ["contaminated"] * 2
    assert set(found["method"]) == {"paraphrase"} and set(found["eval_id"]) == {"q0"}
    assert all("rye" in span for span in found["span"]) and found["eval_span"][0].startswith("Marisol bakes 48")


def test_another_question_of_the_kind_is_not_contaminated(scanner: Scanner) -> None:
    found = look(scanner, OTHER, PAGE)
    assert "contaminated" not in found["verdict"].to_list()


def test_vectors_say_what_means_the_same(encoder: Encoder) -> None:
    one, other, far = encoder.encode(["A cat sleeps on the sofa.", "A kitten naps on a couch.", "Interest rates rose."])
    assert np.allclose(np.linalg.norm([one, other, far], axis=1), 1, atol=1e-5)
    assert one @ other > 0.6 > 0.3 > one @ far
    assert encoder.encode([]).shape[0] == 0


def test_vectors_come_in_the_order_of_the_texts(encoder: Encoder) -> None:
    texts = [f"word {'and another ' * (number % 40)} {number}" for number in range(60)]
    together = encoder.encode(texts)
    assert all(together[number] @ encoder.encode([texts[number]])[0] > 0.97 for number in (0, 17, 39, 59))


def test_an_encoder_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(EncoderError, match=r"has no model.safetensors"):
        _ = find_encoder(str(tmp_path / "model"), tmp_path).digest
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "t5"}))
    with pytest.raises(EncoderError):
        Encoder(find_encoder(str(tmp_path / "model"), tmp_path))


def test_numbers_and_names_agree_or_not() -> None:
    asked, reworded, other = facts_of(ASKED), facts_of(REWORDED), facts_of(OTHER)
    assert number_agreement(asked, reworded)[0] > 0.7 > 0 > number_agreement(asked, other)[0]
    assert number_agreement(facts_of("no number"), facts_of("none either")) == (0.0, 0.0)
    assert facts_of("a dozen eggs cost $1,200.50").numbers == {"12", "1200.5"}
    assert name_agreement(facts_of("Marisol met Ignatius"), facts_of("Ignatius was met by Marisol"))[0] == 1.0
    assert name_agreement(facts_of("Marisol met Ignatius"), facts_of("Ferdinand met nobody"))[0] == -1.0


def test_windows_cover_every_word_of_every_text() -> None:
    words = split_words([PAGE * 3, "Short one here today, friends.", "", "No stop " * 200])
    windows = make_windows(words)
    covered = np.zeros(len(words.hashes), bool)
    for text, first, after in zip(windows.text, windows.first, windows.after, strict=True):
        assert words.bounds[text] <= first < after <= words.bounds[text + 1]
        covered[first:after] = True
    assert covered.all()


def test_long_items_are_cut_into_segments_that_make_a_whole() -> None:
    made = build_segments(items(PAGE * 5, ASKED))
    shares = made.group_by("eval_id", "view").agg(pl.col("share").sum().round(6), pl.len()).sort("eval_id")
    assert shares["share"].to_list() == [1.0, 1.0] and shares["len"][0] > 2 and shares["len"][1] == 1


def test_thresholds_keep_to_the_rates_of_false_alarms() -> None:
    negatives = list(np.linspace(0, 0.9, 1000))
    found = calibrate("e", [0.95] * 90 + [0.1] * 10, negatives)
    assert found.contaminated.recall == found.suspect.recall == 0.9
    assert found.contaminated.false_alarms <= 0.001 and found.suspect.false_alarms == 0.01
    assert found.suspect.recall_interval[0] < 0.9 < found.suspect.recall_interval[1]
    assert recall_at([0.95, 0.1], negatives, 0.001) == 0.5


def test_a_calibration_of_another_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not of 'mine'"):
        load_calibration(None, "mine", tmp_path)
    with pytest.raises(SpecError, match="does not exist"):
        load_calibration("none.json", "mine", tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(SpecError, match="no calibration"):
        load_calibration("bad.json", "mine", tmp_path)
