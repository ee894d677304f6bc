"""Measures of one answer: repetition, copying, refusals, chatter and what leaks from prompts and chat formats."""

import re
import zlib

from synth_platform.sources.heuristics import duplicate_ngram_characters, repeated_parts

_COPY_WORDS = 8
_ECHO_WORDS = 12
_WORDS = re.compile(r"\w+")
_REFUSAL = re.compile(
    r"^\W*(i['\u2019]?m (very )?sorry|i am (very )?sorry|sorry,|unfortunately,? i|i apologi[sz]e"
    r"|i (can['\u2019]?t|cannot|can not|am unable|am not able)|as an? (ai|artificial|language))"
    r"|\bas an ai( language)? model\b|\bi (cannot|can['\u2019]t) (assist|help|comply)\b",
    re.IGNORECASE,
)
_CHATTER_START = re.compile(
    r"^\W*(sure|certainly|of course|absolutely|okay|great question"
    r"|here(['\u2019]s| is| are) (a|an|the|your|my)\b.{0,80}:)",
    re.IGNORECASE,
)
_CHATTER_END = re.compile(
    r"(i hope (this|that|it) helps|let me know if|feel free to (ask|reach)|would you like me to|happy to help)"
    r"[^\n]{0,120}$",
    re.IGNORECASE,
)
_CONTROL = re.compile(r"<\|[a-z_]{2,30}\|>|\[/?INST\]|<<SYS>>|</?s>|<(start|end)_of_turn>", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"\[(insert|your|add|enter|name of|date|placeholder)[^\]\n]{0,40}\]|\blorem ipsum\b|\{\{.{0,40}\}\}|\bTODO:"
    r"|<insert[^>\n]{0,40}>",
    re.IGNORECASE,
)


def duplicate_lines(text: str) -> float:
    """Share of lines that repeat an earlier one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return repeated_parts(lines)[0] / max(len(lines), 1)


def duplicate_ngrams(text: str) -> float:
    """Share of characters in word 8-grams that repeat an earlier one."""
    return duplicate_ngram_characters(text.split(), _COPY_WORDS) / max(len(text), 1)


def compression_ratio(text: str) -> float:
    """Compressed size over size; short texts hardly compress, so the header's cost is left out."""
    data = text.encode("utf-8", "surrogatepass")
    return min(1.0, max(len(zlib.compress(data, 6)) - 11, 1) / max(len(data), 1))


def copied_share(text: str, source: str) -> float:
    """Share of the answer's word 8-grams that the source has too; 0 for shorter answers."""
    words = _words(text)
    grams = _grams(words, _COPY_WORDS)
    known = set(_grams(_words(source), _COPY_WORDS))
    return sum(gram in known for gram in grams) / len(grams) if grams else 0.0


def echoes_prompt(text: str, instructions: str) -> bool:
    """Whether 12 words in a row of the instructions stand in the answer."""
    known = set(_grams(_words(instructions), _ECHO_WORDS))
    return any(gram in known for gram in _grams(_words(text), _ECHO_WORDS))


def is_refusal(text: str) -> bool:
    """Whether the model declines instead of answering."""
    return bool(_REFUSAL.search(text))


def has_chatter(text: str) -> bool:
    """Whether the model talks to the user before or after the answer."""
    return bool(_CHATTER_START.match(text) or _CHATTER_END.search(text.strip()))


def has_control_tokens(text: str) -> bool:
    """Whether tokens of a chat format stand in the text."""
    return bool(_CONTROL.search(text))


def has_placeholder(text: str) -> bool:
    """Whether something was left to be filled in."""
    return bool(_PLACEHOLDER.search(text))


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _grams(words: list[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(n)), strict=False)) if len(words) >= n else []
