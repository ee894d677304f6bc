"""Quality heuristics of Gopher, C4 and FineWeb: cheap rules first, so most bad documents cost little."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from synth_platform.sources.config import HeuristicsSpec

Failure = tuple[str, str]
_STOP_WORDS = frozenset(("the", "be", "to", "of", "and", "that", "have", "with"))
_BULLETS = ("-", "*", "•", "‣", "▪", "●", "◦", "·", "\u2013")
_ELLIPSES = ("...", "…")
_SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "…")  # noqa: RUF001 (full-width marks are meant)
_CLOSING = "\"'”’»)]}*_`"  # noqa: RUF001
_SENTENCE = re.compile(r"[.!?]+[\"')\]]*(?:\s|$)|[。！？]")  # noqa: RUF001
_PARAGRAPHS = re.compile(r"\n\s*\n")
_SHORT_LINE_CHARACTERS = 30


def first_failure(text: str, spec: HeuristicsSpec) -> Failure | None:
    """The first rule that a text breaks, as reason and detail; None if it keeps all."""
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    for rules in (
        _word_rules(text, words, spec),
        _line_rules(text, words, lines, spec),
        _repetition_rules(text, lines, spec),
        _ngram_rules(text, words, spec),
    ):
        for failure in rules:
            return failure
    return None


def _word_rules(text: str, words: Sequence[str], spec: HeuristicsSpec) -> Iterator[Failure]:
    count = max(len(words), 1)
    yield from _outside("word_count", len(words), spec.min_words, spec.max_words)
    mean = sum(map(len, words)) / count
    yield from _outside("mean_word_length", mean, spec.min_mean_word_length, spec.max_mean_word_length)
    symbols = max(text.count("#"), sum(map(text.count, _ELLIPSES))) / count
    yield from _outside("symbol_ratio", symbols, None, spec.max_symbol_ratio)
    if spec.min_alphabetic_words is not None:
        share = sum(any(map(str.isalpha, word)) for word in words) / count
        yield from _outside("alphabetic_words", share, spec.min_alphabetic_words, None)
    if spec.min_stop_words is not None:
        found = sum(word.lower().strip(".,;:!?\"'()") in _STOP_WORDS for word in words)
        yield from _outside("stop_words", found, spec.min_stop_words, None)
    if spec.banned_phrases:
        lower = text.lower()
        for phrase in spec.banned_phrases:
            if phrase.lower() in lower:
                yield "heuristic:banned_phrase", phrase
    if spec.min_sentences is not None:
        yield from _outside("sentences", len(_SENTENCE.findall(text)), spec.min_sentences, None)


def _line_rules(text: str, words: Sequence[str], lines: Sequence[str], spec: HeuristicsSpec) -> Iterator[Failure]:
    count = max(len(lines), 1)
    bullets = sum(line.startswith(_BULLETS) for line in lines) / count
    yield from _outside("bullet_lines", bullets, None, spec.max_bullet_lines)
    ellipses = sum(line.endswith(_ELLIPSES) for line in lines) / count
    yield from _outside("ellipsis_lines", ellipses, None, spec.max_ellipsis_lines)
    ended = sum(line.rstrip(_CLOSING).endswith(_SENTENCE_ENDS) for line in lines) / count
    yield from _outside("lines_ending_in_punctuation", ended, spec.min_lines_ending_in_punctuation, None)
    short = sum(len(line) <= _SHORT_LINE_CHARACTERS for line in lines) / count
    yield from _outside("short_lines", short, None, spec.max_short_lines)
    breaks = text.strip().count("\n") / max(len(words), 1)
    yield from _outside("newlines_per_word", breaks, None, spec.max_newlines_per_word)


def _repetition_rules(text: str, lines: Sequence[str], spec: HeuristicsSpec) -> Iterator[Failure]:
    paragraphs = [part.strip() for part in _PARAGRAPHS.split(text) if part.strip()]
    for name, parts, most, most_characters in (
        ("duplicate_line", lines, spec.max_duplicate_lines, spec.max_duplicate_line_characters),
        (
            "duplicate_paragraph",
            paragraphs,
            spec.max_duplicate_paragraphs,
            spec.max_duplicate_paragraph_characters,
        ),
    ):
        share, characters = repeated_parts(parts)
        yield from _outside(f"{name}s", share / max(len(parts), 1), None, most)
        yield from _outside(f"{name}_characters", characters / max(len(text), 1), None, most_characters)


def repeated_parts(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts repeat an earlier one, and their characters."""
    seen: set[str] = set()
    count = characters = 0
    for part in parts:
        if part in seen:
            count, characters = count + 1, characters + len(part)
        seen.add(part)
    return count, characters


def _ngram_rules(text: str, words: Sequence[str], spec: HeuristicsSpec) -> Iterator[Failure]:
    size = max(len(text), 1)
    for n, most in sorted(spec.max_top_ngram_characters.items()):
        counts = Counter(zip(*(words[start:] for start in range(n)), strict=False))
        # Ties go to the longer n-gram, so that the order of the text does not matter.
        times, length = max(((times, sum(map(len, gram)) + n - 1) for gram, times in counts.items()), default=(0, 0))
        share = times * length / size if times > 1 else 0.0
        yield from _outside(f"top_{n}gram_characters", share, None, most)
    for n, most in sorted(spec.max_duplicate_ngram_characters.items()):
        share = duplicate_ngram_characters(words, n) / size
        yield from _outside(f"duplicate_{n}gram_characters", share, None, most)


def duplicate_ngram_characters(words: Sequence[str], n: int) -> int:
    """Characters in n-grams that occurred before, each word counted once."""
    seen: set[tuple[str, ...]] = set()
    characters, place = 0, 0
    while place + n <= len(words):
        gram = tuple(words[place : place + n])
        if gram in seen:
            characters += sum(map(len, gram)) + n - 1
            place += n
        else:
            seen.add(gram)
            place += 1
    return characters


def _outside(name: str, value: float, low: float | None, high: float | None) -> Iterator[Failure]:
    if low is not None and value < low:
        yield f"heuristic:{name}", f"{value:.4g} < {low:.4g}"
    if high is not None and value > high:
        yield f"heuristic:{name}", f"{value:.4g} > {high:.4g}"
