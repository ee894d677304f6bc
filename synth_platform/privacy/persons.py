"""Names of persons, found by a spaCy model of the user's choice; without one they are not measured."""

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import polars as pl

from synth_platform.digest import digest
from synth_platform.errors import SpecError
from synth_platform.privacy.entities import FOUND
from synth_platform.privacy.rules import PLACEHOLDER

_LABELS = frozenset({"PERSON", "PER", "persName"})
_UNUSED = ("parser", "tagger", "lemmatizer", "attribute_ruler", "morphologizer", "textcat")
_BATCH = 64


@dataclass(frozen=True)
class Persons:
    """Names found (``entities.FOUND``), and whether anybody looked."""

    found: pl.DataFrame
    measured: bool


def find_persons(texts: pl.Series, model: str | None) -> Persons:
    """Names of persons in texts.

    Args:
        texts: the batch; null counts as empty.
        model: name or folder of a spaCy model with a named-entity recogniser; None: nothing is measured.

    Raises:
        SpecError: a model is named, but spaCy or the model is not installed.
    """
    if model is None:
        return Persons(FOUND.to_frame(), measured=False)
    rows = []
    for row, document in enumerate(_load(model).pipe(texts.fill_null("").to_list(), batch_size=_BATCH)):
        for span in document.ents:
            if span.label_ in _LABELS and not PLACEHOLDER.search(span.text):
                name = " ".join(span.text.lower().split())
                rows.append((row, "person", "person", span.start_char, span.end_char, digest("person", name)[:16]))
    return Persons(pl.DataFrame(rows, schema=FOUND, orient="row"), measured=True)


@cache
def _load(model: str) -> Any:
    try:
        pipeline = importlib.import_module("spacy").load(model)
    except ImportError as error:
        raise SpecError(
            "spaCy is not installed", where=f"privacy.ner = {model!r}", fix="pip install spacy, or set it to null"
        ) from error
    except OSError as error:
        raise SpecError(
            f"spaCy has no model {model!r}",
            where="privacy.ner",
            fix=f"python -m spacy download {model}, or name a model's folder",
        ) from error
    for name in _UNUSED:
        if name in pipeline.pipe_names:
            pipeline.disable_pipe(name)
    return pipeline
