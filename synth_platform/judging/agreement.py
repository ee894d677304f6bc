"""How far a judge's grades agree with people's verdicts on the same answers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from synth_platform.statistics import wilson

_DRAWS = 1000


@dataclass(frozen=True)
class Cut:
    """Verdicts of a judge that accepts from some grade on, against people's.

    Args:
        grade: the lowest that it accepts.
        good_accepted: answers that are good, and accepted.
        good_rejected: good ones that are rejected.
        bad_accepted: bad ones that are accepted.
        bad_rejected: bad ones that are rejected.
    """

    grade: float
    good_accepted: int
    good_rejected: int
    bad_accepted: int
    bad_rejected: int

    @property
    def kappa(self) -> float:
        """Cohen's kappa (1960): agreement beyond chance; 1 is perfect, 0 is chance."""
        good, bad = self.good_accepted + self.good_rejected, self.bad_accepted + self.bad_rejected
        accepted, rejected = self.good_accepted + self.bad_accepted, self.good_rejected + self.bad_rejected
        total = good + bad
        agreed = (self.good_accepted + self.bad_rejected) / total
        chance = (good * accepted + bad * rejected) / total**2
        return (agreed - chance) / (1 - chance) if chance < 1 else 0.0

    def describe(self) -> str:
        """A row of the table."""
        lost = _share(self.good_rejected, self.good_accepted + self.good_rejected)
        let_in = _share(self.bad_accepted, self.bad_accepted + self.bad_rejected)
        return f"| {self.grade:g} | {self.kappa:.2f} | {lost} | {let_in} |"


class Agreement:
    """Grades beside verdicts.

    Args:
        grades: of the judge; null where its reply could not be read, which counts as a rejection.
        good: people's verdicts on the same answers, at least one of each kind.
        scale: the highest grade.
    """

    def __init__(self, grades: Sequence[float | None], good: Sequence[bool], scale: int) -> None:
        self._grades = np.array([-math.inf if grade is None else grade for grade in grades])
        self._good, self._scale = np.array(good, bool), scale

    @property
    def labelled(self) -> int:
        """Answers with a verdict."""
        return len(self._good)

    def cut(self, grade: float) -> Cut:
        """The judge's verdicts if it accepts from this grade on."""
        return _cut(self._grades, self._good, grade)

    @cached_property
    def best(self) -> Cut:
        """The cut with the highest kappa."""
        return max((self.cut(grade) for grade in range(2, self._scale + 1)), key=lambda cut: cut.kappa)

    @cached_property
    def ranking(self) -> float:
        """Chance that a good answer is graded above a bad one, ties by half (area under the ROC curve)."""
        good, bad = self._grades[self._good], self._grades[~self._good]
        above = (good[:, None] > bad).mean() + (good[:, None] == bad).mean() / 2
        return float(above)

    def kappa_interval(self, grade: float) -> tuple[float, float]:
        """95% interval of a cut's kappa: percentiles of a seeded bootstrap over the answers."""
        rng = np.random.default_rng(0)
        draws = rng.integers(0, self.labelled, (_DRAWS, self.labelled))
        kappas = [_cut(self._grades[draw], self._good[draw], grade).kappa for draw in draws]
        low, high = np.percentile(kappas, (2.5, 97.5))
        return float(low), float(high)

    def describe(self, used: float | None) -> str:
        """Markdown: agreement at each cut, the one that is used in words.

        Args:
            used: the lowest grade that is accepted; None: the judge rejects nothing.
        """
        cut = self.best if used is None else self.cut(used)
        low, high = self.kappa_interval(cut.grade)
        role = "the best cut; the judge rejects nothing" if used is None else "the cut that is used"
        lines = [
            f"{self.labelled:,} labelled answers. From grade {cut.grade:g} on ({role}) kappa is {cut.kappa:.2f}"
            f" ({low:.2f} to {high:.2f}). A good answer is graded above a bad one in {self.ranking:.0%} of pairs.",
            "",
            "| accepted from | kappa | good ones rejected | bad ones accepted |",
            "|---|---|---|---|",
        ]
        return "\n".join([*lines, *(self.cut(grade).describe() for grade in range(2, self._scale + 1))])


def _cut(grades: np.ndarray, good: np.ndarray, grade: float) -> Cut:
    accepted = grades >= grade
    counts = [(good & accepted), (good & ~accepted), (~good & accepted), (~good & ~accepted)]
    return Cut(grade, *(int(one.sum()) for one in counts))


def _share(hits: int, total: int) -> str:
    low, high = wilson(hits, total)
    return f"{hits / max(total, 1):.1%} ({low:.1%} to {high:.1%})"
