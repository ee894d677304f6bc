"""Secrets are planted; runs succeed, fail and crash with them: nothing that a run leaves behind may hold one."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from synth_platform.dataset.spec import load_spec
from synth_platform.errors import EngineError, SpecError
from synth_platform.generation.config import VllmEngine
from synth_platform.generation.servers.environment import require
from synth_platform.generation.servers.vllm_server import VllmServer
from synth_platform.ops.instance import prepare_instance
from synth_platform.secrecy import declare_secret, is_secret_name, reveals, scrub
from synth_platform.workspace import Workspace
from synth_platform_tests.generation.mock_server import Fault
from synth_platform_tests.pipeline import ROOT, dataset, mock_engine, mock_environment, perfect_answers, synth
from synth_platform_tests.pipeline import write_spec as write

KEY_VARIABLE = "MY_ENGINE"
"""Nothing in this name says that it is a secret; the spec does."""
PLANTED = {
    KEY_VARIABLE: "sk-proj-q8Vz3Lw0TtYb6NnR4mKd7HsXc2Pe",
    "HF_TOKEN": "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",
    "AWS_ACCESS_KEY_ID": "AKIAQ3EGXB7ZLMPTQWRS",
    "AWS_SECRET_ACCESS_KEY": "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",
    "SYNTH_ALERT_SLACK_WEBHOOK": "https://hooks.slack.com/services/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",
    "DAGSTER_POSTGRES_URL": "postgresql+psycopg2://dagster:Zm9vYmFy%2FIn4e@db.internal:5432/dagster",
}
SECRETS = {
    **{name: value for name, value in PLANTED.items() if name != "DAGSTER_POSTGRES_URL"},
    "password": "Zm9vYmFy%2FIn4e",
    "decoded password": "Zm9vYmFy/In4e",
}


def crash_with_secrets(text: str) -> list[str]:
    """A conformance rule of a user's own, with a careless message."""
    raise ValueError("cannot connect with " + " and ".join(os.environ[name] for name in PLANTED))


def leaks(folder: Path) -> list[str]:
    """Which secrets stand in which files; Parquet is looked into."""
    found = []
    for path in (one for one in folder.rglob("*") if one.is_file()):
        data = path.read_bytes()
        if path.suffix == ".parquet":
            data = pl.read_parquet(path).write_json().encode()
        found += [f"{name} in {path.relative_to(folder)}" for name, value in SECRETS.items() if value.encode() in data]
    return found


def pickles(folder: Path) -> list[Path]:
    """Files that begin as a pickle does; Dagster's own IO manager would write some."""
    return [one for one in folder.rglob("*") if one.is_file() and one.read_bytes()[:2] in (b"\x80\x04", b"\x80\x05")]


def told(*texts: str) -> list[str]:
    """Which secrets stand in what was printed."""
    return [f"{name} in output" for name, value in SECRETS.items() if any(value in text for text in texts)]


def spec(url: str, tokenizer: Path, **changes: Any) -> dict[str, Any]:
    """A small dataset with an endpoint that wants a key."""
    attributes = dataset(url, tokenizer, sources=[{"type": "playground", "documents": 12}], benchmarks=None)
    attributes["recipes"] = attributes["recipes"][:1]
    attributes["engine"]["api_key_env"] = KEY_VARIABLE
    return {**attributes, **changes}


