"""Alerts that not every channel has taken yet, kept in Dagster's database: whichever sensor ticks next sends them."""

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterRunNotFoundError

from synth_platform.alerts.config import Channel
from synth_platform.alerts.deliver import Refusal, deliver
from synth_platform.alerts.message import Alert, ClosedGate
from synth_platform.digest import digest

ALERTED_TAG = "synth/alerted"
"""Run tag, followed by the dataset: what became of the message about this run. Where it is, none is sent again."""
_KEY = "synth/alerts_to_send"
_SENT, _WAITING = "sent", "not sent yet"
_SECONDS_OF_A_TICK = 20.0
"""For sending; Dagster ends a tick after sixty, and forgets what it did."""
_SECONDS_OF_TRYING = 6 * 3600
_MOST = 500
_STORE, _SENDING = threading.Lock(), threading.Lock()
"""The sensors of a code location tick in threads of one process."""

Channels = Mapping[str, Sequence[Channel]]
"""Where messages about each dataset go."""


@dataclass(frozen=True)
class _Letter:
    """An alert on its way.

    Args:
        alert: what is told.
        since: when it was written.
        outcomes: by channel, what became of it.
        open: the channels to try again.
    """

    alert: Alert
    since: float
    outcomes: Mapping[str, str]
    open: Sequence[str]

    @property
    def id(self) -> str:
        """One for each dataset and run, or for each thing that is said of a dataset."""
        alert = self.alert
        return digest(alert.dataset, alert.run_id or [alert.title, alert.partition, alert.lines()])

    def after(self, found: Mapping[str, str | None]) -> "_Letter":
        """The letter, once some channels were tried: None where one took it."""
        tried = {name: _SENT if problem is None else problem for name, problem in found.items()}
        ended = {name for name, problem in found.items() if problem is None or isinstance(problem, Refusal)}
        outcomes = {name: tried.get(name, said) for name, said in self.outcomes.items()}
        return replace(self, outcomes=outcomes, open=[name for name in self.open if name not in ended])

    def describe(self) -> str:
        """What became of it, channel by channel."""
        return "; ".join(f"{name.split()[0]}: {said}" for name, said in self.outcomes.items())

    @classmethod
    def parse(cls, known: dict[str, Any]) -> "_Letter":
        alert = known["alert"]
        gates = tuple(ClosedGate(**one) for one in alert["gates"])
        return cls(**{**known, "alert": Alert(**{**alert, "gates": gates, "problems": tuple(alert["problems"])})})


class Outbox:
    """Sends alerts, and keeps what did not arrive for the next tick.

    Args:
        instance: of Dagster; its database keeps them.
        channels: of each dataset.
        log: hears what became of each alert.
    """

    def __init__(self, instance: dg.DagsterInstance, channels: Channels, log: logging.Logger) -> None:
        self._instance, self._channels, self._log = instance, channels, log

    def put(self, alerts: Iterable[Alert]) -> None:
        """Take alerts, each once, that somebody wants to hear and that no run was told of before."""
        letters = [letter for alert in alerts if (letter := self._letter(alert)) is not None]
        if letters:
            with _STORE:
                self._save({**{one.id: one for one in letters}, **self._load()})

    def send(self) -> None:
        """Send what there is to all channels side by side, for as long as a tick may take.

        Two ticks at once would send the same twice: the later one leaves it to the next. What was sent is kept first:
        whatever else goes wrong, it is not sent again.
        """
        if not (letters := self._load()) or not _SENDING.acquire(blocking=False):
            return
        try:
            tried = {id: letters[id].after(found) for id, found in self._deliver(letters).items()}
            with _STORE:
                self._save({id: tried.get(id, letter) for id, letter in self._load().items()})
            for letter in tried.values():
                self._note(letter)
        finally:
            _SENDING.release()

    def _letter(self, alert: Alert) -> _Letter | None:
        run = self._instance.get_run_by_id(alert.run_id) if alert.run_id else None
        names = [_name(one) for one in self._channels.get(alert.dataset, ()) if alert.event in one.events]
        if not names or (run is not None and is_told(run, alert.dataset)):
            return None
        return _Letter(alert, now(), dict.fromkeys(names, _WAITING), names)

    def _deliver(self, letters: Mapping[str, _Letter]) -> dict[str, dict[str, str | None]]:
        """By letter and channel, what became of those that were tried."""
        until = time.monotonic() + _SECONDS_OF_A_TICK
        channels = {_name(one): one for some in self._channels.values() for one in some}
        mine = {name: [one for one in letters.values() if name in one.open] for name in channels}
        with ThreadPoolExecutor(max(1, len(channels))) as pool:
            sent = {name: pool.submit(_send, channels[name], mail, until) for name, mail in mine.items() if mail}
        found: dict[str, dict[str, str | None]] = {}
        for name, sending in sent.items():
            for id, problem in sending.result().items():
                found.setdefault(id, {})[name] = problem
        return found

    def _note(self, letter: _Letter) -> None:
        """Say in the log, and in a tag of the run, what became of a letter."""
        said, run_id = letter.describe(), letter.alert.run_id
        self._log.info(said)
        if run_id:
            with suppress(DagsterRunNotFoundError):  # somebody has deleted it meanwhile
                self._instance.add_run_tags(run_id, {_tag(letter.alert.dataset): f"{said}{_of_run(run_id)}"})

    def _load(self) -> dict[str, _Letter]:
        text = self._instance.daemon_cursor_storage.get_cursor_values({_KEY}).get(_KEY)
        try:
            letters = [_Letter.parse(one) for one in json.loads(text)] if text else []
        except (KeyError, TypeError, ValueError) as error:  # of another version; no later alert is held up by it
            self._log.warning(f"alerts that were kept cannot be read and are dropped: {error!r}")
            return {}
        return {one.id: one for one in letters}

    def _save(self, letters: Mapping[str, _Letter]) -> None:
        """Keep what is still to be sent, unless it is too old or too much."""
        waiting = [one for one in letters.values() if one.open]
        kept = [one for one in waiting if now() - one.since < _SECONDS_OF_TRYING][-_MOST:]
        for one in waiting:
            if one not in kept:
                self._log.warning(f"given up: {one.alert.title} ({one.describe()})")
        text = json.dumps([asdict(one) for one in kept], default=str)
        self._instance.daemon_cursor_storage.set_cursor_values({_KEY: text})


def is_told(run: dg.DagsterRun, dataset: str) -> bool:
    """Whether one was told of this run: a run that repeats another has that one's tags, too."""
    return run.tags.get(_tag(dataset), "").endswith(_of_run(run.run_id))


def _tag(dataset: str) -> str:
    return f"{ALERTED_TAG}.{dataset}"


def _of_run(run_id: str) -> str:
    return f" (of run {run_id[:8]})"


def now() -> float:
    """Seconds since 1970."""
    return datetime.now(UTC).timestamp()


def _send(channel: Channel, letters: Sequence[_Letter], until: float) -> dict[str, str | None]:
    """Send to one channel, one after the other, as many as there is time for."""
    found: dict[str, str | None] = {}
    for letter in letters:
        if (left := until - time.monotonic()) > 0:
            found[letter.id] = deliver(channel, letter.alert, seconds=left)
    return found


def _name(channel: Channel) -> str:
    """Its kind, and what tells it from others of that kind."""
    return f"{channel.type} {digest(channel)[:8]}"
