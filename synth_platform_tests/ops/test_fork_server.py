"""What the steps of a run start from: everything imported and built, no thread, and specs as they were."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from synth_platform_tests.pipeline import ROOT, dataset, write_spec

LOOK = """
import sys, threading
from pathlib import Path
import synth_platform.fork_server
from synth_platform.definitions import defs

assert threading.enumerate() == [threading.main_thread()], threading.enumerate()
assert {"great_expectations.expectations", "matplotlib.figure", "pandas"} <= sys.modules.keys()
for change in sys.argv[1:]:
    spec = Path(change)
    spec.write_text(spec.read_text().replace("name: small", "name: other"))
print(*sorted(job.name for job in defs().resolve_all_job_defs()))
"""


def jobs(home: Path, *changed: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """The names of the jobs that a step finds, after these specs were changed."""
    return subprocess.run(
        [sys.executable, "-c", LOOK, *map(str, changed)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "SYNTH_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    attributes: dict[str, Any] = dataset("http://127.0.0.1:9/v1", tmp_path)
    return write_spec(tmp_path / "home" / "datasets" / "small", attributes)


def test_a_step_starts_with_all_that_is_slow_and_with_the_specs_of_the_runs_start(spec: Path, tmp_path: Path) -> None:
    found = jobs(tmp_path / "home", spec)
    assert "small" in found.stdout.split() and "other" not in found.stdout.split(), found.stderr
    assert "name: other" in spec.read_text()


def test_what_cannot_be_built_is_told_by_the_step_and_not_by_a_dead_server(spec: Path, tmp_path: Path) -> None:
    found = jobs(tmp_path / "home", SYNTH_ALERTS="no: [list")
    assert found.returncode and "SpecError" in found.stderr and "SYNTH_ALERTS" in found.stderr
    assert "fork_server" not in found.stderr, "the import itself went well"
