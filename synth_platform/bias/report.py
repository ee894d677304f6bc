"""What a comparison of two sets of texts says: the numbers, and one figure each for gates."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from synth_platform.bias.statistics import Estimate

METRICS: Mapping[str, str] = {
    "documents": "documents in the version",
    "gender_ratio_shift": (
        "change of the share of documents with female terms among those with terms of any gender, as a fraction"
        " (0.05: five points); 0 if it is not significant"
    ),
    "max_representation_shift": (
        "the same for the group of any attribute whose share changed most, among the significant ones; 0 if none is"
    ),
    "max_representation_ratio": (
        "the largest ratio of the shares of a group in version and source, or its inverse, among the significant ones;"
        " 1 if none is"
    ),
    "representation_shifts": "groups whose share changed significantly",
    "association_amplification": (
        "the largest growth of an association (natural log of the odds ratio of a group and an occupation or"
        " evaluation), among the significant ones; 0 if none grew; 0.69 is a doubling of the odds ratio"
    ),
    "associations_amplified": "associations that grew significantly",
    "associations_tested": "pairs of a group and a target with enough documents in both sets to be compared",
    "toxic_share": "share of documents with a term of toxicity that no context excuses",
    "toxic_share_upper": "upper end of its 95% interval (Wilson)",
    "toxic_share_increase": "by how much that share is above the source's; 0 if that is not significant",
    "slur_share": "share of documents with a slur that no context excuses",
}
"""What each of the metrics means. ``Significant`` allows for the number of tests (``BiasReport.level``)."""


@dataclass(frozen=True)
class GroupShift:
    """How often documents speak of a group, among those that speak of any group of the attribute.

    Args:
        attribute: gender, age ...
        group: a group of it.
        documents: with the group, in version and source.
        share: of the documents with any group of the attribute, in the version.
        source_share: the same in the source.
        token_share: share of the group's words among those of the attribute, in version and source; not tested.
        ratio: of the two shares of documents.
        p: p-value of no difference.
        significant: allowing for the number of tests.
    """

    attribute: str
    group: str
    documents: tuple[int, int]
    share: Estimate
    source_share: Estimate
    token_share: tuple[float, float]
    ratio: Estimate
    p: float
    significant: bool

    @property
    def change(self) -> float:
        """Of the share, as a fraction."""
        return self.share.value - self.source_share.value


@dataclass(frozen=True)
class Association:
    """How much a group stands beside one target, against the other targets of its family.

    Args:
        attribute: gender, age ...
        group: a group of it.
        family: occupation or evaluation.
        target: one of them.
        documents: in which one of the attribute's groups stands beside the target, in version and source.
        share: of them (without those that have the group and another), with the group, in version and source.
        odds: odds ratio in the version.
        source_odds: in the source.
        change: ratio of the two.
        amplification: growth of the natural log of the odds ratio, in the direction that it has in the version.
        p: p-value of no change.
        significant: allowing for the number of tests.
    """

    attribute: str
    group: str
    family: str
    target: str
    documents: tuple[int, int]
    share: tuple[float, float]
    odds: Estimate
    source_odds: Estimate
    change: Estimate
    amplification: float
    p: float
    significant: bool


@dataclass(frozen=True)
class ToxicRate:
    """Documents with terms of a category of toxicity.

    Args:
        category: slur, threat ...; ``any`` for all.
        documents: with a term that no context excuses, in version and source.
        share: of all documents of the version.
        source_share: of the source.
        excused: documents with such terms in contexts that excuse them only, in version and source.
        reasons: documents of the version by the context that excuses.
        ratio: of the shares.
        p: p-value of no difference.
        significant: allowing for the number of tests.
    """

    category: str
    documents: tuple[int, int]
    share: Estimate
    source_share: Estimate
    excused: tuple[int, int]
    reasons: Mapping[str, int]
    ratio: Estimate
    p: float
    significant: bool


@dataclass(frozen=True)
class BiasReport:
    """A version of a dataset against its source.

    Args:
        documents: in version and source.
        words: in version and source.
        representation: of each group that is common enough to be compared.
        attributes_not_compared: attributes that too few documents speak of, in the version or the source.
        associations: of each pair that is common enough to be compared.
        pairs_not_compared: pairs seen in the version in too few documents, there or in the source.
        toxicity: by category, and of any.
        toxic_terms: the commonest terms of toxicity, masked, with their category and documents in version and source,
            in any context.
        level: chance that a report on two sets that do not differ calls anything significant, at most.
        rows_per_document: rows of the version made from one document, for which the tests allow.
    """

    documents: tuple[int, int]
    words: tuple[int, int]
    representation: tuple[GroupShift, ...]
    attributes_not_compared: tuple[str, ...]
    associations: tuple[Association, ...]
    pairs_not_compared: int
    toxicity: tuple[ToxicRate, ...]
    toxic_terms: tuple[tuple[str, str, int, int], ...]
    level: float
    rows_per_document: float

    def metrics(self) -> dict[str, float]:
        """The figures for gates; ``METRICS`` says what each means."""
        shifts = [shift for shift in self.representation if shift.significant]
        grown = [pair for pair in self.associations if pair.significant and pair.amplification > 0]
        gender = [abs(one.change) for one in shifts if (one.attribute, one.group) == ("gender", "female")]
        toxic = {rate.category: rate for rate in self.toxicity}
        overall = toxic["any"]
        increase = overall.share.value - overall.source_share.value
        return {
            "documents": float(self.documents[0]),
            "gender_ratio_shift": max(gender, default=0.0),
            "max_representation_shift": max((abs(one.change) for one in shifts), default=0.0),
            "max_representation_ratio": math.exp(max((abs(math.log(one.ratio.value)) for one in shifts), default=0.0)),
            "representation_shifts": float(len(shifts)),
            "association_amplification": max((pair.amplification for pair in grown), default=0.0),
            "associations_amplified": float(len(grown)),
            "associations_tested": float(len(self.associations)),
            "toxic_share": overall.share.value,
            "toxic_share_upper": overall.share.high,
            "toxic_share_increase": max(increase, 0.0) if overall.significant else 0.0,
            "slur_share": toxic["slur"].share.value if "slur" in toxic else 0.0,
        }

    def significant(self) -> Iterator[GroupShift | Association | ToxicRate]:
        """All that stands out, the surest first."""
        every = [*self.representation, *self.associations, *self.toxicity]
        yield from sorted((one for one in every if one.significant), key=lambda one: one.p)

    def describe(self) -> str:
        """The report in Markdown."""
        from synth_platform.bias.describe import describe

        return describe(self)
