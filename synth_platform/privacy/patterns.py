"""Rules for e-mail addresses, bank accounts, payment cards, network addresses and crypto wallets."""

import ipaddress
import re

from stdnum import bitcoin

from synth_platform.privacy import validators
from synth_platform.privacy.rules import NUMBERS, RESERVED, Hit, Rule, near, numbers_a_thing, words

_GENERIC_DOMAINS = frozenset((
    "com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "name", "pro", "aero", "coop", "museum", "jobs",
    "mobi", "travel", "tel", "asia", "cat", "post", "app", "dev", "page", "cloud", "online", "site", "store",
    "tech", "shop", "blog", "xyz", "club", "top", "email", "live", "world", "life", "news", "media", "agency",
    "digital", "solutions", "services", "group", "company", "systems", "network", "software", "space", "website",
    "today", "global", "wiki", "work", "team", "social", "design", "art", "bank", "business", "care", "center",
    "chat", "city", "consulting", "education", "energy", "engineering", "events", "expert", "family", "farm",
    "finance", "fitness", "foundation", "fun", "fund", "games", "health", "help", "host", "house", "institute",
    "international", "law", "legal", "limited", "link", "london", "berlin", "paris", "nyc", "tokyo", "amsterdam",
    "wien", "hamburg", "koeln", "bayern", "swiss", "scot", "wales", "land", "ltd", "management", "market",
    "marketing", "money", "ninja", "one", "partners", "photo", "photography", "photos", "pictures", "plus", "press",
    "properties", "pub", "report", "review", "rocks", "school", "science", "security", "studio", "style", "support",
    "tax", "tips", "tools", "tours", "trade", "training", "university", "ventures", "video", "vip", "vision",
    "watch", "wine", "works", "zone", "africa", "quebec", "gmbh", "inc", "llc", "example", "test", "invalid",
    "localhost", "local", "arpa",
))  # fmt: skip
_NO_DOMAINS = frozenset(("js", "ts", "rb", "hs", "cs", "vb", "go", "kt", "db"))
"""Two letters at the end of file names that are no country."""
_SHELL = re.compile(r"\b(?:ssh|scp|sftp|rsync|mosh|ssh-copy-id)(?:\s+-\w+(?:\s+[\w./~]+)?)*\s+(?:\S+\s+)?$")
_MAIL_CUE = words(r"e-?mail\w*", "mail(?:to)?", "contact", "write", "reach", "correo", "courriel", "kontakt")
_CARD_CUE = words(
    r"cards?", "credit", "debit", "visa", r"master ?card", "amex", r"american express", "pan", "kreditkarte\\w*",
    "karte\\w*", "carte", "tarjeta", "carta", "cart[aã]o", "karta", "kort(?:nummer)?", "cc", "payment", "paid",
)  # fmt: skip
_BANK_CUE = words("iban", "account", "konto\\w*", "bank", "compte", "cuenta", "conto", "rekening\\w*", "conta")
_IP_CUE = words(
    r"ip(?:v[46])?", "address(?:es)?", "adresse", r"hosts?", r"servers?", "ping", "dns", "gateway", "subnet", "client",
    "connect(?:ed|ion|s)?", "from", "https?://", "inet6?", "router", "log(?:ged)? in", "nameserver", "remote",
)  # fmt: skip
_VERSION = re.compile(
    r"(?i)(?:\b(?:v|ver|versions?|release|firmware|driver|build|chrome|firefox|edge|windows|kernel|sdk|api|section"
    r"|chapter|figure|table|clause|article|appendix|annex|rule|step|item|oid|§)[\s:=/.]*|(?:upgrade|update|bump|patch)\w*\s(?:\S+\s){0,3}(?:to|from)\s|[=<>~^]=?\s*|[A-Za-z]/)$"
)
_WALLET_CUE = words(
    "wallet", "ethereum", "eth", "ether", "metamask", "crypto\\w*", "usdt", "usdc", "donat\\w+", "erc-?20"
)


def _email(text: str, match: re.Match[str]) -> Hit | None:
    local, domain = match[1], match[2].lower()
    top = domain.rsplit(".", 1)[-1]
    if not (top in _GENERIC_DOMAINS or (len(top) == 2 and top not in _NO_DOMAINS) or top.startswith("xn--")):
        return None
    if ".." in local or local.endswith(".") or _in_login(text, match.start()) or _is_remote(text, match):
        return None
    kind = "email" + (RESERVED if validators.is_reserved_domain(domain) else "")
    return Hit(kind, match.start(), match.end(), f"{local}@{domain}".lower())


