"""Where a test item in a generation came from: its source, its prompt, or the generator's own memory."""

from collections.abc import Iterable, Mapping

import polars as pl

Item = tuple[str, str, str]
"""A row's id, a test set and an item of it."""


def found_items(hits: Iterable[pl.DataFrame]) -> set[Item]:
    """Items found in rows, suspect ones too: a hint in the source is enough to have led the generator there."""
    found: set[Item] = set()
    for batch in hits:
        seen = batch.filter(pl.col("verdict") != "clean")
        found.update(seen.select("row_id", "eval", "eval_id").iter_rows())
    return found


def with_origin(
    hits: pl.DataFrame,
    prompt_of: Mapping[str, str],
    document_of: Mapping[str, str],
    prompts: set[Item],
    documents: set[Item],
) -> pl.DataFrame:
    """Hits in generations with their origin: document, prompt or generator.

    Args:
        hits: `CONTAMINATION` rows of generations.
        prompt_of: prompt of each generation.
        document_of: document of each prompt.
        prompts: items found in prompts.
        documents: items found in documents.
    """
    origins: list[str | None] = []
    for row_id, name, item in hits.select("row_id", "eval", "eval_id").iter_rows():
        prompt = prompt_of.get(row_id, "")
        if name is None:
            origins.append(None)
        elif (document_of.get(prompt, ""), name, item) in documents:
            origins.append("document")
        else:
            origins.append("prompt" if (prompt, name, item) in prompts else "generator")
    return hits.with_columns(pl.Series("origin", origins, dtype=pl.String()))
