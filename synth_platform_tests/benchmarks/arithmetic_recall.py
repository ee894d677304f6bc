"""Whether the arithmetic of right solutions is judged right, and of solutions with one altered number wrong.

    python -m synth_platform_tests.benchmarks.arithmetic_recall --data DATA

The solutions are those of GSM8K's training set, with their calculator annotations and without. In each, one number of
one equation (operand or result) is replaced by another of as many digits. With annotations, either the annotation or
what a reader sees is altered, never both. Equations are found by a pattern of this file, which knows nothing of the
reader that is measured. DATA holds `evals/gsm8k_train.jsonl.gz` (id, question, answer).
"""

import argparse
import random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from synth_platform.quality.arithmetic import ArithmeticCheck, check_arithmetic
from synth_platform_tests.benchmarks.contamination_recall import rows

_ANNOTATION = re.compile(r"<<.*?>>")
_NUMBER = re.compile(r"\d[\d,]*\d(?:\.\d+)?|\d(?:\.\d+)?|\.\d+")
_FILL = r"[ A-Za-z'\u2019$€£()/%.]{0,40}?"
_EQUATION = re.compile(
    rf"(?:\d[\d,]*(?:\.\d+)?|\.\d+){_FILL}"
    rf"(?:[-+*/x\u00d7÷\u2013\u2212]{_FILL}(?:\d[\d,]*(?:\.\d+)?|\.\d+){_FILL})+"
    rf"(?:={_FILL}(?:\d[\d,]*(?:\.\d+)?|\.\d+))+"
)


@dataclass(frozen=True)
class Solution:
    """A worked solution and its problem."""

    problem: str
    text: str


def strip(text: str) -> str:
    """A solution without its calculator annotations."""
    return _ANNOTATION.sub("", text)


def equations(text: str) -> list[list[tuple[int, int]]]:
    """Places of the numbers of each equation: of annotations, and of what a reader sees without them."""
    found = []
    seen: list[int] = []  # places of the characters that are not annotations
    last = 0
    for annotation in _ANNOTATION.finditer(text):
        found.append([number.span() for number in _NUMBER.finditer(text, *annotation.span())])
        seen += range(last, annotation.start())
        last = annotation.end()
    seen += range(last, len(text))
    for equation in _EQUATION.finditer(strip(text)):
        numbers = _NUMBER.finditer(strip(text), *equation.span())
        found.append([(seen[number.start()], seen[number.end() - 1] + 1) for number in numbers])
    return [places for places in found if places]


def altered(numeral: str, rng: random.Random) -> str:
    """Another number of as many digits, with its commas and point where they were."""
    digits = sum(character.isdigit() for character in numeral)
    while True:
        drawn = iter(
            str(rng.randrange(10 ** (digits - 1) if digits > 1 and numeral[0] not in "0." else 0, 10**digits)).zfill(
                digits
            )
        )
        changed = "".join(next(drawn) if character.isdigit() else character for character in numeral)
        if float(changed.replace(",", "")) != float(numeral.replace(",", "")):
            return changed


def alter(text: str, rng: random.Random) -> str | None:
    """The text with one number of one equation altered; None if it has no equation."""
    if not (found := equations(text)):
        return None
    start, end = rng.choice(rng.choice(found))
    return text[:start] + altered(text[start:end], rng) + text[end:]


def judge(solutions: Sequence[Solution]) -> tuple[list[ArithmeticCheck], float]:
    """All verdicts, and solutions per second of processor time."""
    start = time.process_time()
    checks = [check_arithmetic(solution.text, solution.problem) for solution in solutions]
    return checks, len(solutions) / (time.process_time() - start)


def report(name: str, solutions: Sequence[Solution], good: bool, show: int) -> None:
    """One row of the table, and some of the misjudged."""
    checks, rate = judge(solutions)
    share = sum(check.ok == good for check in checks) / len(checks)
    of = [
        sum(bool(check.wrong) for check in checks),
        sum(check.final_consistent is False for check in checks),
        sum(bool(check.unexplained) for check in checks),
    ]
    print(f"{name:32}{len(checks):>7}{share:>9.2%}" + "".join(f"{count:>8}" for count in of) + f"{rate:>9,.0f}")
    missed = [(solution, check) for solution, check in zip(solutions, checks, strict=True) if check.ok != good]
    for solution, check in random.Random(1).sample(missed, min(show, len(missed))):
        print(f"---- {check}\n{solution.problem}\n{solution.text}")


def main() -> None:
    """Measure, and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--show", type=int, default=0, help="Misjudged solutions to print of each kind")
    given = options.parse_args()
    read = [Solution(row["question"], row["answer"]) for row in rows(given.data / "evals" / "gsm8k_train.jsonl.gz")]
    print(f"{'solutions':32}{'count':>7}{'judged':>9}{'wrong':>8}{'final':>8}{'unexpl.':>8}{'per s':>9}")
    dresses: dict[str, Callable[[str], str]] = {"annotated": str, "without annotations": strip}
    for name, dress in dresses.items():
        rng = random.Random(given.seed)
        right = [Solution(one.problem, dress(one.text)) for one in read]
        changed = [(one.problem, alter(one.text, rng)) for one in right]
        report(f"{name}, as they are", right, True, given.show)
        wrong = [Solution(problem, text) for problem, text in changed if text]
        report(f"{name}, one number altered", wrong, False, given.show)


if __name__ == "__main__":
    main()
