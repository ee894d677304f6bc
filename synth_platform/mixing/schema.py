"""Columns of the mixture and of the rows it leaves out."""

import polars as pl

MIXTURE = pl.Schema(
    {
        "id": pl.String(),
        "text": pl.String(),
        "origin": pl.String(),
        "recipe": pl.String(),
        "source": pl.String(),
        "document_id": pl.String(),
        "generation_id": pl.String(),
        "tokens": pl.Int64(),
        "epoch": pl.Int32(),
        "url": pl.String(),
        "license": pl.String(),
    }
)
"""``origin`` is ``synthetic`` or ``original``; ``id`` is the digest of the row's own id and its epoch."""

EXCLUDED = pl.Schema({"row_id": pl.String(), "component": pl.String(), "tokens": pl.Int64(), "reason": pl.String()})
"""Rows that were at hand and are in no epoch: ``contaminated:<benchmark>`` or ``over_budget``."""

AT_HAND = pl.Schema({"row_id": pl.String(), "tokens": pl.Int64(), "place": pl.Int64()})
"""Of the rows of a component what a draw needs; ``place`` is where a row comes when all components are read."""

COMPONENT_ROWS = pl.Schema(
    {name: kind for name, kind in MIXTURE.items() if name not in ("id", "epoch")} | {"row_id": pl.String()}
)
"""Rows of one component before mixing; ``row_id`` is the generation's or the document's id."""
