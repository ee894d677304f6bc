"""The deployment of docker/ as it runs: each process of compose.yaml, PostgreSQL, an S3 server, and the proxy.

Commands, variables, dagster.yaml, workspace.yaml and Caddyfile are those of docker/; only paths, hosts and ports
differ, and the Docker Engine is a stand-in that runs containers as processes.
"""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import obstore
import pytest
import websockets
import yaml
from obstore.store import S3Store

from synth_platform_tests.deploy import docker_client
from synth_platform_tests.deploy.compose import DOCKER
from synth_platform_tests.deploy.deployment import PATIENCE, Deployment, Site, small_dataset, wait_for
from synth_platform_tests.pipeline import Engine, mock_engine, write_spec

pytestmark = pytest.mark.xdist_group("deployment")
DOCUMENTS, IN_FLIGHT = 14, 2
SET_LIMIT = 'mutation { setConcurrencyLimit(concurrencyKey: "%s", limit: 3) }'
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"


def keys(bucket: S3Store, prefix: str) -> list[str]:
    return sorted(entry["path"] for entry in obstore.list(bucket, prefix=prefix).collect())


def limits(site: Site) -> set[str]:
    """Names of the pools that have a limit: what the mutation of these tests leaves behind."""
    return {entry["concurrencyKey"] for entry in site.ask(LIMITS)["instance"]["concurrencyLimits"]}


@pytest.mark.parametrize("service", ["proxy", "webserver", "viewer", "code", "daemon"])
def test_every_service_becomes_healthy(deployment: Deployment, service: str) -> None:
    check = deployment.services.health_check(service)
    wait_for(lambda: check().returncode == 0, PATIENCE, f"{service} is never healthy")


def test_who_is_let_in(deployment: Deployment) -> None:
    ui, view = deployment.ui, deployment.view
    page = {"query": LIMITS}
    assert ui.send("GET", "/").status_code == 200
    assert ui.send("GET", "/", auth=None).status_code == 401
    assert ui.send("POST", "/graphql", json=page, auth=None).status_code == 401
    assert ui.send("GET", "/", auth=("alice", "guessed")).status_code == 401
    assert ui.send("GET", "/", auth=view.auth).status_code == 401
    assert view.send("GET", "/", auth=ui.auth).status_code == 401
    assert ui.send("POST", "/graphql", json=page).status_code == 200  # a program, which sends no Origin
    for stranger in ("evil.test", "127.0.0.1", f"localhost:{ui.port}", f"synth.test.evil.test:{ui.port}"):
        assert ui.send("GET", "/", headers={"Host": stranger}).status_code == 421
    for origin in ("http://evil.test", "null", "https://synth.test", f"http://synth.test:{ui.port}.evil.test"):
        for method in ("GET", "POST"):
            refused = ui.send(method, "/graphql", json=page, headers={"Origin": origin})
            assert refused.status_code == 403, (origin, method)


def test_a_mutation_by_url_is_refused_by_the_proxy_and_executed_behind_it(deployment: Deployment) -> None:
    ui = deployment.ui
    for number, (method, path, headers) in enumerate(
        [
            ("GET", "/graphql?query={0}", {}),
            ("GET", "/graphql?op=x&query={0}", {}),
            ("GET", "/graphql?%71uery={0}", {}),
            ("GET", "/%67raphql?query={0}", {}),
            ("GET", "/graphql?a;b&query={0}", {}),
            ("GET", "/graphql?op=%00&query={0}", {}),
            ("GET", "/graphql/?query={0}", {}),
            ("GET", "//graphql?query={0}", {}),
            ("GET", "/x/../graphql?query={0}", {}),
            ("GET", "/graphql%0A?query={0}", {}),
            ("GET", "/graphql%0a?query={0}", {}),
            ("GET", "/%67raphql%0A?query={0}", {}),
            ("GET", "//graphql%0A?query={0}", {}),
            ("GET", "/x/../graphql%0A?query={0}", {}),
            ("GET", "/graphql%0A?op=x&query={0}", {}),
            ("GET", "/graphql?query={0}", {"Upgrade": "websocket"}),
            ("GET", "/graphql?query={0}", {"Upgrade": "websocket", "Connection": "Upgrade"}),
            ("HEAD", "/graphql?query={0}", {}),
            ("POST", "/graphql?query={0}", {"Content-Type": "text/plain"}),
        ]
    ):
        mutation = httpx.QueryParams({"q": SET_LIMIT % f"by-url-{number}"})["q"].replace(" ", "%20").replace('"', "%22")
        answer = ui.send(method, path.format(mutation), headers=headers)
        assert answer.status_code != 200 or "concurrency" not in answer.text, (method, path)
    assert not {name for name in limits(ui) if name.startswith("by-url")}

    behind = httpx.get(f"{deployment.behind}/graphql", params={"query": SET_LIMIT % "behind"}, trust_env=False)
    assert behind.json()["data"] == {"setConcurrencyLimit": True}
    assert "behind" in limits(ui)


