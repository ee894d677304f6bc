"""The layout that the folders promise: Dagster only in the wiring, imports in one direction."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import synth_platform

ROOT = Path(synth_platform.__file__).parent
STAGES = ("sources", "prompts", "generation", "quality", "contamination", "mixing", "review", "release")
WIRING = ("assets.py", "checks.py")
GENERATION = ("answers", "servers", "run", "cluster")
"""Its folders, from what the others use to what uses them."""


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_wiring_of_a_stage_imports_dagster() -> None:
    for folder in (*STAGES, "alerts", "snapshots", "pilot", "privacy", "bias"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.name not in WIRING:
                foreign = [name for name in imports(path) if name.split(".")[0] == "dagster" or ".ops." in name]
                assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"


def test_no_stage_imports_another_stages_wiring() -> None:
    for stage in STAGES:
        for path in (ROOT / stage).rglob("*.py"):
            for name in imports(path):
                parts = name.split(".")
                other = parts[0] == "synth_platform" and parts[1] in STAGES and parts[1] != stage
                wiring = any(f"{part}.py" in WIRING for part in parts[2:])
                assert not (other and wiring), f"{path.relative_to(ROOT)} imports {name}"


def test_the_folders_of_generation_import_in_one_direction() -> None:
    for place, folder in enumerate(GENERATION):
        for path in (ROOT / "generation" / folder).rglob("*.py"):
            used = {name.split(".")[2] for name in imports(path) if name.startswith("synth_platform.generation.")}
            assert not used & {*GENERATION[place + 1 :], "tuning", "engine"}, f"{path.relative_to(ROOT)} imports {used}"


def test_snapshots_know_nothing_of_the_stages() -> None:
    for path in (ROOT / "snapshots").rglob("*.py"):
        used = {name.split(".")[1] for name in imports(path) if name.startswith("synth_platform.")}
        assert used <= {"snapshots", "config", "digest", "errors", "progress"}, f"{path.name} imports {used}"


@pytest.mark.xdist_group("together")
def test_tests_of_a_group_share_a_worker(request: pytest.FixtureRequest) -> None:
    """Deployments, engines and browsers are shared within a group; who does not see groups starts them twice."""
    if "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup", False):
        grouped = [item for item in request.session.items if item.get_closest_marker("xdist_group")]
        assert request.node in grouped and all("@" in item.nodeid for item in grouped)
