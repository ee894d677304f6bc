"""The rule for telephone numbers: international ones anywhere, national ones by shape or by a word beside them.

Numbers are judged by the numbering plans in phonenumbers (Google's libphonenumber). Its own matcher is not used: it
takes milliseconds per text, and reads dates, times and identifiers as numbers.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import phonenumbers
from phonenumbers import PhoneNumber

from synth_platform.privacy.rules import Hit, Rule, near, numbers_a_thing, words

REGIONS = (
    "US", "GB", "IE", "DE", "AT", "CH", "FR", "BE", "NL", "ES", "IT", "PT", "PL", "SE", "NO", "DK", "FI", "BR", "MX",
    "IN", "AU", "NZ", "JP",
)  # fmt: skip
"""Regions (ISO 3166) whose national formats are known by default; international formats are known for all."""
_CUE_WORDS = (
    r"tele(?:ph|f)on\w*", "teléfono", "tel", r"tlf\.?", r"phones?", "mobile", r"mob\.?", "cell(?:phone)?",
    r"call(?:ed|ing|s)?", "fax", "dial(?:ed|ling)?", "hotline", "helpline", "whatsapp", "sms",
    "handy(?:nummer)?", r"mobil\w*", r"rufnummer", r"anruf\w*", "ruft?", "erreich\\w*", r"appel\w*", r"téléphon\w*",
    "joindre", r"llam\w+", r"móvil", r"chiam\w+", "cellulare", "bel me", "bellen", "mobiel", r"zadzwoń", r"dzwoń",
    r"komórk\w*", r"ligue", "ligar", "celular", r"telemóvel", "ringa", r"telefonnummer", r"puhelin\w*", "soita",
    "電話\\w*", "携帯\\w*", "phone number", "voicemail", "pager",
)  # fmt: skip
"""Words that announce a number."""
_CUE = words(*_CUE_WORDS, r"text(?= me\b| us\b| ?[+(0-9]| ?$)")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[-/. ](?:0?[1-9]|1[0-2])[-/. ](?:0?[1-9]|[12][0-9]|3[01])(?![0-9])"
    r"|(?<![0-9])(?:0?[1-9]|[12][0-9]|3[01])[-/. ](?:0?[1-9]|[12][0-9]|3[01])[-/. ](?:19|20)[0-9]{2}(?![0-9])"
)
_NANP = re.compile(
    r"(?:1[-. ])?(?:\([2-9][0-9]{2}\)[ .-]{0,2}[2-9][0-9]{2}[-. ]|[2-9][0-9]{2}([-. ])[2-9][0-9]{2}\1)[0-9]{4}"
)
_YEARS_OR_ZIP = re.compile(r"(?:19|20)[0-9]{2} ?[-\u2013] ?(?:19|20)[0-9]{2}|[0-9]{5}-[0-9]{4}")
_AREA = re.compile(r"\(0?[1-9][0-9]{0,4}\)[ .-]?[0-9]{2,5}(?:[ .-]?[0-9]{2,5}){0,3}")
_TRUNK = re.compile(
    r"0[1-9][0-9]{0,4}(?:[ -]{1,3}[0-9]{2,8}){1,4}|0[1-9][0-9]{0,3} ?/ ?[0-9]{2,8}(?:[ -][0-9]{2,5}){0,3}"
    r"|0[1-9][0-9]{0,4}(?:\.[0-9]{2,8}){2,4}"
)
_COUPLES = re.compile(r"[0-9]{2}(?:([ .])[0-9]{2})(?:\1[0-9]{2}){3}")
_EXTENSION = re.compile(r"(?i)\s?(?:x|ext\.?|extension|durchwahl|poste|int\.)\s?[0-9]{1,6}(?!\w)")
_CUED_BEFORE, _CUED_AFTER, _CLOSE = 40, 14, 16
_FEWEST, _FEWEST_OF_TRUNK, _MOST = 7, 9, 15


@cache
def phone_rule(regions: tuple[str, ...] = REGIONS) -> Rule:
    """The rule for telephone numbers with the national formats of these regions (ISO 3166 codes)."""

    def check(text: str, match: re.Match[str]) -> Hit | None:
        if _is_date(match[0]):
            return None
        for start, end in _parts(text, match):
            number = _read(text, start, end, regions, whole=end == match.end() and start <= match.start() + 1)
            if number:
                extension = _EXTENSION.match(text, end)
                value = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
                return Hit("phone", start, extension.end() if extension else end, value)
        return None

    return Rule(
        "phone",
        ("phone",),
        re.compile(
            r"(?<![\w@#$%&/=+*.,^])(?<![0-9][:-])(?<![A-Za-z]-)"
            r"(?:\(?\+ ?|\()?\(?[0-9](?:[ \u00a0()./\u2010-\u2013-]{0,3}[0-9]){6,17}(?![\w@%$€]|[-.,:/][0-9])"
        ),
        check,
        r"[+(][ (]?[0-9](?:[ \u{a0}()./\u{2010}-\u{2013}-]{0,3}[0-9]){6}"
        r"|(?-u:\b)0[0-9]{1,5}[ ./-]{1,3}[0-9]|(?-u:\b)00[1-9][0-9 ./()-]{7}"
        r"|(?-u:\b)[2-9][0-9]{2}[-. ][2-9][0-9]{2}[-. ][0-9]{4}(?-u:\b)"
        rf"|(?i:text|{'|'.join(_CUE_WORDS)})",
        r"[0-9](?:[ \u{a0}()./\u{2010}-\u{2013}-]{0,3}[0-9]){6}",
    )


def _is_date(written: str) -> bool:
    return bool(_DATE.search(written) or _YEARS_OR_ZIP.fullmatch(written))


def _parts(text: str, match: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The candidate, then what is left without its last or first groups."""
    start, end = match.span()
    if match[0].startswith("(") and match[0].count("(") > match[0].count(")"):
        start += 1  # the whole number stands in brackets
    yield start, end
    breaks = [place.span() for place in re.finditer(r"[ \u00a0]+", match[0])]
    for gap, _ in breaks[:-4:-1]:
        yield start, match.start() + gap
    if not match[0].startswith(("+", "(+")):
        for _, after in breaks[:3]:
            yield match.start() + after, end


