"""The web interface as a user sees it: Chromium opens the graph, materializes it, and reads an asset's page."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_platform_tests.conftest import free_port
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, synth, write_spec

pytestmark = pytest.mark.ui
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
_CHROMIUM += ["--disable-component-update", "--disable-sync"]
LOCATION = "synth_platform"


@pytest.fixture
def interface(tokenizer_folder: Path, tmp_path: Path) -> Iterator[str]:
    """`synth ui` on a home with a small dataset; its address."""
    if shutil.which("chromium") is None:
        pytest.skip("Chromium is not installed")
    home, port = tmp_path / "home", free_port()
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        write_spec(home / "datasets" / "small", dataset(engine.url, tokenizer_folder, description="Made for a test."))
        process = synth("ui", "--port", str(port), home=home, wait=False)
        address = f"http://127.0.0.1:{port}"
        try:
            _await(lambda: _up(address), 180, "the interface did not start")
            yield address
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except Exception:
                process.kill()


def test_a_dataset_is_made_from_the_interface(interface: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    shots = Path(os.environ.get("SYNTH_SCREENSHOTS") or tmp_path)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=_CHROMIUM)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"{interface}/locations/{LOCATION}/jobs/small")
        page.get_by_role("button", name="Materialize all").click(timeout=60_000)
        _await(lambda: _status(interface) is not None, 60, "no run was launched")
        page.screenshot(path=shots / "running.png")
        _await(lambda: _status(interface) not in (None, "QUEUED", "STARTING", "STARTED", "NOT_STARTED"), 400, "no end")
        assert _status(interface) == "SUCCESS"
        page.wait_for_timeout(3000)
        page.screenshot(path=shots / "graph.png")

        page.goto(f"{interface}/assets/small/quality/table?view=overview")
        page.get_by_text("acceptance").first.wait_for(timeout=60_000)
        page.screenshot(path=shots / "quality.png", full_page=True)
        page.goto(f"{interface}/assets/small/quality/table?view=checks")
        page.get_by_text("fact_accuracy").first.wait_for(timeout=60_000)
        page.screenshot(path=shots / "checks.png", full_page=True)
        page.goto(f"{interface}/assets/small/release?view=lineage")
        page.get_by_text("mixture").first.wait_for(timeout=60_000)
        page.screenshot(path=shots / "lineage.png")
        browser.close()
    metadata = _metadata(interface, ["small", "quality", "table"])
    assert {"acceptance", "rejected_by_reason", "plots", "lineage", "preview", "snapshot"} <= set(metadata)
    assert "data:image/png;base64," in metadata["plots"]


def _up(address: str) -> bool:
    try:
        return bool(_ask(address, "{ workspaceOrError { __typename } }"))
    except (httpx.HTTPError, KeyError):
        return False


def _status(address: str) -> str | None:
    answer = _ask(address, "{ runsOrError(limit: 1) { ... on Runs { results { status } } } }")
    results = answer["runsOrError"]["results"]
    return results[0]["status"] if results else None


def _metadata(address: str, key: list[str]) -> dict[str, Any]:
    query = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
        assetMaterializations(limit: 1) { metadataEntries { label ... on MarkdownMetadataEntry { mdStr } } } } } }"""
    answer = _ask(address, query, {"key": {"path": key}})
    entries = answer["assetOrError"]["assetMaterializations"][0]["metadataEntries"]
    return {entry["label"]: entry.get("mdStr") for entry in entries}


def _ask(address: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = httpx.post(f"{address}/graphql", json={"query": query, "variables": variables or {}}, timeout=30)
    return answer.json()["data"]


def _await(condition: Any, seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
