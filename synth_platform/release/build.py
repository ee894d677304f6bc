"""Assemble a release: the mixture's rows as Parquet files that `datasets.load_dataset` reads, and its facts."""

from collections.abc import Iterable, Iterator

import polars as pl

from synth_platform.mixing.schema import MIXTURE

TRAIN = MIXTURE
"""Columns of the released rows: those of the mixture."""

DATA_FOLDER = "data"
TABLE = "train"


def release_rows(mixture: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The mixture's rows, in its order and with its columns only."""
    for batch in mixture:
        yield batch.select(TRAIN.names())


def component_shares(mixture: pl.LazyFrame) -> list[dict[str, object]]:
    """Rows, tokens, share of tokens and epochs of each component of a mixture."""
    shares = (
        mixture.group_by("origin", pl.coalesce("recipe", "source").alias("component"))
        .agg(pl.len().alias("rows"), pl.col("tokens").sum(), (pl.col("epoch").max() + 1).alias("epochs"))
        .with_columns((pl.col("tokens") / pl.col("tokens").sum()).round(4).alias("share"))
        .sort("origin", "component")
        .select("component", "origin", "rows", "tokens", "share", "epochs")
        .collect()
    )
    return shares.to_dicts()
