"""The playground: seeded documents about an invented world, with every stated fact kept in the metadata.

The idea is that of the synthetic biographies in "Physics of Language Models" (Allen-Zhu and Li): each value
is built at random, so a model can only copy it, and a rewrite can be checked exactly. Here people, cities,
companies and devices each have attributes of their own.
"""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synth_platform.digest import digest, digest_int
from synth_platform.sources.playground_sentences import FILLERS, QUOTES, SENTENCES, YEAR_SENTENCES

Kind = Literal["person", "city", "company", "device"]
Split = Literal["train", "documents", "benchmark"]

KINDS: tuple[Kind, ...] = ("person", "city", "company", "device")
LICENSE = "CC0-1.0"

_ONSETS = (
    *("b", "br", "d", "dr", "f", "g", "gr", "h", "j", "k", "l", "m"),
    *("n", "p", "r", "s", "st", "t", "tr", "v", "w", "z"),
)
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_CODAS = ("", "", "", "l", "m", "n", "r", "s", "th")
_SHARES: tuple[tuple[Split, int], ...] = (("train", 6), ("documents", 3), ("benchmark", 1))
_SPLIT_OF_BUCKET: list[Split] = [split for split, share in _SHARES for _ in range(share)]


@dataclass(frozen=True)
class Fact:
    """One attribute of an entity with its value as written in the text."""

    attribute: str
    value: str


@dataclass(frozen=True)
class PlaygroundDocument:
    """One document; a pure function of seed, split and index."""

    index: int
    kind: Kind
    entity: str
    text: str
    facts: tuple[Fact, ...]
    planted: tuple[str, ...] = ()

    def metadata(self) -> dict[str, Any]:
        """What the documents table keeps of it."""
        facts = {fact.attribute: fact.value for fact in self.facts}
        return {"kind": self.kind, "entity": self.entity, "facts": facts, "planted": list(self.planted)}


@dataclass(frozen=True)
class BenchmarkQuestion:
    """A question about a person who is in no document."""

    id: str
    question: str
    answer: str
    choices: tuple[str, ...] | None = None


def split_of(word: str) -> Split:
    """The split that an invented word belongs to; each word is in exactly one."""
    bucket = hashlib.blake2b(word.lower().encode(), digest_size=2).digest()
    return _SPLIT_OF_BUCKET[int.from_bytes(bucket) % len(_SPLIT_OF_BUCKET)]


def iter_documents(
    count: int,
    *,
    seed: int,
    split: Split = "documents",
    kinds: Sequence[Kind] = KINDS,
    planted: int = 0,
) -> Iterator[PlaygroundDocument]:
    """The first ``count`` documents of a seed; ``planted`` of them, evenly spread, quote a benchmark question."""
    questions = benchmark_questions() if planted else []
    places = {(2 * n + 1) * count // (2 * planted): n for n in range(min(planted, count))}
    for index in range(count):
        quoted = questions[places[index] % len(questions)] if index in places else None
        yield generate_document(index, seed=seed, split=split, kinds=kinds, quoted=quoted)


def generate_document(
    index: int,
    *,
    seed: int,
    split: Split = "documents",
    kinds: Sequence[Kind] = KINDS,
    quoted: BenchmarkQuestion | None = None,
) -> PlaygroundDocument:
    """Document number ``index``: the facts of one entity in sentences of random wording and order."""
    rng = random.Random(digest_int("playground", seed, split, index))
    kind = rng.choice(list(kinds))
    facts = _WORLD[kind](_Words(rng, split))
    entity = facts[0].value
    sentences = [_sentence(rng, kind, fact) for fact in facts[1:]]
    sentences += rng.sample(FILLERS[kind], rng.randint(1, 3))
    rng.shuffle(sentences)
    if quoted is not None:
        sentences.insert(rng.randint(1, len(sentences)), rng.choice(QUOTES).format(question=quoted.question))
    return PlaygroundDocument(
        index=index,
        kind=kind,
        entity=entity,
        text=" ".join(_name_subjects(rng, kind, entity, sentences)),
        facts=tuple(facts),
        planted=(quoted.id,) if quoted else (),
    )


def benchmark_questions(count: int = 240, seed: int = 0, split: Split = "benchmark") -> list[BenchmarkQuestion]:
    """Questions about invented people of a split of their own, each at least 16 words long."""
    return [_question(index, seed, split) for index in range(count)]


def _question(index: int, seed: int, split: Split) -> BenchmarkQuestion:
    rng = random.Random(digest_int("playground-benchmark", seed, split, index))
    facts = {fact.attribute: fact.value for fact in _person(_Words(rng, split))}
    asked, text = rng.choice(_QUESTIONS)
    question = text.format(**facts)
    return BenchmarkQuestion(id=f"playground-{digest(question)[:12]}", question=question, answer=facts[asked])


_QUESTIONS = (
    ("born", "In which year was {name}, the {job} who lives in {city} and studied at {school}, born?"),
    (
        "city",
        "In which city does {name}, the {job} who was born in {born} and studied at {school}, live today?",
    ),
    (
        "job",
        "What is the work of {name}, who was born in {born}, studied at {school} and now lives in {city}?",
    ),
    ("school", "At which school did {name}, a {job} born in {born} who lives in the city of {city}, study?"),
    (
        "salary",
        "How many crowns a year does {name}, the {job} from {city} who studied at {school}, earn for the work?",
    ),
    (
        "born",
        "A {job} called {name} studied at {school} and earns {salary} crowns a year; what is the birth year?",
    ),
)


class _Words:
    """Invented words and numbers of one split."""

    def __init__(self, rng: random.Random, split: Split) -> None:
        self._rng, self._split = rng, split

    def word(self, syllables: tuple[int, int] = (2, 3)) -> str:
        """A lower-case word that belongs to the split."""
        rng = self._rng
        while True:
            parts = [
                rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randint(*syllables))
            ]
            word = "".join(parts)
            if split_of(word) == self._split:
                return word

    def name(self) -> str:
        """A capitalised word."""
        return self.word().capitalize()

    def full_name(self) -> str:
        """First and last name."""
        return f"{self.name()} {self.name()}"

    def pick(self, *options: str) -> str:
        """One of some plain words."""
        return self._rng.choice(options)

    def number(self, low: int, high: int) -> int:
        """A whole number in a closed range."""
        return self._rng.randint(low, high)


