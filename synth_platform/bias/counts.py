"""Count terms, and what stands beside them, over any number of texts: numbers of documents, that add up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl

from synth_platform.bias.beside import count_beside
from synth_platform.bias.lexicon import Lexicon, Reason, load_lexicon
from synth_platform.bias.match import Hits, find, reasons_of
from synth_platform.contamination.words import split_words
from synth_platform.errors import SynthError

REASONS: tuple[Reason, ...] = ("quoted", "mention", "subject")
BATCH_BYTES = 1 << 20
AXES: Mapping[str, tuple[str, ...]] = {
    "documents": (),
    "words": (),
    "term_documents": ("term",),
    "term_tokens": ("term",),
    "label_documents": ("label",),
    "label_tokens": ("label",),
    "family_documents": ("family",),
    "beside": ("group", "target"),
    "alone": ("group", "target"),
    "any_beside": ("attribute", "target"),
    "family_beside": ("group", "targets"),
    "family_alone": ("group", "targets"),
    "family_any": ("attribute", "targets"),
    "overlap_beside": ("group", "target"),
    "overlap_alone": ("group", "target"),
    "toxic_used": ("category",),
    "toxic_excused": ("category",),
    "toxic_reasons": ("category", "reason"),
    "any_toxic_used": (),
    "any_toxic_excused": (),
}
"""What is counted, by what. All but ``words`` and ``*_tokens`` are numbers of documents.

``beside``: a group and a target (an occupation, say) share a sentence. ``alone``: and no other group of the attribute
does. ``any_beside``: some group of the attribute does. ``family_*``: the same with any target of the family.
``overlap_*``: documents of ``any_beside`` in which the group stands beside any target of the family. ``toxic_used``: a
term of the category in no context that excuses it; ``toxic_excused``: in such contexts only."""


@dataclass(frozen=True)
class BiasCounts:
    """Counts over some texts; those of parts add up to those of the whole.

    Args:
        lexicon: digest of the word lists.
        values: an array for each name in ``AXES``.
    """

    lexicon: str
    values: Mapping[str, np.ndarray]

    def __add__(self, other: "BiasCounts") -> "BiasCounts":
        check_same_lexicon(self, other)
        return BiasCounts(self.lexicon, {name: np.asarray(self.values[name] + other.values[name]) for name in AXES})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BiasCounts) or self.lexicon != other.lexicon:
            return False
        return all(np.array_equal(self.values[name], other.values[name]) for name in AXES)

    __hash__ = None  # type: ignore[assignment]

    @property
    def documents(self) -> int:
        """How many texts were counted."""
        return int(self.values["documents"])

    @property
    def words(self) -> int:
        """How many words they have."""
        return int(self.values["words"])


def check_same_lexicon(one: BiasCounts, other: BiasCounts) -> None:
    """Raises:
    SynthError: the counts are of different word lists.
    """
    if one.lexicon != other.lexicon:
        raise SynthError(
            "these texts were counted with different word lists",
            where=f"{one.lexicon} and {other.lexicon}",
            fix="count both again with the lists of today",
        )


def axis_names(lexicon: Lexicon) -> dict[str, tuple[str, ...]]:
    """The names along each axis of the counts; slurs have numbers."""
    shown = [f"{family}/{group}" for family, group in lexicon.labels]
    of = lexicon.of_role
    attributes, targets = (np.unique(lexicon.label_family[of(role)]) for role in ("attribute", "target"))
    return {
        "term": tuple(
            f"{shown[label]}/{number if label in lexicon.hidden else lexicon.terms[number]}"
            for number, label in enumerate(lexicon.term_label.tolist())
        ),
        "label": tuple(shown),
        "family": lexicon.families,
        "group": tuple(shown[label] for label in of("attribute")),
        "target": tuple(shown[label] for label in of("target")),
        "attribute": tuple(lexicon.families[family] for family in attributes),
        "targets": tuple(lexicon.families[family] for family in targets),
        "category": tuple(lexicon.labels[label][1] for label in of("toxicity")),
        "reason": REASONS,
    }


def no_counts(lexicon: Lexicon | None = None) -> BiasCounts:
    """The counts over no texts."""
    lexicon = lexicon or load_lexicon()
    names = axis_names(lexicon)
    shapes = {name: tuple(len(names[axis]) for axis in axes) for name, axes in AXES.items()}
    return BiasCounts(lexicon.digest, {name: np.zeros(shape, np.int64) for name, shape in shapes.items()})


def count(texts: pl.Series, lexicon: Lexicon | None = None) -> BiasCounts:
    """Count the terms of a lexicon in texts; missing texts count as empty ones.

    Args:
        texts: one per document.
        lexicon: None: the one that comes along.
    """
    lexicon = lexicon or load_lexicon()
    total = no_counts(lexicon)
    for batch in _batches(texts):
        for name, value in _count_batch(batch, lexicon).items():
            total.values[name][...] += value
    return total


def _batches(texts: pl.Series) -> Iterator[pl.Series]:
    """Slices of about a megabyte, so that the memory for words stays small."""
    if texts.is_empty():
        return
    number = (texts.str.len_bytes().fill_null(0).cast(pl.Int64).cum_sum() // BATCH_BYTES).to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(texts)]
    for start, end in pairwise(edges):
        yield texts.slice(start, end - start)


def _count_batch(texts: pl.Series, lexicon: Lexicon) -> dict[str, np.ndarray | int]:
    words = split_words(texts)
    hits = find(words, lexicon)
    toxic = hits.only(np.isin(hits.label, lexicon.of_role("toxicity")))
    terms, labels = len(lexicon.terms), len(lexicon.labels)
    family = lexicon.label_family[hits.label]
    return {
        "documents": len(texts),
        "words": len(words.hashes),
        "term_documents": _documents(hits.text, hits.term, terms),
        "term_tokens": np.bincount(hits.term, minlength=terms),
        "label_documents": _documents(hits.text, hits.label, labels),
        "label_tokens": np.bincount(hits.label, minlength=labels),
        "family_documents": _documents(hits.text, family, len(lexicon.families)),
        **count_beside(hits, lexicon),
        **_count_toxic(toxic, reasons_of(toxic, hits, words, lexicon), lexicon),
    }


def _count_toxic(toxic: Hits, reasons: Mapping[Reason, np.ndarray], lexicon: Lexicon) -> dict[str, np.ndarray | int]:
    labels = lexicon.of_role("toxicity")
    size = len(labels)
    category = np.searchsorted(labels, toxic.label)
    excused = np.zeros(len(toxic), bool)
    by_reason = np.zeros((size, len(REASONS)), np.int64)
    for number, reason in enumerate(REASONS):
        allowed = np.array([reason in lexicon.excused_by.get(lexicon.labels[label][1], ()) for label in labels])
        holds = reasons[reason] & allowed[category]
        by_reason[:, number] = _documents(toxic.text[holds], category[holds], size)
        excused |= holds
    used, every = ~excused, _documents(toxic.text, category, size)
    toxic_used = _documents(toxic.text[used], category[used], size)
    any_used = len(np.unique(toxic.text[used]))
    return {
        "toxic_used": toxic_used,
        "toxic_excused": every - toxic_used,
        "toxic_reasons": by_reason,
        "any_toxic_used": any_used,
        "any_toxic_excused": len(np.unique(toxic.text)) - any_used,
    }


def _documents(text: np.ndarray, what: np.ndarray, size: int) -> np.ndarray:
    """Documents with each of so many things."""
    return np.bincount(np.unique(text.astype(np.int64) * size + what) % size, minlength=size)
