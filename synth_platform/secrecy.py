"""This process's secrets: found by the names of environment variables, taken out of everything that is written."""

import os
import re
import traceback
from collections.abc import Mapping
from urllib.parse import unquote

_NAME = re.compile(
    r"(?i)(?:^|_)(?:[a-z]*keys?|[a-z]*token|secrets?|[a-z]*pass(?:word|wd|phrase)?|pw|pwd|credentials?|webhook|dsn)(?:_|$)"
)
_NO_SECRETS = frozenset({"PWD", "OLDPWD"})
"""Where a shell is and was; as secrets they would take the paths out of all messages."""
_PASSWORD = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^\s:/@]*:(?P<password>[^\s/@]+)@")
_SHORTEST = 6
"""Shorter values are no secrets, and taking them out would spoil messages."""
_declared: set[str] = set()


def is_secret_name(name: str) -> bool:
    """Whether an environment variable holds a secret, by its name (HF_TOKEN, AWS_SECRET_ACCESS_KEY) or declared."""
    return name in _declared or (_NAME.search(name) is not None and name not in _NO_SECRETS)


def declare_secret(name: str) -> None:
    """Treat an environment variable as secret whatever its name, as a spec may choose one for an endpoint's key."""
    _declared.add(name)


def scrub(text: str) -> str:
    """The text with the name of the variable in place of each secret."""
    for value, name in sorted(_secrets(os.environ).items(), key=lambda one: -len(one[0])):
        if value in text:
            text = text.replace(value, f"[{name}]")
    return text


def reveals(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, would show a secret when it is written down."""
    shown = "".join(traceback.format_exception(error))
    return scrub(shown) != shown


def _secrets(variables: Mapping[str, str]) -> dict[str, str]:
    """Name of the variable by secret value: whole values, and passwords inside addresses, as written and decoded."""
    found: dict[str, str] = {}
    for name, value in variables.items():
        if is_secret_name(name):
            found[value.strip()] = name
        for match in _PASSWORD.finditer(value):
            found |= dict.fromkeys((match["password"], unquote(match["password"])), name)
    return {value: name for value, name in found.items() if len(value) >= _SHORTEST}
