"""`synth` as people call it: what it prints, what it answers to mistakes, which exit code it ends with."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from synth_platform.pilot.corpus import RECIPES
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import free_port, write_jsonl
from synth_platform_tests.pipeline import dataset, mock_engine, perfect_answers, recipes_of, synth, write_spec
from synth_platform_tests.snapshots.handmade import version


def refused(*arguments: str, home: Path) -> str:
    """What `synth` says when it refuses: on stderr, without a traceback, with exit code not 0."""
    ended = synth(*arguments, home=home)
    said = ended.err + ended.out
    assert ended.returncode != 0, said
    assert "Traceback" not in said, said
    return said


def test_json_summary_versions_trace_diff_and_verify(tokenizer_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with mock_engine(tmp_path, {**perfect_answers(24, planted=2), **perfect_answers(24, planted=2, seed=4)}) as engine:
        path = write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder, recipes=recipes_of(*RECIPES)))
        made = synth("materialize", str(path), "--json", home=home)
        assert made.returncode == 0, made.err
        write_spec(tmp_path / "spec", dataset(engine.url, tokenizer_folder, recipes=recipes_of(*RECIPES), seed=4))
        shown = synth("materialize", str(path), home=home)
        assert shown.returncode == 0, shown.err

    summary = json.loads(made.out)
    assert summary["dataset"] == "small" and summary["documents"] == 36
    assert summary["prompts"] == summary["generations"] == 96
    assert [*summary["stages"]] == ["documents", "prompts", "generations", "accepted", "mixture", "release"]
    assert summary["accepted"] == 88 and summary["rejected"] == {
        "contaminated_prompt:playground": 8,
        "contaminated_source:playground": 8,
    }
    assert summary["fact_accuracy"] == dict.fromkeys(RECIPES, 1.0)
    assert {key: summary["contamination"][key] for key in ("planted", "found", "released")} == {
        "planted": 2,
        "found": 2,
        "released": 0,
    }
    assert summary["gates"]["failed"] == 0 and summary["gates"]["passed"] > 50
    assert summary["release"]["rows"] > 0 and Path(summary["release"]["path"].removeprefix("file://")).is_dir()
    assert re.search(r"generations +│ +96", shown.out) and "2 of 2 planted ones found" in shown.out

    versions = json.loads(synth("versions", "small/release", "--json", home=home).out)
    assert len(versions) == 2
    changed = json.loads(synth("diff", versions[0]["snapshot"], versions[1]["snapshot"], "--json", home=home).out)
    assert changed["added"] and changed["removed"]
    assert "small/mixture" in changed["inputs"]

    document = json.loads(synth("versions", "small/documents", "--json", home=home).out)[-1]
    assert document["rows"] == 36
    proved = synth("verify", "--json", home=home)
    assert proved.returncode == 0 and json.loads(proved.out)["problems"] == []

    part = next(Path(summary["release"]["path"].removeprefix("file://")).glob("../*/data/*.parquet"))
    damaged = bytearray(part.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    part.chmod(0o644)
    part.write_bytes(damaged)
    said = [synth("verify", home=home), synth("verify", "--json", home=home)]
    broken = [one for one in said if one.returncode != 0]
    if part.parent.parent.name == versions[-1]["snapshot"]:
        assert len(broken) == 2 and "small/release" in broken[0].out


def test_mistakes_are_answered_not_traced(tokenizer_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "there is no dataset 'nothing'" in refused("materialize", "nothing", home=home)
    assert "no such file" in refused("materialize", str(tmp_path / "x.yaml"), home=home)
    assert "has a cadence" in refused("materialize", "finephrase", home=home)
    assert "invalid partition: '..'" in refused("materialize", "finephrase", "--partition", "../x", home=home)
    assert "has a cadence" in refused("estimate", "finephrase", "--pilot", "5", home=home)
    assert "has a cadence" in refused("screen", "finephrase", home=home)
    assert not (home / "engine").exists(), "minutes go into no engine that is not used"
    assert "there are no versions" in refused("verify", home=home)
    assert "no row has the id" in refused("trace", "abc", home=home)
    assert "there is no version" in refused("diff", "a", "b", home=home)

    (file := tmp_path / "file").touch()
    assert "the home is no folder" in refused("plan", "quickstart", home=file)
    assert "the folder of the engine cannot be made" in refused("engine", "install", home=Path("/proc/nowhere"))

    path = write_spec(tmp_path / "a", dataset("http://127.0.0.1:9/v1", tokenizer_folder, recipes=[{"name": "poem"}]))
    assert "poem" in refused("materialize", str(path), home=home)
    path = write_spec(tmp_path / "b", dataset(f"http://127.0.0.1:{free_port()}/v1", tokenizer_folder))
    said = refused("materialize", str(path), home=home)
    assert "the engine cannot be reached" in said and "next: look at the run with" in said


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("empty.jsonl", b"", "gives no document"),
        ("torn.jsonl.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56", "damaged or truncated"),
        ("torn.parquet", b"PAR1\x00\x00", "damaged or truncated"),
        ("array.jsonl", b'[{"text": "a"}]', "JSON array"),
        ("columns.csv", b"body,n\nhello,1\n", "no column 'text'"),
    ],
)
def test_unusable_sources_are_named(
    tokenizer_folder: Path, tmp_path: Path, name: str, content: bytes, expected: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    sources = [{"name": "mine", "type": "files", "path": str(file), "roles": ["mix_in"]}]
    path = write_spec(
        tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tokenizer_folder, sources=sources, recipes=[])
    )
    said = refused("materialize", str(path), home=tmp_path / "home")
    assert expected in said
    assert "NOT RELEASED" in said


def test_bad_rows_are_kept_with_their_reason_and_good_ones_used(tokenizer_folder: Path, tmp_path: Path) -> None:
    file = write_jsonl(tmp_path / "rows.jsonl", [{"text": f"A good document, number {n}."} for n in range(5)])
    with file.open("a") as opened:
        opened.write('not json\n{"text": null}\n{"text": 7}\n{"other": "x"}\n')
    sources = [{"name": "mine", "type": "files", "path": str(file), "roles": ["mix_in"]}]
    path = write_spec(
        tmp_path / "spec", dataset("http://127.0.0.1:9/v1", tokenizer_folder, sources=sources, recipes=[])
    )
    made = synth("materialize", str(path), "--json", home=tmp_path / "home")
    assert made.returncode == 0, made.err
    summary = json.loads(made.out)
    assert summary["documents"] == 5 == summary["release"]["rows"]
    assert summary["skipped"] == {"missing_text": 2, "invalid_json": 1, "text_not_string": 1}


def test_a_spec_that_cannot_be_read_keeps_its_versions_and_holds_up_no_other(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    workspace = Workspace(tmp_path / "home")
    attributes = dataset("http://127.0.0.1:9/v1", tokenizer_folder, retention={"keep_versions": 1})
    write_spec(workspace.datasets / "small", attributes)
    broken = write_spec(
        workspace.datasets / "other", attributes | {"name": "other", "retention": {"keep_versions": "x"}}
    )
    for asset in ("small/documents", "other/documents"):
        for number in (1, 2):
            version(workspace, asset, {"rows": pl.DataFrame({"id": [number]})}, settings={"number": number})

    def kept(dataset: str) -> int:
        return sum(one.removal is None for one in workspace.snapshots.all() if one.manifest.asset.startswith(dataset))

    collected = synth("gc", "--apply", home=workspace.home)
    assert collected.returncode == 1 and "MB freed" in collected.out
    assert f"nothing of its dataset was collected: {broken}" in collected.out
    assert (kept("small"), kept("other")) == (1, 2)
    assert json.loads(synth("gc", "--json", home=workspace.home).out)["refused"][0]["path"] == str(broken)
    broken.unlink()
    assert synth("gc", home=workspace.home).returncode == 0


def test_a_mirror_of_nothing_is_no_backup(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home")
    version(workspace, "small/documents", {"rows": pl.DataFrame({"id": [1]})})
    source, target = workspace.snapshots.store.url, str(tmp_path / "copy")
    assert "there are no versions to copy" in refused("mirror", f"{source}x", target, home=workspace.home)
    assert not Path(f"{source}x").exists() and not Path(target).exists()
    assert synth("mirror", source, target, home=workspace.home).returncode == 0
