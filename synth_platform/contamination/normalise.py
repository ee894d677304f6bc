"""What two texts must have in common to count as the same words."""

import polars as pl


def words(text: pl.Expr) -> pl.Expr:
    """Lists of words: Unicode-normalised (NFKC), lower-case, without punctuation and markup, 1,000 as 1000."""
    return (
        text.fill_null("")
        .str.normalize("NFKC")
        .str.to_lowercase()
        .str.replace_all(r"(\d),(\d)", "${1}${2}")
        .str.extract_all(r"[\p{L}\p{M}\p{N}]+")
    )
