"""Say what was found, for people."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from synth_platform.contamination.scan import VERDICTS
from synth_platform.plots import heat_map
from synth_platform.snapshots import Snapshot

_SHOWN = 20
_SPAN_CHARACTERS = 80
_COLUMNS = ("row", "test set", "item", "method", "verdict", "score", "text", "item's text", "origin")


def hits_by_benchmark(rows: pl.LazyFrame, verdict: str = "contaminated") -> dict[str, int]:
    """Texts of a verdict by test set."""
    found = (
        rows.filter(pl.col("verdict") == verdict)
        .group_by("eval")
        .agg(pl.col("row_id").n_unique())
        .sort("eval")
        .collect()
    )
    return dict(found.iter_rows())


def worst_verdicts(rows: pl.LazyFrame) -> dict[str, int]:
    """Texts by their worst verdict."""
    rank = pl.col("verdict").replace_strict({name: number for number, name in enumerate(VERDICTS)})
    worst = rows.group_by("row_id").agg(rank.max().alias("rank")).group_by("rank").len().collect()
    counts = dict(worst.iter_rows())
    return {name: int(counts.get(number, 0)) for number, name in enumerate(VERDICTS)}


def describe_hits(rows: pl.LazyFrame) -> str:
    """The strongest matches as a Markdown table; spans are cut short."""
    found = (
        rows.filter(pl.col("verdict") != "clean")
        .sort(["verdict", "score", "row_id"], descending=[False, True, False])
        .head(_SHOWN)
        .collect()
    )
    if found.is_empty():
        return "*nothing found*"
    lines = [f"| {' | '.join(_COLUMNS)} |", "|---" * len(_COLUMNS) + "|"]
    for row in found.iter_rows(named=True):
        cells = (
            row["row_id"][:40],
            row["eval"],
            row["eval_id"],
            row["method"],
            row["verdict"],
            f"{row['score']:.2f}",
            _cell(row["span"]),
            _cell(row["eval_span"]),
            row["origin"] or "",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe_replaced(rows: pl.LazyFrame, releases: Sequence[str]) -> str:
    """Texts with test items in releases that others have replaced, as a Markdown table."""
    bad = rows.filter(pl.col("verdict") == "contaminated")
    found = bad.group_by("release").agg(pl.col("row_id").n_unique(), pl.col("eval").unique().sort()).collect()
    by_release = {release: (count, ", ".join(names)) for release, count, names in found.iter_rows()}
    lines = ["| release | contaminated rows | test sets |", "|---|---|---|"]
    for release in releases:
        count, names = by_release.get(release, (0, ""))
        lines.append(f"| {release} | {count:,} | {names} |")
    return "\n".join(lines)


def contamination_heat_map(scans: Iterable[Snapshot], benchmarks: Sequence[str]) -> str:
    """Contaminated and suspect texts of each scan (documents, each recipe) by test set, as a picture."""
    counts: dict[str, Mapping[str, int]] = {}
    for snapshot in scans:
        found = snapshot.scan("contamination").filter(pl.col("verdict") != "clean")
        by_eval = found.group_by("eval").agg(pl.col("row_id").n_unique()).collect()
        counts[snapshot.manifest.asset.split("/")[-1]] = dict(by_eval.iter_rows())
    columns = list(counts)
    values = [[float(counts[column].get(name, 0)) for column in columns] for name in benchmarks]
    return heat_map(values, list(benchmarks), columns, title="Texts with test items, suspect ones included")


def _cell(text: str) -> str:
    short = text if len(text) <= _SPAN_CHARACTERS else text[: _SPAN_CHARACTERS - 1] + "…"
    return short.replace("|", "\\|").replace("\n", " ")
