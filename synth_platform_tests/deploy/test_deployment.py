"""The deployment of docker/ as it runs: each process of compose.yaml, PostgreSQL, an S3 server, and the proxy.

Commands, variables, dagster.yaml, workspace.yaml and Caddyfile are those of docker/; only paths, hosts and ports
differ, and the Docker Engine is a stand-in that runs containers as processes.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest
import websockets
import yaml
from obstore.store import S3Store

from synth_platform_tests.conftest import free_port
from synth_platform_tests.deploy import docker_client
from synth_platform_tests.deploy.compose import DOCKER, ROOT, Services, image_environment, read_compose
from synth_platform_tests.deploy.engine_api import EngineApi, engine_api
from synth_platform_tests.deploy.postgres import Postgres, postgres, postgres_programs
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, write_spec

pytestmark = pytest.mark.xdist_group("deployment")
PASSWORDS = {"users": ("alice", "opens-the-ui"), "viewers": ("bob", "may-only-look")}
LAUNCH = """mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]) { launchRun(executionParams: {
    selector: $selector, executionMetadata: {tags: $tags}
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
REPOSITORY = {"repositoryLocationName": "synth_platform", "repositoryName": "__repository__"}
SET_LIMIT = 'mutation { setConcurrencyLimit(concurrencyKey: "%s", limit: 3) }'
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "synth_platform") { __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } } } }"""
JOBS = """query($repository: RepositorySelector!) { repositoryOrError(repositorySelector: $repository) {
    ... on Repository { jobs { name } } } }"""


@dataclass
class Site:
    """One of the proxy's addresses, as a client of it."""

    port: int
    host: str
    auth: tuple[str, str]

    def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the site's name, a password and no Origin, unless the options say otherwise."""
        headers = {"Host": f"{self.host}:{self.port}", **options.pop("headers", {})}
        options.setdefault("auth", self.auth)
        return httpx.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=60, trust_env=False, **options
        )

    @property
    def origin(self) -> str:
        """What a browser calls it."""
        return f"http://{self.host}:{self.port}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL answer, asked as the site's own page does."""
        answer = self.send(
            "POST",
            "/graphql?op=Test",
            json={"query": query, "variables": variables},
            headers={"Origin": self.origin},
        )
        answer.raise_for_status()
        return answer.json()["data"]

    def jobs(self) -> set[str]:
        """Names of the jobs in the code location."""
        return {job["name"] for job in self.ask(JOBS, repository=REPOSITORY)["repositoryOrError"]["jobs"]}

    def run_ids(self) -> set[str]:
        """All runs that the database knows."""
        answer = self.ask("{ runsOrError { ... on Runs { results { runId } } } }")
        return {run["runId"] for run in answer["runsOrError"]["results"]}

    def launch(self, job: str, *assets: str) -> dict[str, Any]:
        """Ask for a run of a job, or of some of its assets without their checks."""
        selector: dict[str, Any] = {**REPOSITORY, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
            selector["assetCheckSelection"] = []
        return self.ask(LAUNCH, selector=selector, tags=[{"key": "dagster/priority", "value": "5"}])["launchRun"]


@dataclass
class Deployment:
    """Everything that runs."""

    services: Services
    database: Postgres
    docker: EngineApi
    ui: Site
    view: Site
    behind: str
    """The webserver itself."""
    home: Path
    bucket: S3Store
    spec: dict[str, Any]

    def run(self, job: str, *assets: str) -> str:
        """Launch a job, or some of its assets, through the proxy and wait for its end; how it ended."""
        # Each pool of connections fails once after the database went away.
        launched = wait_for(lambda: self.ui.launch(job, *assets), 60, f"{job} cannot be launched")
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

        def status() -> str | None:
            now = self.ui.ask(query, id=run_id)["runOrError"]["status"]
            return now if now in ("SUCCESS", "FAILURE", "CANCELED") else None

        return wait_for(status, 150, f"{job} does not end") or ""


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise AssertionError(what)


@pytest.fixture(scope="module")
def deployment(
    tokenizer_folder: Path, s3_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    caddy = shutil.which("caddy") or shutil.which("caddy", path=str(Path(sys.executable).parent))
    if caddy is None:
        pytest.skip("Caddy is not installed")
    folder = tmp_path_factory.mktemp("deployment")
    database_port, proxy_port = free_port(), free_port()
    home = folder / "home"
    with ExitStack() as stack:
        engine = stack.enter_context(mock_engine(folder, perfect_answers(8)))
        database = stack.enter_context(postgres(programs, database_port, "dagster", "secret"))
        base = image_variables(folder, home)
        docker = stack.enter_context(engine_api(base, folder))
        sites = {
            "users": Site(proxy_port, "synth.test", PASSWORDS["users"]),
            "viewers": Site(proxy_port, "view.synth.test", PASSWORDS["viewers"]),
        }
        write_secrets(folder / "secrets", caddy)
        instance = write_instance(folder / "instance")
        compose = read_compose(
            {
                "SYNTH_UI_ORIGIN": sites["users"].origin,
                "SYNTH_VIEW_ORIGIN": sites["viewers"].origin,
                "SYNTH_DATASETS": str(home / "datasets"),
                "SYNTH_SOURCES": str(folder),
                "AWS_ENDPOINT_URL": s3_server,
            }
        )
        webserver, viewer, code = free_port(), free_port(), free_port()
        services = Services(
            compose,
            replaced={
                "/app/dagster/docker": str(instance),
                "/run/secrets": str(folder / "secrets"),
                "/etc/caddy/Caddyfile": str(DOCKER / "Caddyfile"),
                "webserver:3000": f"127.0.0.1:{webserver}",
                "viewer:3000": f"127.0.0.1:{viewer}",
                "webserver|3000": str(webserver),
                "viewer|3000": str(viewer),
                "4000": str(code),
                "0.0.0.0": "127.0.0.1",
            },
            base=base,
            logs=folder,
            overrides={
                "DAGSTER_POSTGRES_HOST": "127.0.0.1",
                "DAGSTER_POSTGRES_PORT": str(database_port),
                "SYNTH_CODE_HOST": "127.0.0.1",
                "DOCKER_HOST": docker.host,
                "SYNTH_OTHER_ADDRESS": f"http://:{proxy_port}",
                "SYNTH_PROXY_HEALTH_PORT": str(free_port()),
            },
        )
        stack.callback(services.stop)
        spec = small_dataset(engine.url, tokenizer_folder)
        write_spec(home / "datasets" / "small", spec)
        assert services.start("prepare").wait(120) == 0, services.log("prepare")
        for name in ("code", "webserver", "viewer", "daemon", "proxy"):
            services.start(name)
        wait_for(lambda: not is_free(code), 90, "the code server does not start")
        for port in (webserver, viewer):
            address = f"http://127.0.0.1:{port}/server_info"
            wait_for(lambda a=address: httpx.get(a, trust_env=False).is_success, 90, "a webserver does not start")
        bucket = S3Store(
            "synth", endpoint=s3_server, client_options={"allow_http": True}, access_key_id="k", secret_access_key="s"
        )
        yield Deployment(
            services,
            database,
            docker,
            sites["users"],
            sites["viewers"],
            f"http://127.0.0.1:{webserver}",
            home,
            bucket,
            spec,
        )


def image_variables(folder: Path, home: Path) -> dict[str, str]:
    """What the image sets, and where this checkout and its programs are."""
    return {
        **image_environment(),
        "PATH": f"{programs_folder(folder)}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SYNTH_HOME": str(home),
        "SYNTH_DAGSTER_SCRATCH": str(folder / "scratch"),
        "HOME": str(folder),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "TMPDIR": str(temporary(folder)),
        "OMP_NUM_THREADS": "1",
    }


def temporary(folder: Path) -> Path:
    """/tmp of the containers."""
    (folder / "tmp").mkdir(exist_ok=True)
    return folder / "tmp"


def programs_folder(folder: Path) -> Path:
    """`synth` of this checkout, whatever is installed."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "synth"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from synth_platform.cli import main; main()' \"$@\"\n")
    program.chmod(0o755)
    return program.parent


def write_secrets(folder: Path, caddy: str) -> None:
    """The files of docker/secrets."""
    folder.mkdir()
    for name in ("postgres_password", "s3_access_key", "s3_secret_key", "vllm_api_key"):
        (folder / name).write_text("secret\n")
    for name, (user, password) in PASSWORDS.items():
        hashed = subprocess.run(
            [caddy, "hash-password", "--plaintext", password], capture_output=True, text=True, check=True
        )
        (folder / name).write_text(f"{user} {hashed.stdout.strip()}\n")


def write_instance(folder: Path) -> Path:
    """DAGSTER_HOME as the image has it: common settings and a launcher in one file."""
    folder.mkdir()
    parts = [DOCKER / "instance" / name for name in ("common.yaml", "docker.yaml")]
    (folder / "dagster.yaml").write_text("".join(part.read_text("utf-8") for part in parts), "utf-8")
    shutil.copy(DOCKER / "instance" / "workspace.yaml", folder)
    return folder


def small_dataset(url: str, tokenizer: Path, name: str = "small") -> dict[str, Any]:
    """A dataset of a few documents and one recipe."""
    return dataset(
        url,
        tokenizer,
        name=name,
        sources=[{"type": "playground", "documents": 8}],
        recipes=[{"name": "table", "sampling": {"max_tokens": 400}}],
        benchmarks=None,
    )


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def keys(bucket: S3Store, prefix: str) -> list[str]:
    return sorted(entry["path"] for entry in obstore.list(bucket, prefix=prefix).collect())


def limits(site: Site) -> set[str]:
    """Names of the pools that have a limit: what the mutation of these tests leaves behind."""
    return {entry["concurrencyKey"] for entry in site.ask(LIMITS)["instance"]["concurrencyLimits"]}


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
    assert view.send("GET", f"/graphql?query={SET_LIMIT % 'looker'}").status_code == 405
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
    wait_for(lambda: deployment.ui.ask(LIMITS), 60, "the webserver does not find the database again")
    assert deployment.run("small", "small/documents") == "SUCCESS"
    assert deployment.services.running["daemon"].poll() is None


def test_a_killed_daemon_is_started_again_and_a_changed_spec_is_picked_up(deployment: Deployment) -> None:
    deployment.services.kill("daemon")
    write_spec(deployment.home / "datasets" / "more", {**deployment.spec, "name": "more"})
    assert "more" not in deployment.ui.jobs()
    reloaded = deployment.ui.ask(RELOAD)["reloadRepositoryLocation"]
    assert reloaded["locationOrLoadError"]["__typename"] == "RepositoryLocation", reloaded
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
    subprocess.run([DOCKER / "restore", backup], env=variables, check=True)
    for name in ("code", "webserver", "proxy"):
        services.start(name)
    assert wait_for(deployment.ui.run_ids, 90, "the interface does not come back") == runs
    assert keys(deployment.bucket, "data/") == before
