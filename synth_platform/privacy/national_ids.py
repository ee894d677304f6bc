"""Rules for national identity, tax and health numbers of persons, one row per kind.

A number counts if its checksum fits (python-stdnum; structure rules where there is none) and it either has a form that
little else has, or a word beside it says what it is.
"""

import importlib
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, cast

from synth_platform.privacy.rules import NUMBERS, RESERVED, Hit, Rule, near, numbers_a_thing, words


@dataclass(frozen=True)
class _Number:
    """A kind of number.

    Args:
        kind: its name.
        module: module of python-stdnum that checks it; empty: its pattern is all there is.
        strict: a form that needs no cue (regular expression of both Rust and Python); empty: none.
        loose: a form that needs one; empty: none.
        cue: words that announce it (regular expressions).
    """

    kind: str
    module: str
    strict: str
    loose: str
    cue: tuple[str, ...]


_NUMBERS = (
    _Number("us_ssn", "us.ssn", r"[0-9]{3}-[0-9]{2}-[0-9]{4}", r"[0-9]{3}[ ]?[0-9]{2}[ ]?[0-9]{4}",
            ("ssn", r"social security", "soc sec")),
    _Number("us_itin", "us.itin", r"", r"9[0-9]{2}[- ]?[0-9]{2}[- ]?[0-9]{4}", ("itin", r"taxpayer identification")),
    _Number("gb_nino", "", r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]", "",
            ("nino", r"national insurance", r"ni (?:number|no)")),
    _Number("gb_nhs", "gb.nhs", "", r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{4}", ("nhs",)),
    _Number("gb_utr", "gb.utr", "", r"[0-9]{5} ?[0-9]{5}", ("utr", "unique taxpayer")),
    _Number("ie_pps", "ie.pps", "", r"[0-9]{7}[A-W][AHWTX]?", (r"ppsn?", "personal public service")),
    _Number("de_steuer_id", "de.idnr", "", r"[0-9]{2}[ ]?[0-9]{3}[ ]?[0-9]{3}[ ]?[0-9]{3}",
            (r"steuer\W?(?:liche )?id\w*", r"steuerliche\w* id\w*", r"idnr", r"tin", r"tax id\w*", r"steuernummer")),
    _Number("at_svnr", "at.vnr", "", r"[0-9]{4}[ ]?[0-9]{6}",
            (r"sv-?nr", r"svnr", r"sozialversicherungsnummer", r"versicherungsnummer")),
    _Number("ch_ahv", "ch.ssn", r"756\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}", r"756[0-9]{10}", (r"ahv\w*", r"avs", r"ssn")),
    _Number("fr_nir", "fr.nir",
            r"[1278] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", "",
            ("nir", "sécurité sociale", "insee")),
    _Number("be_nn", "be.nn", r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}", r"[0-9]{11}",
            (r"rijksregisternummer", r"registre national", r"niss", r"insz", r"national (?:register )?number")),
    _Number("nl_bsn", "nl.bsn", "", r"[0-9]{9}|[0-9]{4}[. ][0-9]{2}[. ][0-9]{3}|[0-9]{3}[. ][0-9]{3}[. ][0-9]{3}",
            (r"bsn(?:-nummer)?", r"burgerservicenummer", r"sofi-?nummer", r"citizen service number")),
    _Number("es_dni", "es.dni", r"[0-9]{8}-?[A-Z]|[0-9]{2}\.[0-9]{3}\.[0-9]{3}-?[A-Z]", "", ("dni", "nif")),
    _Number("es_nie", "es.nie", r"[XYZ]-?[0-9]{7}-?[A-Z]", "", ("nie",)),
    _Number("pt_nif", "pt.nif", "", r"[1-3][0-9]{2}[ ]?[0-9]{3}[ ]?[0-9]{3}", 
            ("nif", "contribuinte", "número fiscal")),
    _Number("pt_cc", "pt.cc", r"[0-9]{8}[ -][0-9][ -]?[A-Z0-9]{2}[0-9]", r"[0-9]{9}[A-Z0-9]{2}[0-9]",
            (r"cart[aã]o de cidad[aã]o", "citizen card")),
    _Number("it_codice_fiscale", "it.codicefiscale",
            r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]", "",
            ("codice fiscale",)),
    _Number("pl_pesel", "pl.pesel", "", r"[0-9]{11}", ("pesel\\w*",)),
    _Number("cz_rc", "cz.rc", "", r"[0-9]{6}/?[0-9]{3,4}", (r"rodné číslo", r"r\. ?č\.?", "birth number")),
    _Number("ro_cnp", "ro.cnp", "", r"[1-8][0-9]{12}", ("cnp", "cod numeric personal")),
    _Number("bg_egn", "bg.egn", "", r"[0-9]{10}", ("egn", "егн")),
    _Number("hr_oib", "hr.oib", "", r"[0-9]{11}", ("oib",)),
    _Number("ee_ik", "ee.ik", "", r"[1-8][0-9]{10}", ("isikukood\\w*", "personal (?:id )?code")),
    _Number("lt_asmens_kodas", "lt.asmens", "", r"[1-9][0-9]{10}", (r"asmens kod\w*", "personal code")),
    _Number("gr_amka", "gr.amka", "", r"[0-9]{11}", ("amka", "αμκα")),
    _Number("se_personnummer", "se.personnummer", r"(?:[0-9]{2})?[0-9]{6}[-+][0-9]{4}", r"(?:[0-9]{2})?[0-9]{10}",
            (r"person\w*nummer", "personnr", "pnr", "personal (?:identity |id )?number")),
    _Number("dk_cpr", "dk.cpr", "", r"[0-9]{6}[- ]?[0-9]{4}", (r"cpr\S*", r"personnummer\w*", "civil registration")),
    _Number("no_fodselsnummer", "no.fodselsnummer", "", r"[0-9]{6} ?[0-9]{5}",
            (r"fødselsn\w*", r"fodselsn\w*", r"personnummer", "fnr", "national identity number", "birth number")),
    _Number("fi_hetu", "fi.hetu", r"[0-9]{6}[-+ABCDEFYXWVU][0-9]{3}[0-9A-FHJ-NPR-Y]", "", ("hetu", "henkilötunnus")),
    _Number("tr_kimlik", "tr.tckimlik", "", r"[1-9][0-9]{10}", (r"t\.?c\.? ?kimlik\w*", "kimlik no", "tckn")),
    _Number("il_tz", "il.idnr", "", r"[0-9]{9}", ("teudat zehut", "ת\"ז", "תעודת זהות", "israeli id")),
    _Number("za_id", "za.idnr", "", r"[0-9]{6} ?[0-9]{4} ?[0-9]{3}", ("id (?:number|no)", "identity number", "sa id")),
    _Number("ca_sin", "ca.sin", "", r"[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3}",
            (r"(?-i:SIN)", r"social insurance", r"assurance sociale", r"(?-i:NAS)")),
    _Number("mx_curp", "mx.curp", r"[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", "", ("curp",)),
    _Number("br_cpf", "br.cpf", r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", r"[0-9]{9}-?[0-9]{2}", ("cpf",)),
    _Number("cl_rut", "cl.rut", r"[0-9]{1,2}\.[0-9]{3}\.[0-9]{3}-[0-9Kk]", r"[0-9]{7,8}-?[0-9Kk]",
            ("rut", "rol único")),
    _Number("ar_cuit", "ar.cuit", "", r"2[0-9]-?[0-9]{8}-?[0-9]", ("cui[tl]",)),
    _Number("in_aadhaar", "in_.aadhaar", "", r"[2-9][0-9]{3}[ -]?[0-9]{4}[ -]?[0-9]{4}",
            (r"a+dh?aa?r", "uidai", "uid", "आधार")),
    _Number("in_pan", "in_.pan", r"[A-Z]{3}P[A-Z][0-9]{4}[A-Z]", r"[A-Z]{5}[0-9]{4}[A-Z]",
            ("(?-i:PAN)", "permanent account")),
    _Number("cn_ric", "cn.ric", r"[1-9][0-9]{5}(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9][0-9]{3}[0-9Xx]", "",
            ("身份证\\w*", "resident identity")),
    _Number("kr_rrn", "kr.rrn", r"[0-9]{6}-[0-9]{7}", r"[0-9]{13}", ("주민등록번호", "rrn", "resident registration")),
    _Number("jp_my_number", "jp.in_", "", r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
            ("マイナンバー", "個人番号", "my number", "individual number")),
    _Number("th_pin", "th.pin", r"[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]", r"[1-8][0-9]{12}",
            ("เลขประจำตัวประชาชน", "thai id", "citizen id")),
    _Number("my_nric", "my.nric", r"", r"[0-9]{6}-?[0-9]{2}-?[0-9]{4}", ("nric", "mykad", "kad pengenalan", "ic no")),
    _Number("id_nik", "id.nik", "", r"[0-9]{16}", ("nik", "nomor induk kependudukan", "ktp")),
    _Number("au_tfn", "au.tfn", "", r"[0-9]{3} ?[0-9]{3} ?[0-9]{2,3}", ("tfn", r"tax file")),
    _Number("nz_ird", "nz.ird", "", r"[0-9]{2,3}-?[0-9]{3}-?[0-9]{3}", (r"(?-i:IRD)", "inland revenue")),
)  # fmt: skip
_RESERVED_SSN = frozenset({"078051120", "219099999", "457555462", "123456789"})
"""Printed on sample cards and in advertisements, never valid again (Social Security Administration)."""
_CUED_BEFORE, _CUED_AFTER = 48, 24


