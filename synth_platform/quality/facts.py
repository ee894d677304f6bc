"""Exact faithfulness, for sources that know their facts: is each statement of an answer true of its document?

The idea is that of the playgrounds of "Physics of Language Models" (Allen-Zhu and Li): every value was drawn
at random, so an answer that states it can only have it from the document.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from synth_platform.quality.arithmetic import final_number, number, steps

# What a statement is about, by kind of entity and attribute. A statement may be about several attributes.
_AS_OF = r"\bdocument\b|\bprofile\b|\brecord\b|\bentry\b|\bwritten\b"
_CUES: Mapping[str, Mapping[str, re.Pattern[str]]] = {
    kind: {attribute: re.compile(cue, re.IGNORECASE) for attribute, cue in cues.items()}
    for kind, cues in {
        "person": {
            "born": r"\bborn\b|\bbirth\b",
            "city": r"\bcity\b|\blives? in\b|\bliving in\b|\bhome\b",
            "job": r"\bjob\b|\bworks? as\b|\bfor a living\b|\bby trade\b|\bprofession\b|\boccupation\b",
            "school": r"\bstud(?:y|ied)\b|\bschool\b|\battend(?:ed)?\b|\bdiploma\b|\bgraduated?\b|\beducation\b",
            "salary": r"\bsalary\b|\bcrowns\b|\bearns?\b",
            "as_of": _AS_OF,
        },
        "city": {
            "founded": r"\bfounded\b|\bfounding\b|\bcharter\b",
            "region": r"\bregion\b",
            "river": r"\briver\b",
            "mayor": r"\bmayor\b",
            "population": r"\bpopulation\b|\binhabitants\b|\bpeople\b",
            "as_of": _AS_OF,
        },
        "company": {
            "founded": r"^\W*founded\b|\bfounded in\b|\bfounding\b|\bwas founded(?!\s+by)\b",
            "city": r"\bcity\b|\bseat\b|\bbased in\b|\bheadquarter|\bhead office\b",
            "product": r"\bproducts?\b|\bmakes?\b|\bproduces?\b|\bsells\b",
            "founder": r"\bfounder\b|\bfounded by\b|\bwho founded\b|\bstarted by\b",
            "employees": r"\bemployees\b|\bemploys\b|\bpeople work\b|\bstaff\b",
            "as_of": _AS_OF,
        },
        "device": {
            "maker": r"\bmaker\b|\bmade by\b|\bmakes\b|\bmanufactur",
            "released": r"\breleased?\b|\bon the market\b",
            "price": r"\bprice\b|\bcosts?\b|\bcrowns\b",
            "weight": r"\bweighs?\b|\bweight\b|\bheavy\b|\bgrams\b",
            "battery": r"\bbattery\b|\bhours\b",
            "as_of": _AS_OF,
        },
    }.items()
}
_NAME_LABEL = re.compile(r"^\|\s*name\s*\|", re.IGNORECASE)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_INSIDE_NAME = re.compile(r"(?<=[a-z0-9,] )[A-Z][a-z]+")
_WORD = re.compile(r"\w+")
_LIST_MARKER = re.compile(r"^\s*\d+[.)]\s+", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_NUMBER_WORDS = {
    word: n for n, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], 1)
}


@dataclass(frozen=True)
class FactCheck:
    """Statements of one answer about the facts of its document.

    Args:
        correct: attributes stated rightly, once per statement.
        wrong: statements that are not true of the document, in short.
        missing: attributes of the document that no statement gives rightly.
        facts: how many facts the document has.
    """

    correct: tuple[str, ...]
    wrong: tuple[str, ...]
    missing: tuple[str, ...]
    facts: int

    @property
    def accuracy(self) -> float | None:
        """Share of right statements; None if nothing was stated."""
        stated = len(self.correct) + len(self.wrong)
        return len(self.correct) / stated if stated else None

    @property
    def coverage(self) -> float:
        """Share of the document's facts that are stated rightly."""
        return 1 - len(self.missing) / self.facts if self.facts else 0.0


