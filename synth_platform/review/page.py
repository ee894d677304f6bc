"""The report of a version: one HTML file with everything in it, for the screen and for paper."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

from synth_platform.contamination.report import contamination_heat_map, hits_by_benchmark, worst_verdicts
from synth_platform.funnel import funnel
from synth_platform.plots import histogram
from synth_platform.privacy.protect import DEFAULT_PRIVACY
from synth_platform.privacy.redact import redact_fully
from synth_platform.privacy.rules import ALL
from synth_platform.quality.profile import rejected_by_reason
from synth_platform.review.findings import Findings, Version
from synth_platform.snapshots import Snapshot

REPORT = "report.html"
_EXAMPLES, _EXAMPLE_CHARACTERS = 2, 700
_MOST_REASONS = 12
_SAMPLE = 20_000
_DEEPER = 2
_HIDDEN = ("contaminated", "privacy")
"""Families of reasons whose rows are not shown: they hold test items, or what nobody should read."""
_TITLES = {
    "yield": "Yield",
    "near_duplicates": "Near duplicates",
    "diversity": "Diversity",
    "openings": "Template collapse",
    "drift_from_release": "Drift from the last release",
    "drift_from_source": "Drift from the sources",
    "bias": "Bias and toxicity",
}


@dataclass(frozen=True)
class Bar:
    """One row of a bar chart: its length is ``share`` of the widest, 0 to 1."""

    label: str
    value: str
    share: float


@dataclass(frozen=True)
class Example:
    """A row of the version, or one that was rejected."""

    recipe: str
    row_id: str
    text: str
    reasons: str = ""


def render_page(
    dataset: str,
    partition: str | None,
    version: Version,
    found: Findings,
    scans: Sequence[Snapshot],
    lineage: Sequence[Snapshot],
    *,
    seed: int,
) -> str:
    """The report as HTML that needs nothing beside itself.

    Args:
        dataset: name of the dataset.
        partition: the cycle.
        version: the snapshots that were looked at.
        found: what was found.
        scans: what was found of test items.
        lineage: the mixture and all that it was made from.
        seed: draws the examples.
    """
    reasons = rejected_by_reason(version.accepted.values())
    sections = [
        {"id": name, "title": _TITLES[name], "html": _html(part.describe()), "plots": _plots(part)}
        for name, part in found.sections().items()
    ]
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            dataset=dataset,
            partition=partition,
            mixture=version.mixture.manifest,
            made=version.mixture.manifest.committed_at.strftime("%Y-%m-%d %H:%M UTC"),
            headline=_headline(version, found, scans),
            funnel=_bars({one.name: one.rows for one in funnel(lineage)}),
            reasons=_bars(dict(list(reasons.items())[:_MOST_REASONS])),
            more_reasons=max(len(reasons) - _MOST_REASONS, 0),
            lengths=_html(_lengths(version)),
            sections=sections,
            contamination=_html(_contamination(scans, lineage)),
            privacy=_html(_privacy(version, found)),
            accepted=_examples(version, "accepted", seed),
            rejected=_examples(version, "rejected", seed),
            lineage=[one.manifest for one in sorted(lineage, key=lambda one: one.manifest.asset)],
        )
    )


def _environment() -> Environment:
    folder = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _html(markdown: str) -> str:
    """Markdown as HTML; tags in it stay text, and its headings go below those of the page."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(markdown)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1:]) + _DEEPER, 6)}"
    return reader.renderer.render(tokens, reader.options, {})


def _plots(part: Any) -> str:
    drawn = getattr(part, "plots", None)
    return _html("\n\n".join(drawn().values())) if drawn is not None else ""


def _headline(version: Version, found: Findings, scans: Sequence[Snapshot]) -> Mapping[str, str]:
    """The figures that a reader looks for first."""
    total = found.slices.total
    duplicates = found.near_duplicates.metrics()
    contaminated = sum(worst_verdicts(scan.scan("contamination"))["contaminated"] for scan in scans)
    return {
        "rows in the mixture": f"{version.mixture.manifest.rows:,}",
        f"of {total.generated:,} generations accepted": f"{total.accepted_share.value:.1%}",
        "accepted tokens": f"{total.tokens:,}",
        "near duplicates": f"{duplicates['exact_duplicate_share'] + duplicates['near_duplicate_share']:.1%}",
        "texts with test items, all rejected": f"{contaminated:,}",
        "personal data replaced": f"{_redacted(version):,}",
    }


