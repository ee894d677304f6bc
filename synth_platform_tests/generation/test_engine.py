"""A real vLLM server with the model that comes along: it starts, answers, and is gone afterwards."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_platform.errors import EngineError
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.environment import EngineEnvironment, check_arguments, locate, require
from synth_platform.generation.servers.fleet import run_fleet
from synth_platform.prompts.config import RecipeSpec
from synth_platform.quality.conformance import rule_for
from synth_platform.workspace import Workspace

SPEC: dict[str, Any] = {
    "model": "synth-tiny",
    "context_length": 1024,
    "arguments": {"max_num_seqs": 8, "enforce_eager": True},
}


INSTALLED = Workspace.from_env().engine
"""As it is before tests open homes of their own, which are those of the process from then on."""


@pytest.fixture
def environment() -> EngineEnvironment:
    found = locate(INSTALLED)
    if found is None:
        pytest.skip("vLLM is not installed (synth engine install)")
    return found


def test_missing_environment_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="synth engine install"):
        require(tmp_path)


@pytest.mark.engine
def test_an_unknown_argument_is_named_with_the_nearest_that_there_is(environment: EngineEnvironment) -> None:
    check_arguments(environment, ["max_num_seqs", "speculative_config", "tensor_parallel_size"])
    with pytest.raises(EngineError, match="no argument 'max_num_seq'; did you mean 'max_num_seqs'"):
        check_arguments(environment, ["max_num_seq"])


@pytest.mark.engine
def test_server_answers_and_leaves_nothing_behind(environment: EngineEnvironment, tmp_path: Path) -> None:
    said: list[str] = []
    with run_fleet(VllmEngine.model_validate(SPEC), environment, tmp_path, said.append) as (host,):
        endpoint = host.endpoint
        body = {"model": "synth-tiny", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
        answer = httpx.post(f"{endpoint.url}/chat/completions", json=body, timeout=60).json()
        assert answer["usage"]["completion_tokens"] > 0
    assert said
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{endpoint.url}/models", timeout=5)
    assert not children_of(tmp_path)


@pytest.mark.engine
def test_server_dies_with_the_process_that_started_it(environment: EngineEnvironment, tmp_path: Path) -> None:
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from synth_platform.generation.config import VllmEngine
        from synth_platform.generation.servers.environment import require
        from synth_platform.generation.servers.fleet import run_fleet
        with run_fleet(VllmEngine.model_validate({SPEC!r}), require(Path({str(environment.folder)!r})),
                        Path({str(tmp_path)!r}), print):
            time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not children_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert children_of(tmp_path), "the server did not start"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 60
    while children_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not children_of(tmp_path), "the server outlived its parent"


@pytest.mark.engine
def test_a_server_that_cannot_start_shows_its_log(environment: EngineEnvironment, tmp_path: Path) -> None:
    spec = VllmEngine.model_validate({**SPEC, "context_length": 1_000_000, "startup_seconds": 120})
    with pytest.raises(EngineError) as caught, run_fleet(spec, environment, tmp_path, print):
        pass
    assert "max_model_len" in str(caught.value) or "model length" in str(caught.value)


def children_of(folder: Path) -> list[int]:
    """Processes whose log lies in the folder: the server writes nowhere else."""
    found: list[int] = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            targets = [str(link.readlink()) for link in (process / "fd").iterdir()]
        except OSError:
            continue
        if int(process.name) != os.getpid() and any(target.startswith(str(folder)) for target in targets):
            found.append(int(process.name))
    return found


@pytest.mark.engine
def test_answers_follow_the_recipes_schema(environment: EngineEnvironment, tmp_path: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"title": {"type": "string", "maxLength": 12}, "stars": {"type": "integer", "enum": [1, 2, 3]}},
        "required": ["title", "stars"],
        "additionalProperties": False,
    }
    recipe = RecipeSpec.model_validate({"name": "review", "answer_schema": schema, "sampling": {"max_tokens": 100}})
    # A model as small as this one would fill an answer with the white space that JSON allows.
    strict = {"structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True}}
    spec = {**SPEC, "arguments": {**SPEC["arguments"], **strict}}
    with run_fleet(VllmEngine.model_validate(spec), environment, tmp_path, print) as (host,):
        for text in ("Rate the city of Ulm.", "Rate the company Acme."):
            body = {"model": "synth-tiny", "messages": [{"role": "user", "content": text}], **recipe.request_fields()}
            answer = httpx.post(f"{host.endpoint.url}/chat/completions", json=body, timeout=120).json()
            made = answer["choices"][0]["message"]["content"]
            assert rule_for("json", schema)(made) == [], made
