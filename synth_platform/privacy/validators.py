"""Checks of single values: checksums, ranges of addresses, how random a string is."""

import base64
import binascii
import ipaddress
import json
import math
import re
from collections import Counter
from typing import Final

from stdnum import iban as _iban
from stdnum import luhn
from stdnum.exceptions import ValidationError

_BRANDS: Final = (
    ("visa", r"4", (13, 16, 19)),
    ("mastercard", r"5[1-5]|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)", (16,)),
    ("amex", r"3[47]", (15,)),
    ("discover", r"6011|64[4-9]|65", (16, 19)),
    ("diners", r"30[0-5]|3[689]", (14,)),
    ("jcb", r"35(?:2[89]|[3-8]\d)", (16,)),
    ("maestro", r"50|5[6-8]|6304|67", (16, 18, 19)),
    ("unionpay", r"62", (16, 17, 18, 19)),
    ("mir", r"220[0-4]", (16,)),
    ("rupay", r"60|81|82|508", (16,)),
)
"""Prefixes and lengths of card numbers by network (ISO/IEC 7812; the networks' own publications)."""
_TEST_CARDS: Final = frozenset((
    "4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556", "4222222222222",
    "5555555555554444", "5105105105105100", "5200828282828210", "2223003122003222", "378282246310005",
    "371449635398431", "6011111111111117", "6011000990139424", "30569309025904", "38520000023237",
    "3530111333300000", "3566002020360505",
))  # fmt: skip
"""Numbers that payment providers publish for tests."""
_RESERVED_DOMAIN: Final = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost|local)$")
"""RFC 2606 and RFC 6762."""
_LONGEST_MEAN_PART: Final = 3.2
"""Runs of one kind of character are 1.7 long on average in strings drawn at random, in names 4 and more."""
_FILLER: Final = re.compile(
    r"(?i)^(?:x{3,}|\*{3,}|\.{3,}|-{3,}|0+|1234\w*|(?:my|your|the|an?|some|any|test|dummy|fake|sample|demo)"
    r"(?:[-_ ].*|\d*)|.*(?:placeholder|redacted|change[-_]?me|replace|insert|example|todo|fixme).*|<.*>?"
    r"|\$.*|%.*|\{.*|\(.*"
    r"|\[.*|@.*|pass(?:word|wd)?\d?|passw0rd|secret|token|none|null|nil|true|false|undefined|string|str|bytes|os\..*"
    r"|process\..*|env[.(\[].*|getenv.*|self\..*|config\..*|settings\..*|args\..*|request\..*|hunter2)$"
)
"""What stands where a secret would be, and is none."""


def card_brand(digits: str) -> str | None:
    """The network of a card number whose prefix, length and Luhn digit fit, else None."""
    for brand, prefix, lengths in _BRANDS:
        if len(digits) in lengths and re.match(prefix, digits):
            return brand if luhn.is_valid(digits) and len(set(digits)) > 1 else None
    return None


def is_test_card(digits: str) -> bool:
    """Whether this is one of the published test numbers."""
    return digits in _TEST_CARDS


def iban_value(text: str) -> str | None:
    """An IBAN without separators if its country's structure and both check digits fit, else None."""
    try:
        return _iban.validate(text, check_country=False)
    except ValidationError:
        return None


def ip_kind(address: ipaddress.IPv4Address | ipaddress.IPv6Address, prefix: int | None = None) -> str:
    """Whether an address is public, of a private network, or nobody's: loopback, documentation, a network, a resolver.

    Args:
        address: the address.
        prefix: the length that follows it (`/24`), if any.
    """
    name = f"ipv{address.version}"
    if prefix is not None and prefix < address.max_prefixlen:
        host_bits = int(address) & ((1 << (address.max_prefixlen - prefix)) - 1)
        if not host_bits:
            return f"{name}_reserved"
    if str(address) in _RESOLVERS:
        return f"{name}_reserved"
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return f"{name}_private"
    public = address.is_global and not address.is_multicast and (address.version == 4 or address in _GLOBAL_V6)
    return f"{name}_public" if public else f"{name}_reserved"


_GLOBAL_V6: Final = ipaddress.ip_network("2000::/3")
_RESOLVERS: Final = frozenset((
    "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220", "1.2.3.4",
    "2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe",
))  # fmt: skip
"""Public resolvers and the like, which every tutorial names."""
_PRIVATE: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16")
) + tuple(ipaddress.ip_network(network) for network in ("fc00::/7", "fe80::/10"))


def is_reserved_domain(domain: str) -> bool:
    """Whether a domain is set aside for examples and tests."""
    return bool(_RESERVED_DOMAIN.search(domain.lower()))


def entropy(text: str) -> float:
    """Shannon entropy of a string's characters, in bits per character."""
    size = len(text)
    return -sum(count / size * math.log2(count / size) for count in Counter(text).values()) if size else 0.0


def looks_random(text: str) -> bool:
    """Whether a string looks drawn at random: 20 characters or more, letters and digits, well mixed.

    The threshold is 75% of the entropy expected of random strings of that length and alphabet.
    """
    body = text.rstrip("=")
    if len(body) < 20 or not re.search(r"\d", body) or not re.search(r"[A-Za-z]", body):
        return False
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+", body)
    hexadecimal = re.fullmatch(r"[0-9a-f]+|[0-9A-F]+", body)
    if not hexadecimal and sum(map(len, parts)) > _LONGEST_MEAN_PART * len(parts):  # a name made of words
        return False
    alphabet = 16 if hexadecimal else 62
    return entropy(body) >= 0.75 * math.log2(min(alphabet, len(body)))


def is_filler(text: str) -> bool:
    """Whether a value only stands for a secret: a placeholder, a variable, a word such as `changeme`."""
    return bool(_FILLER.match(text)) or len(set(text)) < 4


def character_classes(text: str) -> int:
    """How many of these a string has: lower case, upper case, digits, others."""
    return sum(bool(re.search(kind, text)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z\d]"))


def is_jwt(token: str) -> bool:
    """Whether the first part of a token is the header of a JSON Web Token (RFC 7519)."""
    head = token.split(".", 1)[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, UnicodeDecodeError):
        return False
    return isinstance(header, dict) and ("alg" in header or "typ" in header)
