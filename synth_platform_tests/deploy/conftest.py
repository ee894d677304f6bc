"""The one deployment that the tests of this folder share: it takes a while to start."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_platform_tests.deploy.deployment import Deployment, deploy
from synth_platform_tests.deploy.postgres import postgres_programs


@pytest.fixture(scope="session")
def deployment(
    tokenizer_folder: Path, s3_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Every process of docker/, running."""
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    caddy = shutil.which("caddy") or shutil.which("caddy", path=str(Path(sys.executable).parent))
    if caddy is None:
        pytest.skip("Caddy is not installed")
    with deploy(tmp_path_factory.mktemp("deployment"), s3_server, tokenizer_folder, programs, caddy) as running:
        yield running
