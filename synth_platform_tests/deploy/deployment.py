"""The whole deployment of docker/ as plain processes: what the tests of it stand on."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from obstore.store import S3Store

from synth_platform_tests.alerts.stand_ins import Guarded, Received, guarded_mail_server, web_service
from synth_platform_tests.conftest import free_port
from synth_platform_tests.deploy.compose import DOCKER, ROOT, Services, image_environment, read_compose
from synth_platform_tests.deploy.engine_api import EngineApi, engine_api
from synth_platform_tests.deploy.postgres import Postgres, postgres
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, write_spec
from synth_platform_tests.processes import descendants

PATIENCE = 1200
"""Seconds to wait for what is certain to come, on a machine that does other things too."""
PASSWORDS = {"users": ("alice", "opens-the-ui"), "viewers": ("bob", "may-only-look")}
UI, VIEW = ("synth.test", "users"), ("view.synth.test", "viewers")
LAUNCH = """mutation($selector: JobOrPipelineSelector!, $tags: [ExecutionTag!]) { launchRun(executionParams: {
    selector: $selector, executionMetadata: {tags: $tags}
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "synth_platform") { __typename
    ... on WorkspaceLocationEntry { locationOrLoadError { __typename ... on PythonError { message } } } } }"""
SWITCH_ON = """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename
    ... on PythonError { message } } }"""
WRONG_PASSWORD = "wr0ngpassw0rd77"
"""What the deployment tells the mail server, which wants another one."""
CHANNELS = [{"type": "webhook", "url_env": "SYNTH_ALERT_URL"}, {"type": "email", "to": ["team@example.org"]}]
REPOSITORY = {"repositoryLocationName": "synth_platform", "repositoryName": "__repository__"}
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

    def launch(self, job: str, *assets: str, checks: bool = False) -> dict[str, Any]:
        """Ask for a run of a job, or of some of its assets, with or without their checks."""
        selector: dict[str, Any] = {**REPOSITORY, "jobName": job}
        if assets:
            selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
            selector["assetCheckSelection"] = None if checks else []
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
    ports: "Ports"
    alerts: Received
    """The webhook that all alerts go to."""
    mail: Guarded
    """The mail server that they go to also, with a wrong password."""

    def reload(self) -> None:
        """Have the code server read all specs again."""
        reloaded = self.ui.ask(RELOAD)["reloadRepositoryLocation"]
        assert reloaded["locationOrLoadError"]["__typename"] == "RepositoryLocation", reloaded

    def switch_on(self, schedule: str) -> None:
        """Start a schedule, as on its page."""
        started = self.ui.ask(SWITCH_ON, selector={**REPOSITORY, "scheduleName": schedule})["startSchedule"]
        assert started["__typename"] == "ScheduleStateResult", started

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """Dagster's database itself."""
        with pytest.MonkeyPatch.context() as variables:
            for name, value in self.services.environment("daemon").items():
                variables.setenv(name, value)
            for name in ("DAGSTER_POSTGRES_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                variables.setenv(name, "secret")
            with dg.DagsterInstance.from_config(os.environ["DAGSTER_HOME"]) as opened:
                yield opened

    def kill_everything(self) -> dict[int, str | None]:
        """SIGKILL to all services, runs and the database: the end of the machine. The processes that there were."""
        containers = [one.process for one in self.docker.containers.values() if one.process is not None]
        roots = [one.pid for one in (*self.services.running.values(), *containers)]
        known = {pid: started for root in roots for pid, started in descendants(root).items()}
        self.services.stop()
        self.services.running.clear()
        for name in self.docker.containers:
            self.docker.kill(name)
        self.database.kill()
        return known

    def start_again(self) -> None:
        """What Docker does when the machine is back."""
        self.database.start()
        start(self.services, self.ports)

    def begin(self, job: str, *assets: str, checks: bool = False) -> str:
        """Launch a job, or some of its assets, through the proxy; the id of the run."""
        # Each pool of connections fails once after the database went away.
        launched = wait_for(lambda: self.ui.launch(job, *assets, checks=checks), PATIENCE, f"{job} cannot be launched")
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def ended(self, run_id: str) -> str:
        """Wait for the end of a run; how it ended."""
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"

        def status() -> str | None:
            now = self.ui.ask(query, id=run_id)["runOrError"]["status"]
            return now if now in ("SUCCESS", "FAILURE", "CANCELED") else None

        return wait_for(status, PATIENCE, f"run {run_id} does not end")

    def run(self, job: str, *assets: str) -> str:
        """Launch a job, or some of its assets, and wait for its end; how it ended."""
        return self.ended(self.begin(job, *assets))


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


@dataclass
class Ports:
    """Where the processes listen, as they all share one host."""

    database: int = field(default_factory=free_port)
    proxy: int = field(default_factory=free_port)
    webserver: int = field(default_factory=free_port)
    viewer: int = field(default_factory=free_port)
    code: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)

    def site(self, host: str, users: str) -> Site:
        """An address of the proxy, with a password of its file of users."""
        return Site(self.proxy, host, PASSWORDS[users])


