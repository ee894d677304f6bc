"""Columns of prompts and of the documents, chunks or samples that became none."""

import polars as pl

PROMPTS = pl.Schema(
    {
        "id": pl.String(),
        "document_id": pl.String(),
        "chunk": pl.Int32(),
        "recipe": pl.String(),
        "template_digest": pl.String(),
        "messages": pl.String(),
        "prompt_tokens": pl.Int64(),
        "sample": pl.Int32(),
        "seed": pl.Int64(),
        "source_text": pl.String(),
        "neutralised": pl.Int32(),
        "source": pl.String(),
        "url": pl.String(),
        "license": pl.String(),
        "metadata": pl.String(),
        "canary": pl.String(),
    }
)
"""``messages`` is the JSON text of the chat; ``neutralised`` counts control tokens made harmless; ``canary`` is the
made-up name that was planted in ``source_text``, null for most. The document's fields are repeated, so that later
stages walk the rows in step instead of joining."""

HELD_OUT = "held_out"
"""Reason of documents that no prompt is made of, so that outputs can be compared with what nobody used."""

SKIPPED = pl.Schema(
    {
        "document_id": pl.String(),
        "recipe": pl.String(),
        "chunk": pl.Int32(),
        "reason": pl.String(),
        "detail": pl.String(),
    }
)
"""``chunk`` is null where the whole document was skipped."""
