"""Base types of every setting: strict pydantic models and the names they may use."""

import inspect
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from synth_platform.digest import digest, digest_file
from synth_platform.errors import SpecError
from synth_platform.secrecy import declare_secret

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class KeyMistake(ValueError):
    """A mistake that a validator finds at nested keys of what it looks at."""

    def __init__(self, keys: Sequence[str | int], message: str) -> None:
        super().__init__(message)
        self.keys = tuple(keys)


def check_name(name: str, kind: str = "name") -> str:
    """Return ``name`` if it may become part of a path or an asset key.

    Raises:
        SpecError: it holds anything but lower-case letters, digits, ``_``, ``.`` and ``-``, or is too long.
    """
    if not NAME_PATTERN.fullmatch(name) or ".." in name:
        raise SpecError(
            f"invalid {kind}: {name[:80]!r}",
            fix="use 1 to 64 lower-case letters, digits, '_', '-' or '.', starting with a letter or digit",
        )
    return name


def import_named(name: str) -> Any:
    """What a spec names as ``package.module:attribute``.

    Raises:
        ValueError: it cannot be had.
    """
    module, _, attribute = name.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:  # a module of the user's may raise anything: a mistake of the spec that names it
        raise ValueError(
            f"{name!r} cannot be imported ({type(error).__name__}: {error}); write package.module:attribute"
        ) from None


@cache
def code_digest(name: str) -> str:
    """Digest of the code of what a spec names: of the file of its module, and of the one where it is defined.

    The files are read once in a process, as the code itself is: what was changed since is not what runs.

    Raises:
        ValueError: it cannot be had.
    """
    defined = getattr(inspect.unwrap(import_named(name)), "__module__", None)
    modules = [sys.modules.get(module) for module in (name.partition(":")[0], defined) if module]
    files = {file for module in modules if (file := getattr(module, "__file__", None))}
    try:
        return digest(sorted(digest_file(Path(file)) for file in files))
    except OSError as error:
        raise ValueError(f"{name!r} cannot be read: {error}") from None


def _validate_name(name: str) -> str:
    try:
        return check_name(name)
    except SpecError as error:
        raise ValueError(f"{error.what}; {error.fix}") from error


def _keep_secret(variable: str) -> str:
    """From now on, so that every process that knows the spec keeps the value out of what it writes."""
    declare_secret(variable)
    return variable


Name = Annotated[str, AfterValidator(_validate_name)]
SecretVariable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), AfterValidator(_keep_secret)]
"""Name of an environment variable that holds a secret."""


class StrictModel(BaseModel):
    """A frozen setting that refuses unknown keys, NaN and silent type changes such as ``no`` to False."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
    )
