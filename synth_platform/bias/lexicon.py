"""Word lists, read from ``lexicons/*.yaml`` and compiled into tables of hashed words."""

import codecs
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import Field

from synth_platform.config import StrictModel
from synth_platform.contamination.words import ngram_hashes, split_words
from synth_platform.digest import digest

FOLDER = Path(__file__).parent / "lexicons"
ANY_CASE, CAPITAL, CAPITALS, TITLE = range(4)
"""How a term must be written: anyhow; first letter capital; two capitals (US); a capital and a small letter (Ms)."""
EITHER, WITHOUT, WITH = range(3)
"""Whether a word must be written with an apostrophe."""
Role = Literal["attribute", "target", "toxicity", "cue", "ignored"]
Reason = Literal["quoted", "mention", "subject"]


class WordList(StrictModel):
    """One file of terms; how they are written is told in ``lexicons/README.md``."""

    family: str
    role: Role
    groups: dict[str, str]
    """Terms of each group, separated by commas."""
    encoded: tuple[str, ...] = ()
    """Groups in ROT13."""
    excused_by: dict[str, tuple[Reason, ...]] = Field(default_factory=dict)
    """Contexts in which terms of a group are spoken of rather than used."""


@dataclass(frozen=True)
class Phrases:
    """Forms of so many words, by hash.

    Args:
        size: words of each.
        hashes: uint64, ascending.
        first: the entries of form i are ``first[i]`` to ``first[i + 1]``.
        term: number of the term of each entry.
        apostrophe: whether the form must be written with one.
        families: the families of each form, as bits.
        letters: length of each form.
    """

    size: int
    hashes: np.ndarray
    first: np.ndarray
    term: np.ndarray
    apostrophe: np.ndarray
    families: np.ndarray
    letters: np.ndarray


@dataclass(frozen=True)
class Lexicon:
    """All terms, each of one label: a group of a family.

    Args:
        families: names.
        roles: of each family.
        labels: family and group.
        label_family: number of the family of each label.
        terms: as listed, without marks.
        term_label: number of the label of each term.
        case: how each term must be written.
        everyday: terms that do not count in texts on software.
        phrases: forms by their number of words, longest first, down to single words.
        words: hashes of all words of all forms, ascending.
        excused_by: contexts that excuse the terms of a category of toxicity.
        hidden: labels whose terms are not to be shown.
        digest: of all of it; counts of different lexicons cannot be compared.
    """

    families: tuple[str, ...]
    roles: tuple[Role, ...]
    labels: tuple[tuple[str, str], ...]
    label_family: np.ndarray
    terms: tuple[str, ...]
    term_label: np.ndarray
    case: np.ndarray
    everyday: np.ndarray
    phrases: tuple[Phrases, ...]
    words: np.ndarray
    excused_by: Mapping[str, tuple[Reason, ...]]
    hidden: frozenset[int]
    digest: str

    def of_role(self, role: Role) -> np.ndarray:
        """Numbers of the labels of all families with a role."""
        return np.flatnonzero([self.roles[family] == role for family in self.label_family])

    def label(self, family: str, group: str) -> int:
        """Number of a label."""
        return self.labels.index((family, group))

    def shown(self, term: int) -> str:
        """A term for reports; what hurts by its first letters and asterisks."""
        text, label = self.terms[term], int(self.term_label[term])
        if self.roles[self.label_family[label]] != "toxicity":
            return text
        kept = 1 if label in self.hidden else 2
        return " ".join(part[:kept] + "*" * max(len(part) - kept, 0) for part in text.split())


@cache
def load_lexicon() -> Lexicon:
    """The lists that come along."""
    return compile_lexicon(
        [WordList(**yaml.safe_load(path.read_text("utf-8"))) for path in sorted(FOLDER.glob("*.yaml"))]
    )


