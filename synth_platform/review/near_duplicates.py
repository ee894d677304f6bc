"""Near-duplicates inside a dataset version and against earlier versions.

Rows are sketched in one pass (``minhash.sketch``); the sketch is kept beside the version, so that later ones are
compared with it without its texts. Candidates from the sketches are then verified on the texts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from synth_platform.plots import bars
from synth_platform.review.candidates import (
    check_method,
    exact_duplicates,
    exact_in_earlier,
    pairs_inside,
    pairs_with_earlier,
)
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.review.statistics import share_interval
from synth_platform.review.verification import Links, TextOf, ids_at, verify

_SHOWN = 10

METRICS: Mapping[str, str] = {
    "exact_duplicate_share": "Share of rows whose text an earlier row of the version has",
    "near_duplicate_share": "Share of rows with an earlier near-duplicate in the version, exact ones not counted",
    "largest_cluster_share": "Share of rows in the largest cluster of near-duplicates",
    "largest_exact_share": "Share of rows with the commonest text",
    "earlier_exact_share": "Share of rows whose text an earlier version has",
    "earlier_near_share": "Share of rows with a near-duplicate in an earlier version, exact ones not counted",
    "earlier_unverified_share": "Share of rows whose earlier near-duplicate is only estimated from sketches",
}


@dataclass(frozen=True)
class EarlierVersion:
    """A version to compare with.

    Args:
        name: for people.
        table: its sketch, as ``minhash.sketch_schema``.
        text_of: texts of its rows; without them similarities are estimates (standard error 0.08).
    """

    name: str
    table: pl.LazyFrame
    text_of: TextOf | None = None


@dataclass(frozen=True)
class SimilarPair:
    """Two rows that are near-duplicates.

    Args:
        id: of the later row.
        other_id: of the earlier one.
        version: that the earlier one is in; empty: the same.
        similarity: Jaccard similarity of their word n-grams.
        verified: whether it was computed from the texts.
    """

    id: str
    other_id: str
    version: str
    similarity: float
    verified: bool


@dataclass(frozen=True)
class NearDuplicatesResult:
    """Duplicates of a version.

    Args:
        rows: of the version.
        exact: rows whose text an earlier row has.
        near: other rows with an earlier near-duplicate.
        clusters: rows of the largest clusters; a row belongs to that of its most similar earlier row.
        largest_exact: rows with the commonest text.
        earlier_exact: rows whose text any earlier version has.
        earlier_near: other rows with a near-duplicate in any earlier version.
        earlier_unverified: those of them that are only estimated.
        examples: one pair from each of the largest clusters, and some for each earlier version.
    """

    rows: int
    exact: int
    near: int
    clusters: tuple[int, ...]
    largest_exact: int
    earlier_exact: int
    earlier_near: int
    earlier_unverified: int
    examples: tuple[SimilarPair, ...]

    def metrics(self) -> dict[str, float]:
        """Figures as in ``METRICS``."""
        counts = {
            "exact_duplicate_share": self.exact,
            "near_duplicate_share": self.near,
            "largest_cluster_share": self.clusters[0] if self.clusters else 0,
            "largest_exact_share": self.largest_exact,
            "earlier_exact_share": self.earlier_exact,
            "earlier_near_share": self.earlier_near,
            "earlier_unverified_share": self.earlier_unverified,
        }
        return {name: count / max(self.rows, 1) for name, count in counts.items()}

    def describe(self) -> str:
        """Counts and examples as Markdown."""
        lines = [f"| of {self.rows:,} rows | rows | share (95%) |", "|---|---:|---|"]
        for what, count in (
            ("the same text as an earlier row", self.exact),
            ("near-duplicate of an earlier row", self.near),
            ("the same text as in an earlier version", self.earlier_exact),
            ("near-duplicate of a row of an earlier version", self.earlier_near),
            ("of these only estimated", self.earlier_unverified),
        ):
            lines.append(f"| {what} | {count:,} | {share_interval(count, self.rows).scaled(100)} % |")
        sizes = ", ".join(f"{size:,}" for size in self.clusters) or "none"
        lines += ["", f"Largest clusters of near-duplicates, in rows: {sizes}."]
        if self.examples:
            lines += ["", "| row | like | in version | similarity |", "|---|---|---|---:|"]
        for pair in self.examples:
            similarity = f"{pair.similarity:.2f}" if pair.verified else f"about {pair.similarity:.2f}"
            lines.append(f"| {pair.id} | {pair.other_id} | {pair.version or 'this'} | {similarity} |")
        return "\n".join(lines)

    def plots(self) -> dict[str, str]:
        """Markdown images by name."""
        sizes = {f"cluster {number}": float(size) for number, size in enumerate(self.clusters, 1)}
        return {"near_duplicates": bars(sizes, title="Largest clusters of near-duplicates", x="rows")}


def find_near_duplicates(
    table: pl.LazyFrame,
    frames: Callable[[], Iterable[pl.DataFrame]],
    spec: NearDuplicatesSpec | None = None,
    *,
    earlier: Sequence[EarlierVersion] = (),
    scratch: Path | None = None,
) -> NearDuplicatesResult:
    """Duplicates inside a version and against earlier ones.

    Args:
        table: the version's sketch, from ``minhash.sketch`` over the same rows in the same order.
        frames: reads those rows again; only candidates are looked at.
        spec: what counts as near.
        earlier: versions to compare with.
        scratch: folder for a temporary file with the n-grams of candidates.

    Raises:
        SynthError: an earlier version was sketched with other settings.
    """
    spec = spec or NearDuplicatesSpec()
    for name, one in (("this version", table), *((version.name, version.table) for version in earlier)):
        check_method(one, spec, name)
    exact = exact_duplicates(table)
    known = [exact_in_earlier(table, version.table) for version in earlier]
    in_earlier = np.logical_or.reduce([np.zeros(len(exact.first), bool), *known])
    inside = pairs_inside(table, exact.first, spec)
    outside = [pairs_with_earlier(table, version.table, ~in_earlier, spec) for version in earlier]
    sources = [(pairs, one.table, one.text_of) for pairs, one in zip(outside, earlier, strict=True)]
    links, earlier_links = verify(frames(), inside, sources, spec, scratch)
    near = np.unique(np.concatenate([np.empty(0, np.int64), *(one.rows for one in earlier_links)]))
    sure = np.unique(np.concatenate([np.empty(0, np.int64), *(one.rows[one.verified] for one in earlier_links)]))
    roots, sizes = _clusters(links, len(exact.first))
    examples = _examples(table, table, "", links, _one_per_cluster(links, roots, sizes))
    for version, one in zip(earlier, earlier_links, strict=True):
        examples += _examples(table, version.table, version.name, one, np.arange(min(_SHOWN, len(one.rows))))
    return NearDuplicatesResult(
        rows=len(exact.first),
        exact=int((~exact.first).sum()),
        near=len(links.rows),
        clusters=tuple(np.sort(sizes)[::-1][:_SHOWN].tolist()),
        largest_exact=exact.largest,
        earlier_exact=int(in_earlier.sum()),
        earlier_near=len(near),
        earlier_unverified=len(near) - len(sure),
        examples=tuple(examples),
    )


def _clusters(links: Links, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """First row of the cluster of each link, and the rows of each cluster, by ascending first row."""
    parents = np.arange(rows)
    parents[links.rows] = links.others
    while not np.array_equal(above := parents[parents], parents):
        parents = above
    roots = parents[links.rows]
    return roots, np.unique(roots, return_counts=True)[1] + 1


def _one_per_cluster(links: Links, roots: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """A link from each of the largest clusters."""
    _, first = np.unique(roots, return_index=True)
    return first[np.argsort(-sizes, kind="stable")[:_SHOWN]]


def _examples(
    table: pl.LazyFrame, other: pl.LazyFrame, version: str, links: Links, chosen: np.ndarray
) -> list[SimilarPair]:
    ids, other_ids = ids_at(table, links.rows[chosen]), ids_at(other, links.others[chosen])
    return [
        SimilarPair(
            ids[int(links.rows[at])],
            other_ids[int(links.others[at])],
            version,
            float(links.similarities[at]),
            bool(links.verified[at]),
        )
        for at in chosen
    ]
