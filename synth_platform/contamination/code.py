"""Programs as streams of what renaming, comments and another language leave as it is: operators, literals, calls.

Names that a program gives itself, comments, types and punctuation are taken out; what stands for the same thing in
Python, JavaScript, Java, C, C++, Go and Rust gets one name (`append`, `push` and `push_back`; `and` and `&&`).
"""

import re
from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from synth_platform.contamination.schema import INDEX_PARTS
from synth_platform.contamination.word_index import Index
from synth_platform.contamination.words import split_words

LEAST_INFORMATION = 24.0
"""Nats that a program must have to be told from others; shorter solutions are not looked for."""

_TOKEN = re.compile(
    r"""(?P<skip>\#(?!include|define)[^\n]*|//(?=[\s/!A-Z])[^\n]*|/\*.*?\*/|\"\"\".*?\"\"\"|'''.*?''')"""
    r"""|(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|(?<!`)`(?!`)[^`\n]*`)"""
    r"""|(?P<number>\d+(?:\.\d+)?)"""
    r"""|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"""
    r"""|(?P<operator>===|!==|\*\*=?|//=?|<<=?|>>=?|[-+*/%&|^<>=!]=|&&|\|\||\+\+|--|=>|[-+*/%&|^~<>=!])""",
    re.DOTALL,
)
_LOOKS_LIKE_CODE = (
    r"(?m)^\s*(?:return\b|for\b.*[:{]|while\b.*[:{]|if\b.*[:{]|def |fn |func |function |class )|[;{}]\s*$"
)

_SAME = {
    name: shared
    for shared, names in {
        "and": "&& and", "or": "|| or", "not": "! not", "equal": "== ===", "unequal": "!= !==",
        "add": "+ +=", "subtract": "- -=", "times": "* *=", "power": "** **= pow Math.pow powi powf",
        "divide": "/ /= // //= div", "modulo": "% %= mod rem", "increase": "++", "decrease": "--",
        "less": "< >", "lessequal": "<= >=", "return": "return", "yield": "yield", "while": "while", "for": "for",
        "if": "if elif", "break": "break", "continue": "continue", "match": "switch match case",
        "none": "None null nil undefined nullptr", "true": "True true", "false": "False false",
        "push": "append push push_back add insert unshift push_str", "pop": "pop pop_back removeLast",
        "length": "len length size count_ones", "count": "count filter", "sort": "sorted sort sort_by sort_unstable",
        "lower": "lower toLowerCase to_lowercase tolower", "upper": "upper toUpperCase to_uppercase toupper",
        "code": "ord charCodeAt codePointAt", "character": "chr fromCharCode from_u32",
        "join": "join", "split": "split split_whitespace", "reverse": "reversed reverse rev", "sum": "sum reduce fold",
        "max": "max", "min": "min", "abs": "abs fabs", "sqrt": "sqrt", "round": "round", "ceil": "ceil",
        "replace": "replace", "index": "index indexOf find position", "digit": "isdigit is_digit isDigit is_numeric",
        "alpha": "isalpha is_alphabetic isAlpha isalnum", "islower": "islower is_lowercase",
        "isupper": "isupper is_uppercase", "starts": "startswith startsWith starts_with",
        "ends": "endswith endsWith ends_with", "keys": "keys", "values": "values", "items": "items entries iter",
        "map": "map", "any": "any some", "all": "all every", "zip": "zip", "enumerate": "enumerate",
        "binary": "bin toString", "raise": "raise throw panic", "try": "try", "except": "except catch",
        "swap": "swap", "strip": "strip trim", "set": "set Set HashSet", "hash": "md5 sha256 hashlib",
        "floor": "floor",
    }.items()
    for name in names.split()
}  # fmt: skip


@dataclass(frozen=True)
class CodeStream:
    """A program as a line of words, each of which stands for two shared names that follow each other.

    Args:
        text: the words, a space between.
        starts: character of the program where each begins.
        ends: character after it.
    """

    text: str
    starts: list[int]
    ends: list[int]


def looks_like_code(texts: pl.Series) -> pl.Series:
    """Whether texts have lines of a program in them."""
    return texts.fill_null("").str.contains(_LOOKS_LIKE_CODE)


def normalise(program: str) -> CodeStream:
    """What of a program is still there when its names, comments, types and language have changed."""
    names, starts, ends = [], [], []
    for found in _TOKEN.finditer(program):
        name = _name(found)
        if name:
            names.append(name)
            starts.append(found.start())
            ends.append(found.end())
    pairs = [f"{one}q{other}" for one, other in pairwise(names)]
    return CodeStream(" ".join(pairs), starts[: len(pairs)], ends[1:])


def build_code_parts(items: pl.DataFrame) -> pl.DataFrame:
    """`INDEX_PARTS` of the items whose answer is a program that can be told from others.

    Args:
        items: `EVAL_ITEMS`.
    """
    programs = items.filter(looks_like_code(items["answer"]))
    words = split_words([normalise(answer).text for answer in programs["answer"]])
    hashed = [words.hashes[first:after].tolist() for first, after in pairwise(words.bounds)]
    parts = programs.select(
        "eval",
        pl.col("id").alias("eval_id"),
        pl.lit("code").alias("part"),
        pl.Series("words", hashed, dtype=pl.List(pl.UInt64())),
        pl.lit(0, pl.Int32).alias("question_words"),
        pl.lit(None, pl.String()).alias("text"),
    ).match_to_schema(INDEX_PARTS)
    enough = Index(parts, english=False).masses >= LEAST_INFORMATION
    return parts.filter(pl.Series(enough, dtype=pl.Boolean()))


def _name(found: re.Match[str]) -> str | None:
    kind, text = found.lastgroup, found.group()
    if kind == "skip":
        return None
    if kind == "number":
        return "n" + text.replace(".", "p")
    if kind == "string":
        plain = re.sub(r"[^A-Za-z0-9]", lambda other: f"x{ord(other.group()):x}", text[1:-1])
        return "s" + plain[:40].lower()
    return _SAME.get(text)
