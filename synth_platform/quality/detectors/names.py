"""Names in texts: capitalised words where a capital is not due anyway."""

import numpy as np
import polars as pl

from synth_platform.contamination.weights import common_words
from synth_platform.patterns import fast
from synth_platform.quality.detectors.units import spellings

_CAPITAL = r"\p{Lu}[\p{L}\p{N}'\u2019-]+"
_TITLE = r"(?:(?:St|Mt|Dr|Mr|Mrs|Ms|Prof)\. )?"
_RUN = rf"{_TITLE}{_CAPITAL}(?: (?:(?:of|de|van|von|der|la|du) )?{_CAPITAL})*"
_INSIDE = rf"[\p{{Ll}}\p{{N}},] ({_RUN})"
"""After a small letter, a number or a comma: inside a sentence."""
_FIRST = rf"(?m)(?:^[ \t>*_-]*(?:\**A(?:nswer)?:\** *)?|[.!?] )({_CAPITAL}(?: {_CAPITAL})+)"
"""Two capitals and more at the beginning of a sentence: the later ones are names, and the first may be."""
_CELL = rf"(?m)[^|\s] *\| *\**({_RUN})[^|\n]*\|?[ \t]*$"
"""The last cell of a row; those before it may be labels."""
_HEADER = r"(?m)^[^\n]*\|[^\n]*\n[ \t]*\|?[ \t]*:?-{2,}[-:| \t]*$"
_SMALL_WORDS = (
    "a|an|the|of|to|in|on|and|or|for|with|from|by|at|as|is|its|your|vs|how|de|la|le|el|du|des|der|die|das|und"
)
_TITLES = (
    r"(?m)^[ \t>*_\d.)-]*\*\*[^*\n]{1,60}:\*\*|^[ \t>*_\d.)-]*\*\*[^*\n]{1,60}\*\*:",
    rf"(?m)^[ \t>#*_\d.):-]*(?:(?:\p{{Lu}}[\p{{L}}\p{{N}}'\u2019-]*|\d+|{_SMALL_WORDS}|[&\u2013-])[:,]?[ \t]+)+"
    r"(?:\p{Lu}[\p{L}\p{N}'\u2019-]*|\d+)[*_:?!]*[ \t]*$",
)
"""Labels in bold, and lines in which every word has a capital that may have one."""
_NO_NAMES = frozenset(
    (
        "AI FAQ OK TV DIY ID PDF Q&A Attribute Value Question Answer Note Markdown English French German Spanish"
        " January February March April May June July August September October November December Jan Feb Mar Apr Jun"
        " Jul Aug Sep Sept Oct Nov Dec Monday Tuesday Wednesday Thursday Friday Saturday Sunday Step Mr. Mrs. Ms. Dr."
        " St. Mt. Prof. EUR USD GBP Celsius"
    ).split()
)
"""Words that are written with a capital and name nobody; days and months are compared as dates."""


def without_titles(texts: pl.Series) -> pl.Series:
    """Texts without the lines in which words have capitals for the look of it, and without the heads of tables."""
    for pattern in (_HEADER, *_TITLES):
        texts = texts.str.replace_all(fast(pattern), "")
    return texts


def find_names(texts: pl.Series, english: pl.Series) -> pl.DataFrame:
    """Capitalised words that are due to being names: ``row``, ``written``; a possessive s is taken off.

    Args:
        texts: the texts, without titles.
        english: which of them are in English: only there is it known which words are common.
    """
    certain = _words(texts, _INSIDE)
    first, cells = _runs(texts, _FIRST), _runs(texts, _CELL)
    common = list(common_words())
    rest = [_split(one.with_columns(pl.col("written").str.replace(r"^\S+\s*", ""))) for one in (first, cells)]
    heads = pl.concat([first, cells]).with_columns(pl.col("written").str.extract(r"^(\S+)", 1))
    word = pl.col("written").str.to_lowercase()
    plain = word.is_in(common) | word.str.strip_suffix("s").is_in(common) | word.is_in(list(spellings()))
    heads = heads.filter(~plain & pl.Series(english.to_numpy()[heads["row"].to_numpy()], dtype=pl.Boolean()))
    found = pl.concat([certain, *rest, heads])
    bare = pl.col("written").str.replace(r"['\u2019]s?$", "")
    found = found.with_columns(bare.alias("written")).filter(pl.col("written").str.contains(r"^\p{Lu}"))
    return found.filter(~pl.col("written").is_in(list(_NO_NAMES)) & (pl.col("written").str.len_chars() > 1))


def _words(texts: pl.Series, pattern: str) -> pl.DataFrame:
    return _split(_runs(texts, pattern))


def _split(runs: pl.DataFrame) -> pl.DataFrame:
    words = runs.with_columns(pl.col("written").str.split(" ")).explode("written")
    return words.filter(pl.col("written").str.contains(r"^\p{Lu}"))


def _runs(texts: pl.Series, pattern: str) -> pl.DataFrame:
    found = pl.DataFrame({"written": texts.str.extract_all(fast(pattern))})
    found = found.with_columns(pl.Series("row", np.arange(len(texts), dtype=np.int64)))
    found = found.filter(pl.col("written").list.len() > 0).explode("written")
    return found.select("row", pl.col("written").str.extract(rf"({_RUN})[^\n]*$", 1).alias("written")).drop_nulls()
