"""What does not belong into a text: refusals, talk to the user, chat tokens, gaps to fill in, HTML, broken encoding."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from synth_platform.patterns import fast
from synth_platform.quality.detectors.rows import Rows

_REFUSAL = (
    r"(?i)\A\W*(?:i['\u2019]?m (?:very |truly |really )?sorry|i am (?:very )?sorry|sorry,|unfortunately,? i\b"
    r"|i apologi[sz]e"
    r"|(?:i am|i['\u2019]m) (?:unable|not able) to|i (?:can['\u2019]?t|cannot|can not|won['\u2019]t) "
    r"(?:assist|help|comply|provide|fulfil+|generate|create|write|rewrite|answer|do|discuss|complete|produce|process"
    r"|access)"
    r"|as an? (?:ai|artificial intelligence|language model|large language model)\b)"
    r"|(?:\A|[^\"'\u201c\u2018\w])as an ai(?: language)? model,? i\b"
    r"|(?:\A|[.!?\n]\s*)i (?:cannot|can['\u2019]?t|am unable to|am not able to) (?:assist|help|comply|fulfil+)\b"
    r"[^\n]{0,60}(?:request|that|this|with)"
)
_CHATTER = (
    r"(?i)\A\W*(?:(?:sure|certainly|of course|absolutely|okay|ok|great question|no problem)\s*[!,.:\u2014-]"
    r"|(?:here(?:['\u2019]s| is| are)|below is|below are|the following is) (?:an?|the|your|my|some)\b"
    r"[^\n]{0,100}:\s*(?:\n|\z)"
    r"|i (?:have|['\u2019]ve) (?:rewritten|created|written|prepared|converted|generated)\b"
    r"|i(?:['\u2019]d| would) be (?:happy|glad)|i(?:['\u2019]ll| will) (?:rewrite|create|write|help|do my best))"
    r"|(?:i hope (?:this|that|it) (?:helps|meets|is helpful)|let me know if|feel free to (?:ask|reach|contact)"
    r"|would you like me to|(?:happy|glad) to (?:help|assist)"
    r"|if you (?:have any (?:other|more|further)|need (?:any|more|further))"
    r"|is there anything else)[^\n]{0,160}\s*\z"
    r"|(?:\A|\n)\s*\(?(?:note|disclaimer):? (?:i|this (?:response|answer|text|table|rewrite) (?:was|is|has been))\b"
)
_CONTROL = (
    r"(?i)<\|[a-z_0-9]{2,30}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|</?think>"
)
_PLACEHOLDER = (
    r"(?i)\[(?:insert|your|add|enter|name of|placeholder|fill in|company|city|number|date|name"
    r"|author|title|topic|amount|link|url|address)(?:[ _-][^\]\n(]{0,40})?\](?:[^(]|\z)"
    r"|\blorem ipsum\b|\{\{[^{}\n]{0,40}\}\}"
    r"|\bTODO:"
    r"|<(?:insert|your)[ _-][^>\n]{0,40}>"
    r"|\bX{4,}\b|\b(?:TBD|FIXME)\b|_{6,}"
)
_HTML = (
    r"(?i)</?(?:div|span|p|br|hr|a|img|table|tr|td|th|tbody|thead|ul|ol|li|h[1-6]|script|style|font|center|iframe|strong|em|b|i|u|sup|sub|"
    r"button|input|form|nav|section|article|header|footer|body|html|head|meta|link)(?:\s+[a-z-]+=[^<>\n]{0,200})?\s*/?>"
    r"|&(?:nbsp|amp|lt|gt|quot|apos|mdash|ndash|hellip|rsquo|lsquo|rdquo|ldquo|#\d{2,5}|#x[0-9a-f]{2,4});"
)
_CODE = r"(?s)```.*?(?:```|\z)|`[^`\n]*`"
_DAMAGE = (
    r"\x{FFFD}|[\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}-\x{9F}]"
    r"|[\x{C2}\x{C3}][\x{80}-\x{BF}\x{2018}-\x{201E}\x{2020}-\x{2022}\x{20AC}\x{0160}\x{0161}\x{0152}\x{0153}\x{017D}\x{017E}\x{0178}\x{02C6}\x{02DC}]"
    r"|\x{E2}[\x{80}\x{20AC}][\x{80}-\x{BF}\x{2018}-\x{201E}\x{2020}-\x{2022}\x{2122}\x{0153}\x{201C}\x{201D}\x{02DC}]"
)
"""The replacement character, control characters, and UTF-8 that was read as Latin-1 or Windows-1252."""


def measure_leftovers(rows: Rows) -> Mapping[str, Any]:
    """``refusal``, ``chatter``, ``control_tokens``, ``placeholder``: whether there are any. ``html`` and
    ``encoding_damage``: how many tags and entities outside code, and how many broken characters."""
    text = rows.texts
    tagged = text.str.contains("[<&]")
    html = pl.select(
        pl.when(tagged).then(text.str.replace_all(_CODE, " ").str.count_matches(fast(_HTML))).otherwise(0)
    ).to_series()
    return {
        "refusal": text.str.contains(fast(_REFUSAL)),
        "chatter": text.str.contains(fast(_CHATTER)),
        "control_tokens": text.str.contains(_CONTROL),
        "placeholder": text.str.contains(fast(_PLACEHOLDER)),
        "html": html.cast(pl.Int32()),
        "encoding_damage": text.str.count_matches(_DAMAGE).cast(pl.Int32()),
    }
