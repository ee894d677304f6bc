"""A whole run with source, versions and destination on a faulty S3: it ends right, or a plain re-run does."""

import json
from pathlib import Path

import httpx
import polars as pl
import pytest

from synth_platform.dataset.spec import load_spec
from synth_platform.ops.launch import run_dataset
from synth_platform.snapshots.store import open_store
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import dataset, mock_engine, opened, write_spec
from synth_platform_tests.snapshots.fault_proxy import Kind, S3Fault, fault_proxy
from synth_platform_tests.snapshots.writing import problems
from synth_platform_tests.test_full_disk import check_whole

DOCUMENTS, MANY = 24, 10_000
OFTEN: dict[Kind, int] = {"503": 23, "reset": 29, "lost answer": 37}
"""One of so many requests goes wrong in this way."""
NOW_AND_THEN = [S3Fault(method, kind, MANY, OFTEN[kind]) for method in ("GET", "PUT", "HEAD", "POST") for kind in OFTEN]


def test_a_run_on_a_faulty_store(
    s3_root: str, s3_server: str, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3_root.removesuffix("/root")
    texts = [f"Document {n} tells of the {n} bridges of Grimsdal, and of who sold them." for n in range(DOCUMENTS)]
    rows = "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts))
    httpx.put(f"{s3_server}/{bucket.removeprefix('s3://')}/in/rows.jsonl", content=rows).raise_for_status()
    workspace, out = Workspace(tmp_path / "home", f"{bucket}/data"), f"{bucket}/out"
    with mock_engine(tmp_path) as engine, fault_proxy(s3_server, *NOW_AND_THEN) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        attributes = dataset(
            engine.url,
            tokenizer_folder,
            sources=[{"name": "mine", "type": "files", "path": f"{bucket}/in", "roles": ["rewrite", "mix_in"]}],
            recipes=[{"name": "faq", "sampling": {"max_tokens": 300}}],
            benchmarks=None,
            release={"publish": [{"type": "s3", "url": out}]},
        )
        spec = load_spec(write_spec(tmp_path / "spec", attributes))
        proxy.faults.insert(0, S3Fault("PUT", "403", 1, every=30))
        with opened(workspace) as instance:
            (problem,) = run_dataset(spec, tmp_path, workspace, instance).problems
            assert "the object store refused" in problem and "check credentials" in problem
            assert problems(workspace.snapshots.store, tmp_path) == []
            ended = run_dataset(spec, tmp_path, workspace, instance)
        assert ended.success, ended.problems
        asked = engine.requests()
        assert len(asked) == len(set(asked)) == DOCUMENTS, "what was answered is not asked again"
        assert OFTEN.keys() <= {fault.kind for fault in proxy.faults if fault.times < MANY}
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    whole = Workspace(workspace.home, workspace.data)
    check_whole(whole)
    assert sorted(published(out, tmp_path)) == sorted(texts)


def published(url: str, folder: Path) -> list[str]:
    """Texts that readers of a destination find."""
    store = open_store(url)
    version = json.loads(store.read("current.json"))["version"]
    found: list[str] = []
    for path in store.files(f"versions/{version}/data"):
        store.fetch(path, folder / "part.parquet")
        found += pl.read_parquet(folder / "part.parquet")["text"].to_list()
    return found
