"""What does not belong into a text: refusals, talk to the user, chat tokens, gaps to fill in, HTML, broken encoding."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from synth_platform.patterns import fast
from synth_platform.quality.detectors.chatter import talks
from synth_platform.quality.detectors.gaps import has_gap
from synth_platform.quality.detectors.mojibake import count_damage
from synth_platform.quality.detectors.refusals import refuses
from synth_platform.quality.detectors.rows import Rows

_CONTROL = (
    r"(?i)<\|[a-z_0-9]{2,30}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|</?think>"
)
_TAG = (
    "(?:div|span|p|br|hr|a|img|table|caption|tr|td|th|thead|tbody|tfoot|ul|ol|li|dl|dt|dd|h[1-6]|script|style|font|center"
    "|iframe|strong|em|b|i|u|sup|sub|small|del|ins|pre|code|blockquote|figure|figcaption|svg|video|audio|button|input|form"
    "|textarea|nav|section|article|aside|header|footer|body|html|head|meta|link|noscript)"
)
_ENTITY = (
    r"(?:nbsp|amp|lt|gt|quot|apos|[mn]dash|hellip|[lr][sd]quo|[lr]aquo|copy|reg|trade|deg|times|middot|bull|euro|pound|cent"
    r"|szlig|[a-z]{1,2}(?:acute|grave|circ|uml|cedil|tilde|ring|slash|lig)|#\d{2,6}|#x[0-9a-f]{2,5})"
)
_HTML = (
    # tags, with or without attributes ("a <b and c>" has none); entities; comments
    rf"(?i)</?{_TAG}(?:\s+(?:[a-z-]+\s+){{0,3}}[a-z-]+\s*=[^<>]{{0,200}})?\s*/?>|&{_ENTITY};|<!--|<!doctype\b"
)
_CODE = r"(?s)```.*?(?:```|\z)|`[^`\n]*`"


def measure_leftovers(rows: Rows) -> Mapping[str, Any]:
    """``refusal``, ``chatter``, ``control_tokens``, ``placeholder``: whether there are any. ``html`` and
    ``encoding_damage``: how many tags and entities outside code, and how many broken characters."""
    texts = rows.texts
    prose = texts.str.replace_all(_CODE, " ")
    return {
        "refusal": refuses(texts),
        "chatter": talks(texts),
        "control_tokens": texts.str.contains(_CONTROL),
        "placeholder": has_gap(texts, rows.sources, prose),
        "html": prose.str.count_matches(fast(_HTML)).cast(pl.Int32()),
        "encoding_damage": count_damage(texts).cast(pl.Int32()),
    }