@contextmanager
def deploy(folder: Path, s3: str, tokenizer: Path, programs: Path, caddy: str) -> Iterator[Deployment]:
    """Run everything while the block lasts: database, engine, and the services of the Compose file.

    Args:
        folder: for all that is written.
        s3: address of an S3 server.
        tokenizer: of the dataset.
        programs: folder of PostgreSQL's programs.
        caddy: the proxy's program.
    """
    ports, home = Ports(), folder / "home"
    write_secrets(folder / "secrets", caddy)
    base = image_variables(folder, home)
    with ExitStack() as stack:
        engine = stack.enter_context(mock_engine(folder, perfect_answers(8)))
        alerts = stack.enter_context(web_service())
        mail = stack.enter_context(guarded_mail_server(folder, "team", "the-right-one"))
        database = stack.enter_context(postgres(programs, ports.database, "dagster", "secret"))
        docker = stack.enter_context(engine_api(base, folder))
        addresses = {
            "DOCKER_HOST": docker.host,
            "SYNTH_ALERT_URL": alerts.url,
            "SYNTH_SMTP_URL": mail.url.replace("://", f"://team:{WRONG_PASSWORD}@"),
        }
        services = as_processes(folder, home, ports, base, s3, addresses)
        stack.callback(services.stop)
        spec = small_dataset(engine.url, tokenizer)
        write_spec(home / "datasets" / "small", spec)
        start(services, ports)
        yield Deployment(
            services=services,
            database=database,
            docker=docker,
            ui=ports.site(*UI),
            view=ports.site(*VIEW),
            behind=f"http://127.0.0.1:{ports.webserver}",
            home=home,
            bucket=open_bucket(s3),
            spec=spec,
            ports=ports,
            alerts=alerts,
            mail=mail,
        )


def as_processes(
    folder: Path, home: Path, ports: Ports, base: dict[str, str], s3: str, addresses: dict[str, str]
) -> Services:
    """The services of the Compose file, with what is elsewhere outside of containers."""
    settings = {
        "SYNTH_UI_ORIGIN": ports.site(*UI).origin,
        "SYNTH_VIEW_ORIGIN": ports.site(*VIEW).origin,
        "SYNTH_DATASETS": str(home / "datasets"),
        "SYNTH_SOURCES": str(folder),
        "SYNTH_PUBLISH": str(home / "published"),
        "AWS_ENDPOINT_URL": s3,
        "SYNTH_ALERTS": json.dumps(CHANNELS),
    }
    replaced = {
        "/app/dagster/docker": str(write_instance(folder / "instance")),
        "/run/secrets": str(folder / "secrets"),
        "/etc/caddy/Caddyfile": str(DOCKER / "Caddyfile"),
        "webserver:3000": f"127.0.0.1:{ports.webserver}",
        "viewer:3000": f"127.0.0.1:{ports.viewer}",
        "webserver|3000": str(ports.webserver),
        "viewer|3000": str(ports.viewer),
        "4000": str(ports.code),
        "127.0.0.1:8081": f"127.0.0.1:{ports.health}",
        "0.0.0.0": "127.0.0.1",
    }
    overrides = {
        **addresses,
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(ports.database),
        "SYNTH_CODE_HOST": "127.0.0.1",
        "SYNTH_OTHER_ADDRESS": f"http://:{ports.proxy}",
        "SYNTH_PROXY_HEALTH_PORT": str(ports.health),
    }
    return Services(read_compose(settings), replaced=replaced, base=base, logs=folder, overrides=overrides)


def start(services: Services, ports: Ports) -> None:
    """Start the services in the order that the Compose file asks for, and wait until they answer."""
    assert services.start("prepare").wait(PATIENCE) == 0, services.log("prepare")
    for name in ("code", "webserver", "viewer", "daemon", "proxy"):
        services.start(name)
    wait_for(lambda: not is_free(ports.code), PATIENCE, "the code server does not start")
    for port in (ports.webserver, ports.viewer):
        address = f"http://127.0.0.1:{port}/server_info"
        wait_for(lambda a=address: httpx.get(a, trust_env=False).is_success, PATIENCE, "a webserver does not start")


def open_bucket(s3: str) -> S3Store:
    """The bucket of the deployment, seen by the tests themselves."""
    return S3Store("synth", endpoint=s3, client_options={"allow_http": True}, access_key_id="k", secret_access_key="s")


def image_variables(folder: Path, home: Path) -> dict[str, str]:
    """What the image sets, and where this checkout and its programs are."""
    return {
        **image_environment(),
        "PATH": f"{programs_folder(folder)}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SYNTH_HOME": str(home),
        "SYNTH_DAGSTER_SCRATCH": str(folder / "scratch"),
        "HOME": str(folder),
        "HF_HOME": str(home / "huggingface"),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "TMPDIR": str(temporary(folder)),
        "OMP_NUM_THREADS": "1",
        "SSL_CERT_FILE": str(folder / "mail.pem"),
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
    """DAGSTER_HOME as the image has it, common settings and a launcher in one file; dead runs are looked for sooner."""
    folder.mkdir()
    parts = [(DOCKER / "instance" / name).read_text("utf-8") for name in ("common.yaml", "docker.yaml")]
    settings = "".join(parts).replace("poll_interval_seconds: 30", "poll_interval_seconds: 5")
    (folder / "dagster.yaml").write_text(settings, "utf-8")
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
