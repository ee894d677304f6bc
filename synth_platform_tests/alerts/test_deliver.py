"""Alerts reach Slack, a webhook and a mailbox, are tried a few times, and never say a secret or raise."""

import email
import email.policy
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from synth_platform.alerts import deliver as module
from synth_platform.alerts.config import EmailChannel, SlackChannel, WebhookChannel, instance_channels
from synth_platform.alerts.deliver import deliver
from synth_platform.alerts.message import Alert, ClosedGate
from synth_platform.errors import SpecError
from synth_platform_tests.alerts.stand_ins import guarded_mail_server, mail_server, web_service
from synth_platform_tests.conftest import free_port

GATE = ClosedGate("small/quality/table", "acceptance", 0.4213, "at least 0.8")
ALERT = Alert(
    "gate", "small", "small 2026-01-05: a gate closed", "2026-01-05", "1234", (GATE,), link="https://dagster/runs/1234"
)
SLACK = SlackChannel(type="slack", url_env="TEST_HOOK")
WEBHOOK = WebhookChannel(type="webhook", url_env="TEST_HOOK", token_env="TEST_TOKEN")
EMAIL = EmailChannel(type="email", to=["ann@example.org", "bob@example.org"], smtp_env="TEST_SMTP")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)


def test_slack_gets_a_text_for_people(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with web_service() as service:
        assert deliver(SLACK, ALERT, {"TEST_HOOK": service.url}) is None
    assert service.bodies[0]["text"].splitlines() == [
        "*small 2026-01-05: a gate closed*",
        "small/quality/table · acceptance: observed 0.4213, at least 0.8",
        "https://dagster/runs/1234",
    ]
    assert "s3cr3tp4rt" not in caplog.text


def test_a_webhook_gets_the_parts_and_a_bearer_token() -> None:
    with web_service() as service:
        assert deliver(WEBHOOK, ALERT, {"TEST_HOOK": service.url, "TEST_TOKEN": "t0k3n-of-test"}) is None
    (body,) = service.bodies
    assert body["event"] == "gate" and body["dataset"] == "small" and body["partition"] == "2026-01-05"
    gate = {"asset": "small/quality/table", "gate": "acceptance", "observed": 0.4213, "bounds": "at least 0.8"}
    assert body["gates"] == [gate] and body["link"].endswith("/runs/1234")
    assert service.headers[0]["Authorization"] == "Bearer t0k3n-of-test"


def test_mail_arrives_with_subject_and_recipients() -> None:
    with mail_server() as server:
        assert deliver(EMAIL, ALERT, {"TEST_SMTP": server.url}) is None
    message = email.message_from_string(server.bodies[0], policy=email.policy.default)
    assert message["Subject"] == "small 2026-01-05: a gate closed"
    assert message["To"] == "ann@example.org, bob@example.org"
    assert "acceptance: observed 0.4213, at least 0.8" in message.get_content()


@pytest.mark.parametrize(
    ("statuses", "tries", "arrived"),
    [((500, 200), 2, True), ((503, 429, 200), 3, True), ((500,), 3, False), ((404,), 1, False), ((302,), 3, False)],
)
def test_a_service_in_trouble_is_tried_again_a_few_times(statuses: tuple[int, ...], tries: int, arrived: bool) -> None:
    with web_service(statuses) as service:
        problem = deliver(SLACK, ALERT, {"TEST_HOOK": service.url})
    assert len(service.bodies) == tries and (problem is None) == arrived


@pytest.mark.parametrize("channel", [SLACK, EMAIL])
def test_nobody_there_is_told_and_not_raised(channel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_HOOK", f"http://127.0.0.1:{free_port()}/services/s3cr3tp4rt")
    monkeypatch.setenv("TEST_SMTP", f"smtp://127.0.0.1:{free_port()}")
    problem = deliver(channel, ALERT)
    assert problem is not None and "(3 tries)" in problem and "s3cr3tp4rt" not in problem


@pytest.mark.parametrize(
    ("channel", "variables", "expected"),
    [
        (SLACK, {}, "TEST_HOOK is not set"),
        (SLACK, {"TEST_HOOK": "hooks.slack.com/s3cr3t"}, "no http address"),
        (SLACK, {"TEST_HOOK": "file:///etc/passwd"}, "no http address"),
        (EMAIL, {"TEST_SMTP": "mail.example.org"}, "TEST_SMTP is no smtp:// or smtps:// address"),
        (EMAIL, {"TEST_SMTP": "smtp://ann:s3cr3t#x@mail.example.org:587"}, "TEST_SMTP cannot be read as an address"),
        (EMAIL, {"TEST_SMTP": "smtp://ann:s3cr3t[x@mail.example.org:587"}, "TEST_SMTP cannot be read as an address"),
        (WEBHOOK, {"TEST_HOOK": "http://127.0.0.1:9/", "TEST_TOKEN": "s3cr3t\u20ac"}, "cannot be sent"),
    ],
)
def test_a_wrong_address_is_not_tried_again(channel: Any, variables: dict[str, str], expected: str) -> None:
    problem = deliver(channel, ALERT, variables)
    assert problem is not None and expected in problem and "s3cr3t" not in problem


def test_what_json_and_channels_cannot_hold_is_sent_in_other_words() -> None:
    gate = ClosedGate("small/quality/faq", "mean", math.nan, "half of a character: \ud83d")
    alert = replace(ALERT, title="half \ud83d", gates=(gate,))
    with web_service() as service, mail_server() as server:
        assert deliver(WEBHOOK, alert, {"TEST_HOOK": service.url, "TEST_TOKEN": "t0k3n-of-test"}) is None
        assert deliver(EMAIL, alert, {"TEST_SMTP": server.url}) is None
    (body,) = service.bodies
    assert body["gates"][0]["observed"] == "nan" and body["title"] == "half ?"
    assert "observed nan, half of a character: ?" in body["text"]


def test_a_mailbox_that_refuses_is_told() -> None:
    with mail_server(refuses=True) as server:
        assert deliver(EMAIL, ALERT, {"TEST_SMTP": server.url}) == "the mail server refused: SMTPRecipientsRefused"


def test_a_password_is_never_sent_without_encryption() -> None:
    with mail_server() as server:
        problem = deliver(EMAIL, ALERT, {"TEST_SMTP": server.url.replace("://", "://me:pa55word99@")})
    assert problem == "the mail server refused: SMTPNotSupportedError" and server.bodies == []


def test_mail_goes_through_starttls_and_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with guarded_mail_server(tmp_path, "ann@example.org", "pa55 word%99") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.pem"))
        address = server.url.replace("://", "://ann%40example.org:pa55%20word%2599@")
        assert deliver(EMAIL, ALERT, {"TEST_SMTP": address}) is None
    message = email.message_from_string(server.bodies[0], policy=email.policy.default)
    assert message["Subject"] == "small 2026-01-05: a gate closed" and server.logins == [True]


def test_a_wrong_password_is_said_once_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with guarded_mail_server(tmp_path, "ann", "pa55word99") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "mail.pem"))
        problem = deliver(EMAIL, ALERT, {"TEST_SMTP": server.url.replace("://", "://ann:wr0ngword77@")})
    assert problem == "the mail server refused user and password of TEST_SMTP"
    assert server.logins == [False] and server.bodies == [] and "wr0ngword77" not in caplog.text