def run_from_the_interface(home: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """A run as the interface's launcher makes it: an instance that keeps logs, steps in processes of their own."""
    prepare_instance(Workspace(home))
    command = [sys.executable, "-m", "dagster", "job", "execute", "-m", "synth_platform.definitions", "-j", "small"]
    environment = {**os.environ, **variables, "SYNTH_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`prepare_instance` changes this process's environment; put it back."""
    for name in ("SYNTH_HOME", "DAGSTER_HOME"):
        monkeypatch.setenv(name, "")
    yield


CASES: Mapping[str, tuple[tuple[Fault, ...], dict[str, Any]]] = {
    "refusals that quote the key": ((Fault("400", share=0.4), Fault("500", times=1)), {}),
    "a key that is refused": ((Fault("401"),), {}),
    "an error that says too much": ((), {"conformance": "synth_platform_tests.test_secrets:crash_with_secrets"}),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_that_a_run_leaves_holds_a_secret(
    case: str, tokenizer_folder: Path, tmp_path: Path, no_home: None
) -> None:
    faults, recipe = CASES[case]
    home = tmp_path / "home"
    with mock_engine(tmp_path, perfect_answers(12), *faults) as engine:
        attributes = spec(engine.url, tokenizer_folder, gates={"generations": {"failed_share": {"max": 1.0}}})
        attributes["recipes"][0] |= recipe
        write(home / "datasets" / "small", attributes)
        by_command = synth("materialize", "small", home=home, environment=PLANTED)
        ran = run_from_the_interface(home, PLANTED)
        shown = synth("status", "small", "--json", home=home, environment=PLANTED)

    assert leaks(home) == []
    assert pickles(home) == []
    assert told(by_command.out, by_command.err, ran.stdout, ran.stderr, shown.out, shown.err) == []
    everything = "".join([by_command.out, by_command.err, ran.stderr])
    if case == "refusals that quote the key":
        assert by_command.returncode == 0 and ran.returncode == 0, everything
        rows = pl.read_parquet(home / "data/small/generations/table/unpartitioned/*/*.parquet")
        assert set(rows["status"]) == {"ok", "refused_by_engine"}
        assert rows["error"].drop_nulls().str.contains(f"[{KEY_VARIABLE}]", literal=True).all()
    else:
        assert by_command.returncode != 0 and ran.returncode != 0
        assert f"[{KEY_VARIABLE}]" in everything, "the error is no longer told at all"


def test_the_values_of_secrets_are_known_by_the_names_of_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    declare_secret(KEY_VARIABLE)
    shown = scrub("; ".join(PLANTED.values()) + "; decoded: Zm9vYmFy/In4e")
    assert told(shown) == []
    assert "postgresql+psycopg2://dagster:[DAGSTER_POSTGRES_URL]@db.internal" in shown, "only the password goes"
    assert all(map(is_secret_name, ("OPENAI_API_KEY", "HF_TOKEN", "PGPASSWORD", "SENTRY_DSN", "AWS_SECRET_ACCESS_KEY")))
    assert not any(
        map(
            is_secret_name,
            ("HOME", "PWD", "OLDPWD", "TOKENIZERS_PARALLELISM", "KEYBOARD", "VLLM_MAX_TOKENS_PER_EXPERT"),
        )
    )
    monkeypatch.setenv("SHORT_KEY", "row")
    assert scrub("the first row of the table") == "the first row of the table"


def test_errors_are_scrubbed_with_all_that_caused_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", PLANTED["HF_TOKEN"])
    error = EngineError(f"no {PLANTED['HF_TOKEN']}", where=f"at {PLANTED['HF_TOKEN']}", fix=f"{PLANTED['HF_TOKEN']}!")
    assert str(error).count("[HF_TOKEN]") == 3 and told(str(error), error.what, error.where, error.fix) == []
    assert not reveals(error)
    error.__cause__ = ValueError(PLANTED["HF_TOKEN"])
    assert reveals(error)


def test_servers_get_no_secret_but_the_hubs_token_and_what_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    environment = require(mock_environment(tmp_path / "engine"))
    environment.python.write_text('#!/bin/sh\nenv > "$OUT"\n')
    given: dict[int, str] = {}
    for asked in ([], ["AWS_SECRET_ACCESS_KEY"]):
        out = tmp_path / f"variables-{len(asked)}"
        spec = VllmEngine(model="synth-tiny", environment={"OUT": str(out)}, pass_secrets=asked)
        server = VllmServer(spec, environment, tmp_path / "logs")
        server.launch()
        with pytest.raises(EngineError):
            server.await_ready()
        given[len(asked)] = out.read_text()
        server.stop()
    assert PLANTED["HF_TOKEN"] in given[0] and PLANTED["AWS_ACCESS_KEY_ID"] not in given[0] + given[1]
    assert PLANTED["AWS_SECRET_ACCESS_KEY"] not in given[0] and PLANTED["AWS_SECRET_ACCESS_KEY"] in given[1]


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"api_key": PLANTED[KEY_VARIABLE]}, "holds a secret (openai key) at attributes.engine.api_key"),
        ({"api_key_env": PLANTED[KEY_VARIABLE]}, "holds a secret (openai key)"),
        ({"urls": ["http://me:pa55word99@10.0.0.5:8000/v1"]}, "holds a secret (connection string)"),
        ({"urls": ["http://10.0.0.5:8000/v1?api_key=abc"]}, "name the key with api_key_env"),
        ({"urls": ["http:///v1"]}, "is no http address"),
        ({"api_key_env": "not a variable"}, "api_key_env"),
    ],
)
def test_a_spec_with_a_key_in_it_is_refused(engine: dict[str, Any], expected: str, tmp_path: Path) -> None:
    attributes = dataset("http://127.0.0.1:9/v1", tmp_path)
    attributes["engine"] |= engine
    path = write(tmp_path, attributes)
    with pytest.raises(SpecError) as caught:
        load_spec(path)
    assert expected in str(caught.value)
    assert told(str(caught.value)) == [] and "pa55word99" not in str(caught.value)


@pytest.mark.parametrize("place", ["engine", "alerts"])
def test_a_secret_where_a_variables_name_belongs_is_not_repeated(place: str, tmp_path: Path) -> None:
    secret = "https://hooks.internal/deadbeef0123"
    attributes = dataset("http://127.0.0.1:9/v1", tmp_path)
    attributes["engine"] |= {"api_key_env": secret} if place == "engine" else {}
    attributes["alerts"] = [{"type": "webhook", "url_env": secret if place == "alerts" else "HOOK"}]
    with pytest.raises(SpecError, match=r"_env: String should match pattern") as caught:
        load_spec(write(tmp_path, attributes))
    assert "deadbeef" not in str(caught.value)


def test_a_spec_names_the_secrets_of_a_server_and_does_not_hold_them(tmp_path: Path) -> None:
    engine = {"type": "vllm", "model": "synth-tiny", "environment": {"HF_TOKEN": "anything"}}
    with pytest.raises(SpecError, match=r"write pass_secrets: \[HF_TOKEN\]"):
        load_spec(write(tmp_path, dataset("", tmp_path, engine=engine)))
