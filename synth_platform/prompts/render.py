"""Turn documents into prompts that always fit the context; every document becomes prompts or a skipped row."""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from synth_platform.digest import digest, digest_int
from synth_platform.errors import SpecError
from synth_platform.privacy.canaries import Canary, canary_of, plant
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
class _Chunk:
    """A piece of a document, without the white space around it, and the made-up name planted in it."""

    text: str
    canary: str | None = None


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
        marked: ids of the documents that get a canary, where it fits.
    """

    recipe: RecipeSpec
    template: Template
    tokenizer: ChatTokenizer
    context_length: int
    seed: int
    held_out: float = 0.0
    marked: Collection[str] = ()

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
        if is_held_out(document["id"], self.seed, self.held_out):
            skipped.append(self._skip(document, None, HELD_OUT, f"{self.held_out:g} of all, for comparison"))
            return
        text, neutralised = self.tokenizer.neutralise(document["text"])
        tokens = self.tokenizer.count([text])[0]
        if reason := self._unfit(tokens, room):
            skipped.append(self._skip(document, None, *reason))
            return
        chunks = self._chunks(document["id"], text, tokens, room)
        for number, chunk in enumerate(chunks):
            if self.recipe.max_chunks is not None and number >= self.recipe.max_chunks:
                skipped.append(self._skip(document, number, "chunk_limit", f"{len(chunks)} chunks"))
                continue
            if not chunk.text:
                skipped.append(self._skip(document, number, "blank_chunk", ""))
                continue
            for sample in range(self.recipe.samples):
                row = self._render_chunk(document, chunk, number, len(chunks), sample)
                if row is None:
                    skipped.append(self._skip(document, number, "too_long", f"does not fit {self.context_length}"))
                else:
                    prompts.append(row | {"neutralised": neutralised if number == 0 else 0})

    def _chunks(self, document_id: str, text: str, tokens: int, room: int) -> list[_Chunk]:
        """A document's chunks; one of them with its canary, where the document has one and there is room for it."""
        if document_id in self.marked:
            canary = canary_of(document_id, self.seed)
            left = room - self.tokenizer.count([f" {canary.sentence}"])[0] - _SEAM_TOKENS
            if left >= (tokens if self.recipe.chunk_tokens is None else _MIN_CHUNK_TOKENS):
                return self._plant(self._split(text, left), canary)
        return self._split(text, room)

    def _split(self, text: str, room: int) -> list[_Chunk]:
        chunks = chunk_text(text, room, self.tokenizer.count, self.tokenizer.offsets)
        return [_Chunk(chunk.strip()) for chunk in chunks]

    def _plant(self, chunks: list[_Chunk], canary: Canary) -> list[_Chunk]:
        """The chunks with the canary in one that becomes a prompt."""
        used = [number for number, chunk in enumerate(chunks[: self.recipe.max_chunks]) if chunk.text]
        if used:
            number = used[digest_int(canary.sentence) % len(used)]
            chunks[number] = _Chunk(plant(chunks[number].text, canary), canary.name)
        return chunks

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
        self, document: dict[str, Any], chunk: _Chunk, number: int, chunks: int, sample: int
    ) -> dict[str, Any] | None:
        """The prompt's row, or None if tokens at the seams made it too long."""
        messages = self._messages(self._fields(document, chunk.text, number, chunks, sample))
        tokens = self.tokenizer.count_chat(messages)
        if tokens > self.context_length - self.recipe.sampling.max_tokens:
            return None
        if chunk.canary and chunk.canary.lower() not in messages[-1]["content"].lower():
            chunk = _Chunk(chunk.text)  # a template need not show all of a document
        return self._row(document, chunk, number, sample, messages, tokens)

    def _row(
        self,
        document: dict[str, Any],
        chunk: _Chunk,
        number: int,
        sample: int,
        messages: list[Message],
        tokens: int,
    ) -> dict[str, Any]:
        planted = [chunk.canary] if chunk.canary else []
        prompt_id = digest(document["id"], number, self._template_digest, sample, *planted)
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
            "source_text": chunk.text,
            "canary": chunk.canary,
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


def is_held_out(document_id: str, seed: int, share: float) -> bool:
    """Whether no prompt is made of a document, whatever the recipe."""
    return digest_int(seed, HELD_OUT, document_id) % _HELD_OUT_STEPS < share * _HELD_OUT_STEPS
