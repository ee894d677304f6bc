"""Generations beside the prompts they answer."""

from collections.abc import Iterable, Iterator

import polars as pl

from synth_platform.snapshots.frames import in_step


def with_prompts(prompts: Iterable[pl.DataFrame], generations: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Rows of both tables side by side; ``generation_id`` and ``prompt_id`` name them.

    Raises:
        SnapshotError: the two tables do not hold the same rows.
    """
    return in_step(
        (batch.rename({"id": "prompt_id"}) for batch in prompts),
        (batch.rename({"id": "generation_id"}).drop("prompt_tokens") for batch in generations),
        left_on="prompt_id",
        right_on="prompt_id",
    )
