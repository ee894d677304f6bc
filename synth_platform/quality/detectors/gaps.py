"""Gaps: placeholders that were left to be filled in."""

import re

import polars as pl

from synth_platform.patterns import fast

_FIELD = (
    "(?:name|date|number|title|author|city|country|state|address|company|organi[sz]ation|location|place|year|month|amount"
    "|price|value|topic|subject|link|url|e-?mail|phone|description|person|product|event|reason|example)s?"
)
_PART = "(?:answer|question|problem|solution|step|text|document|explanation|result|fact|attribute|cell|content)s?"
_FILL = (
    "(?:insert|add|enter|fill in|describe|specify|provide|write|list|include|choose|select|replace|type|explain|state)"
)
_LATER = (
    "(?:to be (?:filled|added|determined|completed|inserted|provided|announced|written)|tbd|tba|placeholder|todo|blank)"
)
_END = r"[ *_.)]*(?:\n|\|| \||\z)"
_MARKS = (
    # [insert name], [to be filled in], [Your Name]
    rf"\[(?:{_FILL}[ :_-]|{_LATER}\b|your\b)[^\]\[\n]{{0,60}}\](?:[^(]|\z)",
    # [City], [City, Country], [Company Name], [Date of birth]; no link and no label
    rf"(?:\A|[^\]])\[(?:[a-z\d'\u2019]{{1,14}}[ ,/_-]+){{0,3}}{_FIELD}(?:[ ,/_-]+[a-z]{{1,14}}){{0,3}}\](?:[^(:\[]|\z)",
    # Answer: [Answer]; the same in front of a line is a label
    rf"[^\]\s*_#>-][ *_]*\[(?:[a-z]{{2,14}} ){{0,2}}{_PART}(?: [a-z\d]{{1,9}}){{0,2}}\](?:[^(:\[]|\z)",
    # [...], [X], [ ], ... or ??? in place of an answer, a cell or the end of a sentence
    rf"[:|][ *_]*\[(?:\.{{2,}}|\u2026|\?+|_+| +)\]{_END}",
    rf":[ *_]*(?:\.{{3}}|\u2026|\?{{2,}}){_END}|\[(?:image|photo|picture|diagram) (?:of|here|showing)\b",
    rf"[a-z:] \[(?-i:[XYZ]+|_+|\?+)\]{_END}",
    # (insert number), (fill in the date), (to be added); <insert name>, <your name>
    rf"\((?:insert|fill in|enter|your) (?:[a-z]{{1,12}} ){{0,2}}(?:{_FIELD}|{_PART})(?: here)?\)"
    rf"|\({_LATER}[^()\n]{{0,20}}\)",
    r"<(?:insert|your|enter)[ _-][^>\n]{0,40}>",
    # TODO, TBD, XXX, lorem ipsum; TODO is a Spanish word, too, hence only with a colon or at the end of a line or cell
    rf"\b(?-i:TODO(?::|{_END})|(?:FIXME|TBD|TBA)\b)|\bX{{3,}}\b|\blorem ipsum\b",
    # a line to write on, beside text or at the end; else it is a rule
    r"[^\n_\s] *_{4,}|_{4,}[ .,]*(?:[a-z0-9]|\s*\z)",
)
_GAP = fast(f"(?i){'|'.join(_MARKS)}")
_BRACES = r"(?i)(?:\A|[\s\u201c(:|>*])(\{\{[^{}\n]{0,40}\}\}|\{[a-z][a-z_ ]{1,30}\})"
"""Of a template language; TeX has its braces right behind a command."""


_CORE = re.compile(r"[\[({<].*[\])}>]|[A-Za-z]{3,}[^|\n]*|_+")


def has_gap(texts: pl.Series, sources: pl.Series, prose: pl.Series) -> pl.Series:
    """Whether each text has a gap that does not stand in its source, too.

    Args:
        texts: the answers.
        sources: what they were made of; one about templates may show placeholders.
        prose: the answers without code, where braces mean something else.
    """
    frame = pl.DataFrame({"text": texts, "source": sources, "prose": prose}).with_row_index()
    marked = frame.filter(pl.col("text").str.contains(_GAP) | pl.col("prose").str.contains(_BRACES)).select(
        "index",
        "source",
        marks=pl.concat_list(pl.col("text").str.extract_all(_GAP), pl.col("prose").str.extract_all(_BRACES)),
    )
    left = [row for row, source, marks in marked.iter_rows() if _any_new(marks, _plain(source))]
    return pl.select(pl.int_range(frame.height).is_in(left)).to_series()


def _any_new(marks: list[str], source: str) -> bool:
    """Whether any mark is not in the source; of one without letters or brackets ("...") nothing is left to look for."""
    cores = [_plain(_core(mark)) for mark in marks]
    return any(not core or core not in source for core in cores)


def _core(mark: str) -> str:
    """The gap itself, without what a pattern took from beside it."""
    core = _CORE.search(mark)
    return core[0] if core else mark


def _plain(text: str) -> str:
    """The text as it is compared: neither case, blanks, Markdown's backslashes nor the length of a line matter."""
    return re.sub(r"_+", "_", re.sub(r"[\s\\]+", "", text.casefold())).rstrip(".:*")
