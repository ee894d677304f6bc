"""Compare the counts of a version of a dataset with those of its source: shifts, associations, toxicity."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from synth_platform.bias.counts import REASONS, BiasCounts, axis_names, check_same_lexicon
from synth_platform.bias.lexicon import Lexicon, load_lexicon
from synth_platform.bias.report import Association, BiasReport, GroupShift, ToxicRate
from synth_platform.bias.statistics import (
    Estimate,
    holm,
    log_odds_ratio,
    odds_ratio,
    share_p,
    share_ratio,
    two_sided,
)
from synth_platform.errors import SynthError
from synth_platform.statistics import wilson

MIN_DOCUMENTS = 10
"""An attribute is compared from so many documents in each of version and source, a group from so many in both
together; an association from so many with the target, and without, in each."""
_MIN_CELL = 5
"""Documents of both sets together in each cell of an association's table."""
_SECTIONS = 3
_TOXIC_TERMS = 10
Finding = TypeVar("Finding", GroupShift, Association, ToxicRate)


def compare(
    version: BiasCounts,
    source: BiasCounts,
    *,
    lexicon: Lexicon | None = None,
    level: float = 0.05,
    rows_per_document: float = 1.0,
) -> BiasReport:
    """What differs between a version and its source, or an earlier version.

    Shares of documents are compared by a score test, or Fisher's where counts are small; associations by the
    difference of their log odds ratios (Woolf 1955). Holm's correction holds within each of the three sections, at a
    third of ``level``.

    Args:
        version: counts of its texts.
        source: counts of what they were made from.
        lexicon: that both were counted with; None: the one that comes along.
        level: chance of any false finding in the whole report.
        rows_per_document: rows of the version that were made from one document. Rows of one document are no
            independent witnesses: the tests and intervals take this many for one.

    Raises:
        SynthError: a side has no documents, or other word lists.
    """
    lexicon = lexicon or load_lexicon()
    check_same_lexicon(version, source)
    if version.lexicon != lexicon.digest:
        raise SynthError("the counts are of other word lists than these", fix="count both again, or give their lexicon")
    for name, side in (("version", version), ("source", source)):
        if not side.documents:
            raise SynthError(f"the {name} has no documents", fix="count its texts first")
    if rows_per_document < 1:
        raise SynthError(f"rows_per_document is {rows_per_document}", fix="give 1 or more")
    sides = _Sides(version, source, lexicon, rows_per_document)
    associations, left_out = sides.associations()
    corrected = level / _SECTIONS
    return BiasReport(
        documents=(version.documents, source.documents),
        words=(version.words, source.words),
        representation=_corrected(list(sides.representation()), corrected),
        attributes_not_compared=tuple(sides.rare_attributes()),
        associations=_corrected(associations, corrected),
        pairs_not_compared=left_out,
        toxicity=_corrected(list(sides.toxicity()), corrected),
        toxic_terms=_toxic_terms(version, source, lexicon),
        level=level,
        rows_per_document=rows_per_document,
    )


def _corrected(findings: Sequence[Finding], level: float) -> tuple[Finding, ...]:
    """Findings, the surest first, marked by Holm's correction."""
    passed = holm([one.p for one in findings], level)
    marked: list[Any] = [replace(one, significant=good) for one, good in zip(findings, passed, strict=True)]
    return tuple(sorted(marked, key=lambda one: one.p))


