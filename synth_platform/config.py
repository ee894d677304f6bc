"""Base types of every setting: strict pydantic models and the names they may use."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from synth_platform.errors import SpecError

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


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


def _validate_name(name: str) -> str:
    try:
        return check_name(name)
    except SpecError as error:
        raise ValueError(f"{error.what}; {error.fix}") from error


Name = Annotated[str, AfterValidator(_validate_name)]


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
