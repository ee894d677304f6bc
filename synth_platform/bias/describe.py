"""A comparison in plain words and tables, for people."""

from collections.abc import Iterable

from synth_platform.bias.report import Association, BiasReport, GroupShift, ToxicRate
from synth_platform.bias.statistics import Estimate

_NOTABLE, _ROWS = 12, 20
_OTHER_LENGTH = 1.5
_LIMITS = (
    "A shift is a question to look at, not a verdict: a recipe that turns stories into tables drops pronouns, and a"
    " source may itself be lopsided. No shift is no proof of fairness either.",
    "Read: English words from lists, with fixed rules. Not seen: other languages, names of people, pictures, irony,"
    " negation, stereotypes without the listed words, who is the doer and who the sufferer, disability, sexual"
    " orientation, transgender and non-binary people.",
    "Lists of countries by region, occupations and judging words are samples. Languages count as peoples (French)."
    " Words of hatred that are misspelt or polite are missed; terms in quotation marks or code, spoken of as words,"
    " or (slurs and sexual terms) in medical, legal, historical or moderating sentences are counted apart, by rules"
    " that can err both ways.",
    "A document counts once for a group however often it names it, so longer documents name more groups. Intervals"
    " take documents as independent; copies and rows made from one document make them too narrow unless the number"
    " of rows per document is given. As a version and its own source are alike, they are rather too wide.",
)


