"""Answers that are damaged: HTML, broken characters, cut ends, loops, almost nothing, nothing at all."""

import re
from collections.abc import Callable, Iterator

from synth_platform_tests.quality.labelled.bases import Base, bases
from synth_platform_tests.quality.labelled.row import HAND, LabelledRow, require

_ACCENTED = ("composer", "grandmother_letter", "festival", "ferry", "de_bibliothek", "de_suppe", "de_physikerin")
_ACCENTED += ("fr_musee", "fr_crepes", "es_tren", "es_volcan", "calligraphy", "monarch", "kettle", "bike_sharing")
_ALL = ("en", "de", "fr", "es")


def damaged_rows() -> Iterator[LabelledRow]:
    """All of them."""
    yield from _html()
    yield from _encoding()
    yield from _truncated()
    yield from _short()
    yield from _empty()


# HTML


def _wrap(before: str, after: str) -> Callable[[Base], str]:
    def wrap(base: Base) -> str:
        *_, word = re.finditer(r"(?<= )[a-z]{3,}(?=[ .,])", base.text)
        return base.text[: word.start()] + before + word[0] + after + base.text[word.end() :]

    return wrap


def _around(before: str, after: str) -> Callable[[Base], str]:
    return lambda base: f"{before}{base.text}{after}"


def _spaces(base: Base) -> str:
    at = base.text.rindex(" ")
    return base.text[:at] + "&nbsp;" + base.text[at + 1 :]


def _breaks(base: Base) -> str:
    lines = base.text.split("\n")
    return "\n".join(lines[:-1]) + "<br>\n" + lines[-1]


_HTML: tuple[Callable[[Base], str], ...] = (
    _wrap("<b>", "</b>"), _wrap("<strong>", "</strong>"), _wrap("<i>", "</i>"), _wrap("<em>", "</em>"),
    _wrap('<a href="https://example.com/page">', "</a>"), _wrap('<span style="color: red">', "</span>"),
    _wrap("", "<br>"), _wrap("", "<br/>"), _wrap("", "</td>"), _wrap("", "<sup>2</sup>"), _wrap("<u>", "</u>"),
    _wrap("&quot;", "&quot;"), _wrap("", "&nbsp;"), _wrap("&lt;b&gt;", "&lt;/b&gt;"), _wrap("", "&#39;s"),
    _wrap('<font size="2">', "</font>"), _around("<p>", "</p>"), _around('<div class="content">\n', "\n</div>"),
    _around("<html><body>\n", "\n</body></html>"), _around("", "\n<hr>"), _around("", '\n<img src="image.png" alt="">'),
    _around("<!-- begin -->\n", ""), _around("", "\n</article>"), _around("<center>\n\n", "\n\n</center>"),
    _around("", "\n<script>document.write('')</script>"), _spaces, _breaks, _around("<h2>Answer</h2>\n\n", ""),
    _wrap("", " &amp; more"), _wrap("", " &mdash; see above"),
)  # fmt: skip


def _html() -> Iterator[LabelledRow]:
    plain = [name for name in _plain_names() if name not in ("html_tables", "templates", "ownership")]
    for base, damage in zip(bases("html", len(_HTML), named=plain), _HTML, strict=True):
        text = damage(base)
        require(text != base.text, base.document.name, "no HTML")
        yield base.row("html", text, "html")


def _plain_names() -> list[str]:
    return sorted({base.document.name for base in bases("names", 200)})


# Broken characters


def mojibake(text: str, encoding: str = "cp1252") -> str:
    """What becomes of UTF-8 that is read in another encoding."""
    return "".join(_misread(character, encoding) for character in text)


def _misread(character: str, encoding: str) -> str:
    return character.encode("utf-8").decode(encoding, "replace") if ord(character) > 127 else character


def _once(text: str, damage: Callable[[str], str]) -> str:
    """The first character beyond ASCII damaged."""
    found = re.search(r"[^\x00-\x7f]", text)
    return text if found is None else text[: found.start()] + damage(found[0]) + text[found.end() :]


