"""Precision and recall of the quality screen, reason by reason, on the labelled set of answers.

    python -m synth_platform_tests.benchmarks.quality_labelled [--json] [--errors]

Each row goes through the stage's own `measure` and `judge` with its recipe's default limits. A label counts as a hit if
it is among the row's own, as a false alarm if it is neither that nor one that may stand beside them (see the set's
README.md), and as a miss if it is the row's own and was not given. Intervals are 95% (Wilson 1927).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from synth_platform.privacy.intervals import Share
from synth_platform.prompts.templates import Template
from synth_platform.quality.config import QualitySpec, with_defaults
from synth_platform.quality.conformance import COMPUTING, RULES
from synth_platform.quality.limits import apply_limits
from synth_platform.quality.screen import measure
from synth_platform_tests.quality.labelled import REASONS, LabelledRow, rows

_CODES = {
    "invented:numbers": "invented_number", "invented:dates": "invented_date", "invented:names": "invented_name",
    "invented:units": "changed_unit",
}  # fmt: skip
_SHOWN = 110


@dataclass(frozen=True)
class Found:
    """What the screen says about a row.

    Args:
        labels: its reasons, as labels of this set.
        codes: its reasons, as they are.
    """

    labels: frozenset[str]
    codes: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """How one label is found.

    Args:
        hits: rows that have it and were given it.
        misses: rows that have it and were not given it.
        alarms: rows that were given it, do not have it, and may not have it beside their own labels.
    """

    hits: tuple[LabelledRow, ...]
    misses: tuple[LabelledRow, ...]
    alarms: tuple[LabelledRow, ...]

    @property
    def recall(self) -> Share:
        """Share of the rows with the label that were given it."""
        return Share(len(self.hits), len(self.hits) + len(self.misses))

    @property
    def precision(self) -> Share:
        """Share of the rows given the label that have it."""
        return Share(len(self.hits), len(self.hits) + len(self.alarms))

    @property
    def good_alarms(self) -> int:
        """False alarms on good rows."""
        return sum(not row.reasons for row in self.alarms)


def label_of(code: str) -> str:
    """The label of this set that a reason of the screen stands for."""
    return _CODES.get(code) or code.partition(":")[0]


def detect(labelled: Sequence[LabelledRow]) -> list[Found]:
    """What the screen finds in each row."""
    found: dict[str, Found] = {}
    for recipe in sorted({row.recipe for row in labelled}):
        frame = _frame([row for row in labelled if row.recipe == recipe])
        metrics = measure(frame, RULES[recipe], computes=recipe in COMPUTING)
        judged = apply_limits(metrics, with_defaults(QualitySpec(), recipe))
        for name, codes in judged.select("generation_id", "reasons").iter_rows():
            found[name] = Found(frozenset(map(label_of, codes)), tuple(codes))
    return [found[row.name] for row in labelled]


def score(labelled: Sequence[LabelledRow], found: Sequence[Found]) -> dict[str, Score]:
    """Hits, misses and false alarms by label."""
    return {label: _score(label, labelled, found) for label in REASONS}


def _score(label: str, labelled: Sequence[LabelledRow], found: Sequence[Found]) -> Score:
    pairs = list(zip(labelled, found, strict=True))
    has = [(row, label in one.labels) for row, one in pairs if label in row.reasons]
    alarms = [row for row, one in pairs if label in one.labels and label not in row.reasons | row.tolerated]
    hits, misses = ([row for row, given in has if given is wanted] for wanted in (True, False))
    return Score(tuple(hits), tuple(misses), tuple(alarms))


def _frame(labelled: Sequence[LabelledRow]) -> pl.DataFrame:
    columns = {
        "generation_id": [row.name for row in labelled],
        "text": [row.text for row in labelled],
        "source_text": [row.source_text for row in labelled],
        "messages": [_messages(row) for row in labelled],
        "metadata": [None] * len(labelled),
        "status": [row.status for row in labelled],
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String()))


def _messages(row: LabelledRow) -> str:
    prompt = _template(row.recipe).render({"document": row.source_text})
    return json.dumps([{"role": "user", "content": prompt}])


@cache
def _template(recipe: str) -> Template:
    return Template.load(recipe, Path())


def verdicts(labelled: Sequence[LabelledRow], found: Sequence[Found]) -> tuple[Share, Share, Share]:
    """Shares of good rows rejected, of hard negatives rejected, and of bad rows accepted."""
    pairs = list(zip(labelled, found, strict=True))
    good = [(row, one) for row, one in pairs if not row.reasons]
    hard = [(row, one) for row, one in good if row.note]
    bad = [one for row, one in pairs if row.reasons]
    accepted = sum(not one.codes for one in bad)
    return _rejected(good), _rejected(hard), Share(accepted, len(bad))


def _rejected(pairs: Sequence[tuple[LabelledRow, Found]]) -> Share:
    return Share(sum(bool(one.codes) for _, one in pairs), len(pairs))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    parser.add_argument("--errors", action="store_true", help="list each miss and each false alarm")
    options = parser.parse_args()
    labelled = rows()
    found = detect(labelled)
    scores = score(labelled, found)
    if options.json:
        print(json.dumps(_figures(scores, verdicts(labelled, found)), indent=2))
        return
    _print_table(labelled, found, scores)
    if options.errors:
        _print_errors(labelled, found, scores)


def _figures(scores: Mapping[str, Score], shares: tuple[Share, Share, Share]) -> dict[str, object]:
    names = ("good_rejected", "hard_negatives_rejected", "bad_accepted")
    by_label = {
        label: {
            "positives": one.recall.total,
            "precision": _figure(one.precision),
            "recall": _figure(one.recall),
            "false_alarms": len(one.alarms),
            "false_alarms_on_good": one.good_alarms,
        }
        for label, one in scores.items()
    }
    figures: dict[str, object] = {"labels": by_label}
    return figures | {name: _figure(share) for name, share in zip(names, shares, strict=True)}


def _figure(share: Share) -> dict[str, object]:
    return {"value": share.value, "interval": share.interval, "hits": share.hits, "total": share.total}


def _print_table(labelled: Sequence[LabelledRow], found: Sequence[Found], scores: Mapping[str, Score]) -> None:
    print(f"{'label':16} {'rows':>4}  {'precision':28} {'recall':28} {'alarms':>6} {'on good':>7}")
    for label, one in scores.items():
        print(
            f"{label:16} {one.recall.total:4}  {_short(one.precision):28} {_short(one.recall):28} "
            f"{len(one.alarms):6} {one.good_alarms:7}"
        )
    good, hard, bad = verdicts(labelled, found)
    print(f"\ngood answers rejected    {good}\nhard negatives rejected  {hard}\nbad answers accepted     {bad}")


def _short(share: Share) -> str:
    low, high = share.interval
    return f"{share.value:6.1%} ({low:.1%} to {high:.1%})" if share.total else "none"


def _print_errors(labelled: Sequence[LabelledRow], found: Sequence[Found], scores: Mapping[str, Score]) -> None:
    codes = {row.name: " ".join(one.codes) for row, one in zip(labelled, found, strict=True)}
    for label, one in scores.items():
        for what, wrong in (("MISS", one.misses), ("ALARM", one.alarms)):
            for row in wrong:
                shown = " ".join(row.text.split())[-_SHOWN:]
                print(f"{what:5} {label:15} {row.name}  [{codes[row.name]}]  {row.note}\n      ...{shown}")
    others = [row for row in labelled if not row.reasons and codes[row.name]]
    known = {row.name for one in scores.values() for row in one.alarms}
    for row in others:
        if row.name not in known:
            print(f"ALARM other           {row.name}  [{codes[row.name]}]  {row.note}")


if __name__ == "__main__":
    main()
