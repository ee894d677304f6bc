"""The release described for machines: Croissant 1.0, the JSON-LD of MLCommons for data sets."""

import json
from typing import Any

import polars as pl

from synth_platform.release.build import TABLE, TRAIN
from synth_platform.release.card import CardFacts
from synth_platform.release.config import ReleaseSpec

_FILES = "parquet-files"
_CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
_TERMS = (
    "citeAs column conformsTo equivalentProperty extract field fileObject fileProperty fileSet format includes"
    " isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace samplingRate"
    " separator source subField transform"
).split()
_ABOUT = {
    "origin": "synthetic (written by the generator) or original (a document as it was)",
    "recipe": "prompt format of a synthetic row",
    "source": "source of the document",
    "document_id": "document that the row is, or was made of",
    "generation_id": "generation that the row is",
    "tokens": "length by the generator's tokenizer",
    "epoch": "how often the row came before in the mixture",
}


def croissant_json(facts: CardFacts, spec: ReleaseSpec, version: str) -> bytes:
    """The description, as it lies beside the release's files.

    Args:
        facts: what the card states.
        spec: the release's settings.
        version: id of the release.
    """
    described = {
        "@context": _context(spec.languages),
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS_TO,
        "name": facts.dataset,
        "alternateName": spec.title or facts.dataset,
        "description": facts.description.strip() or f"The dataset {facts.dataset}.",
        "license": spec.license,
        "inLanguage": spec.languages,
        "keywords": ["synthetic", "pretraining"],
        "identifier": version,
        "isLiveDataset": False,
        "distribution": [
            {
                "@type": "cr:FileSet",
                "@id": _FILES,
                "name": _FILES,
                "description": f"{facts.rows:,} rows as Parquet.",
                "encodingFormat": "application/x-parquet",
                "includes": list(facts.files),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": TABLE,
                "name": TABLE,
                "description": "Texts to train on, in their order.",
                "field": [_field(name, kind) for name, kind in TRAIN.items()],
            }
        ],
    }
    return json.dumps(described, indent=1, ensure_ascii=False).encode()


def _context(languages: list[str]) -> dict[str, Any]:
    return {
        "@language": languages[0] if languages else "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "dct": "http://purl.org/dc/terms/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "sc": "https://schema.org/",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        **{term: f"cr:{term}" for term in _TERMS},
        "conformsTo": "dct:conformsTo",
    }


def _field(name: str, kind: pl.DataType) -> dict[str, Any]:
    about = {"description": _ABOUT[name]} if name in _ABOUT else {}
    return {
        "@type": "cr:Field",
        "@id": f"{TABLE}/{name}",
        "name": name,
        **about,
        "dataType": "sc:Integer" if kind.is_integer() else "sc:Text",
        "source": {"fileSet": {"@id": _FILES}, "extract": {"column": name}},
    }
