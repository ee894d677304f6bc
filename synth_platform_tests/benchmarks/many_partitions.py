"""Ten thousand hourly cycles of one dataset: how long definitions, ticks of sensors and schedules, and plans take.

    python -m synth_platform_tests.benchmarks.many_partitions

The exit code is 1 where something takes longer than it may: definitions and ticks 5 s, plans 10 s.

Every cycle has a manifest of each of the dataset's assets, with the identity that a run would give it, and no rows:
so that a plan of all cycles finds each of them current, after it has looked at each. Times are of processes of their
own; importing is measured by itself.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from synth_platform.dataset.graph import dataset_stages
from synth_platform.dataset.spec import load_spec
from synth_platform.digest import digest
from synth_platform.ops.cycles import partitions_of
from synth_platform.ops.stage import Stage, identity_of
from synth_platform.snapshots import Identity, Snapshot
from synth_platform.snapshots.at_rest import SnapshotsAtRest
from synth_platform.snapshots.identity import asset_folder
from synth_platform.snapshots.local_copies import LocalCopies
from synth_platform.snapshots.manifest import InputRef, Manifest, RefRecord, TableEntry, content_digest
from synth_platform.workspace import WorkspaceAtRest
from synth_platform_tests.pipeline import mock_environment, write_spec

_SECONDS_OF_DEFINITIONS, _SECONDS_OF_A_TICK, _SECONDS_OF_A_PLAN = 5.0, 5.0, 10.0
_MADE = datetime(2026, 1, 1, tzinfo=UTC)

_LOAD = """
import json, time
started = time.perf_counter()
import synth_platform.definitions as definitions
imported = time.perf_counter()
repository = definitions.defs().get_repository_def()
list(repository.get_all_jobs())
print(json.dumps({"imports": imported - started, "definitions": time.perf_counter() - imported}))
"""

_TICKS = """
import json, sys, time
import dagster as dg
import synth_platform.definitions as definitions
from synth_platform.ops.instance import open_instance
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.workspace import Workspace
found, resources = {}, {"workspace": WorkspaceResource.from_env()}
made = definitions.defs()
repository = made.get_repository_def()
with open_instance(Workspace.from_env()) as instance:
    for name in sys.argv[1:]:
        sensor, cursor = repository.get_sensor_def(name), None
        for look in ("first", "next"):
            longest, begun, said = 0.0, time.perf_counter(), "still being looked at"
            while "still being looked at" in said:
                context = dg.build_sensor_context(
                    instance=instance, cursor=cursor, repository_def=repository, resources=resources
                )
                started = time.perf_counter()
                ticked = sensor.evaluate_tick(context)
                longest = max(longest, time.perf_counter() - started)
                cursor, said = ticked.cursor, ticked.skip_message or ""
                assert not ticked.run_requests, ticked
            found[f"{name}, {look} look, the longest tick"] = longest
            found[f"{name}, {look} look"] = time.perf_counter() - begun
    with dg.build_schedule_context(instance=instance, repository_def=repository, resources=resources) as context:
        started = time.perf_counter()
        ticked = repository.get_schedule_def("many_cycle").evaluate_tick(context)
    found["many_cycle, a tick"] = time.perf_counter() - started
print(json.dumps(found))
"""


def main() -> None:
    """Make the cycles, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="many-") as folder, _environment(Path(folder)) as home:
        spec = _write_dataset(home, arguments.cycles)
        started = time.perf_counter()
        _fill(home, spec)
        print(f"{arguments.cycles:,} cycles written in {time.perf_counter() - started:.1f} s")
        missed = [what for what, seconds in _measure(home, arguments.cycles) if _is_missed(what, seconds)]
    sys.exit(1 if missed else 0)


def _measure(home: Path, cycles: int) -> Iterator[tuple[str, float]]:
    """What takes how long, in seconds."""
    yield from _python(_LOAD).items()
    yield from _python(_TICKS, "many_regenerate", "many_rescan").items()
    _write_dataset(home, cycles, regenerate={"cycles": "all"})
    for what, seconds in _python(_TICKS, "many_regenerate").items():
        yield f"cycles: all, {what}", seconds
    everything = ["--all-partitions"]
    for what, options in (("one cycle", []), ("all cycles", everything), ("all cycles, again", everything)):
        started = time.perf_counter()
        found = _synth("plan", "many", "--json", *options)
        yield f"synth plan, {what}, {found['current']:,} current", time.perf_counter() - started
        assert not any(plan["steps"] and not plan["is_current"] for plan in found["plans"][:1]), found["plans"][:1]


def _is_missed(what: str, seconds: float) -> bool:
    """Whether something took longer than it may; it is printed."""
    limits = {
        "definitions": _SECONDS_OF_DEFINITIONS,
        "tick": _SECONDS_OF_A_TICK,
        "synth plan": _SECONDS_OF_A_PLAN,
    }
    limit = next((limit for name, limit in limits.items() if name in what), math.inf)
    said = "" if limit == math.inf else f" (at most {limit:g} s)" if seconds <= limit else f" MISSED {limit:g} s"
    print(f"{what}: {seconds:.2f} s{said}", flush=True)
    return seconds > limit


