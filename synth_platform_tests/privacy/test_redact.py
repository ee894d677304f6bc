"""What is redacted is gone, everything else stays, and doing it twice changes nothing."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from synth_platform.privacy.config import Policy, PrivacySpec, entities_of, policy_of
from synth_platform.privacy.entities import find_entities
from synth_platform.privacy.redact import redact, redact_fully, rejections
from synth_platform.privacy.rules import ALL
from synth_platform_tests.privacy.test_entities import PIECES, TEXT

REDACT_ALL: dict[str, Policy] = dict.fromkeys((*ALL, "ipv4_private", "ipv6_private"), "redact")


def clean(text: str) -> str:
    return redact_fully(pl.Series([text]), REDACT_ALL)[0][0]


def test_the_same_value_has_the_same_placeholder() -> None:
    text = "a@web.de, b@web.de, A@WEB.DE; call +49 221 1234567."
    assert clean(text) == "[EMAIL_1], [EMAIL_2], [EMAIL_1]; call [PHONE_1]."


def test_spans_count_characters_not_bytes() -> None:
    assert clean("Grüße 🙂 an jörg@web.de und 日本") == "Grüße 🙂 an [EMAIL_1] und 日本"


def test_numbers_go_on_after_placeholders_that_are_there() -> None:
    assert clean("[EMAIL_4] and a@web.de") == "[EMAIL_4] and [EMAIL_5]"


def test_only_findings_of_the_policy_are_replaced() -> None:
    texts = pl.Series("text", ["a@web.de from 192.168.1.7 and 93.184.216.34", None, "nothing"])
    found = find_entities(texts)
    spec = PrivacySpec()
    result = redact(texts, found, spec.source)
    assert result.to_list() == ["[EMAIL_1] from 192.168.1.7 and [IP_1]", None, "nothing"]
    assert result.name == "text"


def test_texts_with_secrets_are_rejected_with_their_kinds() -> None:
    texts = pl.Series(["a@web.de", "AKIAI44QH8DHBABCDEFG and IBAN DE89370400440532013000", "CPF 529.982.247-25"])
    found = find_entities(texts)
    assert rejections(found, PrivacySpec().source).rows() == [(1, ["aws_access_key", "iban"]), (2, ["br_cpf"])]
    assert rejections(found, {"secret": "keep", "iban": "keep", "br_cpf": "keep"}).is_empty()


def test_what_is_rejected_is_not_redacted() -> None:
    text = "CPF 529.982.247-25"
    result, found = redact_fully(pl.Series([text]), PrivacySpec().source)
    assert result[0] == text and found["kind"].to_list() == ["br_cpf"]


@pytest.mark.parametrize("text", ['password = "hunter22!A"', "DB_PASSWORD=abcDEF123#7k", "my password is Tr0ub4dor&3."])
def test_a_placeholder_is_no_secret(text: str) -> None:
    once = clean(text)
    assert "[SECRET_1]" in once and clean(once) == once


@settings(max_examples=80)
@given(TEXT | st.lists(PIECES, max_size=14).map("".join))
def test_redacted_texts_have_nothing_to_redact(text: str) -> None:
    once = clean(text)
    assert find_entities(pl.Series([once]), entities_of(REDACT_ALL)).is_empty()
    assert clean(once) == once


@settings(max_examples=50)
@given(st.lists(PIECES, max_size=10).map("".join))
def test_what_is_not_found_stays(text: str) -> None:
    found = find_entities(pl.Series([text]))
    result = redact(pl.Series([text]), found, REDACT_ALL)[0]
    kept, place = [], 0
    for start, end in found.select("start", "end").iter_rows():
        kept.append(text[place:start])
        place = end
    kept.append(text[place:])
    position = 0
    for part in kept:
        position = result.index(part, position) + len(part)
    assert len(result) >= sum(map(len, kept))


def test_policies_have_defaults_and_exceptions() -> None:
    spec = PrivacySpec.model_validate({"source": {"ip": "reject", "email": "keep"}, "min_source_documents": 3})
    assert policy_of(spec.source, "ip", "ipv4_public") == "reject"
    assert policy_of(spec.source, "ip", "ipv4_private") == "keep"
    assert policy_of(spec.source, "email", "email") == "keep"
    assert policy_of(spec.output, "email", "email") == "redact"
    assert policy_of({}, "secret", "jwt") == "reject"
    assert "email" not in entities_of(spec.source) and "phone" in entities_of(spec.source)


@pytest.mark.parametrize(
    "values",
    [
        {"source": {"e-mail": "redact"}},
        {"source": {"email": "drop"}},
        {"regions": ["XX"]},
        {"output": {"person": "redact"}},
        {"min_source_documents": 0},
    ],
)
def test_wrong_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PrivacySpec.model_validate(values)
