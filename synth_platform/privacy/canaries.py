"""Canaries: made-up names planted in what the model reads, looked for in what it writes.

After Carlini et al., The Secret Sharer (2019). Their exposure needs the model's likelihoods; here only its texts are at
hand. Names from the same generator that were never planted (decoys) tell how often one appears by chance.

Seed and document id alone decide which canary a document gets, and which documents of a source come first: the same in
every recipe, in any order.
"""

import heapq
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.digest import digest, digest_int
from synth_platform.privacy.intervals import Share
from synth_platform.snapshots import Snapshot
from synth_platform.statistics import bound_of_none

PLANTED = pl.Schema({"prompt_id": pl.String(), "canary": pl.String()})
"""Prompts with a canary."""
COUNT = "canaries"
"""Count of a prompts snapshot: prompts with a canary."""
_SALT = "canary"
_CONSONANTS, _VOWELS, _SYLLABLES = "bdfghklmnprstvz", "aeiou", 6
_CARRIERS = (
    "The name on file for this entry is {name}.",
    "It was first reported by a reader called {name}.",
    "For questions about this part, {name} is the person to ask.",
    "The reviewer who signed off on this page was {name}.",
)
_SENTENCE_END = re.compile(r"(?<=[^\W\d_]{3}[.!?])(?=\s)")
_DECOYS = 1_000


@dataclass(frozen=True)
class Canary:
    """A made-up name, and the sentence that carries it."""

    name: str
    sentence: str


def choose_documents(ids: Iterable[str], seed: int, count: int) -> frozenset[str]:
    """Ids of the documents that get a canary: ``count`` of them, or all where there are fewer."""
    return frozenset(heapq.nsmallest(count, ids, key=lambda one: digest_int(seed, _SALT, one)))


def canary_of(document_id: str, seed: int) -> Canary:
    """The canary of a document."""
    rng = random.Random(digest(seed, _SALT, document_id))
    name = _name(rng)
    return Canary(name, rng.choice(_CARRIERS).format(name=name))


def decoys(seed: int) -> set[str]:
    """Names from the same generator, in lower case, that no document gets."""
    rng = random.Random(digest(seed, "decoys"))
    return {_name(rng).lower() for _ in range(_DECOYS)}


def plant(text: str, canary: Canary) -> str:
    """A text with the canary's sentence after one of its own."""
    places = [match.end() for match in _SENTENCE_END.finditer(text)] or [len(text)]
    place = places[digest_int(canary.name) % len(places)]
    return f"{text[:place]} {canary.sentence}{text[place:]}"


def planted_in(prompts: Snapshot) -> pl.DataFrame:
    """The prompts of a recipe that have a canary, as `PLANTED`."""
    if not prompts.manifest.counts.get(COUNT):
        return PLANTED.to_frame()
    rows = prompts.scan("prompts").filter(pl.col("canary").is_not_null())
    return rows.select(pl.col("id").alias("prompt_id"), "canary").collect()


def show_any(texts: pl.Series, names: Sequence[str]) -> pl.Series:
    """Whether each text has any of the names, whatever its case; null where there is no text."""
    wanted = pl.lit(pl.Series(names, dtype=pl.String())).implode()
    return pl.select(pl.lit(texts).str.contains_any(wanted, ascii_case_insensitive=True)).to_series()


