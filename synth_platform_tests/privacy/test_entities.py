"""What is personal data is found where it stands; what only looks like it is left alone."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_platform.privacy.entities import FOUND, find_entities, kinds, rules
from synth_platform.privacy.rules import ALL, ENTITIES
from synth_platform_tests.privacy.lookalikes import NEGATIVES
from synth_platform_tests.privacy.made import FRAMES, LOCALES, Maker, positive

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
PIECES = st.sampled_from(
    [
        "a@b.de", "+49 221 1234567", "(", ")", " ", "\n", "DE89370400440532013000", "password = ", "4",
        '"x9!Abcdef"',
        "https://u:Pw1!x@h.de", "0221 1234567", "1", "/", "Hauptstraße 1", "4539148803436467", "2a02::1:2", "x",
    ]
)  # fmt: skip
CASES = [
    ("Write to jane.doe+x@mail.co.uk.", "email", "jane.doe+x@mail.co.uk"),
    ("mailto:Bob@Web.de", "email", "Bob@Web.de"),
    ("jörg@müller.de wrote", "email", "jörg@müller.de"),
    ("jane (at) web [dot] de", "email_obfuscated", "jane (at) web [dot] de"),
    ("e-mail me: jane at web dot de", "email_obfuscated", "jane at web dot de"),
    ("pay DE89 3704 0044 0532 0130 00 now", "iban", "DE89 3704 0044 0532 0130 00"),
    ("IBAN gb29nwbk60161331926819", "iban", "gb29nwbk60161331926819"),
    ("paid with 4539 1488 0343 6467 today", "card", "4539 1488 0343 6467"),
    ("amex 3714-496353-98431", "card_reserved", "3714-496353-98431"),
    ("from 93.184.216.34 at noon", "ipv4_public", "93.184.216.34"),
    ("host 192.168.1.7 is up", "ipv4_private", "192.168.1.7"),
    ("listening on 127.0.0.1:80", "ipv4_reserved", "127.0.0.1"),
    ("ping6 2a02:8108:96bf::3e", "ipv6_public", "2a02:8108:96bf::3e"),
    ("fe80::1ff:fe23:4567:890a", "ipv6_private", "fe80::1ff:fe23:4567:890a"),
    ("number 536-90-4399 is hers", "us_ssn", "536-90-4399"),
    ("Social Security number: 536904399", "us_ssn", "536904399"),
    ("AB 12 34 56 C", "gb_nino", "AB 12 34 56 C"),
    ("CPF 529.982.247-25", "br_cpf", "529.982.247-25"),
    ("PESEL 44051401359", "pl_pesel", "44051401359"),
    ("codice fiscale RSSMRA85T10A562S", "it_codice_fiscale", "RSSMRA85T10A562S"),
    ("DNI 12345678Z", "es_dni", "12345678Z"),
    ("call +49 221 1234567 now", "phone", "+49 221 1234567"),
    ("(212) 456-7890", "phone", "(212) 456-7890"),
    ("212-456-7890 x123", "phone", "212-456-7890 x123"),
    ("06 12 34 56 79", "phone", "06 12 34 56 79"),
    ("Tel. 0221/1234567", "phone", "0221/1234567"),
    ("lives at 12 Main Street, Springfield, IL 62704", "street_address", "12 Main Street, Springfield, IL 62704"),
    ("Hauptstraße 12a, 50667 Köln", "street_address", "Hauptstraße 12a, 50667 Köln"),
    ("12 bis, rue de la Paix, 75002 Paris", "street_address", "12 bis, rue de la Paix, 75002 Paris"),
    ("Calle de Alcalá, 45", "street_address", "Calle de Alcalá, 45"),
    ("ul. Willowa 97", "street_address", "ul. Willowa 97"),
    ("PO Box 1234", "po_box", "PO Box 1234"),
    ("AKIAI44QH8DHBABCDEFG", "aws_access_key", "AKIAI44QH8DHBABCDEFG"),
    ("AKIAIOSFODNN7EXAMPLE", "aws_access_key_reserved", "AKIAIOSFODNN7EXAMPLE"),
    ("postgres://bob:s3cr3tpw@db.site.com/x", "connection_string", "bob:s3cr3tpw"),
    ('password = "hunter22!A"', "assigned_secret", "hunter22!A"),
    ("my password is Tr0ub4dor&3.", "password", "Tr0ub4dor&3"),
    ("the api key 9f86d081884c7d659a2feaa0c55ad015", "random_secret", "9f86d081884c7d659a2feaa0c55ad015"),
    ("send to 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "bitcoin_address", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"),
]


def find(text: str, *, reserved: bool = False) -> list[tuple[str, str]]:
    found = find_entities(pl.Series([text]), reserved=reserved)
    return [(kind, text[start:end]) for kind, start, end in found.select("kind", "start", "end").iter_rows()]


@pytest.mark.parametrize(("text", "kind", "value"), CASES)
def test_found_where_it_stands(text: str, kind: str, value: str) -> None:
    assert find(text, reserved=True) == [(kind, value)]


@pytest.mark.parametrize("entity", FRAMES)
def test_most_made_up_values_are_found(entity: str) -> None:
    maker = Maker(11)
    rows = [positive(maker, entity, LOCALES[number % len(LOCALES)]) for number in range(240)]
    found = find_entities(pl.Series([text for text, _ in rows]))
    hit = set(found.filter(pl.col("entity") == entity)["row"])
    least = {"address": 0.6, "phone": 0.95}.get(entity, 0.99)
    assert len(hit) >= least * len(rows), [text for row, (text, _) in enumerate(rows) if row not in hit][:5]


@pytest.mark.parametrize("name", NEGATIVES)
def test_lookalikes_are_left_alone(name: str) -> None:
    maker = Maker(12)
    texts = [NEGATIVES[name](maker) for _ in range(60)]
    found = find_entities(pl.Series(texts))
    assert not len(found), [texts[row] for row in found["row"].unique()][:3]


@pytest.mark.parametrize(
    "text",
    [
        "PESEL 44051401358", "CPF 529.982.247-26", "DNI 12345678A", "RSSMRA85T10A562T", "SSN 666-12-3456",
        "BSN 111222334", "SIN 130 692 545", "Aadhaar 2341 2341 2347", "131052-308U", "DE88 3704 0044 0532 0130 00",
        "4539 1488 0343 6468", "Steuer-ID 36574261808", "send to 1BoatSLRHtKNngkdXEeobR76b53LETtpyU",
    ],
)  # fmt: skip
def test_a_wrong_check_digit_is_no_finding(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize("value", ["44051401359", "111222333", "130 692 544", "2341 2341 2346", "36574261809"])
def test_bare_digits_are_no_national_number_without_a_cue(value: str) -> None:
    assert find(f"It says {value} on the box.") == []


@pytest.mark.parametrize(
    ("text", "entities"),
    [
        ("postgres://bob:s3cr3tpw@db.site.com", ["secret"]),  # not an e-mail address
        ("CPF 012.345.678-90, not a phone", ["national_id"]),
        ("IBAN DE89 3704 0044 0532 0130 00, Tel. 0221 1234567", ["iban", "phone"]),
    ],
)
def test_of_overlapping_findings_one_stands(text: str, entities: list[str]) -> None:
    found = find_entities(pl.Series([text]))
    assert found["entity"].to_list() == entities


def test_values_that_belong_to_nobody_are_left_out_by_default() -> None:
    text = "ada@example.com, 127.0.0.1, 203.0.113.9, 4111 1111 1111 1111, SSN 078-05-1120, 2001:db8::1"
    assert find(text) == []
    assert {kind for kind, _ in find(text, reserved=True)} == {
        "email_reserved", "ipv4_reserved", "card_reserved", "us_ssn_reserved", "ipv6_reserved",
    }  # fmt: skip


def test_equal_values_have_equal_digests_and_no_value_is_shown() -> None:
    texts = ["Tel. 0221 1234567", "+49 221 1234567", "A@Web.de", "a@web.de", None, ""]
    found = find_entities(pl.Series(texts))
    assert found.schema == FOUND
    assert found["row"].to_list() == [0, 1, 2, 3]
    digests = found["digest"].to_list()
    assert digests[0] == digests[1] != digests[2] == digests[3]
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in digests)


def test_only_what_is_asked_for_is_found() -> None:
    text = pl.Series(["a@web.de, +49 221 1234567"])
    assert find_entities(text, ["phone"])["entity"].to_list() == ["phone"]
    assert find_entities(text, [])["entity"].to_list() == []


def test_national_formats_need_their_region() -> None:
    text = pl.Series(["Tel. 0221 1234567"])
    assert len(find_entities(text, ["phone"], regions=["DE"])) == 1
    assert len(find_entities(text, ["phone"], regions=["US"])) == 0


def test_no_filter_loses_what_its_pattern_would_find() -> None:
    maker, entities = Maker(13), tuple(FRAMES)
    texts = [positive(maker, entities[n % len(entities)], LOCALES[n % len(LOCALES)])[0] for n in range(1_000)]
    texts += [text for text, _, _ in CASES]
    for rule in rules():
        hits = [text for text in texts if any(rule.check(text, match) for match in rule.pattern.finditer(text))]
        passed = pl.Series(hits, dtype=pl.String()).str.contains(rule.prefilter)
        passed &= pl.Series(hits, dtype=pl.String()).str.contains(rule.screen)
        assert passed.all(), (rule.kinds, [text for text, kept in zip(hits, passed, strict=True) if not kept][:3])


def test_every_kind_has_an_entity() -> None:
    assert set(kinds().values()) == set(ENTITIES) and set(ALL) == set(ENTITIES) - {"person"}


@settings(max_examples=80)
@given(st.lists(TEXT | st.lists(PIECES, max_size=12).map("".join), max_size=4))
def test_spans_lie_in_their_texts_and_do_not_overlap(texts: list[str]) -> None:
    found = find_entities(pl.Series(texts, dtype=pl.String()), reserved=True)
    last = (-1, 0)
    for row, start, end in found.select("row", "start", "end").iter_rows():
        assert 0 <= start < end <= len(texts[row])
        assert row > last[0] or start >= last[1]
        last = (row, end)


@settings(max_examples=40)
@given(st.lists(PIECES, max_size=12).map("".join), st.lists(TEXT, min_size=1, max_size=3))
def test_a_text_has_the_same_findings_in_any_batch(text: str, others: list[str]) -> None:
    alone = find_entities(pl.Series([text])).drop("row")
    among = find_entities(pl.Series([*others, text])).filter(pl.col("row") == len(others)).drop("row")
    assert alone.equals(among)


def test_a_book_on_programming_has_examples_only(shared_data: Path) -> None:
    with gzip.open(shared_data / "sources" / "rust_book.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    found = find_entities(pl.Series(texts), reserved=True)
    assert set(found["kind"]) == {"email_reserved", "ipv4_reserved", "ipv6_reserved"}
