"""Send an alert to a channel: a few tries, each with a deadline; failing is told, never raised."""

import logging
import os
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

import httpx

from synth_platform.alerts.config import Channel, EmailChannel, SlackChannel, WebhookChannel
from synth_platform.alerts.message import Alert
from synth_platform.secrecy import scrub

_TRIES = 3
_PAUSE_SECONDS = 1.0
_DEADLINE_SECONDS = 10.0
# httpx writes the address of every request into its log, and these addresses are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)
_SLACK_SPECIAL = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class _Refused(Exception):
    """Trying again will not help."""


class Refusal(str):
    """Why a channel does not take a message, where trying again will not help."""


def deliver(
    channel: Channel, alert: Alert, variables: Mapping[str, str] = os.environ, *, seconds: float = 60.0
) -> str | None:
    """Send it; None if it arrived, else why not, in words without secrets.

    Args:
        channel: where to.
        alert: what.
        variables: environment variables, some of which hold addresses and passwords.
        seconds: how long to try, about.
    """
    until = time.monotonic() + seconds
    problem, tries = "", 0
    while tries < _TRIES and (left := until - time.monotonic() - _pause(tries)) > 0:
        time.sleep(_pause(tries))
        tries += 1
        try:
            _send(channel, alert, variables, min(_DEADLINE_SECONDS, left))
            return None
        except _Refused as error:
            return Refusal(scrub(str(error)))
        except (httpx.HTTPError, smtplib.SMTPException, OSError) as error:
            problem = scrub(f"{type(error).__name__}: {error}")
        except Exception as error:  # a setting that a library cannot use; it may hold a secret, in no form we know
            return Refusal(f"{type(error).__name__}: the message cannot be sent with the channel's settings")
    return f"{problem} ({tries} tries)"


def _pause(tries: int) -> float:
    return _PAUSE_SECONDS * 2 ** (tries - 1) if tries else 0.0


def _send(channel: Channel, alert: Alert, variables: Mapping[str, str], seconds: float) -> None:
    if isinstance(channel, EmailChannel):
        _mail(channel, alert, _value(channel.smtp_env, variables), seconds)
    elif isinstance(channel, SlackChannel):
        _post(_value(channel.url_env, variables), {"text": _slack_text(alert)}, {}, seconds)
    else:
        _post(_value(channel.url_env, variables), alert.as_json(), _bearer(channel, variables), seconds)


def _value(name: str, variables: Mapping[str, str]) -> str:
    if not (value := variables.get(name, "").strip()):
        raise _Refused(f"the environment variable {name} is not set")
    return value


def _bearer(channel: WebhookChannel, variables: Mapping[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {_value(channel.token_env, variables)}"} if channel.token_env else {}


def _post(url: str, body: Mapping[str, object], headers: Mapping[str, str], seconds: float) -> None:
    """POST it; redirects are not followed, since they could lead a secret elsewhere."""
    try:
        answer = httpx.post(url, json=body, headers=headers, timeout=seconds, follow_redirects=False)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise _Refused("the address is no http address") from None
    if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
        raise _Refused(f"refused with {answer.status_code}")
    if not answer.is_success:
        raise httpx.HTTPError(f"answered {answer.status_code}")


def _slack_text(alert: Alert) -> str:
    """Slack's own markup; what comes from data is escaped, so that no text can mention or link."""
    title, *lines = (line.translate(_SLACK_SPECIAL) for line in (alert.plain_title, *alert.lines()))
    return "\n".join([f"*{title}*", *lines])


def _mail(channel: EmailChannel, alert: Alert, address: str, seconds: float) -> None:
    server, host, port = _mail_server(channel, address)
    try:
        with _connection(server.scheme, seconds)(host, port) as smtp:
            if server.password:
                if server.scheme == "smtp":
                    smtp.starttls(context=ssl.create_default_context())
                smtp.login(unquote(server.username or ""), unquote(server.password))
            smtp.send_message(_message(channel, alert))
    except smtplib.SMTPAuthenticationError:
        raise _Refused(f"the mail server refused user and password of {channel.smtp_env}") from None
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        raise _Refused(f"the mail server refused: {type(error).__name__}") from None


def _mail_server(channel: EmailChannel, address: str) -> tuple[SplitResult, str, int]:
    """The parts of an address, its host and its port, which is 0 where it names none."""
    try:
        server = urlsplit(address)
        host, port = server.hostname, server.port or 0
    except ValueError:  # its words hold what it took for the port, which may be a part of the password
        raise _Refused(
            f"{channel.smtp_env} cannot be read as an address; write #, /, ?, @, : and % in user and password as %23,"
            " %2F, %3F, %40, %3A and %25"
        ) from None
    if server.scheme not in ("smtp", "smtps") or not host:
        raise _Refused(f"{channel.smtp_env} is no smtp:// or smtps:// address")
    return server, host, port


def _connection(scheme: str, seconds: float) -> Callable[[str, int], smtplib.SMTP]:
    if scheme == "smtps":
        context = ssl.create_default_context()
        return lambda host, port: smtplib.SMTP_SSL(host, port, timeout=seconds, context=context)
    return lambda host, port: smtplib.SMTP(host, port, timeout=seconds)


def _message(channel: EmailChannel, alert: Alert) -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = " ".join(alert.plain_title.split())
    message["From"], message["To"] = channel.sender, ", ".join(channel.to)
    message.set_content("\n".join(alert.lines()) + "\n")
    return message
