"""Whole runs of a small dataset: from documents to release, stopped, repeated, and with an engine that misbehaves."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import yaml

from synth_platform.dataset.spec import DatasetSpec, load_spec
from synth_platform.ops.instance import open_instance
from synth_platform.ops.launch import Launched, run_dataset
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.catalog import Catalog, ancestors
from synth_platform.snapshots.verify import verify
from synth_platform.workspace import Workspace
from synth_platform_tests.generation.mock_server import Fault
from synth_platform_tests.pipeline import dataset, mock_engine, opened, perfect_answers, synth, write_spec

DETERMINISTIC = ("documents", "prompts/table", "contamination/documents", "contamination/index", "mixture")


@pytest.fixture
def instance(workspace: Workspace) -> Iterator[dg.DagsterInstance]:
    with opened(workspace) as instance:
        yield instance


def run(workspace: Workspace, instance: dg.DagsterInstance, path: Path, **options: object) -> Launched:
    spec: DatasetSpec = load_spec(path)
    return run_dataset(spec, path.parent, workspace, instance, **options)  # type: ignore[arg-type]


def head(workspace: Workspace, asset: str, partition: str | None = None):
    found = workspace.snapshots.head(f"small/{asset}", partition)
    assert found is not None, asset
    return found


def heads(workspace: Workspace):
    pairs = workspace.snapshots.assets("small")
    return [found for asset, part in pairs if (found := workspace.snapshots.head(asset, part))]


def test_documents_become_a_release_that_closes_its_books(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        path = write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder))
        ended = run(workspace, instance, path)
        assert ended.success, ended.problems
        asked = len(engine.requests())
        assert asked == 2 * 24

        again = run(workspace, instance, path)
        assert again.success
        assert len(engine.requests()) == asked, "an unchanged dataset asked the engine anew"

    for snapshot in heads(workspace):
        books = account(workspace.snapshots, snapshot)
        assert books is None or books.closes, f"{snapshot.manifest.asset}: {books}"
    assert verify(workspace.snapshots, heads(workspace)).problems == []

    accepted = pl.concat([head(workspace, f"accepted/{name}").scan("accepted") for name in ("faq", "table")]).collect()
    rejected = head(workspace, "accepted/table").scan("rejected").collect()
    assert accepted.height == 2 * 22
    both = ["contaminated_prompt:playground", "contaminated_source:playground"]
    assert rejected["reasons"].to_list() == [both] * 2

    release = head(workspace, "release")
    rows = release.scan().collect()
    planted = head(workspace, "documents").scan().filter(pl.col("metadata").str.contains('"planted": \\["')).collect()
    assert planted.height == 2
    assert not set(planted["id"]) & set(rows["document_id"])
    assert set(rows["origin"]) == {"synthetic", "original"}
    assert rows["id"].n_unique() == rows.height


def test_release_reads_as_the_hub_lays_datasets_out(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        attributes = dataset(engine.url, tokenizer_folder, privacy={"output": {"email": "reject"}})
        assert run(workspace, instance, write_spec(tmp_path / "spec", attributes)).success
    release = head(workspace, "release")
    folder = Path(release.location.removeprefix("file://"))
    _, header, body = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    pattern = yaml.safe_load(header)["configs"][0]["data_files"][0]["path"]
    files = [file for one in pattern for file in folder.glob(one)]
    assert pl.read_parquet(files).height == release.manifest.rows
    assert "## Gates" in body and "| small/mixture | no_contaminated_row | blocking | passed |" in body
    assert "contaminated_source:playground" in body
    assert "| email | redact | reject |" in body and "of persons not at all" in body and "was not measured" in body
    assert "## Bias and toxicity" in body and "What stands out:" in body and "are not measured" not in body
    provenance = json.loads((folder / "provenance.json").read_text("utf-8"))
    assert {entry["asset"] for entry in provenance} > {"small/documents", "evals/playground", "small/mixture"}


def test_snapshots_on_s3_work_like_local_ones(
    s3_root: str, tokenizer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path / "home", s3_root)
    monkeypatch.setenv("SYNTH_DATA", s3_root)
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine, open_instance(workspace) as instance:
        ended = run(workspace, instance, write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder)))
    assert ended.success, ended.problems
    assert head(workspace, "release").location.startswith("s3://")
    assert verify(workspace.snapshots, heads(workspace)).problems == []


def test_same_inputs_give_the_same_bytes_elsewhere(tokenizer_folder: Path, tmp_path: Path) -> None:
    digests = []
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        path = write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder))
        for name in ("a", "b"):
            workspace = Workspace(tmp_path / name)
            with open_instance(workspace) as instance:
                assert run(workspace, instance, path).success
            digests.append({asset: head(workspace, asset).manifest.digest for asset in DETERMINISTIC})
    assert digests[0] == digests[1]


def test_rows_can_be_followed_both_ways(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        assert run(workspace, instance, write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder))).success
    release = head(workspace, "release")
    row = release.scan().filter(pl.col("origin") == "synthetic").head(1).collect().row(0, named=True)
    catalog = Catalog(ancestors(workspace.snapshots, [release]))
    back = catalog.trace(row["id"])
    assert back.document and back.document["id"] == row["document_id"]
    assert back.prompt and back.generation and back.generation["text"] == row["text"]
    assert {verdict["verdict"] for verdict in back.verdicts} == {"accepted", "clean"}
    forward = catalog.trace(row["document_id"])
    assert row["id"] in forward.descendants["release"]
    assert len(forward.descendants["generations"]) == 2


def test_closed_gate_stops_the_release_and_keeps_the_last_one(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    strict = {"quality": {"acceptance": {"min": 0.9, "severity": "critical"}}}
    with mock_engine(tmp_path, perfect_answers(24, planted=2)) as engine:
        attributes = dataset(engine.url, tokenizer_folder, gates=strict)
        assert run(workspace, instance, write_spec(tmp_path / "spec", attributes)).success
    released = head(workspace, "release").manifest.digest

    with mock_engine(tmp_path / "bad") as engine:  # knows no answers: everything it says is rubbish
        attributes = dataset(engine.url, tokenizer_folder, gates=strict, seed=4)
        ended = run(workspace, instance, write_spec(tmp_path / "spec", attributes))
    assert not ended.success
    quality = head(workspace, "quality/table")
    assert quality.manifest.counts["accepted"] == 0
    assert head(workspace, "release").manifest.digest == released
    assert verify(workspace.snapshots, heads(workspace)).problems == []


def test_a_later_run_cannot_pass_a_closed_gate(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    """Dagster itself would let a run of the later assets alone go ahead."""
    strict = {"quality": {"acceptance": {"min": 0.9, "severity": "critical"}}}
    with mock_engine(tmp_path) as engine:
        path = write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder, gates=strict))
        assert not run(workspace, instance, path).success
        spec = load_spec(path)
        from synth_platform.dataset.definitions import dataset_definitions
        from synth_platform.ops.resources import WorkspaceResource

        definitions = dg.Definitions.merge(
            dataset_definitions(spec, path.parent),
            dg.Definitions(resources={"workspace": WorkspaceResource(home=str(workspace.home))}),
        )
        job = definitions.get_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=instance, asset_selection=[dg.AssetKey(["small", "accepted", "table"])], raise_on_error=False
        )
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    assert failure.user_failure_data and "gate 'acceptance' failed" in str(failure.user_failure_data.description)
    assert workspace.snapshots.head("small/accepted/table", None) is None


def test_killed_generation_goes_on_without_asking_again(tokenizer_folder: Path, tmp_path: Path) -> None:
    answers = perfect_answers(24, planted=2)
    home, undisturbed = tmp_path / "home", tmp_path / "undisturbed"
    with mock_engine(tmp_path, answers, latency=0.15) as engine:
        attributes = dataset(engine.url, tokenizer_folder)
        attributes["engine"]["concurrency"] = 4
        path = write_spec(tmp_path / "spec", attributes)
        first = synth("materialize", str(path), home=home, wait=False)
        deadline = time.monotonic() + 120
        while len(engine.requests()) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = engine.requests()
        assert 20 <= len(before) < 48

        second = synth("materialize", str(path), "--json", home=home)
        assert second.returncode == 0, second.err
        asked_again = [key for key in engine.requests()[len(before) :] if key in set(before)]
        # Only what was in flight may be asked for again.
        assert len(asked_again) <= 4, f"{len(asked_again)} prompts were asked again"
        assert len(set(engine.requests())) == 48
        assert synth("materialize", str(path), home=undisturbed).returncode == 0

    one, other = Workspace(home), Workspace(undisturbed)
    assert verify(one.snapshots, heads(one)).problems == []
    for asset in DETERMINISTIC:
        assert head(one, asset).manifest.digest == head(other, asset).manifest.digest


@pytest.mark.parametrize("kind", ["500", "malformed"])
def test_engine_that_stumbles_is_asked_again(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path, kind: str
) -> None:
    with mock_engine(tmp_path, perfect_answers(24, planted=2), Fault(kind, times=1)) as engine:
        assert run(workspace, instance, write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder))).success
        assert len(engine.requests()) == 2 * 48
    rows = head(workspace, "generations/table").scan().collect()
    assert set(rows["status"]) == {"ok"}


def test_dying_engine_ends_the_run_and_keeps_what_is_done(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    answers = perfect_answers(24, planted=2)
    with mock_engine(tmp_path, answers, Fault("die", after=25)) as engine:
        attributes = dataset(engine.url, tokenizer_folder)
        ended = run(workspace, instance, write_spec(tmp_path / "spec", attributes))
    assert not ended.success
    assert any("no engine has answered" in problem and "run again" in problem for problem in ended.problems)
    assert workspace.snapshots.head("small/generations/table", None) is None

    with mock_engine(tmp_path, answers) as engine:
        attributes["engine"]["urls"] = [engine.url]
        assert run(workspace, instance, write_spec(tmp_path / "spec", attributes)).success
        assert len(engine.requests()) <= 48 - 24 + 8, "more was asked again than what was in flight"


def test_prompts_the_engine_refuses_are_rows_with_its_words(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    answers = perfect_answers(24, planted=2)
    word = next(iter(answers)).split()[-3]
    with mock_engine(tmp_path, answers, Fault("400", containing=word)) as engine:
        loose = {"generations": {"failed_share": {"max": 1.0}}}
        attributes = dataset(engine.url, tokenizer_folder, gates=loose)
        assert run(workspace, instance, write_spec(tmp_path / "spec", attributes)).success
    rejected = pl.concat([head(workspace, f"accepted/{name}").scan("rejected") for name in ("table", "faq")]).collect()
    refused = rejected.filter(pl.col("status") == "refused_by_engine")
    assert refused.height and all("refused_by_engine" in reasons for reasons in refused["reasons"])
    errors = head(workspace, "generations/table").scan().filter(pl.col("status") == "refused_by_engine").collect()
    assert "this prompt is not allowed" in errors["error"][0]


def test_cycles_have_fresh_documents_and_gates_of_their_own(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path
) -> None:
    cadence = {"every": "day", "start": "2026-01-01"}
    sources = [{"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": {"sample": {"documents": 10}}}]
    recipes = [{"name": "faq", "chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}}]
    with mock_engine(tmp_path) as engine:
        attributes = dataset(engine.url, tokenizer_folder, sources=sources, recipes=recipes, cadence=cadence)
        path = write_spec(tmp_path / "spec", attributes)
        for day in ("2026-01-01", "2026-01-02"):
            ended = run(workspace, instance, path, partition=day)
            assert ended.success, ended.problems
    first, second = (
        set(head(workspace, "documents", day).scan().select("id").collect()["id"])
        for day in ("2026-01-01", "2026-01-02")
    )
    assert len(first) == len(second) == 10 and not first & second
    skipped = head(workspace, "documents", "2026-01-02").scan("skipped").collect()
    assert skipped.filter(pl.col("reason") == "used_in_earlier_cycle").height == 10
    assert head(workspace, "release", "2026-01-02").manifest.rows > 0


def test_real_book_against_real_benchmarks(
    workspace: Workspace, instance: dg.DagsterInstance, tokenizer_folder: Path, tmp_path: Path, shared_data: Path
) -> None:
    sources = [
        {
            "name": "rust-book",
            "type": "files",
            "path": str(shared_data / "sources" / "rust_book.jsonl.gz"),
            "columns": {"id": "id"},
            "roles": ["rewrite", "mix_in"],
        }
    ]
    recipes = [
        {"name": name, "chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}}
        for name in ("table", "faq")
    ]
    benchmarks = [
        {"name": name, "path": str(shared_data / "evals" / f"{file}.jsonl.gz")}
        for name, file in (("gsm8k", "gsm8k_test"), ("mmlu", "mmlu_test"), ("humaneval", "humaneval"))
    ]
    with mock_engine(tmp_path) as engine:
        attributes = dataset(engine.url, tokenizer_folder, sources=sources, recipes=recipes, benchmarks=benchmarks)
        # Rewordings are looked for in the contamination's own tests: their vectors of MMLU take minutes.
        attributes["contamination"] = {"methods": ["exact", "code"]}
        ended = run(workspace, instance, write_spec(tmp_path / "spec", attributes))
        assert ended.success, ended.problems
    documents = head(workspace, "documents").manifest.rows
    rejected = head(workspace, "accepted/table").scan("rejected").collect()
    assert rejected.height == documents > 100
    assert (rejected["reasons"].list.len() >= 1).all()
    assert verify(workspace.snapshots, heads(workspace)).problems == []
