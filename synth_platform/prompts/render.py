"""Turn documents into prompts that always fit the context; every document becomes prompts or a skipped row."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_int
from synth_platform.errors import SpecError
from synth_platform.prompts.chunking import chunk_text
from synth_platform.prompts.config import RecipeSpec
from synth_platform.prompts.schema import HELD_OUT, PROMPTS, SKIPPED
from synth_platform.prompts.templates import Template
from synth_platform.prompts.tokenizer import ChatTokenizer, Message

_MIN_CHUNK_TOKENS = 16
_HELD_OUT_STEPS = 1_000_000
_SEAM_TOKENS = 8
"""Tokens that may appear where chunk and template meet."""


@dataclass(frozen=True)
class Renderer:
    """Renders one recipe.

    Args:
        recipe: its settings.
        template: its checked template.
        tokenizer: the generator's.
        context_length: tokens that prompt and answer share.
        seed: of the dataset's cycle.
        held_out: share of the documents that no prompt is made of; the same ones for all recipes.
    """

    recipe: RecipeSpec
    template: Template
    tokenizer: ChatTokenizer
    context_length: int
    seed: int
    held_out: float = 0.0

    def build(self, documents: Iterable[pl.DataFrame]) -> Iterator[tuple[str, pl.DataFrame]]:
        """Tables ``prompts`` and ``skipped`` for batches of documents."""
        room = self.chunk_room()
        for batch in documents:
            prompts: list[dict[str, Any]] = []
            skipped: list[dict[str, Any]] = []
            for document in batch.iter_rows(named=True):
                self._render_document(document, room, prompts, skipped)
            yield "prompts", pl.DataFrame(prompts, schema=PROMPTS)
            yield "skipped", pl.DataFrame(skipped, schema=SKIPPED)

    def chunk_room(self) -> int:
        """Tokens a chunk may have.

        Raises:
            SpecError: template and answer leave no room for a document.
        """
        empty = self._messages(self._fields({}, "", 0, 1, 0))
        taken = self.tokenizer.count_chat(empty) + _SEAM_TOKENS
        room = self.context_length - self.recipe.sampling.max_tokens - taken
        if room < _MIN_CHUNK_TOKENS:
            raise SpecError(
                f"recipe {self.recipe.name!r} leaves {room} tokens for the document: the context has"
                f" {self.context_length}, the answer may take {self.recipe.sampling.max_tokens}, and the template"
                f" takes {taken}",
                where=f"recipes.{self.recipe.name}.sampling.max_tokens",
                fix="lower max_tokens, shorten the template, or raise engine.context_length",
            )
        chunk = self.recipe.chunk_tokens
        return min(room, chunk) if isinstance(chunk, int) else room

    def _render_document(
        self,
        document: dict[str, Any],
        room: int,
        prompts: list[dict[str, Any]],
        skipped: list[dict[str, Any]],
    ) -> None:
        if digest_int(self.seed, HELD_OUT, document["id"]) % _HELD_OUT_STEPS < self.held_out * _HELD_OUT_STEPS:
            skipped.append(self._skip(document, None, HELD_OUT, f"{self.held_out:g} of all, for comparison"))
            return
        text, neutralised = self.tokenizer.neutralise(document["text"])
        if reason := self._unfit(self.tokenizer.count([text])[0], room):
            skipped.append(self._skip(document, None, *reason))
            return
        chunks = chunk_text(text, room, self.tokenizer.count, self.tokenizer.offsets)
        for number, chunk in enumerate(chunks):
            if self.recipe.max_chunks is not None and number >= self.recipe.max_chunks:
                skipped.append(self._skip(document, number, "chunk_limit", f"{len(chunks)} chunks"))
                continue
            if not chunk.strip():
                skipped.append(self._skip(document, number, "blank_chunk", ""))
                continue
            for sample in range(self.recipe.samples):
                row = self._render_chunk(document, chunk.strip(), number, len(chunks), sample)
                if row is None:
                    skipped.append(self._skip(document, number, "too_long", f"does not fit {self.context_length}"))
                else:
                    prompts.append(row | {"neutralised": neutralised if number == 0 else 0})

    def _unfit(self, tokens: int, room: int) -> tuple[str, str] | None:
        """Why a document of so many tokens is not used as a whole, as reason and detail."""
        low, high = self.recipe.min_document_tokens, self.recipe.max_document_tokens
        if low is not None and tokens < low:
            return "too_short", f"{tokens} < {low} tokens"
        if high is not None and tokens > high:
            return "too_long", f"{tokens} > {high} tokens"
        if self.recipe.chunk_tokens is None and tokens > room:
            return "too_long", f"{tokens} tokens, {room} fit; set chunk_tokens to split it"
        return None

    def _render_chunk(
        self, document: dict[str, Any], chunk: str, number: int, chunks: int, sample: int
    ) -> dict[str, Any] | None:
        """The prompt's row, or None if tokens at the seams made it too long."""
        messages = self._messages(self._fields(document, chunk, number, chunks, sample))
        tokens = self.tokenizer.count_chat(messages)
        if tokens > self.context_length - self.recipe.sampling.max_tokens:
            return None
        return self._row(document, chunk, number, sample, messages, tokens)

    def _row(
        self,
        document: dict[str, Any],
        chunk: str,
        number: int,
        sample: int,
        messages: list[Message],
        tokens: int,
    ) -> dict[str, Any]:
        prompt_id = digest(document["id"], number, self._template_digest, sample)
        return {
            "id": prompt_id,
            "document_id": document["id"],
            "chunk": number,
            "recipe": self.recipe.name,
            "template_digest": self._template_digest,
            "messages": json.dumps(messages, ensure_ascii=False),
            "prompt_tokens": tokens,
            "sample": sample,
            "seed": digest_int(self.seed, prompt_id),
            "source_text": chunk,
            **{name: document[name] for name in ("source", "url", "license", "metadata")},
        }

    @property
    def _template_digest(self) -> str:
        return digest(self.template.digest, self.recipe.system, self.recipe.variables)

    def _fields(self, document: dict[str, Any], chunk: str, number: int, chunks: int, sample: int) -> dict[str, Any]:
        names = ("url", "language", "source", "license")
        fields: dict[str, Any] = {name: document.get(name) or "" for name in names}
        fields |= {"metadata": json.loads(document.get("metadata") or "{}"), "document": chunk}
        fields |= {"chunk": number, "chunks": chunks, "sample": sample, "seed": self.seed}
        return fields | self.recipe.variables

    def _messages(self, fields: dict[str, Any]) -> list[Message]:
        system = [{"role": "system", "content": self.recipe.system}] if self.recipe.system else []
        return [*system, {"role": "user", "content": self.template.render(fields)}]

    def _skip(self, document: dict[str, Any], chunk: int | None, reason: str, detail: str) -> dict[str, Any]:
        return {
            "document_id": document["id"],
            "recipe": self.recipe.name,
            "chunk": chunk,
            "reason": reason,
            "detail": detail,
        }
