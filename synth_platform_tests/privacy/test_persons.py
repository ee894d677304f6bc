"""Persons are measured with a model only, and it is said when nobody looked."""

from dataclasses import dataclass
from types import SimpleNamespace

import polars as pl
import pytest

from synth_platform.errors import SpecError
from synth_platform.privacy import persons
from synth_platform.privacy.entities import FOUND


@dataclass
class Span:
    text: str
    start_char: int
    end_char: int
    label_: str


class Pipeline:
    """Names every word with a capital letter a person, `Berlin` a place."""

    def __init__(self) -> None:
        self.pipe_names = ["tagger", "ner"]

    def disable_pipe(self, name: str) -> None:
        self.pipe_names.remove(name)

    def pipe(self, texts: list[str], batch_size: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(ents=list(self._spans(text))) for text in texts]

    def _spans(self, text: str) -> list[Span]:
        words = [word for word in text.split() if word[0].isupper() or word[0] == "["]
        return [
            Span(word, text.index(word), text.index(word) + len(word), "GPE" if word == "Berlin" else "PERSON")
            for word in words
        ]


@pytest.fixture(autouse=True)
def _no_cached_models() -> None:
    persons._load.cache_clear()


def test_without_a_model_nothing_is_measured() -> None:
    result = persons.find_persons(pl.Series(["Ada Lovelace"]), None)
    assert not result.measured and result.found.is_empty() and result.found.schema == FOUND


def test_persons_have_spans_and_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = Pipeline()
    spacy = SimpleNamespace(load=lambda model: pipeline)
    monkeypatch.setattr(persons.importlib, "import_module", lambda name: spacy)
    result = persons.find_persons(pl.Series(["Ada met Bob in Berlin", None, "[PERSON_1] and Ada"]), "model")
    assert result.measured and pipeline.pipe_names == ["ner"]
    assert result.found.select("row", "start", "end").rows() == [(0, 0, 3), (0, 8, 11), (2, 15, 18)]
    assert result.found["digest"][0] == result.found["digest"][2] != result.found["digest"][1]


def test_a_named_model_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(persons.importlib, "import_module", fail)
    with pytest.raises(SpecError, match="spaCy is not installed"):
        persons.find_persons(pl.Series(["Ada"]), "en_core_web_sm")
