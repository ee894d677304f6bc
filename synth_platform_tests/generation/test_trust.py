"""Models that could run code are refused, unless the spec names them; servers listen on loopback only."""

from pathlib import Path
from typing import Any

import huggingface_hub.constants  # noqa: F401  # it keeps what the environment says when it is first imported
import pytest
from pydantic import ValidationError

from synth_platform.errors import EngineError
from synth_platform.generation.config import RESERVED_ARGUMENTS, RayEngine, VllmEngine
from synth_platform.generation.identity import model_digest, vllm_digest
from synth_platform.generation.servers.environment import require
from synth_platform.generation.servers.fleet import run_fleet
from synth_platform_tests.pipeline import mock_environment

ON_THE_HUB = "owner/name"


def folder_with(path: Path, *names: str) -> str:
    """A model's folder with these files."""
    path.mkdir()
    for name in (*names, "config.json"):
        (path / name).write_text("{}")
    return str(path)


def started_with(tmp_path: Path, **settings: Any) -> list[str]:
    """The arguments that a server is started with."""
    environment = require(mock_environment(tmp_path / "engine"))
    spec = VllmEngine(startup_seconds=60, **settings)
    with run_fleet(spec, environment, tmp_path / "logs", lambda line: None):
        starts = (tmp_path / "engine" / "mock" / "starts.txt").read_text()
    return starts.splitlines()[0].split()


@pytest.mark.parametrize("weights", ["pytorch_model.bin", "model.pt", "model.pth", "weights.pkl", "last.ckpt"])
def test_weights_that_can_hold_code_are_refused_before_anything_starts(weights: str, tmp_path: Path) -> None:
    model = folder_with(tmp_path / "model", weights)
    with pytest.raises(EngineError, match="can run code when loaded") as caught:
        started_with(tmp_path, model=model)
    assert f"engine.trust_remote_code: [{model}]" in caught.value.fix
    assert not (tmp_path / "engine" / "mock" / "starts.txt").exists()


def test_who_names_a_model_may_load_it(tmp_path: Path) -> None:
    model = folder_with(tmp_path / "model", "pytorch_model.bin")
    assert "--trust-remote-code" in started_with(tmp_path, model=model, trust_remote_code=[model])


def test_safe_weights_need_no_trust_even_beside_others(tmp_path: Path) -> None:
    model = folder_with(tmp_path / "model", "model.safetensors", "pytorch_model.bin", "modeling.py")
    flags = started_with(tmp_path, model=model)
    assert "--trust-remote-code" not in flags


@pytest.mark.parametrize("engine", [VllmEngine, RayEngine])
def test_trust_is_given_by_name_and_not_by_switch(engine: type[VllmEngine]) -> None:
    for value in (True, "true", 1):
        with pytest.raises(ValidationError, match=r"engine.trust_remote_code: \[NAME\]"):
            engine(model=ON_THE_HUB, arguments={"trust_remote_code": value})
    for value in ("pt", "auto", "npcache"):
        with pytest.raises(ValidationError, match="may load weights that run code"):
            engine(model=ON_THE_HUB, arguments={"load_format": value})
        engine(model=ON_THE_HUB, arguments={"load_format": value}, trust_remote_code=[ON_THE_HUB])
    with pytest.raises(ValidationError, match="neither the model nor its tokenizer"):
        engine(model=ON_THE_HUB, trust_remote_code=["owner/other"])
    with pytest.raises(ValidationError, match="valid list"):
        engine(model=ON_THE_HUB, trust_remote_code=True)  # type: ignore[arg-type]


def test_of_a_model_on_the_hub_only_safetensors_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    plain = started_with(tmp_path / "plain", model=ON_THE_HUB)
    trusted = started_with(tmp_path / "trusted", model=ON_THE_HUB, trust_remote_code=[ON_THE_HUB])
    assert plain[plain.index("--load-format") + 1] == "safetensors"
    assert "--load-format" not in trusted and "--trust-remote-code" in trusted


def test_what_is_trusted_and_what_it_holds_are_part_of_the_digest(tmp_path: Path) -> None:
    model = folder_with(tmp_path / "model", "pytorch_model.bin", "modeling.py")
    digests = {vllm_digest(VllmEngine(model=model, trust_remote_code=one), "v") for one in ([], [model])}
    for name in ("pytorch_model.bin", "modeling.py"):
        (tmp_path / "model" / name).write_text("changed")
        digests.add(model_digest(model))
    assert len(digests) == 4


def test_servers_listen_on_loopback_and_no_argument_changes_that(tmp_path: Path) -> None:
    flags = started_with(tmp_path, model="synth-tiny")
    assert flags[flags.index("--host") + 1] == "127.0.0.1"
    assert {"host", "port", "uds", "api_key", "middleware"} <= RESERVED_ARGUMENTS
    for name in ("host", "uds", "middleware", "api_key"):
        with pytest.raises(ValidationError, match="would let others in"):
            VllmEngine(model="synth-tiny", arguments={name: "0.0.0.0"})


def test_a_name_of_an_argument_cannot_bring_another_flag() -> None:
    with pytest.raises(ValidationError, match="no argument of vLLM"):
        VllmEngine(model="synth-tiny", arguments={"max_num_seqs --host": 1})
