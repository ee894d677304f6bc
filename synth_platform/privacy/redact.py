"""Put placeholders where personal data stood, and say which texts have to go."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from synth_platform.privacy.config import Policy, entities_of, policy_of
from synth_platform.privacy.entities import FOUND, find_entities
from synth_platform.privacy.phones import REGIONS
from synth_platform.privacy.rules import PLACEHOLDER

REJECTED = pl.Schema({"row": pl.UInt32(), "reasons": pl.List(pl.String())})
"""A text that has to go: its index in the batch, and the kinds that it was rejected for."""
_ROUNDS = 8


def redact(texts: pl.Series, found: pl.DataFrame, policy: Mapping[str, Policy]) -> pl.Series:
    """Texts with a placeholder such as ``[EMAIL_1]`` for each finding whose policy is to redact.

    Within a text the same value has the same placeholder. Numbers go on after placeholders that the text already has.

    Args:
        texts: the batch.
        found: its findings (``entities.FOUND``), without overlaps.
        policy: by entity or kind.
    """
    values: list[str | None] = texts.to_list()
    for row, spans in _by_row(_with_policy(found, policy, "redact")):
        values[row] = _replace(values[row] or "", spans)
    return pl.Series(texts.name, values, dtype=pl.String())


def rejections(found: pl.DataFrame, policy: Mapping[str, Policy]) -> pl.DataFrame:
    """Texts that have to go, with the kinds of finding that say so (``REJECTED``)."""
    hits = _with_policy(found, policy, "reject")
    return hits.group_by("row").agg(reasons=pl.col("kind").unique().sort()).sort("row").cast(REJECTED)


def redact_fully(
    texts: pl.Series, policy: Mapping[str, Policy], *, regions: Sequence[str] = REGIONS
) -> tuple[pl.Series, pl.DataFrame]:
    """Find and redact until nothing is left to redact: a placeholder may lay bare what a longer finding covered.

    Returns:
        The redacted texts, and the findings of the first round (spans in the texts as given).

    Raises:
        RuntimeError: findings are left after eight rounds.
    """
    entities = entities_of(policy)
    first = found = find_entities(texts, entities, regions=regions)
    for _ in range(_ROUNDS):
        rows = _with_policy(found, policy, "redact")["row"].unique()
        if not len(rows):
            return texts, first
        texts = redact(texts, found, policy)
        again = find_entities(texts.gather(rows), entities, regions=regions)
        found = again.with_columns(row=rows.gather(again["row"]).cast(pl.UInt32)) if len(again) else FOUND.to_frame()
    raise RuntimeError("texts still have findings after eight rounds of redaction")


def _with_policy(found: pl.DataFrame, policy: Mapping[str, Policy], wanted: Policy) -> pl.DataFrame:
    pairs = found.select("entity", "kind").unique().iter_rows()
    kinds = [kind for entity, kind in pairs if policy_of(policy, entity, kind) == wanted]
    return found.filter(pl.col("kind").is_in(kinds))


def _by_row(found: pl.DataFrame) -> Iterator[tuple[int, list[dict[str, object]]]]:
    for (row,), spans in found.sort("row", "start").group_by("row", maintain_order=True):
        yield int(str(row)), list(spans.iter_rows(named=True))


def _replace(text: str, spans: Sequence[Mapping[str, object]]) -> str:
    last = _last_numbers(text)
    names: dict[tuple[object, object], str] = {}
    parts, place = [], 0
    for span in spans:
        entity, start, end = str(span["entity"]).upper(), int(str(span["start"])), int(str(span["end"]))
        key = (entity, span["digest"])
        if key not in names:
            last[entity] = last.get(entity, 0) + 1
            names[key] = f"[{entity}_{last[entity]}]"
        parts += [text[place:start], names[key]]
        place = end
    return "".join([*parts, text[place:]])


def _last_numbers(text: str) -> dict[str, int]:
    """The highest number of each kind of placeholder that a text already has."""
    last: dict[str, int] = {}
    for match in PLACEHOLDER.finditer(text):
        entity = match[0][1:].rsplit("_", 1)[0]
        last[entity] = max(last.get(entity, 0), int(match[1]))
    return last
