"""Whether an answer stops in the middle of a sentence, a row or a word.

The engine says so itself where an answer reached its limit of tokens (status `truncated`). This is for texts
without that knowledge: an end is judged by what the rest of the text does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from synth_platform.quality.part_labels import label_of, with_plain_labels

_PICTURES = r"\u2600-\u27bf\U0001f300-\U0001faff"
_CLOSED = rf"""[.!?\u2026\u3002\uff01\uff1f\u061f\u0964{_PICTURES}][\s"'\u2019\u201d\u00bb\ufe0f)\]*_`~]*\z"""
_CLOSED_LINE = re.compile(_CLOSED.replace(r"\z", r"\Z"))
_OPEN_MARK = re.compile(r"(?:[,;(\[{\u2013\u2014&+=]|(?<=[\w ])-|(?<=\\)[\[(])\Z")
_MARK = re.compile(r"[.!?]['\"\u2019\u201d*_)]{0,4} ")
_LAST_WORD = re.compile(r"([^\W\d_]+)\Z")
_SENTENCE_BEFORE = re.compile(r"(?<=[^\W\d_]{3})[.!?]['\"\u2019\u201d*_)]{0,4} ++(?=[^\W\d_a-z])")
_ITEM = re.compile(r"[ \t]*(?:[*+\u2022-]|\d{1,3}[.)])[ \t]+")
_STRUCTURE = re.compile(r"[ \t]*(?:#{1,6}\s|```|~~~|\\\[|\\\]|\$\$|(?:[-*_][ \t]*){3,}\Z)")
_BOLD_LINE = re.compile(r"[ \t]*\*\*[^*]+\*\*:?\Z")
_WORDS = re.compile(r"[^\W\d_]+")
_TOKEN = re.compile(r"\S+")
_FUNCTION_WORDS = frozenset(
    # They need another word after them. Not here are those that may end a sentence (in, on, up, off, this, that, no),
    # and those that are nouns or verbs of another of these languages (die, den, son, pour, sin, con, will).
    """
    the a an of and or nor but to from with by for at than into onto upon between among because although whereas if
    when unless whether which whose my your our their its is are was were be been being has have had would shall should
    could must does as per via about every each
    der das dem des ein eine einen einem einer eines und oder aber sondern von vom zum zur mit für bei beim durch
    gegen ohne dass weil wenn als wie sehr
    le la les un une du de et ou mais dans sur avec chez vers que qui au aux ce cette ces sa ses leur leurs très
    el los las una unos unas del y o pero en para por hasta desde al su sus muy
    """.split()
)
_STRANDED = frozenset(["with", "for", "about", "at", "from", "by"])
"""Function words with which an item of a list may end, as in "What to look for"."""
_FINITE = frozenset(
    """
    is are was were be been has have had will would shall should can could may might must does did do became becomes
    ist sind war waren wird werden wurde wurden hat haben hatte kann muss est sont était étaient sera doit peut fut
    ont es era fue eran fueron será debe puede ha han
    """.split()
)
_ENDINGS = frozenset(
    "s es e en n er ern ers ed d r t y ly al ally ing ment ies nes ne se ses rs ren um us a o os as ch".split()
)
"""What a word may have more than its stem has: a text that ends with the stem is not cut within the word."""
_SHORT_WORDS = frozenset(
    """
    kg km cm mm nm mg ml cl dl kw kj mj gw mw hp hz khz mhz ghz gb mb kb tb pb ha ft in oz lb lbs mi yd mph kph rpm sq
    min mins sec secs hr hrs mol ph am pm ad bc eur usd gbp chf kwh std sek
    it us me he we up on off so no ok all one two six ten day men car cat dog cup egg pie can pot pan tin man
    jahr tag mal fois an ans jour mes año
    """.split()
)
"""Units and short words that may end an answer though its source has only longer words that begin so."""
_CHOICES = frozenset(["or", "oder", "ou", "o", "u"])
_LONGEST_WORD = 80
_LEAST_ALIKE, _LEAST_TAIL, _LEAST_SENTENCE, _SENTENCE = 2, 3, 5, 8
"""Lines of a kind that show a habit; words of a tail, of a line among prose, and of what is a sentence anyway."""


def find_cut_off(texts: pl.Series, sources: pl.Series) -> pl.Series:
    """Whether each text stops in the middle.

    Args:
        texts: answers.
        sources: what each was made from: their words tell a part of a word.
    """
    stripped = texts.str.strip_chars_end()
    open_end = (stripped != "") & ~stripped.str.contains(_CLOSED)
    places = open_end.arg_true()
    cut = [_is_cut(text, source) for text, source in zip(stripped.gather(places), sources.gather(places), strict=True)]
    return pl.Series(open_end.to_list(), dtype=pl.Boolean()).scatter(places, cut) if len(places) else open_end


@dataclass(frozen=True)
class _End:
    """The last line of a text, and what it is.

    Args:
        label: what the line's part is called, in English; empty without a label.
        said: the line without its label, list mark and emphasis.
        item: whether it is an item of a list.
        before: the lines before it.
    """

    label: str
    said: str
    item: bool
    before: tuple[str, ...]


def _is_cut(text: str, source: str) -> bool:
    lines = [line for line in with_plain_labels(text).splitlines() if line.strip()]
    raw = text.rpartition("\n")[2]
    if not lines or _STRUCTURE.match(raw) or text.count("```") % 2:
        return False
    if "|" in raw and (row := _row_is_cut(raw, text.splitlines()[:-1])) is not None:
        return row
    end = _end(lines)
    if (raw.count("**") % 2 and not raw.endswith("**")) or _OPEN_MARK.search(end.said):
        return True
    if not (last := _LAST_WORD.search(end.said[-_LONGEST_WORD:])):
        return _misses_its_mark(end) and end.said[-1:].isdigit()
    if _needs_a_word(last[1], end) or _is_part_of_word(last[1], text, source):
        return True
    return _misses_its_mark(end)


def _end(lines: Sequence[str]) -> _End:
    line = lines[-1]
    label, said = _labelled(line)
    item = _ITEM.match(line)
    said = said[item.end() :] if item and not label else said
    return _End(label, said.strip("*_ \t"), item is not None, tuple(lines[:-1]))


def _row_is_cut(row: str, before: Sequence[str]) -> bool | None:
    """Whether a table's last row lacks the pipe that closes all others, or a cell; None if there is no such table."""
    table: list[str] = []
    for line in reversed(before):
        if "|" not in line:
            break
        table.append(line.strip())
    if len(table) < 2:
        return None
    if all(line.endswith("|") for line in table):
        return not row.rstrip().endswith("|")
    return row.count("|") < min(line.count("|") for line in table)


def _needs_a_word(last: str, end: _End) -> bool:
    """Whether the last word is one that has another after it. A letter after a sign is a name: x = y."""
    if last not in _FUNCTION_WORDS or (end.item and last in _STRANDED):
        return False
    return len(last) > 1 or end.said[-3:-2].isalpha()


def _is_part_of_word(last: str, text: str, source: str) -> bool:
    """Whether the last word is none that text or source has, but the beginning of one that they have."""
    if len(last) < 2 or last.lower() in _SHORT_WORDS or last.isupper():
        return False
    known = {word.lower() for word in _WORDS.findall(text[: -len(last)])}
    known |= {word.lower() for word in _WORDS.findall(source)}
    small = last.lower()
    longer = [word for word in known if word.startswith(small)]
    # Two letters are no stem: what follows them is no ending.
    inflected = len(small) > 2 and any(word[len(small) :] in _ENDINGS for word in longer)
    return bool(longer) and small not in known and not inflected


def _misses_its_mark(end: _End) -> bool:
    """Whether the line is one that ends with a mark in all the rest of the text, or has to have one by itself."""
    words = len(_TOKEN.findall(end.said))
    if end.label == "Question":
        return words > 1
    begins = max((mark.end() for mark in _MARK.finditer(end.said)), default=0)
    tail = len(_TOKEN.findall(end.said, begins))
    if tail < _LEAST_TAIL:
        return False
    if _SENTENCE_BEFORE.search(end.said):
        return True
    if end.label == "Final answer" or "=" in end.said or "answer is" in end.said:
        return False
    alike = [line for line in end.before if _is_like(end, line)]
    if len(alike) >= _LEAST_ALIKE:
        return words >= _LEAST_TAIL + (not end.label and not end.item) and all(map(_is_closed, alike))
    prose = [line for line in end.before if _is_prose(line)]
    if not all(map(_is_closed, prose)):
        return False
    if end.label in ("Answer", "Problem"):
        finite = any(word.lower() in _FINITE for word in _WORDS.findall(end.said))
        return finite or words >= _SENTENCE or _only_repeats(end)
    return words >= (_LEAST_SENTENCE if prose else _SENTENCE)


def _only_repeats(end: _End) -> bool:
    """Whether an answer got no further than words of its question, which offers no choice."""
    asked = next((said for label, said in map(_labelled, reversed(end.before)) if label == "Question"), "")
    words = {word.lower() for word in _WORDS.findall(asked)}
    return not words & _CHOICES and words >= {word.lower() for word in _WORDS.findall(end.said)}


def _labelled(line: str) -> tuple[str, str]:
    return label_of(line) or ("", line)


def _is_like(end: _End, line: str) -> bool:
    """Whether a line is of the same kind: has the same label, is an item, too, or is prose as well."""
    if not _is_prose(line):
        return False
    label, _ = _labelled(line)
    if end.label or label:
        return label == end.label
    return end.item == (_ITEM.match(line) is not None)


def _is_closed(line: str) -> bool:
    return _CLOSED_LINE.search(line[-_LONGEST_WORD:]) is not None


def _is_prose(line: str) -> bool:
    return not ("|" in line or _STRUCTURE.match(line) or _BOLD_LINE.match(line)) and len(_TOKEN.findall(line)) >= 3