def _as_of(words: _Words, since: int) -> Fact:
    return Fact("as_of", str(words.number(max(since + 1, 2003), 2029)))


def _person(words: _Words) -> list[Fact]:
    born = words.number(1930, 1999)
    return [
        Fact("name", words.full_name()),
        Fact("born", str(born)),
        Fact("city", words.name()),
        Fact(
            "job",
            f"{words.word()} {words.pick('keeper', 'maker', 'painter', 'trader', 'teacher', 'builder')}",
        ),
        Fact("school", f"{words.name()} {words.pick('Academy', 'College', 'Institute', 'School')}"),
        Fact("salary", str(words.number(120, 990) * 100)),
        _as_of(words, born + 18),
    ]


def _city(words: _Words) -> list[Fact]:
    founded = words.number(1600, 1950)
    return [
        Fact("name", words.name()),
        Fact("founded", str(founded)),
        Fact("region", words.name()),
        Fact("river", words.name()),
        Fact("mayor", words.full_name()),
        Fact("population", str(words.number(1200, 9800))),
        _as_of(words, founded),
    ]


def _company(words: _Words) -> list[Fact]:
    founded = words.number(1850, 2000)
    return [
        Fact("name", f"{words.name()} {words.pick('Works', 'Mills', 'Labs', 'Freight')}"),
        Fact("founded", str(founded)),
        Fact("city", words.name()),
        Fact(
            "product",
            f"{words.word()} {words.pick('lamps', 'clocks', 'ropes', 'engines', 'carpets', 'bells')}",
        ),
        Fact("founder", words.full_name()),
        Fact("employees", str(words.number(12, 9800))),
        _as_of(words, founded),
    ]


def _device(words: _Words) -> list[Fact]:
    released = words.number(1960, 2015)
    return [
        Fact("name", f"{words.name()} {words.number(10, 99)}"),
        Fact("maker", words.name()),
        Fact("released", str(released)),
        Fact("price", str(words.number(25, 4900))),
        Fact("weight", str(words.number(110, 9900))),
        Fact("battery", str(words.number(3, 96))),
        _as_of(words, released),
    ]


_WORLD: dict[Kind, Callable[[_Words], list[Fact]]] = {
    "person": _person,
    "city": _city,
    "company": _company,
    "device": _device,
}


def _sentence(rng: random.Random, kind: Kind, fact: Fact) -> str:
    options = YEAR_SENTENCES if fact.attribute == "as_of" else SENTENCES[kind][fact.attribute]
    return rng.choice(options).replace("{value}", fact.value)


def _name_subjects(rng: random.Random, kind: Kind, entity: str, sentences: Sequence[str]) -> Iterator[str]:
    """Fill the subjects: the name until it was said once, then the name or a stand-in for it."""
    stand_in = entity.split()[-1] if kind == "person" else f"the {kind}"
    named = False
    for sentence in sentences:
        subject = entity if not named or rng.random() < 0.4 else stand_in
        filled = sentence.replace("{subject}", subject)
        named = named or (entity in filled)
        yield filled[0].upper() + filled[1:]
