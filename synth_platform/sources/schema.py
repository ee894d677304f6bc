"""Columns of documents, of skipped rows, and of rows on their way from one to the other."""

import polars as pl

from synth_platform.snapshots.tombstones import RAW_DIGEST

DOCUMENTS = pl.Schema(
    {
        "id": pl.String(),
        "text": pl.String(),
        "source": pl.String(),
        "url": pl.String(),
        "license": pl.String(),
        "language": pl.String(),
        "tokens": pl.Int64(),
        "metadata": pl.String(),
        "redacted": pl.Int32(),
        RAW_DIGEST: pl.String(),
    }
)
"""``id`` is ``<source>/<id in the source or digest of the text>``; ``metadata`` is the text of a JSON object;
``redacted`` counts placeholders that stand for personal data; ``raw_digest`` is that of the text without them, by which
takedowns know it (versions that were made before they had it lack the column)."""

SKIPPED = pl.Schema(
    {
        "document_id": pl.String(),
        "source": pl.String(),
        "location": pl.String(),
        "reason": pl.String(),
        "detail": pl.String(),
        "url": pl.String(),
    }
)
"""``document_id`` is null where the row could not be read; ``location`` is ``file:line`` or ``file row N``;
``detail`` of a ``duplicate`` is the id of the row that was kept."""

ROWS = pl.Schema(
    {
        "number": pl.Int64(),
        "location": pl.String(),
        "id": pl.String(),
        "text": pl.String(),
        "url": pl.String(),
        "license": pl.String(),
        "language": pl.String(),
        "metadata": pl.String(),
        "score": pl.Float64(),
        "missing": pl.String(),
    }
)
"""Rows as read: ``number`` counts the source's rows, ``id`` is the source's own (null: none), ``missing`` names
the first required column that is empty."""
