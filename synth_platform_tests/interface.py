"""The web interface for tests: servers on a home, Chromium, and what Dagster answers to questions."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_platform.ops.instance import WORKSPACE_FILE
from synth_platform_tests.conftest import free_port
from synth_platform_tests.pipeline import synth

LOCATION = "synth_platform"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_STARTS_WITHIN = 240.0
_EFFECT_WITHIN = 45.0
"""After a click; a page that is being drawn loses some."""
_TRIES = 4
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_CHROMIUM += ["--disable-component-update", "--disable-sync"]


@dataclass(frozen=True)
class Interface:
    """A web interface that runs.

    Args:
        address: where it listens.
        home: the home that it shows.
    """

    address: str
    home: Path

    def job(self, name: str, page: str = "") -> str:
        """Address of a job's page."""
        return f"{self.address}/locations/{LOCATION}/jobs/{name}{page}"

    def asset(self, key: str, view: str) -> str:
        """Address of an asset's page."""
        return f"{self.address}/assets/{key}?view={view}"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What GraphQL answers."""
        body = {"query": query, "variables": variables}
        return httpx.post(f"{self.address}/graphql", json=body, timeout=60).json()["data"]

    def runs(self, job: str) -> list[dict[str, Any]]:
        """Runs of a job, the newest first: id, status and tags."""
        query = """query($job: String) { runsOrError(filter: {pipelineName: $job}) { ... on Runs {
            results { id status tags { key value } } } } }"""
        found = self.ask(query, job=job)["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def ended(self, job: str, runs: int = 1) -> bool:
        """Whether so many runs of a job were launched, and all have ended."""
        found = self.runs(job)
        return len(found) >= runs and all(run["status"] in ENDED for run in found)

    def metadata(self, key: str) -> dict[str, Any]:
        """Texts in the metadata of an asset's newest materialization."""
        query = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
            assetMaterializations(limit: 1) { metadataEntries { label ... on MarkdownMetadataEntry { mdStr }
            ... on TextMetadataEntry { text } } } } } }"""
        answer = self.ask(query, key={"path": key.split("/")})
        entries = answer["assetOrError"]["assetMaterializations"][0]["metadataEntries"]
        return {entry["label"]: entry.get("mdStr") or entry.get("text") for entry in entries}

    def reload(self) -> None:
        """Have the specs read again."""
        self.ask(f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{LOCATION}") {{ __typename }} }}')

    def is_up(self) -> bool:
        """Whether it answers, and knows the code."""
        query = "{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }"
        try:
            return bool(self.ask(query)["repositoriesOrError"].get("nodes"))
        except (httpx.HTTPError, KeyError, ValueError):
            return False


@contextmanager
def user_interface(home: Path) -> Iterator[Interface]:
    """`synth ui` on a home: web server, daemon and code server."""
    port = free_port()
    process = synth("ui", "--port", str(port), home=home, wait=False)
    with _until_done(process, Interface(f"http://127.0.0.1:{port}", home)) as interface:
        yield interface


@contextmanager
def read_only_interface(home: Path) -> Iterator[Interface]:
    """The web server that a deployment starts for lookers, on a home that `synth ui` has made."""
    port, dagster_home = free_port(), home / "dagster"
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(dagster_home / WORKSPACE_FILE), "--read-only"]
    process = subprocess.Popen(
        [*command, "-h", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "SYNTH_HOME": str(home), "DAGSTER_HOME": str(dagster_home)},
    )
    with _until_done(process, Interface(f"http://127.0.0.1:{port}", home)) as interface:
        yield interface


@contextmanager
def _until_done(process: subprocess.Popen[str], interface: Interface) -> Iterator[Interface]:
    try:
        wait_until(interface.is_up, "the interface did not start", _STARTS_WITHIN)
        yield interface
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


@contextmanager
def browser_page() -> Iterator[Any]:
    """A page of a headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=_CHROMIUM)
        page = browser.new_page(viewport={"width": 1600, "height": 1500})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def chromium() -> str:
    """Path of Chromium; without one the test is skipped."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not installed")
    return found


def click_until(happened: Callable[[], bool], click: Callable[[], None], otherwise: str) -> None:
    """Click, again where the click was lost while the page was drawn, until it shows an effect.

    Raises:
        AssertionError: it has shown none in so many seconds, time and again.
    """
    for _ in range(_TRIES):
        click()
        with suppress(AssertionError):
            wait_until(happened, otherwise, _EFFECT_WITHIN)
            return
    raise AssertionError(otherwise)


def wait_until(happened: Callable[[], bool], otherwise: str, seconds: float = 600) -> None:
    """Look twice a second until something has happened.

    Raises:
        AssertionError: it has not, within the time.
    """
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)


def wait_for_runs(interface: Interface, page: Any, job: str, runs: int = 1) -> list[dict[str, Any]]:
    """Runs of a job once all have ended; meanwhile the page is empty, since one that draws takes a core from them."""
    page.goto("about:blank")
    wait_until(lambda: interface.ended(job, runs), f"{job} did not end")
    return interface.runs(job)


def shows(page: Any, *texts: str) -> None:
    """Wait until a page shows all of these texts."""
    for text in texts:
        page.get_by_text(text).first.wait_for()


def names(runs: Sequence[dict[str, Any]], tag: str) -> set[str]:
    """Values of a tag over some runs."""
    return {run["tags"].get(tag, "") for run in runs}
