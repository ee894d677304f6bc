"""Generation without Dagster around it: prompts in, a committed snapshot out, in this process or one of its own.

python -m synth_platform_tests.generation.runs '{"home": ..., "engine": {...}, "prompts": 200, "shard_size": 16}'
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from synth_platform.digest import digest, digest_int
from synth_platform.errors import SynthError
from synth_platform.generation.answers.earlier import earlier_answers
from synth_platform.generation.answers.shards import ShardStore, total
from synth_platform.generation.budget import Budget
from synth_platform.generation.config import BudgetSpec, EngineSpec
from synth_platform.generation.engine import Engine, find_engine
from synth_platform.generation.run.generate import Plan, Sampled
from synth_platform.generation.run.jobs import Job, SnapshotPrompts, shard_count
from synth_platform.generation.run.meter import StatusFile, new_reading
from synth_platform.generation.schema import GENERATIONS
from synth_platform.prompts.templates import Template
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.sources.playground import generate_document
from synth_platform.workspace import Workspace

ENGINE = TypeAdapter(EngineSpec)
ASSET = "test/generations/recipe"


@dataclass(frozen=True)
class Run:
    """What one run is given."""

    home: str
    engine: dict[str, Any]
    prompts: int = 200
    shard_size: int = 16
    template: str = "Rewrite document {number} of the book."
    words: int = 0
    """More words in each prompt."""
    recipe: str = ""
    """Prompts of this built-in recipe for documents of the playground, instead of the template's."""
    fields: dict[str, Any] = field(default_factory=lambda: {"max_tokens": 100})
    budget: dict[str, Any] = field(default_factory=dict)
    reuse: bool = False
    """Take over what the version before has, as the asset does."""

    def workspace(self) -> Workspace:
        """Its home."""
        return Workspace(Path(self.home), os.environ.get("SYNTH_DATA", ""))


def texts(run: Run, start: int = 0, stop: int | None = None) -> list[str]:
    """The prompts, or some of them."""
    stop = run.prompts if stop is None else min(stop, run.prompts)
    if run.recipe:
        template = Template.load(run.recipe, Path()).text
        documents = (generate_document(number, seed=5) for number in range(start, stop))
        return [template.replace("{{ document }}", document.text).strip() for document in documents]
    filling = " lorem" * run.words
    return [run.template.format(number=number) + filling for number in range(start, stop)]


def frames(run: Run) -> Iterator[pl.DataFrame]:
    """The prompts as batches of rows, made as they are read."""
    for start in range(0, run.prompts, 2048):
        some = texts(run, start, start + 2048)
        ids = [digest(text) for text in some]
        yield pl.DataFrame(
            {
                "id": ids,
                "messages": [json.dumps([{"role": "user", "content": text}]) for text in some],
                "seed": [digest_int(one) for one in ids],
            }
        )


def execute(run: Run) -> Snapshot:
    """Generate everything and commit it, as the asset does."""
    engine, plan, writer = _prepared(run)
    if (found := run.workspace().snapshots.open(ASSET, None, writer.identity.snapshot_id)) is not None:
        return found
    writer.announce()
    engine.generate(plan)
    usage = total(plan.jobs[0].shards.sessions())
    writer.use_shards("generations", shard_count(run.prompts, run.shard_size))
    writer.detail(**usage)
    snapshot = writer.commit()
    run.workspace().snapshots.set_head(snapshot, "test")
    return snapshot


def sample(run: Run, rows: int) -> Sampled:
    """Generate some rows, as a pilot does."""
    engine, plan, _ = _prepared(run)
    return engine.sample(plan, rows)["recipe"]


def _prepared(run: Run) -> tuple[Engine, Plan, SnapshotWriter]:
    workspace, engine_spec = run.workspace(), ENGINE.validate_python(run.engine)
    engine = find_engine(
        engine_spec, workspace, "test", variables=os.environ, tell=lambda line: print(line, file=sys.stderr)
    )
    settings = {
        "engine": engine.digest,
        "model": engine_spec.model,
        "sampling": run.fields,
        "seeds": engine_spec.seeds,
        "shard_size": run.shard_size,
    }
    prompts = digest([run.template, run.prompts, run.words, run.recipe])
    identity = Identity(ASSET, None, "1", settings | {"prompts": prompts})
    writer = SnapshotWriter(
        workspace.snapshots, identity, {"generations": GENERATIONS}, scratch=workspace.scratch, run_id="test"
    )
    store = ShardStore(writer, engine_spec.model)
    batches = SnapshotPrompts(_prompts_snapshot(run, workspace)) if run.engine["type"] == "ray" else frames(run)
    earlier = earlier_answers(workspace.snapshots, identity) if run.reuse else None
    job = Job("recipe", batches, run.prompts, run.fields, store, earlier)
    budget = Budget(
        BudgetSpec.model_validate(run.budget),
        store.spent(),
        units=engine.units,
        price_per_hour=engine_spec.price_per_hour,
    )
    reading = new_reading("test", None, "test", run.prompts)
    status = StatusFile(workspace.status)
    return engine, Plan([job], engine_spec, engine.digest, run.shard_size, budget, reading, status), writer


def _prompts_snapshot(run: Run, workspace: Workspace) -> Snapshot:
    """The prompts where machines of a cluster find them."""
    identity = Identity("test/prompts/recipe", None, "1", {"prompts": [run.template, run.prompts, run.words]})
    schema = pl.Schema({"id": pl.String(), "messages": pl.String(), "seed": pl.Int64()})
    writer = SnapshotWriter(workspace.snapshots, identity, {"prompts": schema}, scratch=workspace.scratch)
    for batch in frames(run):
        writer.write("prompts", batch)
    return writer.commit()


def start(run: Run, **variables: str) -> subprocess.Popen[bytes]:
    """The same in a process of its own; what it says goes to ``run.log`` in its home."""
    home = Path(run.home)
    home.mkdir(parents=True, exist_ok=True)
    with (home / "run.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "synth_platform_tests.generation.runs", json.dumps(asdict(run))],
            stdout=log,
            stderr=log,
            env={**os.environ, **variables},
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,
        )


def main() -> None:
    """Run in this process; problems for people end with exit code 3."""
    started = time.monotonic()
    try:
        snapshot = execute(Run(**json.loads(sys.argv[1])))
    except SynthError as error:
        print(error)
        sys.exit(3)
    print(json.dumps({"digest": snapshot.manifest.digest, "seconds": time.monotonic() - started}))


if __name__ == "__main__":
    main()
