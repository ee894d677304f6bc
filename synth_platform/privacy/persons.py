"""Names of persons, found by a spaCy model of the user's choice; without one they are not measured."""

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_file
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


def model_settings(model: str | None) -> Mapping[str, str]:
    """What determines, beside its name, which names a model finds: part of the settings of whoever uses it."""
    found = model_digest(model) if model is not None else None
    return {"ner_digest": found} if found else {}


@cache
def model_digest(model: str) -> str | None:
    """Digest of a model's files and of spaCy's version; None: there is no such model, or no spaCy.

    The files are read once in a process, as the model itself is.
    """
    try:
        version = importlib.metadata.version("spacy")
    except importlib.metadata.PackageNotFoundError:
        return None
    files = _files(model)
    return digest(version, [(name, digest_file(path)) for name, path in files]) if files else None


def model_stamp(model: str) -> str:
    """What changes at least when a model's files do; none is read for it."""
    found = [(name, path.stat()) for name, path in _files(model)]
    return digest([(name, one.st_size, one.st_mtime_ns, one.st_ino) for name, one in found])


def _files(model: str) -> list[tuple[str, Path]]:
    """Files of a model, by their names; none where there is no such model."""
    folder = _folder(model)
    if folder is None:
        return []
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sorted((path.relative_to(folder).as_posix(), path) for path in files)


def _folder(model: str) -> Path | None:
    """Where the files of a model lie, which is named by its folder or by the package that carries it."""
    if Path(model).is_dir():
        return Path(model)
    package = importlib.util.find_spec(model) if model.isidentifier() else None
    places = package.submodule_search_locations if package is not None else None
    return Path(next(iter(places))) if places else None


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
