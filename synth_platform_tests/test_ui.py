"""The web interface as a user sees it: Chromium opens the graph, materializes it, and reads an asset's page."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
import yaml

from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import free_port, write_jsonl
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

        _add_test_set(tmp_path / "home")
        _ask(
            interface, f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{LOCATION}") {{ __typename }} }}'
        )
        _launch_rescan(page, interface)
        _await(lambda: _status(interface) not in (None, "QUEUED", "STARTING", "STARTED", "NOT_STARTED"), 400, "no end")
        assert _status(interface) == "SUCCESS"
        page.goto(f"{interface}/assets/small/contamination/release?view=events")
        row = page.locator("tr").filter(has=page.get_by_text("hits", exact=True)).first
        row.wait_for(timeout=60_000)
        page.screenshot(path=shots / "rescan.png", full_page=True)
        row.get_by_text("Show Markdown").click()
        page.get_by_text("late-0").first.wait_for(timeout=60_000)
        page.screenshot(path=shots / "hits.png")
        browser.close()
    rescan = _metadata(interface, ["small", "contamination", "release"])
    assert "Materialize `small/release`" in rescan["proposal"] and "late-0" in rescan["hits"]
    metadata = _metadata(interface, ["small", "quality", "table"])
    assert {"acceptance", "rejected_by_reason", "plots", "lineage", "preview", "snapshot"} <= set(metadata)
    assert "data:image/png;base64," in metadata["plots"]


def _add_test_set(home: Path) -> None:
    """A test set that asks what a released row says, named in the dataset's spec."""
    release = Workspace(home).snapshots.head("small/release", None)
    assert release is not None
    text = release.scan().filter(pl.col("origin") == "synthetic").collect()["text"][0]
    question = max(text.split("\n"), key=lambda line: len(line.split()))
    folder = home / "datasets" / "small"
    write_jsonl(folder / "late.jsonl", [{"id": "late-0", "question": question}])
    spec = folder / "defs.yaml"
    changed = yaml.safe_load(spec.read_text("utf-8"))
    changed["attributes"]["benchmarks"].append({"name": "late", "path": "late.jsonl"})
    spec.write_text(yaml.safe_dump(changed, sort_keys=False), "utf-8")


def _runs(address: str) -> int:
    return len(_ask(address, "{ runsOrError { ... on Runs { results { id } } } }")["runsOrError"]["results"])


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


def _launch_rescan(page: Any, interface: str) -> None:
    """Start the job from its page, again where a click was lost while the page was drawn."""
    for last in (False, False, True):
        page.goto(f"{interface}/locations/{LOCATION}/jobs/small_rescan")
        page.get_by_text("evals").first.wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        page.get_by_role("button", name="Materialize all").click(timeout=60_000)
        try:
            _await(lambda: _runs(interface) == 2, 45, "no second run was launched")
            return
        except AssertionError:
            if last:
                raise


def _await(condition: Any, seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.5)
