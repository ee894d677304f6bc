"""Made-up national numbers of persons whose checksums fit, and the words that announce them."""

from __future__ import annotations

import importlib
import string
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_platform_tests.privacy.made import Maker


def grouped(value: str, *sizes: int, mark: str = " ") -> str:
    """The characters of a value in groups of these sizes."""
    parts, place = [], 0
    for size in sizes:
        parts.append(value[place : place + size])
        place += size
    return mark.join(parts)


def _nir(maker: Maker) -> str:
    body = maker.rng.choice("12") + maker.birthday()[:4] + "75" + maker.digits(3) + maker.digits(3)
    value = body + importlib.import_module("stdnum.fr.nir").calc_check_digits(body)
    return maker.rng.choice((value, grouped(value, 1, 2, 2, 2, 3, 3, 2)))


def _codice_fiscale(maker: Maker) -> str:
    letters = "".join(maker.rng.choices("BCDFGLMNPRSTV", k=6))
    day = f"{maker.rng.randrange(1, 28):02d}"
    body = f"{letters}{maker.digits(2)}{maker.rng.choice('ABCDEHLMPRST')}{day}H501"
    return body + importlib.import_module("stdnum.it.codicefiscale").calc_check_digit(body)


def _ssn(maker: Maker) -> str:
    return maker.valid(
        "us.ssn",
        lambda: (
            f"{maker.rng.randrange(1, 666):03d}-{maker.rng.randrange(1, 99):02d}-{maker.rng.randrange(1, 9999):04d}"
        ),
    )


IDS: dict[str, Callable[[Maker], tuple[str, str]]] = {
    "us_ssn": lambda m: (_ssn(m), "SSN"),
    "us_ssn_bare": lambda m: (_ssn(m).replace("-", ""), "Social Security number"),
    "gb_nino": lambda m: (
        m.rng.choice(("AB", "JK", "ZY")) + " " + grouped(m.digits(6), 2, 2, 2) + " " + m.rng.choice("ABCD"),
        "National Insurance number",
    ),
    "gb_nhs": lambda m: (grouped(m.valid("gb.nhs", lambda: m.digits(10)), 3, 3, 4), "NHS number"),
    "de_steuer_id": lambda m: (grouped(m.valid("de.idnr", lambda: m.digits(11)), 2, 3, 3, 3), "Steuer-ID"),
    "fr_nir": lambda m: (_nir(m), "numéro de sécurité sociale"),
    "es_dni": lambda m: (m.valid("es.dni", lambda: m.digits(8) + m.rng.choice(string.ascii_uppercase)), "DNI"),
    "es_nie": lambda m: (
        m.valid("es.nie", lambda: m.rng.choice("XYZ") + m.digits(7) + m.rng.choice(string.ascii_uppercase)),
        "NIE",
    ),
    "it_codice_fiscale": lambda m: (_codice_fiscale(m), "codice fiscale"),
    "nl_bsn": lambda m: (m.valid("nl.bsn", lambda: m.digits(9)), "BSN"),
    "pl_pesel": lambda m: (m.valid("pl.pesel", lambda: m.birthday() + m.digits(5)), "PESEL"),
    "br_cpf": lambda m: (m.valid("br.cpf", lambda: f"{m.digits(3)}.{m.digits(3)}.{m.digits(3)}-{m.digits(2)}"), "CPF"),
    "in_aadhaar": lambda m: (
        grouped(m.valid("in_.aadhaar", lambda: m.rng.choice("23456789") + m.digits(11)), 4, 4, 4),
        "Aadhaar",
    ),
    "in_pan": lambda m: (
        m.valid(
            "in_.pan",
            lambda: (
                m.characters(3, string.ascii_uppercase)
                + "P"
                + m.characters(1, string.ascii_uppercase)
                + m.digits(4)
                + m.characters(1, string.ascii_uppercase)
            ),
        ),
        "PAN",
    ),
    "se_personnummer": lambda m: (
        m.valid("se.personnummer", lambda: f"{m.birthday(True)}-{m.digits(4)}"),
        "personnummer",
    ),
    "fi_hetu": lambda m: (
        m.valid(
            "fi.hetu",
            lambda: f"{_european(m)}-{m.rng.randrange(2, 899):03d}{m.rng.choice('0123456789ABCDEFHJKLMNPRSTUVWXY')}",
        ),
        "henkilötunnus",
    ),
    "no_fodselsnummer": lambda m: (m.valid("no.fodselsnummer", lambda: _european(m) + m.digits(5)), "fødselsnummer"),
    "dk_cpr": lambda m: (m.valid("dk.cpr", lambda: f"{_european(m)}-{m.digits(4)}"), "CPR-nr."),
    "ca_sin": lambda m: (m.valid("ca.sin", lambda: f"{m.rng.randrange(100, 799)} {m.digits(3)} {m.digits(3)}"), "SIN"),
    "au_tfn": lambda m: (m.valid("au.tfn", lambda: f"{m.digits(3)} {m.digits(3)} {m.digits(3)}"), "TFN"),
}
ID_KINDS = {
    "en_US": ("us_ssn", "us_ssn_bare"), "en_GB": ("gb_nino", "gb_nhs"), "de_DE": ("de_steuer_id",),
    "fr_FR": ("fr_nir",), "es_ES": ("es_dni", "es_nie"), "it_IT": ("it_codice_fiscale",), "nl_NL": ("nl_bsn",),
    "pl_PL": ("pl_pesel",), "pt_BR": ("br_cpf",), "en_IN": ("in_aadhaar", "in_pan"),
    "sv_SE": ("se_personnummer", "fi_hetu", "no_fodselsnummer", "dk_cpr"), "en_AU": ("au_tfn", "ca_sin"),
}  # fmt: skip


def _european(maker: Maker) -> str:
    day = maker.birthday()
    return day[4:] + day[2:4] + day[:2]