def _read(text: str, start: int, end: int, regions: tuple[str, ...], *, whole: bool) -> PhoneNumber | None:
    written = text[start:end]
    digits = re.sub(r"[^0-9]", "", written)
    if _in_a_sum(text, start, end) or not _FEWEST <= len(digits) <= _MOST or len(set(digits)) < 3:
        return None
    cued = near(_CUE, text, start, end, _CUED_BEFORE, _CUED_AFTER)
    if "+" in written or re.match(r"00[1-9]", written):
        return _international(written, digits, cued)
    if written.count("(") != written.count(")") or not ((whole and cued) or _has_shape(written)):
        return None
    if not whole and not cued:
        return None
    if numbers_a_thing(text, start) and not near(_CUE, text, start, end, _CLOSE):
        return None
    return _national(written, digits, regions, cued)


def _in_a_sum(text: str, start: int, end: int) -> bool:
    """Whether an operator of arithmetic stands on either side."""
    before, after = text[max(0, start - 3) : start], text[end : end + 3]
    return bool(
        re.search(r"[*=<>^\u00d7\u00f7]\s*$|[0-9]\s*[-+/]\s*$", before) or re.match(r"\s*[*=<>^\u00d7\u00f7]", after)
    )


def _international(written: str, digits: str, cued: bool) -> PhoneNumber | None:
    plain = re.sub(r"\(0\)", "", written)
    plain = plain if "+" in plain else "+" + digits.removeprefix("00")
    try:
        number = phonenumbers.parse(plain)
    except phonenumbers.NumberParseException:
        return None
    if re.search(r"\+ ", written) and not cued:
        return None
    grouped = re.search(r"[0-9][ ()./-]+[0-9]", written)
    valid = phonenumbers.is_valid_number(number) or (cued and grouped and phonenumbers.is_possible_number(number))
    return number if valid else None


def _has_shape(written: str) -> bool:
    """Whether digits are grouped as little but telephone numbers are."""
    if _COUPLES.fullmatch(written):  # 01 02 03 04 05 is rather a list
        steps = [int(part) for part in re.split(r"[ .]", written)]
        return len({after - before for before, after in pairwise(steps)}) > 1
    if _TRUNK.fullmatch(written):
        return sum(map(str.isdigit, written)) >= _FEWEST_OF_TRUNK or "-" in written
    return bool(_NANP.fullmatch(written) or _AREA.fullmatch(written))


def _national(written: str, digits: str, regions: tuple[str, ...], cued: bool) -> PhoneNumber | None:
    nanp = _NANP.fullmatch(written)
    for region in regions:
        if (nanp and region not in _nanp_regions()) or not _may_be(digits, region):
            continue
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        fits = phonenumbers.is_valid_number_for_region(number, region) or (
            nanp and phonenumbers.is_valid_number(number)
        )
        if fits or (cued and nanp and phonenumbers.is_possible_number(number)):
            return number
    return None


@cache
def _nanp_regions() -> frozenset[str]:
    return frozenset(phonenumbers.region_codes_for_country_code(1))


def _may_be(digits: str, region: str) -> bool:
    """A quick look at the region's general pattern, before the number is parsed."""
    prefix, pattern = _plan(region)
    if prefix and digits.startswith(prefix) and pattern.fullmatch(digits[len(prefix) :]):
        return True
    # Regions with a trunk prefix write it, except for the mobile numbers of a few.
    return bool(pattern.fullmatch(digits))


@cache
def _plan(region: str) -> tuple[str, re.Pattern[str]]:
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    general = metadata.general_desc if metadata else None
    pattern = (general.national_number_pattern if general else None) or r"(?!)"
    return (metadata.national_prefix or "" if metadata else ""), re.compile(pattern)
