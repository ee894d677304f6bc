"""What a run of the engine is doing: counts, rates and time left, live and afterwards."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from synth_platform.generation.answers.outcome import Outcome
from synth_platform.processes import is_alive, start_time

_MOST_POINTS = 240
_RATE_SECONDS = 10.0


@dataclass(frozen=True)
class Point:
    """One moment of a run: seconds since its start, rates per second since the last point, requests in flight."""

    at: float
    rows: float
    prompt_tokens: float
    output_tokens: float
    in_flight: int


@dataclass
class Reading:
    """Everything about a run at one moment; what `synth status` shows."""

    dataset: str
    partition: str | None
    run_id: str
    pid: int
    pid_started: str | None
    state: str = "starting"
    updated: float = 0.0
    seconds: float = 0.0
    total: int = 0
    done: int = 0
    kept: int = 0
    """Rows that an earlier run had made."""
    outcomes: dict[str, int] = field(default_factory=dict)
    prompt_tokens: int = 0
    output_tokens: int = 0
    rows_per_second: float = 0.0
    prompt_tokens_per_second: float = 0.0
    output_tokens_per_second: float = 0.0
    seconds_left: float | None = None
    in_flight: int = 0
    waiting: int = 0
    limit: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    """Tries without an outcome, by kind."""
    servers_up: int = 0
    servers: int = 0
    server_queue: int | None = None
    cache_hits: float | None = None
    """Share of prompt tokens that the engine had in its prefix cache."""
    engine_hours: float = 0.0
    cost: float | None = None


class Meter:
    """Counts outcomes and turns them into rates.

    Args:
        reading: what is known before the start.
        clock: seconds, monotonic.
    """

    def __init__(self, reading: Reading, clock: Callable[[], float] = time.monotonic) -> None:
        self.reading, self._clock = reading, clock
        self._started = clock()
        self._outcomes: Counter[str] = Counter(reading.outcomes)
        self._recent: list[tuple[float, int, int, int]] = [(0.0, 0, 0, 0)]
        self._new, self._prompt_tokens, self._output_tokens = 0, 0, 0
        self.points: list[Point] = []
        self._every = 1.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return max(self._clock() - self._started, 1e-9)

    def add(self, outcome: Outcome) -> None:
        """An outcome came from an engine."""
        self._new += 1
        self._outcomes[outcome.status] += 1
        self._prompt_tokens += outcome.prompt_tokens or 0
        self._output_tokens += outcome.completion_tokens or 0

    def keep(self, rows: int) -> None:
        """Rows were found done."""
        self.reading.kept += rows

    def tick(self) -> Reading:
        """Bring the reading up to date; call it about once a second."""
        now = self.seconds
        self._recent.append((now, self._new, self._prompt_tokens, self._output_tokens))
        while len(self._recent) > 2 and self._recent[1][0] < now - _RATE_SECONDS:
            self._recent.pop(0)
        first, last = self._recent[0], self._recent[-1]
        span = max(last[0] - first[0], 1e-9)
        reading = self.reading
        reading.updated, reading.seconds = time.time(), now
        reading.outcomes, reading.done = dict(self._outcomes), self._new + reading.kept
        reading.prompt_tokens, reading.output_tokens = self._prompt_tokens, self._output_tokens
        reading.rows_per_second = (last[1] - first[1]) / span
        reading.prompt_tokens_per_second = (last[2] - first[2]) / span
        reading.output_tokens_per_second = (last[3] - first[3]) / span
        left = reading.total - reading.done
        reading.seconds_left = left / (self._new / now) if self._new else None
        self._add_point(now)
        return reading

    def _add_point(self, now: float) -> None:
        """Keep a curve of bounded size: when it is full every second point goes."""
        last = self.points[-1].at if self.points else 0.0
        if now - last < self._every:
            return
        reading = self.reading
        self.points.append(
            Point(
                round(now, 1),
                round(reading.rows_per_second, 2),
                round(reading.prompt_tokens_per_second, 1),
                round(reading.output_tokens_per_second, 1),
                reading.in_flight,
            )
        )
        if len(self.points) >= _MOST_POINTS:
            self.points = self.points[1::2]
            self._every *= 2


class StatusSink(Protocol):
    """Where readings go."""

    def write(self, reading: Reading) -> None:
        """Take the newest reading."""
        ...


class StatusFile:
    """The reading on disk, as JSON for `synth status` and as text for a Prometheus collector.

    Args:
        folder: where; a file per dataset.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, reading: Reading) -> None:
        """Replace the last reading. A disk that refuses ends no run: only the picture is old then."""
        name = reading.dataset
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            _replace(self._folder / f"{name}.json", json.dumps(asdict(reading)))
            _replace(self._folder / f"{name}.prom", prometheus(reading))
        except OSError:
            return


def new_reading(dataset: str, partition: str | None, run_id: str, total: int) -> Reading:
    """The reading of a run in this process that is about to start."""
    pid = os.getpid()
    return Reading(dataset, partition, run_id, pid, start_time(pid), updated=time.time(), total=total)


def read_status(folder: Path, dataset: str = "") -> list[dict[str, Any]]:
    """The last reading of each dataset (or of one); a run whose process is gone is said to be dead."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob(f"{dataset or '*'}.json")):
        try:
            reading = Reading(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            continue  # half written, or by another version
        if reading.state in ("starting", "running") and not is_alive(reading.pid, reading.pid_started):
            reading.state = "dead: its process is gone; the same command goes on where it was"
        found.append(asdict(reading))
    return found


def prometheus(reading: Reading) -> str:
    """A reading in Prometheus' text format, for the textfile collector of its node exporter."""
    labels = f'dataset="{reading.dataset}",partition="{reading.partition or ""}"'
    gauges: dict[str, Any] = {
        "prompts": reading.total,
        "prompts_done": reading.done,
        "in_flight": reading.in_flight,
        "waiting": reading.waiting,
        "servers_up": reading.servers_up,
        "rows_per_second": reading.rows_per_second,
        "prompt_tokens_per_second": reading.prompt_tokens_per_second,
        "output_tokens_per_second": reading.output_tokens_per_second,
        "seconds_left": reading.seconds_left,
        "engine_hours": reading.engine_hours,
        "cost": reading.cost,
        "prefix_cache_hit_share": reading.cache_hits,
        "updated_seconds": reading.updated,
    }
    lines: list[str] = []
    for name, value in gauges.items():
        if value is not None:
            lines += [f"# TYPE synth_generation_{name} gauge", f"synth_generation_{name}{{{labels}}} {value}"]
    for name, label, counts in (("outcomes", "status", reading.outcomes), ("faults", "kind", reading.faults)):
        lines.append(f"# TYPE synth_generation_{name}_total counter")
        lines += [f'synth_generation_{name}_total{{{labels},{label}="{k}"}} {v}' for k, v in sorted(counts.items())]
    return "\n".join(lines) + "\n"


def _replace(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, "utf-8")
    aside.replace(path)