def _in_login(text: str, start: int) -> bool:
    """Whether the name belongs to a URL: `scheme://user:password@host`."""
    before = text[max(0, start - 80) : start]
    place = before.rfind("://")
    return place >= 0 and not re.search(r"[\s/?#\"'<>]", before[place + 3 :])


def _is_remote(text: str, match: re.Match[str]) -> bool:
    """Whether this is a login on a machine: `git@host:path`, `ssh user@host`."""
    if re.match(r":[~/\w]", text[match.end() : match.end() + 2]):
        return True
    return bool(_SHELL.search(text, max(0, match.start() - 80), match.start()))


def _hidden_email(text: str, match: re.Match[str]) -> Hit | None:
    local, domain = match["local"], re.sub(r"(?i)[\s\[({<]*\bdot\b[\s\])}>]*|\s", ".", match["domain"]).lower()
    top = domain.rsplit(".", 1)[-1]
    plain = match["plain"] is not None
    if (top not in _GENERIC_DOMAINS and len(top) != 2) or (plain and top in ("is", "in", "it", "at", "to", "as", "so")):
        return None
    if plain and not near(_MAIL_CUE, text, match.start(), match.end()):
        return None
    kind = "email_obfuscated" + (RESERVED if validators.is_reserved_domain(domain) else "")
    return Hit(kind, match.start(), match.end(), f"{local}@{domain}".lower())


def _iban(text: str, match: re.Match[str]) -> Hit | None:
    start, end = match.span()
    while end - start >= 15:
        value = validators.iban_value(text[start:end])
        if value:
            shouted = text[start:end] == text[start:end].upper()
            return Hit("iban", start, end, value) if shouted or near(_BANK_CUE, text, start, end) else None
        end = max(text.rfind(mark, start, end) for mark in " -\u00a0")
    return None


def _card(text: str, match: re.Match[str]) -> Hit | None:
    groups = list(re.finditer(r"[0-9]+", match[0]))
    spans = [(i, j) for i in range(len(groups)) for j in range(len(groups), i, -1)]
    for first, after in sorted(spans, key=lambda span: span[0] - span[1]):
        start, end = match.start() + groups[first].start(), match.start() + groups[after - 1].end()
        digits = "".join(group[0] for group in groups[first:after])
        brand = validators.card_brand(digits) if 13 <= len(digits) <= 19 else None
        if brand and _card_layout([len(group[0]) for group in groups[first:after]]):
            return _confirm_card(text, start, end, digits, brand, grouped=after - first > 1)
    return None


def _card_layout(lengths: list[int]) -> bool:
    """Whether digits are grouped as on cards: not at all, by four, or 4-6-5 and 4-6-4."""
    return len(lengths) == 1 or (set(lengths[:-1]) == {4} and lengths[-1] <= 4) or lengths in ([4, 6, 5], [4, 6, 4])


def _confirm_card(text: str, start: int, end: int, digits: str, brand: str, *, grouped: bool) -> Hit | None:
    cue = near(_CARD_CUE, text, start, end, 48, 16)
    common = brand in ("visa", "mastercard", "amex", "discover", "jcb") and len(digits) in (15, 16)
    if not cue and (not (common or (grouped and len(digits) == 16)) or _in_a_table(text, start, end)):
        return None
    if numbers_a_thing(text, start) and not near(_CARD_CUE, text, start, end, 16):
        return None
    kind = "card" + (RESERVED if validators.is_test_card(digits) else "")
    return Hit(kind, start, end, digits)


def _in_a_table(text: str, start: int, end: int) -> bool:
    """Whether more numbers follow or precede on the same line, with only a space between."""
    return bool(
        re.search(r"[0-9][ -]$", text[max(0, start - 2) : start]) or re.match(r"[ -][0-9]", text[end : end + 2])
    )


def _ip(text: str, match: re.Match[str]) -> Hit | None:
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return None
    start, end = match.span()
    if not near(_IP_CUE, text, start, end, 32) and _looks_otherwise(text, start, address, match[0]):
        return None
    if address.version == 4 and _VERSION.search(text, max(0, start - 32), start):
        return None
    network = re.match(r"/([0-9]{1,3})(?![0-9])", text[end : end + 4])
    kind = validators.ip_kind(address, int(network[1]) if network else None)
    return Hit(kind, start, end, str(address))


