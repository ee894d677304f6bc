"""Broken encoding: characters that no text has on purpose, and UTF-8 that was read as Latin-1 or Windows-1252."""

import polars as pl

# What the bytes 80 to BF become in Windows-1252. The first group is never written next to another of them or after a
# letter with an accent; the second (quotes, dashes, Š, œ, ©, ª ...) may be. Latin-1's are control characters.
_ODD = r"\x{20AC}\x{0192}\x{02C6}\x{2030}\x{02DC}\x{A2}-\x{A8}\x{AC}\x{AF}\x{B1}\x{B4}\x{B5}\x{B6}\x{B8}\x{BC}-\x{BE}"
_USUAL = (
    r"\x{2018}-\x{201E}\x{2020}-\x{2022}\x{2026}\x{2013}\x{2014}\x{2039}\x{203A}\x{2122}\x{0160}\x{0161}\x{0152}\x{0153}"
    r"\x{017D}\x{017E}\x{0178}\x{A0}\x{A1}\x{A9}-\x{AB}\x{AD}\x{AE}\x{B0}\x{B2}\x{B3}\x{B7}\x{B9}-\x{BB}\x{BF}"
)
_ANY = _ODD + _USUAL
_DAMAGE = "|".join(
    (
        # the replacement character, and control characters
        r"\x{FFFD}|[\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}-\x{9F}]",
        # two bytes: Latin letters and signs; Central European ones only where no quote or sign of units is meant
        rf"[\x{{C2}}\x{{C3}}][{_ANY}]|[\x{{C4}}\x{{C5}}][\x{{A1}}-\x{{AF}}\x{{B4}}-\x{{B6}}\x{{B8}}\x{{BA}}-\x{{BF}}"
        r"\x{0192}\x{02C6}\x{02DC}\x{2020}\x{2021}\x{2030}\x{0160}\x{0161}\x{0178}\x{017D}\x{017E}\x{0152}\x{0153}]",
        # two such letters in a row: Greek, Cyrillic, Hebrew, Arabic
        rf"(?:[\x{{CE}}-\x{{D9}}][{_ANY}]){{2}}",
        # three bytes: punctuation, the signs of China, Japan and Korea; the byte order mark
        rf"\x{{E2}}\x{{20AC}}[{_ANY}]|[\x{{E0}}-\x{{EF}}](?:[{_ODD}][{_ANY}]|[{_USUAL}][{_ODD}])|\x{{EF}}\x{{BB}}\x{{BF}}",
        # four bytes: emoji
        r"\x{F0}\x{0178}",
    )
)


def count_damage(texts: pl.Series) -> pl.Series:
    """How many broken characters each text has."""
    return texts.str.count_matches(_DAMAGE)