def _encoding() -> Iterator[LabelledRow]:
    ways: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("all misread as cp1252", mojibake),
        ("all misread as Latin-1", lambda text: mojibake(text, "latin-1")),
        ("one character misread", lambda text: _once(text, mojibake)),
        ("one replacement character", lambda text: _once(text, lambda _: "\ufffd")),
        ("misread twice", lambda text: mojibake(mojibake(text))),
    )
    for base in bases("encoding", 40, ["faq", "table", "tutorial"], _ALL, named=_ACCENTED):
        note, damage = ways[base.number % len(ways)]
        curly = base.text if re.search(r"[^\x00-\x7f]", base.text) else "\u00a0".join(base.text.rsplit(" ", 1))
        text = damage(curly)
        require(text != curly, base.document.name, "nothing is damaged")
        yield base.row("encoding", text, "encoding", note=note)
    quoted = ("document\u2019s", "text \u2013 as", "\u201cfacts\u201d", "caf\u00e9")
    for base in bases("quotes", 4, ["faq", "tutorial"]):
        text = f"{base.text} This is all that the {mojibake(quoted[base.number])} say."
        yield base.row("encoding_quote", text, "encoding", note="one broken mark of punctuation")


# Cut ends


def _truncated() -> Iterator[LabelledRow]:
    shapes = ["template", "bold", "piped", "aligned", "counted", "headed", "bracket"]
    for base in bases("cut", 45, shapes=shapes):
        text = _cut(base, early=base.number % 3 == 0)
        require(base.text.startswith(text) and len(text) > 60, base.document.name, "not cut")
        incomplete = base.recipe in ("table", "math") and len(text.splitlines()) < len(base.text.splitlines())
        reasons = ("truncated", "format") if incomplete else ("truncated",)
        yield base.row("cut", text, *reasons, note="its form is incomplete, too" if incomplete else "")


def _cut(base: Base, early: bool) -> str:
    """The answer up to the middle of a word or to a gap between two, within a sentence near its end or earlier."""
    lines = base.text.split("\n")
    long = [number for number, line in enumerate(lines) if len(_WORD.findall(line)) >= 3]
    at = long[len(long) // 2] if early else long[-1]
    words = list(_WORD.finditer(lines[at]))
    word = words[len(words) * 2 // 3]
    end = word.start() + 2 if base.number % 2 else word.start() - 1
    return "\n".join([*lines[:at], lines[at][:end]])


_WORD = re.compile(r"[^\W\d_]{4,}")


# Almost nothing, and nothing


_SHORT = {
    "table": (
        "| Attribute | Value |", "| Attribute | Value |\n|---|---|", "Question: What?\nAnswer: That.", "Table:",
        "None.", "| A | B |\n|---|---|\n| 1 | 2 |", "See above.",
    ),
    "faq": ("# FAQ", "**Q: What is it?**", "Yes.", "Q: Why?\nA: Because.", "Done.", "Q1:\nA1:", "No questions."),
    "tutorial": ("# How to", "1. Begin.\n2. Stop.", "Step 1: Start.", "OK.", "The end.", "1.\n2.\n3.", "Steps:"),
    "math": ("42", "Problem:", "Final answer: 7", "The answer is 12.", "x = 5", "Solution: 3", "2 + 2 = 4"),
}  # fmt: skip


def _short() -> Iterator[LabelledRow]:
    for recipe, texts in _SHORT.items():
        for base, text in zip(bases(f"short/{recipe}", len(texts), [recipe]), texts, strict=True):
            formed = text == "1. Begin.\n2. Stop."
            reasons = ("too_short",) if formed else ("too_short", "format")
            yield base.row("short", text, *reasons, kind=HAND)


_BLANKS = ("", " ", "\n", "\n\n\n", "\t", " \n \n", "\u00a0", "\r\n", "    ", "\u200b", "\u3000", "\n\t\n")


def _empty() -> Iterator[LabelledRow]:
    for base in bases("empty", 28):
        blank = _BLANKS[base.number % len(_BLANKS)]
        note = "a blank that is not ASCII" if blank and not blank.isascii() else ""
        yield base.row("empty", blank, "empty", note=note, kind=HAND)
