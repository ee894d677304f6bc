"""What a rule for personal data is: a cheap filter for a batch, a pattern for what passes, a check of each hit."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

Entity = Literal[
    "secret", "iban", "card", "national_id", "wallet", "email", "phone", "ip", "address", "person"
]  # fmt: skip
"""What is looked for, the most specific first: of two findings of one length the earlier one stands."""
ENTITIES: tuple[Entity, ...] = get_args(Entity)
ALL: tuple[Entity, ...] = tuple(entity for entity in ENTITIES if entity != "person")
"""All that patterns can find; persons need a model (``persons.py``)."""
PLACEHOLDER = re.compile(r"\[(?:" + "|".join(entity.upper() for entity in ENTITIES) + r")_([0-9]+)\]")
"""What stands in a redacted text; never a finding."""
RESERVED = "_reserved"
"""End of the kinds of values that are set aside for examples, tests and documentation, and belong to nobody."""
NUMBERS = r"[0-9](?:[ .()/\-]{0,3}[0-9]){5}"
"""Screen: six digits or more, written together or in groups."""


@dataclass(frozen=True)
class Hit:
    """A confirmed candidate: its kind, its characters in the text, and its value in normal form."""

    kind: str
    start: int
    end: int
    value: str


Check = Callable[[str, re.Match[str]], Hit | None]


@dataclass(frozen=True)
class Rule:
    """How one kind of entity is found.

    Args:
        entity: what it finds.
        kinds: kinds that its check may give.
        pattern: candidates in a text (Python).
        check: confirms a candidate, or not.
        prefilter: matches every text that has a candidate (Rust regular expression, for a whole batch at once).
        screen: a cheaper and coarser filter that several rules share, evaluated once per batch.
    """

    entity: Entity
    kinds: tuple[str, ...]
    pattern: re.Pattern[str]
    check: Check
    prefilter: str
    screen: str = ""


def simple(kind: str, group: int = 0) -> Check:
    """A check that takes every candidate, its value as it stands."""
    return lambda text, match: Hit(kind, match.start(group), match.end(group), match[group])


def near(cue: re.Pattern[str], text: str, start: int, end: int, before: int = 40, after: int = 0) -> bool:
    """Whether a cue stands shortly before a span (or after it, if so many characters are given)."""
    if cue.search(text, max(0, start - before), start):
        return True
    return bool(after and cue.search(text, end, end + after))


def words(*alternatives: str) -> re.Pattern[str]:
    """A cue: any of these words or phrases (regular expressions), in any case."""
    return re.compile(rf"(?i)(?<![^\W_])(?:{'|'.join(alternatives)})(?![^\W_])")


NOT_PERSONAL = re.compile(
    r"(?i)(?:\b(?:order|invoice|ticket|ref(?:erence)?|id|isbn(?:-1[03])?|issn|doi|arxiv|ean|upc|gtin|serial|part|sku|model"
    r"|case|tracking|shipment|article|art|item|batch|lot|build|version|release|rev(?:ision)?|commit|hash|checksum|sha\d*"
    r"|md5|page|figure|fig|table|section|chapter|patent|rfc|bestellnummer|rechnung|artikel|commande|facture|pedido"
    r"|ordine|zamówienie)\b[\s:=.#]*(?:(?:number|code|id|no|nr|num)\b[\s:=.#]*)?|[#§$€£=])\s*$"
)
"""Words right before a number that say it numbers a thing."""


def numbers_a_thing(text: str, start: int) -> bool:
    """Whether the words right before say that this is a number of an order, a part, a page and the like."""
    return bool(NOT_PERSONAL.search(text, max(0, start - 32), start))
