"""A clock that jumps, for the modules that a test names."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

import pytest

JUMPS = (-30, 3650, -400, 77, -1)
"""Back a month, ahead ten years, and back again, in days."""


def jump(patched: pytest.MonkeyPatch, *modules: str, days: Sequence[float] = JUMPS) -> None:
    """Have each look at the time, in some modules, be off by the next of these days, over and over."""
    offsets = itertools.cycle([timedelta(days=some) for some in days])

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + next(offsets)

    for module in modules:
        patched.setattr(f"synth_platform.{module}.datetime", Jumping)
