"""Made-up personal data that is valid: what the tests and the benchmark look for, and what only looks like it."""

import hashlib
import importlib
import random
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import phonenumbers
from faker import Faker
from phonenumbers import PhoneNumberFormat as Format

from synth_platform_tests.privacy.made_ids import ID_KINDS, IDS

LOCALES = (
    "en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pl_PL", "pt_BR", "en_IN", "sv_SE", "en_AU",
)  # fmt: skip
_MAIL_HOSTS = (
    "gmail.com", "web.de", "orange.fr", "libero.it", "uol.com.br", "cs.uni-bonn.de", "leeds.nhs.uk", "wp.pl",
    "telia.se", "ziggo.nl", "acme-tools.io", "stadt.koeln", "bigpond.net.au", "rediffmail.com", "correo.unam.mx",
    "163.com",
)  # fmt: skip
_ALNUM = string.ascii_letters + string.digits


@dataclass(frozen=True)
class Made:
    """A made-up value: its entity, what is written, and the words that announce it in the language of its locale."""

    entity: str
    value: str
    cue: str
    kind: str = ""


class Maker:
    """Makes values, the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.fakers = {locale: Faker(locale) for locale in LOCALES}
        for number, faker in enumerate(self.fakers.values()):
            faker.seed_instance(seed + number)

    def make(self, entity: str, locale: str) -> Made:
        """A value of an entity, as people of that locale write it."""
        return getattr(self, f"_{entity}")(locale)

    def number(self, *bounds: int) -> int:
        """A number below the bound, or from the first to below the second."""
        return self.rng.randrange(*bounds)

    def digits(self, count: int) -> str:
        return "".join(self.rng.choices(string.digits, k=count))

    def characters(self, count: int, alphabet: str = _ALNUM) -> str:
        return "".join(self.rng.choices(alphabet, k=count))

    def _email(self, locale: str) -> Made:
        faker, rng = self.fakers[locale], self.rng
        name = re.sub(r"[^a-z0-9._]", "", faker.user_name().lower()) or "anna"
        name = rng.choice((name, f"{name}.{self.digits(2)}", f"{name}+lists", name.title(), f"{name[0]}_{name}"))
        host = rng.choice(_MAIL_HOSTS)
        value = f"{name}@{host}"
        if rng.random() < 0.1:
            value = f"{name} [at] {host.replace('.', ' [dot] ')}"
        elif rng.random() < 0.1:
            value = f"{name} (at) {host}"
        return Made("email", value, _CUES["email"][locale[:2]])

    def _phone(self, locale: str) -> Made:
        region = locale[3:]
        number = self.phone_number(region)
        style = self.rng.choice((Format.E164, Format.INTERNATIONAL, Format.NATIONAL, Format.NATIONAL))
        value = phonenumbers.format_number(number, style)
        change = self.rng.random()
        if change < 0.15:
            value = re.sub(r"[ -]", self.rng.choice(".- "), value)
        elif change < 0.2 and value.startswith("+") and region not in ("US", "CA"):
            value = "00" + value[1:]
        return Made("phone", value, _CUES["phone"][locale[:2]])

    def phone_number(self, region: str) -> Any:
        """A number that is valid in a region."""
        kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
        example = phonenumbers.example_number_for_type(region, self.rng.choice(kinds))
        assert example is not None
        national = phonenumbers.national_significant_number(example)
        while True:
            made = national[:-6] + self.digits(6)
            number = phonenumbers.parse(f"+{example.country_code}{made}")
            if phonenumbers.is_valid_number_for_region(number, region):
                return number

    def _iban(self, locale: str) -> Made:
        faker = self.fakers[locale if locale[3:] not in ("US", "IN", "AU", "BR") else "de_DE"]
        value = faker.iban()
        value = self.rng.choice((value, " ".join(re.findall(".{1,4}", value)), value))
        return Made("iban", value, "IBAN")

    def _card(self, locale: str) -> Made:
        kind = self.rng.choice(("visa16", "mastercard", "amex", "discover"))
        value = self.fakers[locale].credit_card_number(kind)
        groups = ((4, 6, 5) if kind == "amex" else (4, 4, 4, 4)) if self.rng.random() < 0.6 else (len(value),)
        places = [sum(groups[:number]) for number in range(len(groups) + 1)]
        parts = [value[start:end] for start, end in pairwise(places)]
        return Made("card", self.rng.choice(" -").join(parts), _CUES["card"][locale[:2]])

    def _ip(self, locale: str) -> Made:
        rng = self.rng
        if rng.random() < 0.5:
            first = rng.choice([n for n in range(23, 223) if n not in (127, 100, 169, 172, 192, 198, 203)])
            return Made("ip", f"{first}.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}", "IP", "v4")
        if rng.random() < 0.3:
            return Made("ip", f"192.168.{rng.randrange(256)}.{rng.randrange(1, 255)}", "IP", "v4")
        groups = ["2a02", *(f"{rng.randrange(1, 65536):x}" for _ in range(7))]
        if rng.random() < 0.6:
            groups[rng.randrange(3, 6) :] = ["", f"{rng.randrange(1, 65536):x}"]
        return Made("ip", ":".join(groups), "IP", "v6")

    def _address(self, locale: str) -> Made:
        faker = self.fakers[locale]
        value = faker.address() if self.rng.random() < 0.5 else faker.street_address()
        return Made("address", value.strip().replace("\n", ", "), _CUES["address"][locale[:2]])

    def _wallet(self, locale: str) -> Made:
        if self.rng.random() < 0.3:
            return Made("wallet", "0x" + self.characters(40, "0123456789abcdef"), "Ethereum wallet")
        return Made("wallet", self.bitcoin(), "Bitcoin")

    def bitcoin(self) -> str:
        """A Bitcoin address with its checksum (base58check)."""
        alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
        payload = b"\0" + self.rng.randbytes(20)
        payload += hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
        number, text = int.from_bytes(payload), ""
        while number:
            number, rest = divmod(number, 58)
            text = alphabet[rest] + text
        return "1" * (len(payload) - len(payload.lstrip(b"\0"))) + text

    def _national_id(self, locale: str) -> Made:
        kind = self.rng.choice(ID_KINDS[locale])
        value, cue = IDS[kind](self)
        return Made("national_id", value, cue, kind)

    def valid(self, module: str, draw: Callable[[], str]) -> str:
        """The first drawn value that a module of python-stdnum takes."""
        check = importlib.import_module(f"stdnum.{module}").is_valid
        while True:
            value = draw()
            if check(value):
                return value

    def birthday(self, century: bool = False) -> str:
        year, month, day = self.rng.randrange(1940, 2000), self.rng.randrange(1, 13), self.rng.randrange(1, 28)
        return f"{year if century else year % 100:02d}{month:02d}{day:02d}"

    def _secret(self, locale: str) -> Made:
        made = self.characters
        upper = string.ascii_uppercase + "234567"
        secrets = (
            lambda: ("AWS key", f"AKIA{made(16, upper)}"),
            lambda: ("token", f"ghp_{made(36)}"),
            lambda: ("token", f"glpat-{made(20)}"),
            lambda: ("token", f"xoxb-{self.digits(12)}-{self.digits(12)}-{made(24)}"),
            lambda: ("key", f"sk_live_{made(24)}"),
            lambda: ("key", f"AIza{made(35)}"),
            lambda: ("key", f"sk-proj-{made(48)}"),
            lambda: ("token", f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ{made(20)}.{made(43)}"),
            lambda: ("API key", f"api_key: {made(32, '0123456789abcdef')}"),
            lambda: ("API key", f"api key {made(40)}"),
            lambda: ("config", f'password = "{made(8)}{self.digits(2)}!a"'),
            lambda: ("env", f"DB_PASSWORD={made(10)}#7k"),
            lambda: ("database", f"postgres://app:{made(14)}9@db.{made(6, 'abcdefgh')}.net:5432/main"),
            lambda: (
                "key file",
                f"-----BEGIN RSA PRIVATE KEY-----\n{made(64)}\n{made(64)}\n-----END RSA PRIVATE KEY-----",
            ),
            lambda: ("aws", f"aws_secret_access_key = {made(40)}"),
        )
        cue, value = self.rng.choice(secrets)()
        return Made("secret", value, cue)


_CUES = {
    "email": {
        "en": "E-mail",
        "de": "E-Mail",
        "fr": "Courriel",
        "es": "Correo",
        "it": "E-mail",
        "nl": "E-mail",
        "pl": "E-mail",
        "pt": "E-mail",
        "sv": "E-post",
    },
    "phone": {
        "en": "Phone",
        "de": "Telefon",
        "fr": "Téléphone",
        "es": "Teléfono",
        "it": "Telefono",
        "nl": "Telefoon",
        "pl": "Telefon",
        "pt": "Telefone",
        "sv": "Telefon",
    },
    "card": {
        "en": "Card",
        "de": "Kreditkarte",
        "fr": "Carte",
        "es": "Tarjeta",
        "it": "Carta",
        "nl": "Creditcard",
        "pl": "Karta",
        "pt": "Cartão",
        "sv": "Kort",
    },
    "address": {
        "en": "Address",
        "de": "Adresse",
        "fr": "Adresse",
        "es": "Dirección",
        "it": "Indirizzo",
        "nl": "Adres",
        "pl": "Adres",
        "pt": "Endereço",
        "sv": "Adress",
    },
}
FRAMES: dict[str, tuple[str, ...]] = {
    "email": (
        "Please write to {0} before Friday.",
        "{cue}: {0}",
        '{{"user": 17, "contact": "{0}"}}',
        "From: Anna <{0}>",
        "17;Anna;{0};active",
        "mailto:{0}",
        "Questions go to {0}, answers come back.",
    ),
    "phone": (
        "{cue}: {0}",
        "You can call me at {0} after six.",
        "Anna Berg, {0}",
        "{cue} {0}\nwww.berg-bau.net",
        '{{"phone": "{0}"}}',
        "Our office ({0}) is closed on Mondays.",
        "text {0} for details",
    ),
    "iban": (
        "{cue}: {0}",
        "Please transfer the rent to {0} by the first.",
        '{{"iban": "{0}"}}',
        "Konto {0} bei der Sparkasse",
        "{0};1200.00;EUR",
    ),
    "card": (
        "{cue}: {0}",
        "I paid with {0}, it expires 04/29.",
        '{{"number": "{0}", "cvv": "123"}}',
        "Charge {0} please.",
        "Anna;{0};12/27",
    ),
    "ip": (
        "{cue}: {0}",
        "The request came from {0} at noon.",
        '{0} - - [12/Mar/2024:10:11:12 +0000] "GET / HTTP/1.1" 200',
        "ping {0}",
        "Blocked {0} after nine failed logins.",
        '{{"remote_addr": "{0}"}}',
    ),
    "national_id": (
        "{cue}: {0}",
        "My {cue} is {0}, born in May.",
        "{cue} {0}",
        "Name;{cue}\nAnna;{0}",
        "Please enter your {cue} ({0}) below.",
    ),
    "address": (
        "{cue}: {0}",
        "She lives at {0} with two cats.",
        "Send it to {0}.",
        "Anna Berg\n{0}",
        "The shop at {0} has closed.",
    ),
    "secret": (
        "{cue}: {0}",
        "The {cue} is {0}",
        "export it first:\n{0}",
        "# {cue}\n{0}\n",
        "I pasted my {cue} here by mistake: {0} please ignore",
    ),
    "wallet": ("{cue}: {0}", "Donate {cue} to {0}.", "sent from my {cue} {0}"),
}


def positive(maker: Maker, entity: str, locale: str) -> tuple[str, Made]:
    """A sentence with one value, and the value."""
    made = maker.make(entity, locale)
    frame = maker.rng.choice(FRAMES[entity])
    return frame.format(made.value, cue=made.cue), made
