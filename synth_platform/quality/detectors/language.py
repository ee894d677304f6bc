"""The language of an answer and of its source."""

from collections.abc import Mapping
from typing import Any

from synth_platform.languages import find_languages
from synth_platform.quality.detectors.rows import Rows


def measure_language(rows: Rows) -> Mapping[str, Any]:
    """``language`` and ``source_language``: codes as in ISO 639; null where there is too little text to tell."""
    return {"language": rows.languages, "source_language": find_languages(rows.sources, rows.source_words)}
