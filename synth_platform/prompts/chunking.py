"""Cut long documents at paragraphs, sentences or, if nothing else helps, between tokens."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

Count = Callable[[Sequence[str]], list[int]]
Offsets = Callable[[str], list[tuple[int, int]]]

_BREAKS = (
    re.compile(r"\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?])[\"')\]]*\s+"),
    re.compile(r"\s+"),
)


def chunk_text(text: str, max_tokens: int, count: Count, offsets: Offsets) -> list[str]:
    """Pieces of at most ``max_tokens`` tokens that give the text again when joined.

    Args:
        text: the document.
        max_tokens: longest piece in tokens, at least 1.
        count: tokens of each of some texts.
        offsets: character range of each token of a text.
    """
    if count([text])[0] <= max_tokens:
        return [text]
    return _merge(_split(text, max_tokens, count, offsets, 0), max_tokens, count)


def _split(text: str, max_tokens: int, count: Count, offsets: Offsets, level: int) -> list[str]:
    """Pieces that fit, cut at the coarsest break that does."""
    if level == len(_BREAKS):
        return _cut(text, max_tokens, count, offsets)
    ends = [match.end() for match in _BREAKS[level].finditer(text)]
    borders = sorted({0, *ends, len(text)})
    parts = [text[start:stop] for start, stop in pairwise(borders)]
    pieces: list[str] = []
    for part, tokens in zip(parts, count(parts), strict=True):
        pieces += [part] if tokens <= max_tokens else _split(part, max_tokens, count, offsets, level + 1)
    return pieces


def _cut(text: str, max_tokens: int, count: Count, offsets: Offsets) -> list[str]:
    """Pieces of a text without breaks, such as one endless word."""
    pieces: list[str] = []
    while text:
        places = offsets(text)
        end = places[max_tokens - 1][1] if len(places) > max_tokens else len(text)
        # Tokens of a piece alone may differ from its tokens inside the text: shorten until it fits.
        while end > 1 and count([text[:end]])[0] > max_tokens:
            end -= max(1, end // 16)
        pieces.append(text[: max(end, 1)])
        text = text[max(end, 1) :]
    return pieces


def _merge(pieces: list[str], max_tokens: int, count: Count) -> list[str]:
    """Neighbours put together as long as they fit."""
    merged: list[str] = []
    sizes = count(pieces)
    held, estimate = "", 0
    for piece, size in zip(pieces, sizes, strict=True):
        if held and (estimate + size > max_tokens or count([held + piece])[0] > max_tokens):
            merged.append(held)
            held, estimate = piece, size
        else:
            held, estimate = held + piece, estimate + size
    return [*merged, held] if held else merged
