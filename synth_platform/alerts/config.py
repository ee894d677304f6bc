"""Settings of alerts: where messages go, for which events. Addresses that are secrets are named, not written."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from synth_platform.config import SecretVariable, StrictModel
from synth_platform.errors import SpecError

Event = Literal["gate", "run", "late", "spec"]
"""A blocking gate that failed, a run that failed for another reason, an asset that missed its deadline, a spec that
cannot be used."""
INSTANCE_VARIABLE = "SYNTH_ALERTS"
"""Environment variable with channels for every dataset: the same list as in a spec, as JSON."""
UI_VARIABLE = "SYNTH_UI_URL"
"""Environment variable with the interface's address, for links."""
_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+")


class _Channel(StrictModel):
    """What all channels share."""

    events: list[Event] = Field(default=list(get_args(Event)), min_length=1)
    """What is told here: `gate`, a blocking gate that failed; `run`, a run that failed otherwise; `late`, an asset that
    missed its deadline; `spec`, a spec that cannot be used (only channels of the instance can tell of that)."""


class SlackChannel(_Channel):
    """A Slack channel, through an incoming webhook."""

    type: Literal["slack"]
    """Kind of channel."""
    url_env: SecretVariable
    """Environment variable that holds the webhook's address, which is a secret."""


class WebhookChannel(_Channel):
    """Any service that takes a JSON object by POST."""

    type: Literal["webhook"]
    """Kind of channel."""
    url_env: SecretVariable
    """Environment variable that holds the address."""
    token_env: SecretVariable | None = None
    """Environment variable with a bearer token."""


class EmailChannel(_Channel):
    """Mail over SMTP."""

    type: Literal["email"]
    """Kind of channel."""
    to: list[str] = Field(min_length=1)
    """Addresses."""
    sender: str = "synth_platform@localhost"
    """Address of the sender."""
    smtp_env: SecretVariable = "SYNTH_SMTP_URL"
    """Environment variable with the server: ``smtps://user:password@host:465``, or ``smtp://`` with STARTTLS where
    there is a password."""

    @field_validator("to", "sender")
    @classmethod
    def _check_addresses(cls, given: str | list[str]) -> str | list[str]:
        for address in [given] if isinstance(given, str) else given:
            if not _ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is no e-mail address")
        return given


Channel = Annotated[SlackChannel | WebhookChannel | EmailChannel, Field(discriminator="type")]
"""Where messages go."""
_CHANNELS: TypeAdapter[list[Channel]] = TypeAdapter(list[Channel])


def instance_channels(variables: Mapping[str, str] = os.environ) -> Sequence[Channel]:
    """The channels that SYNTH_ALERTS names for every dataset.

    Raises:
        SpecError: it is not such a list.
    """
    text = variables.get(INSTANCE_VARIABLE)
    if not text:
        return ()
    try:
        return _CHANNELS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SpecError(
            f"{'.'.join(map(str, first['loc'])) or 'the list'}: {first['msg']}",
            where=f"the environment variable {INSTANCE_VARIABLE}",
            fix='write a JSON list such as [{"type": "slack", "url_env": "SLACK_WEBHOOK"}]',
        ) from None