def test_lookers_only_look(deployment: Deployment) -> None:
    view = deployment.view
    assert "small" in view.jobs()
    assert view.launch("small")["__typename"] == "UnauthorizedError"
    report = view.send("POST", "/report_asset_materialization/small/documents", headers={"Origin": view.origin})
    assert report.status_code == 405
    for path in ("/graphql", "/graphql%0A"):
        assert view.send("GET", f"{path}?query={SET_LIMIT % 'looker'}").status_code == 405
    assert "looker" not in limits(view)


def test_subscriptions_pass_for_the_own_origin_only(deployment: Deployment) -> None:
    ui = deployment.ui

    async def first_word(origin: str) -> str:
        async with websockets.connect(
            f"ws://synth.test:{ui.port}/graphql",
            host="127.0.0.1",
            origin=websockets.Origin(origin),
            subprotocols=[websockets.Subprotocol("graphql-ws")],
            additional_headers={"Authorization": httpx.BasicAuth(*ui.auth)._auth_header},
            proxy=None,
        ) as connection:
            await connection.send('{"type": "connection_init"}')
            return str(await asyncio.wait_for(connection.recv(), 20))

    assert "connection_ack" in asyncio.run(first_word(ui.origin))
    with pytest.raises(websockets.InvalidStatus) as refused:
        asyncio.run(first_word("http://evil.test"))
    assert refused.value.response.status_code == 403


@pytest.fixture(scope="module")
def made(deployment: Deployment) -> Deployment:
    """The deployment after a dataset was made through the proxy."""
    assert deployment.run("small") == "SUCCESS"
    return deployment


def test_a_dataset_is_made_through_the_proxy(made: Deployment) -> None:
    deployment = made
    snapshots, logs = keys(deployment.bucket, "data/small/"), keys(deployment.bucket, "compute-logs/")
    assert any(path.startswith("data/small/release/") and path.endswith("manifest.json") for path in snapshots)
    assert any(path.endswith((".err", ".out")) for path in logs)
    assert not (deployment.home / "data").exists()

    container = next(iter(deployment.docker.containers.values()))
    host = container.config["HostConfig"]
    assert container.config["Image"] == "synth-platform:local"
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["NetworkMode"] == "synth_platform"
    assert "exec" in host["Tmpfs"]["/tmp"].split(",") and host["ShmSize"] == 8 << 30
    named = {volume["name"] for volume in deployment.services.compose["volumes"].values() if "name" in volume}
    assert {bind.split(":")[0] for bind in host["Binds"]} == named


def test_what_the_launcher_asks_of_docker_is_allowed_and_nothing_else(made: Deployment) -> None:
    deployment = made
    allowed = deployment.services.allowed_requests("docker")
    assert deployment.docker.requests
    for method, path in deployment.docker.requests:
        assert allowed(method, path), (method, path)
    for method, path in [
        ("POST", "/v1.51/containers/0a1b/exec"),
        ("POST", "/v1.51/images/create"),
        ("POST", "/v1.51/volumes/create"),
        ("GET", "/v1.51/containers/0a1b/archive"),
        ("GET", "/v1.51/secrets"),
        ("DELETE", "/v1.51/containers/0a1b"),
    ]:
        assert not allowed(method, path), (method, path)


def test_the_daemon_goes_on_after_the_database_was_killed(deployment: Deployment) -> None:
    deployment.database.kill()
    time.sleep(3)
    deployment.database.start()
    wait_for(lambda: deployment.ui.ask(LIMITS), PATIENCE, "the webserver does not find the database again")
    assert deployment.run("small", "small/documents") == "SUCCESS"
    assert deployment.services.running["daemon"].poll() is None


