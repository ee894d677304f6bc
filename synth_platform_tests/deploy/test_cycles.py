"""Nobody at the keyboard: a cycle makes itself, then anew where a template changed, whatever is killed meanwhile."""

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import obstore
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster_docker.docker_run_launcher import DOCKER_CONTAINER_ID_TAG

from synth_platform.ops.doctor.runs import PROCESS_IS_GONE
from synth_platform.ops.outbox import ALERTED_TAG
from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG, WHY_TAG
from synth_platform.prompts.templates import Template
from synth_platform.snapshots import Snapshots
from synth_platform.snapshots.framed_log import frames
from synth_platform.workspace import Workspace
from synth_platform_tests.deploy.deployment import PATIENCE, WRONG_PASSWORD, Deployment, small_dataset, wait_for
from synth_platform_tests.pipeline import Engine, dataset, mock_engine, write_spec
from synth_platform_tests.processes import descendants, living, with_variable

pytestmark = pytest.mark.xdist_group("deployment")
DOCUMENTS, IN_FLIGHT = 14, 2
UNTOUCHED = ("documents", "prompts/faq", "generations/faq", "quality/faq", "accepted/faq")


@dataclass
class Alone:
    """A dataset of two recipes that is made each day, its engine, and what the deployment made of it."""

    deployment: Deployment
    engine: Engine
    tokenizer: Path
    snapshots: Snapshots
    cycle: str = ""

    def switch_on(self) -> None:
        """Write the spec and start the schedule, so that it is due in a moment."""
        while True:
            # In a time zone where it is about noon: no cycle ends while the test runs.
            zone = f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"
            due = (datetime.now(ZoneInfo(zone)) + timedelta(seconds=80)).replace(second=0, microsecond=0)
            start = (due - timedelta(days=5)).date().isoformat()
            self.cycle = (due - timedelta(days=1)).date().isoformat()
            self._write({"every": "day", "at": f"{due:%H:%M}", "start": start, "timezone": zone})
            self.deployment.reload()
            self.deployment.switch_on("alone_cycle")
            if datetime.now(UTC) < due:
                return

    def _write(self, cadence: dict[str, str]) -> None:
        limits = {"chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}}
        sample = {"sample": {"documents": DOCUMENTS}}
        attributes = dataset(
            self.engine.url,
            self.tokenizer,
            name="alone",
            sources=[{"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": sample}],
            recipes=[{"name": "mine", "template": "mine.jinja", **limits}, {"name": "faq", **limits}],
            benchmarks=None,
            cadence=cadence,
            regenerate={"on_change": "automatic"},
            shard_size=100,
        )
        attributes["engine"]["concurrency"] = IN_FLIGHT
        write_spec(self.deployment.home / "datasets" / "alone", attributes)

    def write_template(self, text: str) -> None:
        folder = self.deployment.home / "datasets" / "alone"
        folder.mkdir(exist_ok=True)
        (folder / "mine.jinja").write_text(text, "utf-8")

    def runs(self, dataset: str = "alone") -> list[dg.DagsterRun]:
        """From the first one on."""
        with self.deployment.instance() as instance:
            return [*reversed(instance.get_runs(dg.RunsFilter(tags={DATASET_TAG: dataset})))]

    def ended(self, number: int) -> dg.DagsterRun:
        """Wait for the end of the run of that number."""

        def look() -> dg.DagsterRun | None:
            runs = self.runs()
            return runs[number] if len(runs) > number and runs[number].is_finished else None

        return wait_for(look, PATIENCE, f"run {number} does not come to its end")

    def versions(self) -> dict[str, str]:
        """Digest of the current version of each asset."""
        found: dict[str, str] = {}
        for asset, partition in self.snapshots.assets("alone"):
            head = self.snapshots.head(asset, partition)
            if head is not None and partition == self.cycle:
                found[asset.removeprefix("alone/")] = head.manifest.digest
        return found

    def prompts(self, recipe: str) -> set[str]:
        """What the engine's book shows for the prompts of a recipe."""
        head = self.snapshots.head(f"alone/prompts/{recipe}", self.cycle)
        assert head is not None
        texts = head.scan("prompts").select("messages").collect()["messages"]
        return {hashlib.sha256(json.loads(text)[-1]["content"].encode()).hexdigest() for text in texts}

    def kept(self) -> int:
        """Answers to the changed prompts that are in the ledger."""
        prefix = f"data/alone/generations/mine/{self.cycle}/"
        paths = [one["path"] for one in obstore.list(self.deployment.bucket, prefix=prefix).collect()]
        logs = [obstore.get(self.deployment.bucket, path).bytes().to_bytes() for path in paths if "/ledger/" in path]
        return sum(pl.read_ipc_stream(io.BytesIO(one)).height for log in logs for one in frames(log))


@pytest.fixture
def alone(
    deployment: Deployment, s3_server: str, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Alone]:
    """The dataset, not yet written; and another one, whose documents do not pass their gate."""
    for name, value in {"ENDPOINT_URL": s3_server, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    strict = small_dataset("http://127.0.0.1:9/v1", tokenizer_folder, "strict")
    write_spec(deployment.home / "datasets" / "strict", strict | {"gates": {"documents": {"not_empty": {"min": 1000}}}})
    with mock_engine(tmp_path, latency=1.0) as engine:
        snapshots = Workspace(tmp_path / "home", "s3://synth/data").snapshots
        made = Alone(deployment, engine, tokenizer_folder, snapshots)
        made.write_template(Template.load("table", Path()).text)
        yield made
    for name in ("alone", "strict"):
        shutil.rmtree(deployment.home / "datasets" / name)
    if deployment.services.running:
        deployment.reload()


def test_a_run_whose_container_is_gone_is_failed_and_its_place_in_the_pool_freed(deployment: Deployment) -> None:
    with deployment.instance() as instance:
        tags = {DOCKER_CONTAINER_ID_TAG: "0" * 64}
        run = create_run_for_test(instance, "gone", status=dg.DagsterRunStatus.STARTED, tags=tags)
        instance.event_log_storage.initialize_concurrency_limit_to_default("gpu")
        assert instance.event_log_storage.claim_concurrency_slot("gpu", run.run_id, "step").is_claimed
        by_id = dg.RunsFilter(run_ids=[run.run_id])
        wait_for(lambda: instance.get_runs(by_id)[0].is_finished, PATIENCE, "nobody looks for the container")
        (why,) = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        assert "Could not find container" in f"{why.message} {why.user_message}"
        pool = instance.event_log_storage
        wait_for(lambda: not pool.get_concurrency_info("gpu").claimed_slots, PATIENCE, "its place is not freed")
        instance.delete_run(run.run_id)


def test_cycles_make_themselves_while_everything_is_killed(alone: Alone, deployment: Deployment) -> None:
    alone.switch_on()
    assert deployment.ui.launch("strict_prompts")["__typename"] == "LaunchRunSuccess"
    first = alone.ended(0)
    assert first.status == dg.DagsterRunStatus.SUCCESS
    assert first.tags[WHY_TAG] == "schedule" and first.tags[CYCLE_TAG] == alone.cycle
    once = alone.engine.requests()
    assert set(once) == alone.prompts("mine") | alone.prompts("faq") and len(once) == 2 * DOCUMENTS
    before = alone.versions()
    wait_for(lambda: told(deployment, "strict"), PATIENCE, "nobody was told of the gate")

    alone.write_template(Template.load("table", Path()).text + "\nWrite in English.")
    deployment.reload()
    wait_for(lambda: len(alone.engine.requests()) > len(once) + IN_FLIGHT, PATIENCE, "nothing is made anew")
    deployment.services.kill("daemon")
    deployment.services.start("daemon")
    then = len(alone.engine.requests())
    wait_for(lambda: len(alone.engine.requests()) > then and alone.kept(), PATIENCE, "it stands without the daemon")
    known = deployment.kill_everything()
    wait_for(lambda: not living(known), PATIENCE, "a process outlives the end of the machine")
    asked, kept = alone.engine.requests(), alone.kept()
    assert 0 < kept < DOCUMENTS and len(asked) < 3 * DOCUMENTS, "it was to be killed in the middle"

    deployment.start_again()
    repeated = alone.ended(2)
    _, killed, _ = alone.runs()
    assert killed.status == dg.DagsterRunStatus.FAILURE and killed.tags[WHY_TAG] == "changed: the template of mine"
    assert repeated.status == dg.DagsterRunStatus.SUCCESS and repeated.parent_run_id == killed.run_id
    assert repeated.tags[CYCLE_TAG] == killed.tags[CYCLE_TAG] == alone.cycle
    later = alone.engine.requests()[len(once) :]
    assert set(later) == alone.prompts("mine") and len(set(later)) == DOCUMENTS and not set(later) & set(once)
    assert len(alone.engine.requests()) - len(asked) == DOCUMENTS - kept, "what was kept is not asked again"
    after = alone.versions()
    assert {asset: after[asset] for asset in UNTOUCHED} == {asset: before[asset] for asset in UNTOUCHED}
    assert all(after[asset] != before[asset] for asset in ("prompts/mine", "generations/mine", "release"))
    with deployment.instance() as instance:
        pool = instance.event_log_storage.get_concurrency_info("gpu")
        assert not pool.claimed_slots and not pool.pending_steps and pool.slot_count == 1
    wait_for(lambda: not strangers(deployment), PATIENCE, "a process outlived its run")
    check_alerts(alone, deployment, killed)


def check_alerts(alone: Alone, deployment: Deployment, killed: dg.DagsterRun) -> None:
    """Each failed run was told once, whatever was killed; the mail server was tried once for each."""
    (body,) = wait_for(lambda: told(deployment, "alone"), PATIENCE, "nobody was told of the dead run")
    assert body["event"] == "run" and body["run_id"] == killed.run_id and body["partition"] == alone.cycle
    # Whoever looks first: Dagster for containers, the sweep for processes of its host, which these are here.
    assert "Could not find container" in body["text"] or PROCESS_IS_GONE in body["text"]
    assert "The run is repeated by itself." in body["text"]
    (gate,) = told(deployment, "strict")
    assert gate["event"] == "gate" and "not_empty: observed 8, at least 1000" in gate["text"]
    assert gate["link"].startswith(f"{deployment.ui.origin}/runs/")
    assert deployment.mail.logins == [False] * len(deployment.alerts.bodies)

    refused = "email: the mail server refused user and password of SYNTH_SMTP_URL"
    (strict,) = alone.runs("strict")
    assert strict.tags[f"{ALERTED_TAG}.strict"].startswith(f"webhook: sent; {refused} ")
    deployment.database.run("pg_dump", "-d", "dagster", "-f", str(deployment.home / "dump.sql"))
    written = [deployment.home / "dump.sql", *deployment.services.logs.glob("*.log")]
    texts = [path.read_text("utf-8", "replace") for path in written]
    assert any(refused in text for text in texts) and not any(WRONG_PASSWORD in text for text in texts)


def told(deployment: Deployment, name: str) -> list[dict[str, str]]:
    """Alerts about a dataset."""
    return [body for body in deployment.alerts.bodies if body["dataset"] == name]


def strangers(deployment: Deployment) -> list[int]:
    """Processes of the deployment that belong to none of its services."""
    services = [one.pid for one in deployment.services.running.values()]
    own = {pid for root in services for pid in (root, *descendants(root))}
    return [pid for pid in with_variable("SYNTH_HOME", str(deployment.home)) if pid not in own]
