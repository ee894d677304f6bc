"""What was measured about leaks, and how it is told."""

from dataclasses import dataclass

from synth_platform.privacy.intervals import Difference, Share


@dataclass(frozen=True)
class Copied:
    """Entities of one type in outputs: the share that stands in the output's own source; the rest is invented."""

    entity: str
    share: Share


@dataclass(frozen=True)
class Disclosure:
    """Documents of which something rare appears in any output: used ones, held-out ones, and the difference."""

    feature: str
    used: Share
    held_out: Share

    @property
    def excess(self) -> Difference:
        """Used less held-out: what chance matches cannot explain."""
        return Difference(self.used, self.held_out)


@dataclass(frozen=True)
class RareSpans:
    """Word 10-grams that occur in one document only: the share that appears in outputs.

    Args:
        own: of the used documents' spans, in an output made from that document.
        others: of the used documents' spans, in an output made from another document.
        held_out: of the held-out documents' spans, in any output.
    """

    own: Share
    others: Share
    held_out: Share


@dataclass(frozen=True)
class Anonymity:
    """Distinct entities in outputs by the number of source documents that have them.

    Args:
        k: source documents from which on an entity counts as common.
        below: in fewer than k source documents but in at least one.
        invented: in no source document.
        sampled: whether there were more than fit, so that these are a random sample.
    """

    k: int
    below: Share
    invented: Share
    sampled: bool


@dataclass(frozen=True)
class Leaks:
    """What synthetic outputs give away of the documents that they were made from."""

    outputs: int
    documents: int
    held_out: int
    sampled: int
    sampled_held_out: int
    copied: tuple[Copied, ...]
    disclosures: tuple[Disclosure, ...]
    spans: RareSpans
    anonymity: Anonymity
    persons_measured: bool = False

    def describe(self) -> str:
        """Markdown: every number, what it means, and its limits."""
        parts = [
            self._describe_scope(),
            self._describe_copied(),
            self._describe_disclosures(),
            self._describe_spans(),
            self._describe_anonymity(),
        ]
        return "\n\n".join(parts) + "\n"

    def _describe_scope(self) -> str:
        persons = "included" if self.persons_measured else "not measured (no model is set)"
        return (
            f"{self.outputs:,} outputs; {self.documents:,} source documents used, {self.held_out:,} held out;"
            f" {self.sampled:,} and {self.sampled_held_out:,} of them sampled. Names of persons: {persons}."
            " Intervals are 95%; they take rows as independent, so outputs of one document make them too narrow."
        )

    def _describe_copied(self) -> str:
        rows = [[one.entity, *_cells(one.share), f"{one.share.total - one.share.hits:,}"] for one in self.copied]
        return _section(
            "Copied or invented",
            "Of the entities in outputs, the share that stands in the same output's source document; the rest is"
            " invented, or from elsewhere. A copied public address counts like a private one.",
            ("entity", "copied", "95%", "copied, of all", "invented"),
            rows,
        )

    def _describe_disclosures(self) -> str:
        rows = []
        for one in self.disclosures:
            low, high = one.excess.interval
            excess = f"{one.excess.value:+.2%} ({low:+.2%} to {high:+.2%})"
            rows.append([one.feature, _percent(one.used), _percent(one.held_out), excess])
        return _section(
            "Excess disclosure",
            "Share of used documents of which something that occurs in no other document appears in "
            "any output, less the"
            " same share of held-out documents: above 0, outputs give away more than chance. It holds if held-out"
            " documents are a random part of the same collection, and sees literal copies only.",
            ("feature", "used", "held out", "difference (Newcombe, 95%)"),
            rows,
        )

    def _describe_spans(self) -> str:
        spans = self.spans
        rows = [
            ["used, in outputs made from the document", *_cells(spans.own)],
            ["used, in outputs made from others", *_cells(spans.others)],
            ["held out, in any output", *_cells(spans.held_out)],
        ]
        return _section(
            "Rare word spans",
            "Of the runs of ten words that occur in one document only, the share that appears in "
            "outputs. Runs overlap, so"
            " one copied passage counts several times; rewording hides from this.",
            ("spans", "share", "95%", "of all"),
            rows,
        )

    def _describe_anonymity(self) -> str:
        one = self.anonymity
        rows = [
            [f"in 1 to {one.k - 1} source documents", *_cells(one.below)],
            ["in no source document (invented)", *_cells(one.invented)],
        ]
        note = " A random sample of the entities was counted." if one.sampled else ""
        return _section(
            "Entities that few documents have",
            f"Distinct entities in outputs that fewer than {one.k} source documents have point at somebody; common ones"
            f" (a company's hotline) seldom do. Equal means equal in normal form.{note}",
            ("entities", "share", "95%", "of all"),
            rows,
        )


def _cells(share: Share) -> list[str]:
    low, high = share.interval
    return [f"{share.value:.2%}", f"{low:.2%} to {high:.2%}", f"{share.hits:,} of {share.total:,}"]


def _percent(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:.2%} ({low:.2%} to {high:.2%})"


def _section(title: str, about: str, head: tuple[str, ...], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]
    table = "\n".join(lines) if rows else "Nothing was found."
    return f"### {title}\n\n{about}\n\n{table}"
