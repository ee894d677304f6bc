"""The web interface as a user sees it, in Chromium: make a dataset, watch it, see why a gate closed, fill in cycles.

SYNTH_SCREENSHOTS names a folder for pictures of the pages.
"""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG, RECIPES_TAG, SPEC_TAG
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.interface import (
    Interface,
    browser_page,
    chromium,
    click_until,
    names,
    read_only_interface,
    shows,
    user_interface,
    wait_for_runs,
    wait_until,
)
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, write_spec

pytestmark = pytest.mark.ui
RECIPE = {"name": "table", "sampling": {"max_tokens": 400}}
HALF_OF_THEM = {"type": "playground", "documents": 24, "select": {"sample": {"documents": 12}}}
CYCLES = [(datetime.now(UTC) - timedelta(days=ago)).strftime("%Y-%m-%d") for ago in (6, 5)]
"""Two of the last: the dialog does not know cycles that ended more than 90 days ago."""
PROGRESS = re.compile(r"generations: [\d,]+/24 prompts · [\d.,]+/s · [\d,]+ tokens/s · \d+s left")


@pytest.fixture(scope="module")
def interface(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interface]:
    """`synth ui` on a home with three small datasets, whose engine takes its time."""
    chromium()
    folder = tmp_path_factory.mktemp("ui")
    home = folder / "home"
    with mock_engine(folder, perfect_answers(24, planted=2), latency=2.0) as engine:

        def write(name: str, **given: Any) -> None:
            spec = dataset(engine.url, tokenizer_folder, name=name, recipes=[RECIPE], **given)
            spec["engine"]["concurrency"] = 4
            write_spec(home / "datasets" / name, spec)

        write("small", description="Made for a test.", owners=["data@example.org"])
        closed = {"documents": {"selected_share": {"min": 0.9, "severity": "critical"}}}
        write("strict", sources=[HALF_OF_THEM], gates=closed)
        write("daily", cadence={"every": "day", "start": CYCLES[0], "reuse_documents": True})
        with user_interface(home) as interface:
            yield interface


@pytest.fixture(scope="module")
def page(interface: Interface) -> Iterator[Any]:
    with browser_page() as page:
        yield page


