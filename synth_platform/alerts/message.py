"""What an alert says: which gate, what was observed against which bounds, and where to look."""

import math
from dataclasses import dataclass, field
from typing import Any

from synth_platform.alerts.config import Event
from synth_platform.secrecy import scrub

_MOST_LINES, _MOST_CHARACTERS = 12, 600


@dataclass(frozen=True)
class ClosedGate:
    """A blocking gate that did not pass."""

    asset: str
    gate: str
    observed: Any = None
    bounds: str = ""
    error: str = ""

    def describe(self) -> str:
        """One line: where it stands, and the number against its bounds."""
        shown = f"{self.observed:.4g}" if isinstance(self.observed, int | float) else self.observed
        found = f"observed {shown}" if shown is not None else "nothing was observed"
        return f"{self.asset} · {self.gate}: {self.error or found}{f', {self.bounds}' if self.bounds else ''}"


@dataclass(frozen=True)
class Alert:
    """One message.

    Args:
        event: what happened.
        dataset: to which.
        title: in one line.
        partition: the cycle.
        run_id: the run it happened in.
        gates: what is closed.
        problems: what went wrong otherwise.
        link: page of the run or asset; empty where the interface's address is not known.
    """

    event: Event
    dataset: str
    title: str
    partition: str | None = None
    run_id: str = ""
    gates: tuple[ClosedGate, ...] = ()
    problems: tuple[str, ...] = field(default=())
    link: str = ""

    @property
    def plain_title(self) -> str:
        """The title as it is sent."""
        return _plain(self.title)

    def lines(self) -> list[str]:
        """The message below its title: closed gates, problems, where to look; cut, and without secrets."""
        told = [_plain(one.describe()) for one in self.gates] + [_plain(one) for one in self.problems]
        lines = [one if len(one) <= _MOST_CHARACTERS else one[:_MOST_CHARACTERS] + " …" for one in told[:_MOST_LINES]]
        if len(told) > _MOST_LINES:
            lines.append(f"and {len(told) - _MOST_LINES} more")
        return [*lines, *self._place()]

    def _place(self) -> list[str]:
        if self.link:
            return [self.link]
        return [f"run {self.run_id}"] if self.run_id else []

    def as_json(self) -> dict[str, Any]:
        """For services: the parts, and the text for people."""
        parts = {
            "event": self.event,
            "dataset": self.dataset,
            "partition": self.partition,
            "run_id": self.run_id or None,
            "title": self.title,
            "gates": [
                {"asset": one.asset, "gate": one.gate, "observed": one.observed, "bounds": one.bounds}
                for one in self.gates
            ],
            "text": "\n".join(self.lines()),
            "link": self.link or None,
        }
        return {name: _as_json(part) for name, part in parts.items()}


def _plain(text: str) -> str:
    """Text without secrets that every channel can encode: data may hold halves of characters."""
    return scrub(text).encode("utf-8", "replace").decode()


def _as_json(value: Any) -> Any:
    """A value in plain text, and as JSON has it, which knows neither infinity nor what is not a number."""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, dict):
        return {str(name): _as_json(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(one) for one in value]
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_number else str(value)