def _redacted(version: Version) -> int:
    return sum(one.manifest.counts.get("redacted", 0) for one in (version.documents, *version.accepted.values()))


def _bars(values: Mapping[str, int]) -> list[Bar]:
    widest = max(values.values(), default=0) or 1
    return [Bar(label, f"{value:,}", value / widest) for label, value in values.items()]


def _lengths(version: Version) -> str:
    drawn = []
    for name, one in version.accepted.items():
        tokens = one.scan("accepted").select("tokens").head(_SAMPLE).collect()["tokens"].to_list()
        drawn.append(histogram(tokens, title=f"Length of accepted rows, {name}", x="tokens"))
    return "\n\n".join(drawn)


def _contamination(scans: Sequence[Snapshot], lineage: Sequence[Snapshot]) -> str:
    names = sorted({one.manifest.asset.split("/")[-1] for one in lineage if one.manifest.asset.startswith("evals/")})
    lines = ["| scanned | clean | suspect | contaminated | test sets |", "|---|---:|---:|---:|---|"]
    for scan in scans:
        rows = scan.scan("contamination")
        verdicts = worst_verdicts(rows)
        found = ", ".join(f"{name} {count:,}" for name, count in hits_by_benchmark(rows).items()) or "-"
        counts = " | ".join(f"{verdicts[one]:,}" for one in ("clean", "suspect", "contaminated"))
        lines.append(f"| {scan.manifest.asset} | {counts} | {found} |")
    return "\n".join(lines) + "\n\n" + contamination_heat_map(scans, names)


def _privacy(version: Version, found: Findings) -> str:
    """Findings in generations by kind, what was replaced, and what is disclosed."""
    said = [
        f"{version.documents.manifest.counts.get('redacted', 0):,} findings in documents and"
        f" {_redacted(version) - version.documents.manifest.counts.get('redacted', 0):,} in accepted generations were"
        " replaced by placeholders. Rows with findings that are not to be redacted were rejected.",
        "Names of persons are measured only where a model for them is configured.",
    ]
    said.append(
        "What the version discloses of its sources was not measured: set `privacy.held_out`, so that some documents"
        " are kept back to compare with."
        if found.leaks is None
        else found.leaks.describe()
    )
    said.append(
        "How often a name comes out was not measured: set `privacy.canaries`, so that made-up ones are planted."
        if found.canaries is None
        else found.canaries.describe()
    )
    return "\n\n".join(said)


def _examples(version: Version, table: str, seed: int) -> list[Example]:
    """Some rows of each recipe, and of each family of reasons, drawn with the seed."""
    shown: list[Example] = []
    for recipe, one in version.accepted.items():
        names = ["generation_id", "text", *(["reasons"] if table == "rejected" else [])]
        rows = one.scan(table).select(names).head(_SAMPLE).collect()
        rows = rows.sample(rows.height, seed=seed % 2**32, shuffle=True)
        shown += [Example(recipe, *found) for found in _chosen(rows)]
    texts = _safe([one.text for one in shown])
    return [Example(one.recipe, one.row_id, text, one.reasons) for one, text in zip(shown, texts, strict=True)]


def _chosen(rows: pl.DataFrame) -> Iterable[tuple[str, str, str]]:
    seen: dict[str, int] = {}
    for row in rows.iter_rows(named=True):
        reasons = row.get("reasons") or []
        family = reasons[0].split(":")[0] if reasons else ""
        if seen.get(family, 0) >= _EXAMPLES:
            continue
        seen[family] = seen.get(family, 0) + 1
        hidden = any(reason.startswith(_HIDDEN) for reason in reasons)
        yield row["generation_id"], "(not shown)" if hidden else row["text"] or "(no text)", ", ".join(reasons)


def _safe(texts: Sequence[str]) -> list[str]:
    """Texts as they may be shown: cut, and without personal data of any kind."""
    cut = [text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + " …" for text in texts]
    if not cut:
        return []
    safe, _ = redact_fully(
        pl.Series(cut, dtype=pl.String()), dict.fromkeys(ALL, "redact"), regions=DEFAULT_PRIVACY.regions
    )
    return safe.to_list()
