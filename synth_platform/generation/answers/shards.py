"""Where one recipe's generations go: committed shards, the ledger before them, and what each session cost."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from synth_platform.generation.answers.ledger import Ledger
from synth_platform.generation.answers.outcome import Outcome, outcomes_of
from synth_platform.generation.budget import Spent
from synth_platform.snapshots import Identity, SnapshotWriter
from synth_platform.snapshots.store import AlreadyExists, Store

_TABLE = "generations"
_TOKENS = ".tokens"


@dataclass(frozen=True)
class Session:
    """What one process did for one recipe; the newest note of each process counts."""

    engine_seconds: float = 0.0
    """Seconds times GPUs, this recipe's share of them by output tokens."""
    busy_seconds: float = 0.0
    """The same without the engine's start."""
    rows: int = 0
    output_tokens: int = 0
    prompt_tokens: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    points: list[dict[str, float]] = field(default_factory=list)
    """Rates over time, see `meter.Point`."""


class ShardStore:
    """The shards of a snapshot in the making.

    Args:
        writer: of the snapshot.
        model: name of the model, a column of the rows.
    """

    def __init__(self, writer: SnapshotWriter, model: str) -> None:
        self._writer, self._model = writer, model
        self._sessions = SessionNotes(writer.store, f"{writer.identity.folder}/sessions", writer.name)

    @cached_property
    def ledger(self) -> Ledger:
        """Outcomes of shards that are not committed yet."""
        return Ledger(self._writer.store, f"{self._writer.identity.folder}/ledger", self._writer.name)

    def committed(self) -> dict[int, int]:
        """Rows of the shards that are done, by number."""
        return {number: part.rows for number, part in self._writer.shards(_TABLE).items()}

    @property
    def identity(self) -> Identity:
        """What is being made."""
        return self._writer.identity

    def is_committed(self, shard: int) -> bool:
        """Whether a shard is done."""
        return self._writer.has_shard(_TABLE, shard)

    def commit(self, shard: int, rows: pl.DataFrame, taken_over: int = 0) -> None:
        """Make a shard durable, and drop its ledger.

        Args:
            shard: its number.
            rows: all of it.
            taken_over: tokens of answers that were not asked for.
        """
        if taken_over:
            with contextlib.suppress(AlreadyExists):  # noted, but not committed, by one that was killed
                self._writer.store.create(f"{self._taken_over}/{shard:06d}-{taken_over}{_TOKENS}", b"")
        self._writer.commit_shard(_TABLE, shard, rows.with_columns(pl.lit(self._model).alias("model")))
        self.ledger.drop(shard)

    def outcomes(self, wanted: Mapping[int, Sequence[int]]) -> list[Outcome]:
        """What became of some rows, by their places in each shard, as far as the shards are committed."""
        files = zip(sorted(self.committed()), self._writer.shard_files(_TABLE), strict=True)
        rows = (pl.read_parquet(file, glob=False)[wanted[number]] for number, file in files if number in wanted)
        return [outcome for some in rows for outcome in outcomes_of(some)]

    def note(self, session: Session) -> None:
        """Replace what is known of this process's session."""
        self._sessions.note(session)

    def sessions(self) -> list[Session]:
        """All sessions of this snapshot so far."""
        return self._sessions.read()

    def asked_tokens(self) -> int:
        """Tokens of all outcomes so far that were asked for, from the rows themselves."""
        files = self._writer.shard_files(_TABLE)
        done = pl.scan_parquet(files, glob=False).select(pl.col("completion_tokens").sum()) if files else None
        committed = int(done.collect().item() or 0) if done is not None else 0
        recorded = sum(
            outcome.completion_tokens or 0
            for shard in self.ledger.shards()
            for outcome in self.ledger.read(shard).values()
        )
        return committed - self._tokens_taken_over() + recorded

    def spent(self) -> Spent:
        """What the snapshot has cost so far."""
        return Spent(self.asked_tokens(), sum(session.engine_seconds for session in self.sessions()))

    @property
    def _taken_over(self) -> str:
        """Where names of empty files tell how many tokens of a shard's rows an earlier version had already."""
        return f"{self._writer.identity.folder}/taken_over"

    def _tokens_taken_over(self) -> int:
        names = (path.rsplit("/", 1)[-1] for path in self._writer.store.files(self._taken_over))
        noted = (name.removesuffix(_TOKENS).split("-") for name in names if name.endswith(_TOKENS))
        by_shard = {int(shard): int(tokens) for shard, tokens in noted}
        return sum(by_shard.get(shard, 0) for shard in self.committed())


class SessionNotes:
    """Small files that replace each other: `<writer>-<number>.json`, of which the highest number counts."""

    def __init__(self, store: Store, folder: str, writer: str) -> None:
        self._store, self._folder, self._writer = store, folder, writer
        self._number = 0

    def note(self, session: Session) -> None:
        """Write the newest note, then remove the one before."""
        before = self._path(self._number)
        self._number += 1
        self._store.create(self._path(self._number), json.dumps(asdict(session)).encode())
        if self._number > 1:
            self._store.delete(before)

    def read(self) -> list[Session]:
        """The newest note of each writer."""
        newest: dict[str, str] = {}
        for path in self._store.files(self._folder):
            if path.endswith(".json"):
                newest[path.rsplit("/", 1)[-1].rsplit("-", 1)[0]] = path  # sorted: the last one wins
        try:
            return [Session(**json.loads(self._store.read(path))) for path in newest.values()]
        except FileNotFoundError:  # replaced by a newer one since it was listed
            return self.read()

    def _path(self, number: int) -> str:
        return f"{self._folder}/{self._writer}-{number:08d}.json"


def total(sessions: list[Session]) -> dict[str, Any]:
    """All sessions together, as kept in the manifest of the finished snapshot."""
    faults: dict[str, int] = {}
    for session in sessions:
        for kind, count in session.faults.items():
            faults[kind] = faults.get(kind, 0) + count
    return {
        "sessions": len(sessions),
        "engine_seconds": round(sum(session.engine_seconds for session in sessions), 3),
        "busy_seconds": round(sum(session.busy_seconds for session in sessions), 3),
        "faults": faults,
        "points": [point for session in sessions for point in session.points],
    }