def check_facts(text: str, document: str, metadata: Mapping[str, Any]) -> FactCheck | None:
    """Check an answer against its document; None where the document's facts are not known.

    A statement is a table row, a question with its answer, a list item or a sentence. It is wrong if it is
    about an attribute and does not hold its exact value, if it holds a number or a name that the document
    does not have, or, in a solution, if its arithmetic is wrong or uses a number from nowhere.
    """
    facts, cues = metadata.get("facts"), _CUES.get(str(metadata.get("kind")))
    if not isinstance(facts, dict) or cues is None:
        return None
    correct: list[str] = []
    wrong: list[str] = []
    prose, _, solution = text.partition("Solution:")
    known_words = {word.lower() for word in _WORD.findall(document)}
    known_numbers = {number(found) for found in _NUMBER.findall(document)}
    for statement in statements(prose):
        right, false = _judge(statement, facts, cues, known_words, known_numbers)
        correct += right
        wrong += false
    if solution:
        right, false = _judge_solution(solution, prose, known_numbers)
        correct += right
        wrong += false
    stated = set(correct) | ({"name"} if facts.get("name", "\0") in text else set())
    missing = tuple(name for name in facts if name not in stated)
    return FactCheck(tuple(correct), tuple(wrong), missing, len(facts))


def statements(text: str) -> Iterator[str]:
    """Table rows, questions with their answers, list items and sentences."""
    held = ""
    for line in text.splitlines():
        line = _LIST_MARKER.sub("", line).strip()
        if not line:
            continue
        if line.startswith(("|", "#")):
            yield line
        elif re.match(r"\**(Q|Question):", line):
            held = line
        elif re.match(r"\**(A|Answer):", line):
            yield f"{held} {line}".strip()
            held = ""
        else:
            yield from (sentence for sentence in _SENTENCE_END.split(line) if sentence)
    if held:
        yield held


def _judge(
    statement: str,
    facts: Mapping[str, str],
    cues: Mapping[str, re.Pattern[str]],
    known_words: set[str],
    known_numbers: set[Decimal],
) -> tuple[list[str], list[str]]:
    """Attributes that a statement gives rightly, and what is wrong with it."""
    label, _, value = statement.strip("| ").partition("|")
    about = [name for name, cue in cues.items() if cue.search(label if value else statement)]
    if _NAME_LABEL.match(statement):
        about = ["name"]
    invented = list(_invented(statement, known_words, known_numbers))
    if statement.startswith("#"):
        return ([], [f"invented {invented[0]}"]) if invented else ([], [])
    right = [name for name in about if _holds(statement, facts[name])]
    false = [f"{name} is not {facts[name]}" for name in about if name not in right]
    if invented and not false:
        return [], [f"invented {invented[0]}"]
    return right, false


def _holds(statement: str, value: str) -> bool:
    plain = statement.replace(",", "") if value.isdigit() else statement
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", plain) is not None


def _invented(statement: str, known_words: set[str], known_numbers: set[Decimal]) -> Iterator[str]:
    """Numbers, and names inside sentences, that the document does not have."""
    for found in _NUMBER.findall(statement):
        if number(found.rstrip(",")) not in known_numbers:
            yield found
    for found in _INSIDE_NAME.findall(statement):
        if found.lower() not in known_words:
            yield found


def _judge_solution(solution: str, problem: str, known_numbers: set[Decimal]) -> tuple[list[str], list[str]]:
    """Steps and final answer: right arithmetic on numbers of the document, the problem or earlier steps."""
    known = set(known_numbers)
    known |= {Decimal(_NUMBER_WORDS[word]) for word in _WORD.findall(problem.lower()) if word in _NUMBER_WORDS}
    correct: list[str] = []
    wrong: list[str] = []
    last: Decimal | None = None
    for step in steps(solution):
        good = step.right and set(step.operands) <= known
        (correct if good else wrong).append("step" if good else f"step to {step.result}")
        known.add(step.result)
        last = step.result
    final = final_number(solution)
    good = final is not None and final == last
    (correct if good else wrong).append("final answer" if good else f"final answer {final}")
    return correct, wrong
