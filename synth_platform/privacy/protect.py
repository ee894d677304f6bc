"""Apply the policies to a batch of texts: placeholders for what is redacted, and what a text is rejected for."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.privacy.config import Policy, PrivacySpec
from synth_platform.privacy.entities import find_entities
from synth_platform.privacy.persons import find_persons
from synth_platform.privacy.redact import redact, redact_fully, rejections

DEFAULT_PRIVACY = PrivacySpec()
_KINDS = pl.List(pl.String())


@dataclass(frozen=True)
class Protected:
    """A batch under the policies.

    Args:
        texts: the texts, with placeholders.
        redacted: placeholders that were put into each.
        rejected: per text the kinds of finding for which it has to go; empty for most.
    """

    texts: pl.Series
    redacted: pl.Series
    rejected: pl.Series


def protect(texts: pl.Series, policies: Mapping[str, Policy], privacy: PrivacySpec) -> Protected:
    """Redact a batch, and say which texts have to go."""
    safe, found = redact_fully(texts, policies, regions=privacy.regions)
    persons = find_persons(safe, privacy.ner).found
    safe = redact(safe, persons, policies)
    # A placeholder may lay bare what a longer finding covered.
    laid_bare = find_entities(safe, regions=privacy.regions) if (safe != texts).any() else found.clear()
    rejected: list[list[str]] = [[] for _ in range(len(texts))]
    for row, kinds in rejections(pl.concat([found, persons, laid_bare]), policies).iter_rows():
        rejected[row] = kinds
    return Protected(safe, _placeholders(safe, texts), pl.Series(rejected, dtype=_KINDS))


def find_kinds(texts: pl.Series, privacy: PrivacySpec) -> pl.Series:
    """The kind of each finding, by text."""
    found = pl.concat([find_entities(texts, regions=privacy.regions), find_persons(texts, privacy.ner).found])
    by_row = found.group_by("row", maintain_order=True).agg("kind")
    every = pl.DataFrame({"row": np.arange(len(texts), dtype=np.uint32)})
    kinds = every.join(by_row, on="row", how="left", maintain_order="left")["kind"]
    return kinds.fill_null(pl.Series([[]], dtype=_KINDS))


def _placeholders(safe: pl.Series, texts: pl.Series) -> pl.Series:
    pattern = r"\[[A-Z_]+_[0-9]+\]"
    return (safe.str.count_matches(pattern) - texts.str.count_matches(pattern)).cast(pl.Int32())