def describe(report: BiasReport) -> str:
    """A report in Markdown: what stands out first, then the tables, then what was not measured."""
    parts = [
        "# Bias and toxicity against the source",
        _summary(report),
        "## What stands out",
        notable(report),
        "## Whom the texts speak of",
        "Share of the documents with a term of the group among those with any term of the attribute.",
        _representation(report.representation),
        _not_compared(report.attributes_not_compared),
        "## What stands beside whom",
        _associations(report),
        "## Toxicity",
        "Documents per 1,000. *In context*: only quoted, spoken of as words, or in medical, legal and such sentences.",
        _toxicity(report.toxicity),
        _toxic_terms(report),
        "## What this does not say",
        "\n".join(f"- {limit}" for limit in _LIMITS),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(report: BiasReport) -> str:
    (version, source), (words, source_words) = report.documents, report.words
    length, source_length = words / version, source_words / source
    lines = [
        f"Version: {version:,} documents of {length:,.0f} words on average. Source: {source:,} of"
        f" {source_length:,.0f}. {len(report.representation)} groups, {len(report.associations)} associations and"
        f" {len(report.toxicity)} rates of toxicity were compared; *stands out* allows for that number: with two sets"
        f" that do not differ, the chance that a report names anything is at most {report.level:.0%} (Holm's"
        " correction). Intervals in brackets are 95% each, by themselves."
    ]
    if report.rows_per_document > 1:
        lines.append(f"{report.rows_per_document:g} rows of the version are taken for one document.")
    if length and source_length and max(length / source_length, source_length / length) > _OTHER_LENGTH:
        lines.append(
            "**The lengths differ much**: a longer document names more groups and has more chances of a rude word,"
            " so compare the shares of words, too."
        )
    return " ".join(lines)


def notable(report: BiasReport) -> str:
    """What stands out, in Markdown; a sentence where nothing does."""
    found = list(report.significant())
    if not found:
        return "Nothing: every difference is within what chance gives."
    lines = [f"- {_sentence(one)}" for one in found[:_NOTABLE]]
    if len(found) > _NOTABLE:
        lines.append(f"- and {len(found) - _NOTABLE} more, in the tables")
    return "\n".join(lines)


def _sentence(one: GroupShift | Association | ToxicRate) -> str:
    if isinstance(one, GroupShift):
        word = "more" if one.change > 0 else "less"
        return (
            f"{one.attribute}: **{_name(one.group)}** is named {word} often: in {one.share.value:.1%} of the"
            f" documents that name any {one.attribute}, {one.source_share.value:.1%} in the source (ratio:"
            f" {_ratio(one)})"
        )
    if isinstance(one, Association):
        return (
            f"**{_name(one.group)}** and **{_name(one.target)}** {_drift(one)}: odds ratio {_range(one.odds)}, in the"
            f" source {_range(one.source_odds)}"
        )
    word = "more" if one.share.value > one.source_share.value else "less"
    what = "terms of any category" if one.category == "any" else f"{one.category} terms"
    return (
        f"toxicity: {word} documents with **{what}**, {1000 * one.share.value:.2f} per 1,000 against"
        f" {1000 * one.source_share.value:.2f} (ratio: {_ratio(one)})"
    )


def _drift(one: Association) -> str:
    if one.odds.value >= 1 > one.source_odds.high or one.odds.value < 1 < one.source_odds.low:
        return "have turned the other way"
    if one.amplification > 0:
        return "are drawn together more" if one.odds.value >= 1 else "are kept apart more"
    return "are tied less"


def _representation(shifts: Iterable[GroupShift]) -> str:
    rows = [
        (
            one.attribute, _name(one.group), f"{one.documents[0]:,}", _percent(one.share),
            _percent(one.source_share), _ratio(one), f"{one.token_share[0]:.1%} / {one.token_share[1]:.1%}",
            _mark(one.significant),
        )
        for one in shifts
    ]  # fmt: skip
    header = (
        "attribute",
        "group",
        "documents",
        "version",
        "source",
        "ratio",
        "of words: version / source",
        "stands out",
    )
    return _table(header, rows)


def _not_compared(attributes: tuple[str, ...]) -> str:
    return (
        f"Named in too few documents, here or in the source, to be compared: {', '.join(attributes)}."
        if attributes
        else ""
    )


def _associations(report: BiasReport) -> str:
    explained = (
        "Of the documents in which a group of the attribute shares a sentence with the target: the share that has"
        " this group and no other. The odds ratio compares this with the documents that have other targets only; 1"
        f" is no association. {report.pairs_not_compared:,} pairs of the version are too rare, there or in the"
        " source, to be compared."
    )
    rows = [
        (
            _name(one.group), _name(one.target), _pair(one.documents), f"{one.share[0]:.0%} / {one.share[1]:.0%}",
            _range(one.odds), _range(one.source_odds), _range(one.change), _mark(one.significant),
        )
        for one in report.associations[:_ROWS]
    ]  # fmt: skip
    header = (
        "group", "target", "documents: version / source", "share: version / source", "odds ratio", "in the source",
        "change", "stands out",
    )  # fmt: skip
    shown = f"The {_ROWS} surest of {len(report.associations):,}." if len(report.associations) > _ROWS else ""
    return "\n\n".join(part for part in (explained, _table(header, rows), shown) if part)


def _toxicity(rates: Iterable[ToxicRate]) -> str:
    rows = [
        (
            one.category, _rate(one.share), _rate(one.source_share), _ratio(one),
            _pair(one.excused), ", ".join(f"{reason} {count:,}" for reason, count in one.reasons.items()),
            _mark(one.significant),
        )
        for one in rates
    ]  # fmt: skip
    header = (
        "category", "version", "source", "ratio", "documents in context: version / source", "contexts in the version",
        "stands out",
    )  # fmt: skip
    return _table(header, rows)


def _toxic_terms(report: BiasReport) -> str:
    if not report.toxic_terms:
        return "No term of toxicity occurs in the version."
    rows = [(f"`{term}`", category, _pair((one, other))) for term, category, one, other in report.toxic_terms]
    return "Commonest terms, masked, in any context:\n\n" + _table(("term", "category", "documents"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    if not rows:
        return "*nothing to compare*"
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _range(estimate: Estimate) -> str:
    return f"{_number(estimate.value)} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _ratio(one: GroupShift | ToxicRate) -> str:
    """The ratio of the shares; where a side has no document, the invented half one would mislead."""
    here, there = one.documents
    if here and there:
        return _range(one.ratio)
    return "only in the version" if here else "only in the source" if there else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def _rate(estimate: Estimate) -> str:
    return f"{1000 * estimate.value:.2f} [{1000 * estimate.low:.2f}, {1000 * estimate.high:.2f}]"


def _pair(counts: tuple[int, int]) -> str:
    return f"{counts[0]:,} / {counts[1]:,}"


def _name(name: str) -> str:
    return name.replace("_", " ")


def _mark(significant: bool) -> str:
    return "**yes**" if significant else ""