def test_a_stranger_who_says_to_be_the_mail_server_gets_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with guarded_mail_server(tmp_path, "ann", "pa55word99") as server:
        problem = deliver(EMAIL, ALERT, {"TEST_SMTP": server.url.replace("://", "://ann:pa55word99@")})
    assert problem is not None and "certificate verify failed" in problem and server.logins == []


def test_a_message_is_short_safe_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abcdefghijklmnop")
    problems = ("no access with hf_abcdefghijklmnop, <!channel> see <http://evil|here>", "x" * 5000)
    alert = Alert("run", "small", "small: failed\r\nBcc: all@example.org", problems=problems, gates=(GATE,) * 30)
    with web_service() as service, mail_server() as server:
        assert deliver(SLACK, alert, {"TEST_HOOK": service.url}) is None
        assert deliver(EMAIL, alert, {"TEST_SMTP": server.url}) is None
    text = service.bodies[0]["text"]
    assert "and 20 more" in text and len(text) < 12_000
    few = Alert("run", "small", "small: failed", problems=problems)
    assert "[HF_TOKEN]" in "\n".join(few.lines()) and "hf_abc" not in "\n".join(few.lines())
    with web_service() as service:
        assert deliver(SLACK, few, {"TEST_HOOK": service.url}) is None
    assert "<" not in service.bodies[0]["text"], "a message could mention everybody, or hide a link"
    headers = email.message_from_string(server.bodies[0], policy=email.policy.default)
    assert headers["Bcc"] is None


def test_channels_of_the_instance_come_from_the_environment() -> None:
    assert instance_channels({}) == ()
    text = '[{"type": "slack", "url_env": "TEST_HOOK"}, {"type": "email", "to": ["a@b"], "events": ["late"]}]'
    slack, mail = instance_channels({"SYNTH_ALERTS": text})
    assert slack == SLACK and mail.events == ["late"]
    for wrong in ("{}", "no json", '[{"type": "slack", "url_env": "https://hooks.slack.com/services/T/B/x"}]'):
        with pytest.raises(SpecError, match="SYNTH_ALERTS") as caught:
            instance_channels({"SYNTH_ALERTS": wrong})
        assert "hooks.slack.com" not in str(caught.value)


@pytest.mark.parametrize("address", ["nobody", "a@b\nBcc: c@d", "a@b, c@d", "<a@b>"])
def test_addresses_are_checked(address: str) -> None:
    with pytest.raises(ValidationError, match="no e-mail address"):
        EmailChannel(type="email", to=[address])