@dataclass(frozen=True)
class Canaries:
    """What became of the canaries of a version.

    Args:
        planted: names that were planted.
        names: those of which there is any output; hits are those that one of their own outputs shows.
        outputs: outputs made of a prompt with a canary; hits are those that show it.
        elsewhere: all outputs; hits are those that show a canary which their prompt does not have.
        decoys: names looked for that were never planted; hits are those that any output shows.
        released: rows of the mixture that show a canary.
    """

    planted: int
    names: Share
    outputs: Share
    elsewhere: Share
    decoys: Share
    released: int

    def metrics(self) -> dict[str, float]:
        """Figures by name."""
        low, high = _bounds(self.outputs)
        return {
            "planted": float(self.planted),
            "shown": float(self.names.hits),
            "outputs": float(self.outputs.total),
            "outputs_showing": float(self.outputs.hits),
            "share": self.outputs.value,
            "share_lower": low,
            "share_upper": high,
            "names_share_upper": _bounds(self.names)[1],
            "elsewhere": float(self.elsewhere.hits),
            "decoys_shown": float(self.decoys.hits),
            "released": float(self.released),
        }

    def describe(self) -> str:
        """Markdown: every number, and what it means."""
        rows = [
            ("canaries, in outputs of their documents", self.names),
            ("outputs of these documents, with their canary", self.outputs),
            ("all outputs, with a canary of another document", self.elsewhere),
            ("decoys, never planted, in any output", self.decoys),
        ]
        table = "\n".join(f"| {label} | {one.total:,} | {one.hits:,} | {_said(one)} |" for label, one in rows)
        return (
            "### Canaries\n\n"
            f"{self.planted:,} made-up names were planted in prompts. Outputs, accepted or rejected, that show one are"
            f" counted, and rejected; the mixture has {self.released:,} rows with one. Decoys come from the same"
            " generator and say how often a name appears by chance. Outputs of one document are alike, so the interval"
            " of outputs is too narrow where a document has several; that of canaries is not.\n\n"
            f"| | number | found | share (95%) |\n|---|---:|---:|---:|\n{table}"
        )


def find_canaries(
    planted: pl.DataFrame, outputs: Iterable[pl.DataFrame], released: Iterable[pl.Series], seed: int
) -> Canaries | None:
    """Look for the canaries of a version.

    Args:
        planted: the prompts with a canary (``PLANTED``); ids in any number of recipes.
        outputs: all outputs, accepted or not: columns ``prompt_id`` and ``text``.
        released: texts of the mixture.
        seed: of the decoys.

    Returns:
        None where nothing was planted.
    """
    if planted.is_empty():
        return None
    search = _Search(planted, seed)
    for batch in outputs:
        search.add(batch)
    rows = sum(int(show_any(texts, search.names).sum()) for texts in released)
    return search.result(rows)


class _Search:
    """Counts canaries and decoys in outputs, a batch at a time."""

    def __init__(self, planted: pl.DataFrame, seed: int) -> None:
        self._planted = planted.select("prompt_id", pl.col("canary").str.to_lowercase()).unique("prompt_id")
        self.names = sorted(set(self._planted["canary"]))
        self._decoys = sorted(decoys(seed) - set(self.names))
        self._tried: set[str] = set()
        self._shown: set[str] = set()
        self._shown_decoys: set[str] = set()
        self._made = self._total = self._own = self._foreign = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Look through some outputs; one without text shows nothing and does not count."""
        found = pl.col("text").str.to_lowercase().str.extract_many([*self.names, *self._decoys]).list.unique()
        written = batch.filter(pl.col("text").str.contains(r"\S"))
        rows = written.with_row_index("row").select("row", "prompt_id", found.alias("found"))
        rows = rows.join(self._planted, on="prompt_id", how="left")
        self._made += rows["canary"].count()
        self._tried |= set(rows["canary"].drop_nulls())
        self._total += rows.height
        self._count(rows.explode("found").drop_nulls("found"))

    def _count(self, hits: pl.DataFrame) -> None:
        """Count names in outputs, one per row."""
        decoys = hits["found"].is_in(self._decoys)
        own = (hits["found"] == hits["canary"]).fill_null(False)
        self._own += int(own.sum())
        self._foreign += hits.filter(~own & ~decoys)["row"].n_unique()
        self._shown |= set(hits.filter(own)["found"])
        self._shown_decoys |= set(hits.filter(decoys)["found"])

    def result(self, released: int) -> Canaries:
        """All counts so far."""
        return Canaries(
            planted=len(self.names),
            names=Share(len(self._shown), len(self._tried)),
            outputs=Share(self._own, self._made),
            elsewhere=Share(self._foreign, self._total),
            decoys=Share(len(self._shown_decoys), len(self._decoys)),
            released=released,
        )


def _name(rng: random.Random) -> str:
    """One of 178 billion pronounceable names."""
    return "".join(rng.choice(_CONSONANTS) + rng.choice(_VOWELS) for _ in range(_SYLLABLES)).capitalize()


def _bounds(share: Share) -> tuple[float, float]:
    """The interval; where nothing was found, up to the exact bound."""
    return share.interval if share.hits else (0.0, bound_of_none(share.total))


def _said(share: Share) -> str:
    low, high = _bounds(share)
    return f"{share.value:.2%} ({low:.2%} to {high:.2%})" if share.hits else f"none: at most {high:.2%}"
