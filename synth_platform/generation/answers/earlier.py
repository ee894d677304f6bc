"""Answers that the version before has already: of changed prompts, only those that are new are asked."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.generation.answers.outcome import OUTCOME_COLUMNS, Outcome
from synth_platform.generation.identity import request_keys
from synth_platform.snapshots import Identity, Snapshot, Snapshots

_SAME = ("engine", "model", "sampling", "seeds")
_LASTING = ("ok", "truncated", "empty", "refused_by_engine")
"""What would come out the same way; a failure is worth another try."""


@dataclass(frozen=True)
class EarlierAnswers:
    """The outcomes of a version, by request.

    Args:
        version: of the generations of the same recipe and cycle, made under the same settings.
    """

    version: Snapshot

    def read(self, keys: Sequence[str]) -> dict[str, Outcome]:
        """The outcomes of some requests, as far as it has them."""
        key = pl.col("requests").list.first()
        known = self.version.scan().filter(key.is_in(list(keys)) & pl.col("status").is_in(_LASTING))
        rows = known.select(key.alias("key"), *OUTCOME_COLUMNS.names()).collect(engine="streaming")
        return {one: Outcome(*values) for one, *values in rows.iter_rows()}

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
            left += len(set(keys) - set(self.read(keys)))
        return left


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