@pytest.fixture(scope="module")
def small(interface: Interface, page: Any) -> str:
    """A dataset that was made, by whichever test came first."""
    if Workspace(interface.home).snapshots.head("small/release", None) is None:
        launch(interface, page, "small")
        assert wait_for_runs(interface, page, "small")[0]["status"] == "SUCCESS"
    return "small"


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures go."""
    folder = Path(os.environ.get("SYNTH_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_a_dataset_is_made_from_the_interface(interface: Interface, page: Any, shots: Path) -> None:
    launch(interface, page, "small")
    (run,) = interface.runs("small")
    page.goto(f"{interface.address}/runs/{run['id']}")
    page.get_by_text(PROGRESS).first.wait_for(timeout=300_000)
    assert interface.runs("small")[0]["status"] == "STARTED"
    page.screenshot(path=shots / "progress.png")
    (run,) = wait_for_runs(interface, page, "small")
    assert run["status"] == "SUCCESS"
    assert run["tags"][DATASET_TAG] == "small" and run["tags"][RECIPES_TAG] == "table" and run["tags"][SPEC_TAG]
    page.goto(f"{interface.address}/runs/{run['id']}")
    shows(page, "Succeeded (24)")
    page.screenshot(path=shots / "run.png")

    page.goto(interface.job("small"))
    shows(page, "small_1_documents", "Made for a test.")
    page.screenshot(path=shots / "job.png")
    page.goto(interface.asset("small/quality/table", "overview"))
    shows(page, "acceptance", "data@example.org", "Share of the statements that are true.")
    page.screenshot(path=shots / "quality.png", full_page=True)
    page.goto(interface.asset("small/quality/table", "checks"))
    shows(page, "fact_accuracy", "Where it does not pass:")
    page.screenshot(path=shots / "checks.png", full_page=True)
    page.goto(interface.asset("small/release", "overview"))
    shows(page, "Made for a test.", "rows read", "working time of all stages", "Faithfulness 3/3")
    page.screenshot(path=shots / "release.png", full_page=True)
    page.goto(interface.asset("small/release", "lineage"))
    shows(page, "mixture")
    page.screenshot(path=shots / "lineage.png")
    metadata = interface.metadata("small/quality/table")
    assert {"acceptance", "rejected_by_reason", "plots", "lineage", "preview", "snapshot"} <= set(metadata)
    assert "data:image/png;base64," in metadata["plots"]


@pytest.mark.usefixtures("small")
def test_a_new_test_set_is_looked_for_in_the_release(interface: Interface, page: Any, shots: Path) -> None:
    add_test_set(interface.home)
    interface.reload()
    launch(interface, page, "small_rescan")
    runs = wait_for_runs(interface, page, "small_rescan")  # two where the sensor has noticed it too
    assert {run["status"] for run in runs} == {"SUCCESS"}
    page.goto(interface.asset("small/contamination/release", "events"))
    hits = page.locator("tr").filter(has=page.get_by_text("hits", exact=True)).first
    hits.wait_for()
    page.screenshot(path=shots / "rescan.png", full_page=True)
    shown = hits.get_by_text("late-0").or_(page.get_by_text("late-0"))
    if not shown.count():
        hits.get_by_text("Show Markdown").click()
    shown.first.wait_for()
    page.screenshot(path=shots / "hits.png")
    rescan = interface.metadata("small/contamination/release")
    assert "Materialize `small/release`" in rescan["proposal"] and "late-0" in rescan["hits"]


def test_a_closed_gate_says_why_and_nothing_comes_after_it(interface: Interface, page: Any, shots: Path) -> None:
    launch(interface, page, "strict_prompts")
    (run,) = wait_for_runs(interface, page, "strict_prompts")
    assert run["status"] == "FAILURE"
    page.goto(f"{interface.asset('strict/documents', 'checks')}&checkDetail=selected_share")
    shows(page, "Not passed: measured 0.5, must be at least 0.9.")
    shows(page, "Nothing that reads this asset is made until it passes.")
    shows(page, "synth screen --what-if", "not_sampled")
    page.screenshot(path=shots / "closed_gate.png")
    page.goto(f"{interface.address}/runs/{run['id']}")
    shows(page, "Dependencies for step strict__prompts__table failed")
    page.screenshot(path=shots / "failed_run.png")
    assert Workspace(interface.home).snapshots.head("strict/prompts/table", None) is None


def test_cycles_are_filled_in_by_the_backfill_dialog(interface: Interface, page: Any, shots: Path) -> None:
    page.goto(interface.job("daily_prompts", "/partitions"))
    shows(page, "Missing partitions")
    dialog = page.get_by_role("dialog")
    click_until(
        lambda: dialog.count() > 0,
        lambda: page.get_by_role("button", name="Materialize").first.click(),
        "the dialog did not open",
    )
    dialog.get_by_text(re.compile(r"Showing \d+ of \d+ partitions")).wait_for()
    chosen = dialog.locator("input[type=text]").first
    chosen.fill(f"[{CYCLES[0]}...{CYCLES[1]}]")
    chosen.press("Enter")
    dialog.get_by_text("2 partitions", exact=True).wait_for()
    page.screenshot(path=shots / "backfill_dialog.png")
    dialog.get_by_role("button", name="Launch backfill").click()
    shows(page, "Created backfill")
    runs = wait_for_runs(interface, page, "daily_prompts", runs=2)
    assert [run["status"] for run in runs] == ["SUCCESS"] * 2
    assert names(runs, CYCLE_TAG) == set(CYCLES) and names(runs, DATASET_TAG) == {"daily"}
    assert Workspace(interface.home).snapshots.partitions("daily/prompts/table") == CYCLES
    page.goto(f"{interface.asset('daily/prompts/table', 'partitions')}&partition={CYCLES[1]}")
    shows(page, "Materialized (2)")
    page.screenshot(path=shots / "partitions.png")


@pytest.mark.usefixtures("small")
def test_a_read_only_interface_launches_nothing(interface: Interface, page: Any, shots: Path) -> None:
    with read_only_interface(interface.home) as viewer:
        page.goto(viewer.job("small"))
        button = page.get_by_role("button", name="Materialize all")
        button.wait_for()
        wait_until(button.is_disabled, "the button can be clicked", 30)
        page.screenshot(path=shots / "read_only.png")
        page.goto(viewer.asset("small/release", "overview"))
        shows(page, "rows read")
        before = len(interface.runs("small"))
        selector = {"repositoryLocationName": "synth_platform", "repositoryName": "__repository__"}
        refused = viewer.ask(
            "mutation($asked: ExecutionParams!) { launchPipelineExecution(executionParams: $asked) { __typename } }",
            asked={"selector": selector | {"pipelineName": "small"}, "mode": "default", "runConfigData": "{}"},
        )
        assert refused["launchPipelineExecution"]["__typename"] == "UnauthorizedError"
        assert len(interface.runs("small")) == before


def launch(interface: Interface, page: Any, job: str) -> None:
    """Start a job from its page."""
    before = len(interface.runs(job))

    def click() -> None:
        page.goto(interface.job(job))
        page.get_by_role("button", name="Materialize all").click()

    click_until(lambda: len(interface.runs(job)) > before, click, f"no run of {job} was launched")


def add_test_set(home: Path) -> None:
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
