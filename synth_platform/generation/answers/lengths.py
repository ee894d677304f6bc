"""How long answers are where a server does not say: counted with the engine's own tokenizer."""

import threading
from collections.abc import Sequence
from dataclasses import replace

from synth_platform.generation.answers.outcome import ANSWERED, Outcome
from synth_platform.generation.config import EndpointEngine, EngineSpec
from synth_platform.prompts.tokenizer import ChatTokenizer


def engine_tokenizer(engine: EngineSpec, key: str = "engine") -> ChatTokenizer:
    """The tokenizer of an engine's model.

    Args:
        engine: its settings.
        key: where they are in the spec, for errors.

    Raises:
        SpecError: it cannot be found.
    """
    served = isinstance(engine, EndpointEngine)
    return ChatTokenizer.load(engine.model, engine.tokenizer, engine.revision, key=key, served=served)


class Lengths:
    """Counts what nobody has counted. The tokenizer is loaded when it is needed first.

    Args:
        engine: that answers.
    """

    def __init__(self, engine: EngineSpec) -> None:
        self._engine = engine
        self._tokenizer: ChatTokenizer | None = None
        self._loading = threading.Lock()

    def known(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The outcomes in their order, each answer with its length. May be called from several threads.

        Raises:
            SpecError: the tokenizer cannot be found.
        """
        found = list(outcomes)
        places = [place for place, one in enumerate(found) if one.status in ANSWERED and one.completion_tokens is None]
        if places:
            counts = self._count([found[place].text for place in places])
            for place, tokens in zip(places, counts, strict=True):
                found[place] = replace(found[place], completion_tokens=tokens)
        return found

    def _count(self, texts: Sequence[str]) -> list[int]:
        with self._loading:
            if self._tokenizer is None:
                self._tokenizer = engine_tokenizer(self._engine)
        return self._tokenizer.count(texts)