def _rule(number: _Number) -> Rule:
    forms = "|".join(form for form in (number.strict, number.loose) if form)
    cue = words(*number.cue)
    return Rule(
        "national_id",
        (number.kind, number.kind + RESERVED) if number.kind == "us_ssn" else (number.kind,),
        re.compile(rf"(?<![\w./@#$€£+])(?<!\w-)(?:{forms})(?![\w]|[-./][0-9])"),
        _Checked(number, cue),
        "|".join(part for part in (number.strict, f"(?i:{'|'.join(number.cue)})" if number.loose else "") if part),
        rf"{NUMBERS}|[A-Z]{{4}}[A-Z0-9]{{2}}|[0-9]{{6}}",
    )


class _Checked:
    """The check of one kind of number."""

    def __init__(self, number: _Number, cue: re.Pattern[str]) -> None:
        self._number, self._cue = number, cue
        self._strict = re.compile(number.strict) if number.strict else None
        self._module: ModuleType | None = None

    def __call__(self, text: str, match: re.Match[str]) -> Hit | None:
        start, end = match.span()
        cued = near(self._cue, text, start, end, _CUED_BEFORE, _CUED_AFTER)
        if not cued and (not self._strict or not self._strict.fullmatch(match[0]) or numbers_a_thing(text, start)):
            return None
        value = re.sub(r"[\s./-]", "", match[0]).upper()
        if not self._valid(match[0]):
            return None
        reserved = RESERVED if self._number.kind == "us_ssn" and value in _RESERVED_SSN else ""
        return Hit(self._number.kind + reserved, start, end, f"{self._number.kind}:{value}")

    def _valid(self, value: str) -> bool:
        if not self._number.module:
            return value[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")
        if self._module is None:
            self._module = importlib.import_module(f"stdnum.{self._number.module}")
        compact = re.sub(r"\D", "", value)
        if self._number.kind == "us_ssn":
            return compact in _RESERVED_SSN or cast(Any, self._module).is_valid(value)
        if len(set(compact)) == 1:
            return False
        return bool(cast(Any, self._module).is_valid(value))


RULES = tuple(_rule(number) for number in _NUMBERS)