@contextmanager
def _environment(folder: Path) -> Iterator[Path]:
    """A home, and an engine of which only the version is looked at, for this process and its children."""
    home = folder / "home"
    os.environ |= {"SYNTH_HOME": str(home), "SYNTH_ENGINE": str(mock_environment(folder / "engine"))}
    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    yield home


def _write_dataset(home: Path, cycles: int, **given: Any) -> Path:
    """A spec whose cadence has had so many cycles by now."""
    start = datetime.now(UTC) - timedelta(hours=cycles)
    attributes: dict[str, Any] = {
        "name": "many",
        "sources": [{"type": "playground", "documents": 10}],
        "recipes": [{"name": "faq", "sampling": {"max_tokens": 300}}],
        "engine": {"type": "vllm", "model": "synth-tiny"},
        "benchmarks": [{"name": "playground", "builtin": "playground"}],
        "contamination": {"methods": ["exact"]},
        "cadence": {"every": "hour", "start": start.date().isoformat()},
        **given,
    }
    return write_spec(home / "datasets" / "many", attributes)


class _InMemory(SnapshotsAtRest):
    """Versions that were written a moment ago, known without being read."""

    def __init__(self, before: SnapshotsAtRest) -> None:
        super().__init__(before.store, Path("unused"))
        self.heads: dict[tuple[str, str | None], Snapshot] = {}
        self.cycles: dict[str, list[str]] = {}

    def head(self, asset: str, partition: str | None) -> Snapshot | None:
        return self.heads.get((asset, partition))

    def current_ref(self, asset: str, partition: str | None) -> InputRef | None:
        head = self.head(asset, partition)
        return head.ref if head is not None else None

    def history(self, asset: str, partition: str | None) -> list[RefRecord]:
        head = self.head(asset, partition)
        return [_record(head.manifest)] if head is not None else []

    def open(self, asset: str, partition: str | None, snapshot_id: str) -> Snapshot | None:
        return self.head(asset, partition)

    def partitions(self, asset: str) -> list[str]:
        return self.cycles.get(asset, [])

    def keep(self, manifest: Manifest) -> None:
        """Write a version and make it the current one."""
        m = manifest
        folder = asset_folder(m.asset, m.partition)
        root = Path(self.store.url) / folder
        for path, text in (
            (f"{m.snapshot_id}/manifest.json", m.model_dump_json(indent=1)),
            ("refs/00000001.json", _record(m).model_dump_json()),
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
        self.heads[m.asset, m.partition] = Snapshot(m, f"{folder}/{m.snapshot_id}", LocalCopies(self.store, root))
        if m.partition is not None:
            self.cycles.setdefault(m.asset, []).append(m.partition)


def _fill(home: Path, path: Path) -> None:
    """Write the manifests of all cycles, in their order."""
    spec = load_spec(path)
    cycles = partitions_of(spec.cadence)
    assert cycles is not None
    workspace = WorkspaceAtRest(home)
    snapshots = _InMemory(workspace.snapshots)
    workspace.__dict__["snapshots"] = snapshots
    stages = dataset_stages(spec, path.parent)
    # What documents ask of the cycles before: kept up to date here, instead of being found anew for each cycle.
    so_far: tuple[list[str], list[tuple[str, str]], list[str]] = ([], [], [])
    workspace.once(("cycles", "many/documents"), lambda: so_far)
    for cycle in cycles.get_partition_keys():
        for stage_asset in stages:
            for asset, build in stage_asset.builds.items():
                partition = stage_asset.partition(cycle)
                if snapshots.head(asset, partition) is None:
                    stage = build(workspace, partition)
                    heads = [one.head(snapshots, cycle) for one in stage.upstreams]
                    inputs = [head.ref for head in heads if head is not None]
                    snapshots.keep(_manifest(stage, identity_of(stage, stage_asset.dataset, inputs, partition)))
        documents = snapshots.heads["many/documents", cycle].manifest
        so_far[0].append(cycle)
        so_far[1].append((cycle, documents.snapshot_id))
        so_far[2].append(digest(so_far[2][-1] if so_far[2] else None, documents.digest))


def _manifest(stage: Stage, identity: Identity) -> Manifest:
    """A version without rows, as a run would have made it."""
    columns = {table: {name: str(kind) for name, kind in schema.items()} for table, schema in stage.tables.items()}
    tables = {table: TableEntry(columns=named, parts=[]) for table, named in columns.items()}
    return Manifest(
        asset=identity.asset,
        partition=identity.partition,
        snapshot_id=identity.snapshot_id,
        fingerprint=identity.fingerprint,
        code_version=identity.code_version,
        settings=json.loads(json.dumps(dict(identity.settings))),
        inputs=list(identity.inputs),
        tables=tables,
        digest=digest(identity.fingerprint, content_digest(tables, [])),
        writer="benchmark",
        run_id="benchmark",
        started_at=_MADE,
        committed_at=_MADE,
    )


def _record(manifest: Manifest) -> RefRecord:
    return RefRecord(sequence=1, snapshot_id=manifest.snapshot_id, digest=manifest.digest, run_id="benchmark", at=_MADE)


def _python(code: str, *arguments: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _synth(*arguments: str) -> Any:
    code = "from synth_platform.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
