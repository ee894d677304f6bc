"""Answers that the version before has already: of changed prompts, only those that are new are asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.generation.answers.outcome import OUTCOME_COLUMNS, Outcome, outcomes_of
from synth_platform.generation.identity import request_keys
from synth_platform.snapshots import Identity, Snapshot, Snapshots
from synth_platform.snapshots.manifest import PartEntry

_SAME = ("engine", "model", "sampling", "seeds")
_KEY = pl.col("requests").list.first().alias("key")
_SHORT = pl.col("key").str.head(16).str.to_integer(base=16, dtype=pl.UInt64)
"""Half of a key: enough to tell a hundred million apart."""
_LASTING = ("ok", "truncated", "empty", "refused_by_engine")
"""What would come out the same way; a failure is worth another try."""
_LASTS = pl.col("status").is_in(_LASTING)


@dataclass(frozen=True)
class EarlierAnswers:
    """The outcomes of a version, by request. Memory: twelve bytes per row of it.

    Args:
        version: of the generations of the same recipe and cycle, made under the same settings.
    """

    version: Snapshot

    def read(self, keys: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes of some requests, as far as it has them."""
        found: dict[str, Outcome] = {}
        for part in self._parts_with(keys):
            for batch in self.version.part_batches(part, columns=["requests", *OUTCOME_COLUMNS.names()]):
                known = batch.with_columns(_KEY).filter(pl.col("key").is_in(list(keys)) & _LASTS)
                found |= dict(zip(known["key"], outcomes_of(known), strict=True))
        return found

    def unanswered(self, prompts: Snapshot, identity: Identity) -> int:
        """How many of some prompts it has no outcome for.

        Args:
            prompts: as rendered.
            identity: of the generations that are to be made of them.
        """
        left = 0
        for batch in prompts.batches("prompts", columns=["messages", "seed"]):
            keys = request_keys(
                batch["messages"].to_list(),
                batch["seed"].to_list(),
                identity.settings["sampling"],
                str(identity.settings["engine"]),
            )
            left += len(set(keys)) - self._rows_of(keys).len()
        return left

    def _parts_with(self, keys: Sequence[str]) -> list[PartEntry]:
        """Parts with the outcomes of some requests: where these come in the order of before, one or two."""
        parts = next(iter(self.version.manifest.tables.values())).parts
        ends = pl.Series([part.rows for part in parts], dtype=pl.Int64).cum_sum()
        return [parts[place] for place in ends.search_sorted(self._rows_of(keys), side="right").unique().sort()]

    def _rows_of(self, keys: Sequence[str]) -> pl.Series:
        """Numbers of the rows that answer some requests."""
        wanted = pl.DataFrame({"key": keys}, schema={"key": pl.String}).select(_SHORT.unique()).to_series()
        places = self._index["short"].search_sorted(wanted)
        inside = places < self._index.height
        near = self._index[places.filter(inside)]
        return near.filter(near["short"] == wanted.filter(inside))["row"]

    @cached_property
    def _index(self) -> pl.DataFrame:
        """Where the outcome of each request is: half of its key, and the number of the row."""
        numbered = (
            self.version.scan().with_row_index("row").with_columns(_KEY).filter(pl.col("key").is_not_null() & _LASTS)
        )
        index = numbered.select(_SHORT.alias("short"), "row").collect(engine="streaming")
        return index.sort("short", "row").unique("short", keep="first", maintain_order=True)


def earlier_answers(snapshots: Snapshots, identity: Identity) -> EarlierAnswers | None:
    """The answers of the current version, if they may be used for another one.

    Args:
        snapshots: all versions.
        identity: of what is to be made; a later attempt is one that is wanted afresh.
    """
    if identity.attempt:
        return None
    try:
        head = snapshots.head(identity.asset, identity.partition)
        if head is None or any(head.manifest.settings.get(name) != identity.settings[name] for name in _SAME):
            return None
        head.files()
    except SnapshotError:  # damaged: nothing of it is used
        return None
    return EarlierAnswers(head)