@dataclass
class Slow:
    """A dataset whose answers take a second each, and its engine."""

    deployment: Deployment
    engine: Engine
    tokenizer: Path

    def write(self, max_tokens: int) -> None:
        """The spec; with other limits, all is to be asked anew."""
        sample = {"sample": {"documents": DOCUMENTS}}
        limits = {"chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": max_tokens}}
        attributes = small_dataset(self.engine.url, self.tokenizer, "slow")
        attributes |= {
            "sources": [{"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": sample}],
            "recipes": [{"name": "faq", **limits}],
        }
        attributes["engine"]["concurrency"] = IN_FLIGHT
        write_spec(self.deployment.home / "datasets" / "slow", attributes)
        self.deployment.reload()

    def begin(self) -> str:
        """Start a run that goes as far as the generations."""
        return self.deployment.begin("slow", "slow/documents", "slow/prompts/faq", "slow/generations/faq", checks=True)

    def asked(self) -> int:
        return len(self.engine.requests())


@pytest.fixture
def slow(deployment: Deployment, tokenizer_folder: Path, tmp_path: Path) -> Iterator[Slow]:
    with mock_engine(tmp_path, latency=1.0) as engine:
        yield Slow(deployment, engine, tokenizer_folder)
    shutil.rmtree(deployment.home / "datasets" / "slow")
    deployment.reload()


def test_a_run_goes_on_while_or_after_the_database_is_away(slow: Slow) -> None:
    """For a moment it may be away; after a long while the run may have failed, and the next one goes on."""
    for number, seconds in enumerate((3, 25)):
        slow.write(max_tokens=300 + number)
        before, run = slow.asked(), slow.begin()
        wait_for(lambda asked=before: slow.asked() > asked + IN_FLIGHT, PATIENCE, "nothing is generated")
        slow.deployment.database.kill()
        time.sleep(seconds)
        slow.deployment.database.start()
        ended = slow.deployment.ended(run)
        if ended != "SUCCESS" and seconds > 3:
            ended = slow.deployment.ended(slow.begin())
        assert ended == "SUCCESS" and slow.asked() - before == DOCUMENTS, "nothing is asked twice"
    assert slow.deployment.services.running["daemon"].poll() is None


def test_a_killed_daemon_is_started_again_and_a_changed_spec_is_picked_up(deployment: Deployment) -> None:
    deployment.services.kill("daemon")
    write_spec(deployment.home / "datasets" / "more", {**deployment.spec, "name": "more"})
    assert "more" not in deployment.ui.jobs()
    deployment.reload()
    assert "more" in deployment.ui.jobs()
    deployment.services.start("daemon")
    assert deployment.run("more", "more/documents") == "SUCCESS"


def test_containers_keep_nothing_in_the_image(deployment: Deployment) -> None:
    instance = Path(deployment.services.environment("daemon")["DAGSTER_HOME"])
    assert sorted(path.name for path in instance.iterdir()) == ["dagster.yaml", "workspace.yaml"]
    settings = yaml.safe_load((instance / "dagster.yaml").read_text("utf-8"))
    assert settings["run_launcher"]["class"] == "DockerRunLauncher"


def test_a_backup_brings_database_and_versions_back(made: Deployment, tmp_path: Path) -> None:
    deployment, services, backup = made, made.services, tmp_path / "backup"
    client = docker_client.install(
        tmp_path / "bin",
        services.environment("prepare"),
        services.command("prepare"),
        {"/synth/datasets": str(deployment.home / "datasets")},
        deployment.database.programs,
        DOCKER / "entrypoint",
    )
    variables = {**os.environ, "PATH": f"{client}:{os.environ['PATH']}"}
    before = keys(deployment.bucket, "data/")
    runs = deployment.ui.run_ids()
    assert before and runs
    for _ in range(2):
        subprocess.run([DOCKER / "backup", backup], env=variables, check=True)
    assert (backup / "datasets" / "small" / "defs.yaml").is_file()

    services.stop()
    obstore.delete(deployment.bucket, before)
    deployment.database.forget("runs")
    (client / docker_client.RUNNING).write_text("0a1b\n2c3d\n")
    refused = subprocess.run([DOCKER / "restore", backup], env=variables, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "docker stop 0a1b 2c3d" in refused.stderr
    (client / docker_client.RUNNING).unlink()
    subprocess.run([DOCKER / "restore", backup], env=variables, check=True)
    for name in ("code", "webserver", "proxy"):
        services.start(name)
    assert wait_for(deployment.ui.run_ids, PATIENCE, "the interface does not come back") == runs
    assert keys(deployment.bucket, "data/") == before
