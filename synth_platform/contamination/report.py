"""Say what was found, for people."""

import polars as pl

_SHOWN = 20
_SPAN_CHARACTERS = 100


def hits_by_benchmark(rows: pl.LazyFrame) -> dict[str, int]:
    """Contaminated texts by test set."""
    found = (
        rows.filter(pl.col("verdict") == "contaminated")
        .group_by("eval")
        .agg(pl.col("row_id").n_unique())
        .sort("eval")
        .collect()
    )
    return dict(found.iter_rows())


def describe_hits(rows: pl.LazyFrame) -> str:
    """The strongest matches as a Markdown table."""
    found = (
        rows.filter(pl.col("verdict") != "clean")
        .sort(["verdict", "score", "row_id"], descending=[False, True, False])
        .head(_SHOWN)
        .collect()
    )
    if found.is_empty():
        return "*nothing found*"
    lines = [
        "| row | test set | item | verdict | share of item | words in a row | span |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found.iter_rows(named=True):
        span = row["span"][:_SPAN_CHARACTERS]
        lines.append(
            f"| {row['row_id'][:40]} | {row['eval']} | {row['eval_id']} | {row['verdict']} | {row['score']:.2f}"
            f" | {row['words_in_row']} | {span} |"
        )
    return "\n".join(lines)
