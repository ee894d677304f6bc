"""Sentences of answers and of their sources, without the Markdown around them."""

import re
from collections.abc import Iterator
from itertools import pairwise

from synth_platform.quality.part_labels import label_of

_LEAST_WORDS = 4
"""A sentence of fewer words says too little by itself to be compared."""
_LONGEST = 60
"""Words of a piece of a longer sentence: an encoder reads a few hundred tokens, and one vector holds little more."""
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n?(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_WRAP = re.compile(r"(?<=[^\s.!?:;|])[ \t]*\n[ \t]*(?=[a-z\u00df-\u00f6\u00f8-\u00ff])")
"""A line break inside a sentence, as in texts of a fixed width."""
_RULE, _RULE_SIGNS = re.compile(r"[=*_-]{3}|-[\s:]*\||\|[\s:]*-"), " \t|:=*_-"
"""What parts a table's header from its rows, a heading from its text, or a part from the next."""
_MARKER = re.compile(r"[\s>#]*(?:(?:[-*+\u2022]|\d{1,3}[.)])\s+)?")
_LINK = re.compile(r"!?\[([^\]]{0,300})\]\([^)]{0,500}\)")
_MARKUP = re.compile(r"\*+|`+|(?<!\w)_++|(?<!_)_++(?!\w)")
_BOLD_LINE = re.compile(r"\s*(\*\*|__)[^*_]+\1:?\s*")
_CELLS = re.compile(r"(?<!\\)\|")
_END = re.compile(
    r"(?<=[.!?])[\"'\u2019\u201d\u00bb)\]]*\s+(?=[^\W_a-z]|[\"'\u2018\u201c\u00ab(\[])|(?<=[\u3002\uff01\uff1f])"
)
_NO_END = re.compile(
    r"(?<![^\s(])(?:[^\W\d_]|mr|mrs|ms|dr|prof|st|vs|cf|fig|vol|approx|e\.g|i\.e|u\.s|u\.k|nr|ca|bzw)\.$", re.IGNORECASE
)
"""An abbreviation or an initial, whose full stop ends no sentence."""
_ABBREVIATION = 8
"""Characters before a blank that may be one."""
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")
"""A word, or a character where there are no blanks between words."""


def statements(text: str) -> list[str]:
    """What an answer says: its sentences, list items and table rows of four words and more.

    Questions, headings, the headers of tables, and code state nothing.
    """
    prose = _FENCE.sub("\n", text)
    units = (unit for unit, heading in _units(prose) if not heading)
    return [sentence for unit in units for sentence in unit if _states(sentence)]


def passages(text: str) -> list[str]:
    """All sentences of a source, its headings, rows and code among them; labels of parts (``Answer:``) say nothing."""
    flat = _FENCE.sub(lambda found: " ".join(found[2].split()), text)
    return [sentence for unit, _ in _units(flat) for sentence in unit if _WORD.search(sentence)]


def _states(sentence: str) -> bool:
    return not sentence.endswith(("?", "\uff1f")) and len(_WORD.findall(sentence)) >= _LEAST_WORDS


def _units(text: str) -> Iterator[tuple[list[str], bool]]:
    """The sentences of each line or table row, and whether it is a heading."""
    lines = _WRAP.sub(" ", text).splitlines()
    in_table = False
    for line, after in pairwise([*lines, ""]):
        if not line.strip():
            in_table = False
        elif _is_rule(line):
            in_table = in_table or "|" in line
        elif in_table or line.lstrip().startswith("|") or ("|" in line and "|" in after and _is_rule(after)):
            yield _cut(_row(line)), _is_rule(after)
        else:
            heading = line.lstrip().startswith("#") or bool(_BOLD_LINE.fullmatch(line)) or _is_rule(after)
            yield [piece for sentence in _split(_plain(line)) for piece in _cut(sentence)], heading


def _is_rule(line: str) -> bool:
    return not line.strip(_RULE_SIGNS) and _RULE.search(line) is not None


def _row(line: str) -> str:
    """A table row as a sentence: what it is about, and its values."""
    cells = [cell for cell in map(_plain, _CELLS.split(line)) if cell]
    return ": ".join([*cells[:1], ", ".join(cells[1:])]) if len(cells) > 1 else "".join(cells)


def _plain(line: str) -> str:
    """A line without its list marker, label and markup."""
    labelled = label_of(line)
    said = labelled[1] if labelled else line[_end_of_marker(line) :]
    return _MARKUP.sub("", _LINK.sub(r"\1", said)).strip()


def _end_of_marker(line: str) -> int:
    found = _MARKER.match(line)
    return found.end() if found else 0


def _split(line: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(line):
        if not _NO_END.search(line, max(start, end.start() - _ABBREVIATION), end.start()):
            yield line[start : end.end()].strip()
            start = end.end()
    yield line[start:].strip()


def _cut(sentence: str) -> list[str]:
    """A long sentence in pieces of like length."""
    words = sentence.split()
    count = -(-len(words) // _LONGEST)
    if count < 2:
        return [sentence] if words else []
    size = -(-len(words) // count)
    return [" ".join(words[at : at + size]) for at in range(0, len(words), size)]
