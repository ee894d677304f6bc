"""Find personal data and secrets in a batch of texts: where, of what kind, and a digest of the value, never the value.

One pass of cheap regular expressions in Rust over the whole batch says which rows may have an entity; Python looks at
those rows only. Of findings that overlap the longest stands, of equal ones the most specific.
"""

from collections.abc import Sequence
from functools import cache

import polars as pl

from synth_platform.digest import digest
from synth_platform.privacy import addresses, national_ids, patterns, secrets
from synth_platform.privacy.phones import REGIONS, phone_rule
from synth_platform.privacy.rules import ALL, ENTITIES, PLACEHOLDER, RESERVED, Entity, Hit, Rule

FOUND = pl.Schema(
    {
        "row": pl.UInt32(),
        "entity": pl.String(),
        "kind": pl.String(),
        "start": pl.Int64(),
        "end": pl.Int64(),
        "digest": pl.String(),
    }
)
"""A finding: index of the text in its batch, what it is, its characters in the text (end exclusive), and 16 hex digits
of its value in normal form. The digest has no secret key: it groups equal values, and whoever can guess a value can
check the guess, so treat it like the data."""

Found = tuple[int, Entity, Hit]


def find_entities(
    texts: pl.Series,
    entities: Sequence[Entity] = ALL,
    *,
    regions: Sequence[str] = REGIONS,
    reserved: bool = False,
) -> pl.DataFrame:
    """Personal data and secrets in texts.

    A call costs some 30 ms whatever the batch, so give it a thousand texts or more at a time.

    Args:
        texts: the batch; null counts as empty.
        entities: what to look for; persons are found by ``persons.find_persons`` only.
        regions: ISO 3166 codes of the regions whose national telephone formats are known.
        reserved: report values as well that belong to nobody (addresses at example.com, loopback and documentation
            networks, test cards); their kinds end in ``_reserved``.

    Returns:
        Findings (``FOUND``) that do not overlap, by row and place.
    """
    texts = texts.rename("text")
    batch = pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.UInt32, eager=True), "text": texts.cast(pl.String)})
    batch = batch.filter(pl.col("text").str.len_bytes() > 0)
    found: dict[int, list[Found]] = {}
    screened: dict[str, pl.DataFrame] = {"": batch}
    for rule in rules(tuple(entities), tuple(regions)):
        if rule.screen not in screened:
            screened[rule.screen] = batch.filter(pl.col("text").str.contains(rule.screen))
        if len(screened[rule.screen]):
            for row, text in screened[rule.screen].filter(pl.col("text").str.contains(rule.prefilter)).iter_rows():
                _collect(rule, row, text, found)
    rows = [
        (row, entity, hit.kind, hit.start, hit.end, digest(entity, hit.value)[:16])
        for row in sorted(found)
        for _, entity, hit in resolve(found[row])
        if reserved or not hit.kind.endswith(RESERVED)
    ]
    return pl.DataFrame(rows, schema=FOUND, orient="row")


@cache
def rules(entities: tuple[Entity, ...] = ALL, regions: tuple[str, ...] = REGIONS) -> tuple[Rule, ...]:
    """The rules for these entities."""
    every = (*secrets.RULES, *patterns.RULES, *national_ids.RULES, phone_rule(regions), *addresses.RULES)
    return tuple(rule for rule in every if rule.entity in entities)


def kinds() -> dict[str, Entity]:
    """Every kind of finding, and its entity."""
    found: dict[str, Entity] = {kind: rule.entity for rule in rules() for kind in rule.kinds}
    return {**found, "person": "person"}


def resolve(found: Sequence[Found]) -> list[Found]:
    """Findings of one text without overlaps, by place: the longest stands, of equal ones the most specific."""
    taken: list[Found] = []
    for one in sorted(found, key=_rank):
        hit = one[2]
        if all(hit.end <= other.start or hit.start >= other.end for _, _, other in taken):
            taken.append(one)
    return sorted(taken, key=lambda one: one[2].start)


def _rank(found: Found) -> tuple[int, int, int, str]:
    _, entity, hit = found
    return hit.start - hit.end, ENTITIES.index(entity), hit.start, hit.kind


def _collect(rule: Rule, row: int, text: str, found: dict[int, list[Found]]) -> None:
    for match in rule.pattern.finditer(text):
        hit = rule.check(text, match)
        if hit and not PLACEHOLDER.search(text, hit.start, hit.end):
            found.setdefault(row, []).append((row, rule.entity, hit))