def _looks_otherwise(
    text: str, start: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address, written: str
) -> bool:
    """Whether an address without a cue is rather a version, a numbered heading, an identifier or a path of names."""
    if address.version == 4:
        among_numbers = re.search(r"[0-9.][ ,]?$", text[max(0, start - 2) : start]) or re.match(
            r" ?-?\.?[0-9]", text[start + len(written) : start + len(written) + 4]
        )
        return max(address.packed) < 32 or text[start - 1 : start] == "-" or bool(among_numbers)
    groups = [group for group in written.split(":") if group]
    pairs = len(groups) == 8 and {len(group) for group in groups} == {2}  # an EUI-64, written like a MAC address
    routable = len(groups) > 1 and re.match(r"[23][0-9a-f]{3}|f[cde][0-9a-f]{2}", groups[0], re.IGNORECASE)
    return pairs or (len(groups) < 3 and not routable) or not re.search(r"[0-9]", written)


def _bitcoin(text: str, match: re.Match[str]) -> Hit | None:
    return Hit("bitcoin_address", *match.span(), match[0]) if bitcoin.is_valid(match[0]) else None


def _ethereum(text: str, match: re.Match[str]) -> Hit | None:
    if not near(_WALLET_CUE, text, *match.span()):
        return None
    return Hit("ethereum_address", *match.span(), match[0].lower())


_AT = r"\s*[\[({<]\s*(?:at|@)\s*[\])}>]\s*"
_DOT = r"(?:\s*[\[({<]\s*dot\s*[\])}>]\s*|\.|\s+dot\s+)"
_V4 = r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
RULES = (
    Rule(
        "email",
        ("email", "email" + RESERVED),
        re.compile(
            r"(?<![\w.%+'@-])([^\W_](?:[\w.%+'-]{0,62}[\w+-])?)@((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+[A-Za-z][A-Za-z0-9-]{1,23})"
            r"(?![\w(@-]|\.\w)"
        ),
        _email,
        r"[\w+-]@[\w-]+\.[\w.-]*[A-Za-z]",
        "@",
    ),
    Rule(
        "email",
        ("email_obfuscated", "email_obfuscated" + RESERVED),
        re.compile(
            rf"(?i)(?<![\w.@+-])(?P<local>[^\W_][\w.+-]{{0,62}})(?:{_AT}|(?P<plain>\s+at\s+)(?=[\w-]+\s+dot\s))"
            rf"(?P<domain>[\w-]+(?:{_DOT}[\w-]+){{0,3}}{_DOT}[a-z]{{2,12}})(?![\w@-])"
        ),
        _hidden_email,
        r"(?i)\w\s*[\[({<]\s?(?:at|@)\s?[\])}>]\s*\w|\w\s+at\s+[\w-]+\s+dot\s+\w",
    ),
    Rule(
        "iban",
        ("iban",),
        re.compile(
            r"(?i)(?<![^\W_])[a-z]{2}[0-9]{2}(?:[ \u00a0-]?[a-z0-9]{4}){2,7}(?:[ \u00a0-]?[a-z0-9]{1,4})?(?![^\W_])"
        ),
        _iban,
        r"(?i)(?-u:\b)[a-z]{2}[0-9]{2}[ \u{a0}-]?[a-z0-9]{4}[ \u{a0}-]?[a-z0-9]{4}[ \u{a0}-]?[a-z0-9]",
    ),
    Rule(
        "card",
        ("card", "card" + RESERVED),
        re.compile(r"(?<![\w.+#-])(?<![0-9][/:])[0-9](?:[ \u00a0-]?[0-9]){12,24}(?![\w]|[-.][0-9])"),
        _card,
        r"[0-9](?:[ \u{a0}-]?[0-9]){12}",
        NUMBERS,
    ),
    Rule(
        "ip",
        tuple(f"ipv{version}_{scope}" for version in (4, 6) for scope in ("public", "private", "reserved")),
        re.compile(
            rf"(?<![\w.])(?<![A-Za-z]-)(?:{_V4}(?![\w]|\.\w)"
            rf"|(?<!:)(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}|[0-9A-Fa-f]{{1,4}}|(?<=::))(?![\w:]|\.[0-9]))"
        ),
        _ip,
        r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|(?:[0-9A-Fa-f]{0,4}:){3}|[0-9A-Fa-f]{1,4}::|::[0-9A-Fa-f]",
    ),
    Rule(
        "wallet",
        ("bitcoin_address",),
        re.compile(r"(?<![\w/])(?:bc1[02-9ac-hj-np-z]{11,71}|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?!\w)"),
        _bitcoin,
        r"bc1[02-9ac-z]{11}|(?-u:\b)[13][1-9A-HJ-NP-Za-km-z]{25}",
    ),
    Rule(
        "wallet",
        ("ethereum_address",),
        re.compile(r"(?<!\w)0x[0-9A-Fa-f]{40}(?!\w)"),
        _ethereum,
        r"0x[0-9A-Fa-f]{40}",
    ),
)