def compile_lexicon(lists: Sequence[WordList]) -> Lexicon:
    """Tables for a set of word lists.

    Args:
        lists: with roles; those of ``cue`` have the groups ``mention``, ``subject`` and ``technical``.
    """
    terms = [term for number, one in enumerate(lists) for term in _terms(number, one)]
    labels = sorted({(term.family, term.group) for term in terms})
    forms: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, (term, plain) in enumerate(zip(terms, _plain([term.text for term in terms]), strict=True)):
        for form, apostrophe in _forms(term, plain).items():
            forms[form].append((number, apostrophe))
    names = [one.family for one in lists]
    bits = np.array([_families(term, lists) for term in terms])
    return Lexicon(
        families=tuple(names),
        roles=tuple(one.role for one in lists),
        labels=tuple((names[family], group) for family, group in labels),
        label_family=np.array([family for family, _ in labels]),
        terms=tuple(term.text for term in terms),
        term_label=np.array([labels.index((term.family, term.group)) for term in terms]),
        case=np.array([_case(term.text) for term in terms], np.int8),
        everyday=np.array([term.everyday for term in terms]),
        phrases=_phrases(forms, bits),
        words=np.unique(split_words([" ".join(forms)]).hashes),
        excused_by={group: reasons for one in lists for group, reasons in one.excused_by.items()},
        hidden=frozenset(number for number, (family, group) in enumerate(labels) if group in lists[family].encoded),
        digest=digest([one.model_dump() for one in lists]),
    )


@dataclass(frozen=True)
class _Term:
    family: int
    group: str
    text: str
    inflected: bool
    everyday: bool


def _terms(family: int, one: WordList) -> Iterator[_Term]:
    for group, listed in one.groups.items():
        plain = codecs.decode(listed, "rot13") if group in one.encoded else listed
        for entry in plain.split(","):
            marked = entry.strip()
            everyday = marked.endswith("~")
            marked = marked.removesuffix("~")
            yield _Term(family, group, marked.removesuffix("+"), marked.endswith("+"), everyday)


def _families(term: _Term, lists: Sequence[WordList]) -> int:
    """The families whose shorter terms a term hides, as bits."""
    own = 1 << term.family
    if lists[term.family].role != "ignored":
        return own
    hidden = [number for number, one in enumerate(lists) if term.group in ("all", one.family)]
    return own | sum(1 << number for number in hidden if number != term.family)


def _forms(term: _Term, plain: str) -> dict[str, int]:
    """The ways to write a term, without apostrophes, and whether an apostrophe must be there."""
    single = " " not in term.text and term.text.isascii()
    own = EITHER if not single else WITH if "'" in term.text else WITHOUT
    inflected = {plain + "s": EITHER, _plural(plain): EITHER} if term.inflected else {}
    return {plain: own} | inflected


def _plain(texts: list[str]) -> list[str]:
    """Terms as their words in lower case, without apostrophes."""
    words = split_words(texts)
    each = [words.slice(number, number).replace("'", "").lower() for number in range(len(words.hashes))]
    return [" ".join(each[start:end]) for start, end in zip(words.bounds[:-1], words.bounds[1:], strict=True)]


def _plural(text: str) -> str:
    if text.endswith("y") and text[-2:-1] not in "aeiou":
        return text[:-1] + "ies"
    return text + ("es" if text.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _case(text: str) -> int:
    if not text[0].isupper():
        return ANY_CASE
    if " " not in text and text.isupper():
        return CAPITALS
    return TITLE if len(text) == 2 else CAPITAL


def _phrases(forms: Mapping[str, list[tuple[int, int]]], bits: np.ndarray) -> tuple[Phrases, ...]:
    by_size: dict[int, list[str]] = defaultdict(list)
    for form in forms:
        by_size[len(form.split())].append(form)
    return tuple(_table(size, by_size.get(size, []), forms, bits) for size in range(max(by_size), 0, -1))


def _table(size: int, listed: list[str], forms: Mapping[str, list[tuple[int, int]]], bits: np.ndarray) -> Phrases:
    hashes = phrase_hashes(split_words(listed).hashes.reshape(len(listed), size))
    order = np.argsort(hashes)
    entries = [forms[listed[place]] for place in order]
    term = np.array([number for entry in entries for number, _ in entry], np.int64)
    first = np.concatenate([[0], np.cumsum([len(entry) for entry in entries])]).astype(np.int64)
    families = [int(np.bitwise_or.reduce(bits[[number for number, _ in entry]])) for entry in entries]
    return Phrases(
        size=size,
        hashes=hashes[order],
        first=first,
        term=term,
        apostrophe=np.array([apostrophe for entry in entries for _, apostrophe in entry], np.int8),
        families=np.array(families, np.int64),
        letters=np.array([len(listed[place]) for place in order], np.int64),
    )


def phrase_hashes(words: np.ndarray) -> np.ndarray:
    """Hash of each row of word hashes."""
    size = words.shape[1]
    if size == 1 or not len(words):
        return words[:, 0].copy() if len(words) else np.empty(0, np.uint64)
    return ngram_hashes(words.ravel(), *range(1, size))[::size]