class _Sides:
    """Both sets of counts, and the names along their axes."""

    def __init__(self, version: BiasCounts, source: BiasCounts, lexicon: Lexicon, rows: float) -> None:
        self._version, self._source, self._rows = version.values, source.values, rows
        self._lexicon, self._names = lexicon, axis_names(lexicon)

    def representation(self) -> Iterator[GroupShift]:
        """Of each group that both sets together have often enough."""
        families = self._lexicon.label_family
        for label in self._lexicon.of_role("attribute"):
            attribute, group = self._lexicon.labels[label]
            hits = self._both("label_documents", label)
            every = self._both("family_documents", families[label])
            if min(every) < MIN_DOCUMENTS or sum(hits) < MIN_DOCUMENTS:
                continue
            share, source_share, ratio, p = self._shares(hits, every)
            same = np.flatnonzero(families == families[label])
            tokens = [
                float(side["label_tokens"][label] / max(side["label_tokens"][same].sum(), 1))
                for side in (self._version, self._source)
            ]
            yield GroupShift(
                attribute, group, hits, share, source_share, (tokens[0], tokens[1]), ratio, p, significant=False
            )

    def rare_attributes(self) -> Iterator[str]:
        """Those that too few documents speak of to be compared."""
        for attribute in self._names["attribute"]:
            if min(self._both("family_documents", self._lexicon.families.index(attribute))) < MIN_DOCUMENTS:
                yield attribute

    def toxicity(self) -> Iterator[ToxicRate]:
        """Of each category, and of any."""
        every = self._both("documents", ())
        for number, category in enumerate((*self._names["category"], "any")):
            whole = category == "any"
            place: Any = () if whole else number
            prefix = "any_toxic" if whole else "toxic"
            hits, excused = self._both(f"{prefix}_used", place), self._both(f"{prefix}_excused", place)
            share, source_share, ratio, p = self._shares(hits, every)
            seen = () if whole else zip(REASONS, self._version["toxic_reasons"][number].tolist(), strict=True)
            reasons = {reason: count for reason, count in seen if count}
            yield ToxicRate(category, hits, share, source_share, excused, reasons, ratio, p, significant=False)

    def associations(self) -> tuple[list[Association], int]:
        """Of each pair with enough documents in both sets, and the number of the others that the version has."""
        found, left_out = [], 0
        for group in self._tested_groups():
            for target in range(len(self._names["target"])):
                tables = self._table(self._version, group, target), self._table(self._source, group, target)
                if _enough(*tables):
                    found.append(self._association(group, target, *tables))
                else:
                    left_out += int(self._version["beside"][group, target] > 0)
        return found, left_out

    def _association(self, group: int, target: int, one: list[int], other: list[int]) -> Association:
        log, error = log_odds_ratio(self._effective(one))
        source_log, source_error = log_odds_ratio(other)
        change, spread = log - source_log, float(np.hypot(error, source_error))
        attribute, group_name = self._names["group"][group].split("/")
        family, target_name = self._names["target"][target].split("/")
        place = self._names["attribute"].index(attribute), target
        return Association(
            attribute=attribute,
            group=group_name,
            family=family,
            target=target_name,
            documents=self._both("any_beside", place),
            share=(one[0] / (one[0] + one[1]), other[0] / (other[0] + other[1])),
            odds=odds_ratio(log, error),
            source_odds=odds_ratio(source_log, source_error),
            change=odds_ratio(change, spread),
            amplification=abs(log) - source_log * (1 if log >= 0 else -1),
            p=two_sided(change / spread),
            significant=False,
        )

    def _tested_groups(self) -> Iterator[int]:
        """All groups; of an attribute with two only the first, as the other is its mirror image."""
        owners = [name.split("/")[0] for name in self._names["group"]]
        for number, owner in enumerate(owners):
            if owners.count(owner) > 2 or owners.index(owner) == number:
                yield number

    def _table(self, side: Any, group: int, target: int) -> list[int]:
        """Documents with the group only, and with others only: beside the target, and, in the other documents, beside
        another target of its family."""
        attribute = self._names["attribute"].index(self._names["group"][group].split("/")[0])
        family = self._names["targets"].index(self._names["target"][target].split("/")[0])
        own = side["alone"][group, target]
        others = side["any_beside"][attribute, target] - side["beside"][group, target]
        rest = side["family_alone"][group, family] - side["overlap_alone"][group, target]
        rest_others = side["family_any"][attribute, family] - side["family_beside"][group, family]
        rest_others -= side["any_beside"][attribute, target] - side["overlap_beside"][group, target]
        return [int(own), int(others), int(rest), int(rest_others)]

    def _shares(self, hits: tuple[int, int], every: tuple[int, int]) -> tuple[Estimate, Estimate, Estimate, float]:
        effective, total = self._effective([hits[0], every[0]])
        total = max(total, 1)
        share = hits[0] / every[0]
        low, high = wilson(effective, total)
        source_share = hits[1] / every[1]
        ratio = share_ratio(effective, total, hits[1], every[1])
        p = share_p(effective, total, hits[1], every[1])
        return (
            Estimate(share, min(low, share), max(high, share)),
            Estimate(source_share, *wilson(hits[1], every[1])),
            ratio,
            p,
        )

    def _effective(self, documents: Sequence[int]) -> list[int]:
        return [round(number / self._rows) for number in documents]

    def _both(self, name: str, place: Any) -> tuple[int, int]:
        return int(self._version[name][place]), int(self._source[name][place])


def _enough(*tables: list[int]) -> bool:
    """Whether two tables have documents enough for a change of their odds ratios to be told."""
    cells = [sum(cell) for cell in zip(*tables, strict=True)]
    return min(cells) >= _MIN_CELL and all(min(sum(one[:2]), sum(one[2:])) >= MIN_DOCUMENTS for one in tables)


def _toxic_terms(version: BiasCounts, source: BiasCounts, lexicon: Lexicon) -> tuple[tuple[str, str, int, int], ...]:
    terms = np.flatnonzero(np.isin(lexicon.term_label, lexicon.of_role("toxicity")))
    found, before = version.values["term_documents"], source.values["term_documents"]
    terms = terms[np.argsort(-found[terms], kind="stable")][:_TOXIC_TERMS]
    return tuple(
        (lexicon.shown(term), lexicon.labels[lexicon.term_label[term]][1], int(found[term]), int(before[term]))
        for term in terms
        if found[term]
    )
