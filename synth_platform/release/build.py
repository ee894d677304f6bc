"""Assemble a release: the mixture's rows as Parquet files that `datasets.load_dataset` reads, and its facts."""

from collections.abc import Iterable, Iterator

import polars as pl

from synth_platform.mixing.schema import MIXTURE
from synth_platform.snapshots.manifest import Manifest

TRAIN = MIXTURE
"""Columns of the released rows: those of the mixture."""

DATA_FOLDER = "data"
TABLE = "train"


def release_rows(mixture: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The mixture's rows, in its order and with its columns only."""
    for batch in mixture:
        yield batch.select(TRAIN.names())


def component_shares(rows: pl.LazyFrame, mixture: Manifest) -> list[dict[str, object]]:
    """Rows, tokens, share of tokens and epochs of each component, also of those with a weight and no row.

    Args:
        rows: those of the mixture, or those of it that are released.
        mixture: says what had a weight.
    """
    counted = rows.group_by(pl.coalesce("recipe", "source").alias("component"), "origin").agg(
        pl.len().alias("rows"), pl.col("tokens").sum(), (pl.col("epoch").max() + 1).alias("epochs")
    )
    shares = (
        _weighted(mixture)
        .join(counted, on=["component", "origin"], how="full", coalesce=True)
        .with_columns(pl.col("rows", "tokens", "epochs").fill_null(0))
        .with_columns((pl.col("tokens") / pl.col("tokens").sum().clip(1)).round(4).alias("share"))
        .sort("origin", "component")
        .select("component", "origin", "rows", "tokens", "share", "epochs")
        .collect()
    )
    return shares.to_dicts()


def _weighted(mixture: Manifest) -> pl.LazyFrame:
    """Name and origin of the components with a weight."""
    names = [row["component"] for row in mixture.details.get("plan", []) if row["weight"] > 0]
    originals = mixture.settings.get("mix_in", [])
    origins = ["original" if name in originals else "synthetic" for name in names]
    return pl.LazyFrame({"component": names, "origin": origins}, schema={"component": pl.String, "origin": pl.String})
