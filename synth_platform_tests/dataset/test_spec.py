"""Specs that are wrong in every way we could think of: the message names file, line, key and fix."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from jsonschema import Draft202012Validator

from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.graph import dataset_checks
from synth_platform.dataset.installed import SHIPPED, find_installed
from synth_platform.dataset.spec import SPEC_FILE, file_schema, load_spec
from synth_platform.errors import SpecError
from synth_platform.generation.config import VllmEngine
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.workspace import Workspace

GOOD = """\
type: synth_platform.dataset.DatasetComponent
attributes:
  name: demo
  sources:
    - type: playground
      documents: 5
    - type: python-docs
      roles: [mix_in]
  recipes:
    - name: table
  engine:
    type: vllm
    model: synth-tiny
"""
SOURCES = GOOD[GOOD.index("  sources:") : GOOD.index("  recipes:")]


def explain(tmp_path: Path, text: str) -> str:
    path = tmp_path / "defs.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(SpecError) as caught:
        dataset_definitions(load_spec(path), tmp_path)
    return str(caught.value)


def test_the_schema_describes_what_a_spec_may_say() -> None:
    schema = file_schema()
    validator = Draft202012Validator(schema)
    for shipped in SHIPPED.rglob(SPEC_FILE):
        validator.validate(yaml.safe_load(shipped.read_text("utf-8")))
    wrong = yaml.safe_load(GOOD)
    wrong["attributes"]["engine"]["modell"] = "x"
    assert not validator.is_valid(wrong)
    undescribed = [key for key, value in _keys(schema["$defs"]) if not {"description", "$ref", "const"} & set(value)]
    assert len(undescribed) < 5, undescribed


def _keys(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """All keys that a schema knows, with what it says of them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "properties":
                yield from inner.items()
            yield from _keys(inner)


def test_shipped_specs_load_and_say_what_they_are(tmp_path: Path) -> None:
    specs = find_installed(Workspace(tmp_path)).shipped
    assert set(specs) == {"quickstart", "finephrase"}
    assert all(spec.description for spec, _ in specs.values())
    finephrase = specs["finephrase"][0]
    assert finephrase.engine.model == "HuggingFaceTB/SmolLM2-1.7B-Instruct"
    assert finephrase.cadence is not None and finephrase.cadence.every == "week"


def test_what_dagster_loads_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth_platform.definitions import defs

    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    (tmp_path / "datasets" / "demo").mkdir(parents=True)
    (tmp_path / "datasets" / "demo" / "defs.yaml").write_text(GOOD, "utf-8")
    repository = defs().get_repository_def()
    assert {"quickstart", "finephrase", "demo"} <= {job.name for job in repository.get_all_jobs()}
    assert [schedule.name for schedule in repository.schedule_defs] == ["finephrase_cycle"]
    keys = {key.to_user_string() for key in repository.asset_graph.get_all_asset_keys()}
    assert {"evals/playground", "evals/gsm8k", "quickstart/release", "demo/release"} <= keys


def test_all_jobs_have_the_tags_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD + '  run_tags: {dagster/priority: "5"}\n', "utf-8")
    resources = dg.Definitions(resources={"workspace": WorkspaceResource(home=str(tmp_path))})
    definitions = dg.Definitions.merge(dataset_definitions(load_spec(path), tmp_path), resources)
    jobs = [job for job in definitions.resolve_all_job_defs() if job.name.startswith("demo")]
    assert len(jobs) > 3
    wanted = {"dagster/priority": "5", "synth/dataset": "demo"}
    assert all(wanted.items() <= job.run_tags.items() for job in jobs)


def test_good_spec_becomes_the_graph_of_the_design(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(GOOD, "utf-8")
    resources = dg.Definitions(resources={"workspace": WorkspaceResource(home=str(tmp_path))})
    definitions = dg.Definitions.merge(dataset_definitions(load_spec(path), tmp_path), resources)
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {
        "demo/documents",
        "demo/prompts/table",
        "demo/engine_profile",
        "demo/generations/table",
        "demo/quality/table",
        "demo/contamination/index",
        "demo/contamination/documents",
        "demo/contamination/table",
        "demo/accepted/table",
        "demo/mixture",
        "demo/review",
        "demo/release",
    }
    assert set(dataset_checks(load_spec(path), path.parent)) == keys - {"demo/engine_profile"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("  name: demo", "  name: ../x", ["defs.yaml:3", "name", "1 to 64 lower-case letters"]),
        ("  name: demo", f"  name: {'a' * 300}", ["defs.yaml:3", "name"]),
        ("  name: demo", "  name: demo\n  sede: 3", ["defs.yaml:4", "sede", "unknown key"]),
        ("  name: demo", "  name: demo\n  name: demo2", [":4", "stands twice"]),
        ("  name: demo", "  name: demo\n  seed: no", [":4", "reads as true or false"]),
        ("  name: demo", "  name: demo\n  seed: 012", [":4", "octal"]),
        ("    model: synth-tiny", "    model: synth-tiny\n    arguments: {offset: -012}", [":14", "octal"]),
        ("  name: demo", "  name: demo\n  tags: &a {x: *a}", ["alias"]),
        ("  name: demo", "  name: demo\n  tags: {two words: x}", ["defs.yaml:4", "two words", "Allowed characters"]),
        ("  name: demo", "  name: demo\n  tags: {stage: x y}", ["defs.yaml:4", "x y", "Allowed characters"]),
        ("  name: demo", "  name: [demo", ["not valid YAML"]),
        ("  name: demo\n", "", ["name", "is required"]),
        ("      documents: 5", "      documents: none", ["sources.0.documents", "defs.yaml:6"]),
        ("      documents: 5", "      documents: 5\n      planted: 6", ["sources.0", "planted (6) is more"]),
        ("type: playground", "type: playgruond", ["sources.0", "playgruond", "playground"]),
        ("    - name: table", "    - name: table\n      sources: [nowhere]", ["nowhere", "playground"]),
        ("    - name: table", "    - name: python-docs", ["both a recipe and a mix-in source"]),
        (
            "    - name: table",
            "    - name: table\n    - {name: a-b, template: table}\n    - {name: a_b, template: table}",
            ["recipes 'a-b' and 'a_b' have one name in Dagster"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n    arguments: {api_key: x}",
            ["defs.yaml:14", "'api_key' is set by the platform"],
        ),
        ("    model: synth-tiny", "    model: synth-tiny\n  mixture: {weights: {x: 1}}", ["mixture.weights names 'x'"]),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  mixture: {weights: {table: -1}}",
            ["defs.yaml:14", "a weight is negative"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  mixture: {weights: {table: .nan}}",
            ["mixture.weights.table"],
        ),
        ("    model: synth-tiny", "    model: synth-tiny\n  quality: {faq: {}}", ["quality names the recipe 'faq'"]),
        ("    model: synth-tiny", "    model: synth-tiny\n  gates: {qualty: {}}", ["qualty", "use one of"]),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  gates:\n    documents: {}\n    qualty: {}",
            ["defs.yaml:16  gates.qualty: gates names the stage 'qualty'"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  gates:\n    quality:\n      acceptanse: {min: 1}",
            ["defs.yaml:16  gates.quality.acceptanse: gates.quality: there is no gate 'acceptanse'"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  gates: {quality: {acceptanse: {min: 1}}}",
            ["there is no gate 'acceptanse'", "acceptance"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  gates: {mixture: {no_contaminated_row: {enabled: false}}}",
            ["cannot be changed"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  benchmarks: [{name: b}]",
            ["benchmarks.0", "give one of path, preset and builtin"],
        ),
        ("  engine:", "  engin:", ["defs.yaml:11  engin: unknown key; did you mean 'engine'?"]),
        ("      documents: 5", "      planned: 5", ["defs.yaml:6", "unknown key; did you mean 'planted'?"]),
        ("      documents: 5", "      samplng: 5", ["defs.yaml:6", "unknown key; use one of: roles, allow_empty, "]),
        (
            "    - name: table",
            "    - name: table\n      samplng:\n        temperature: 1",
            ["defs.yaml:11  recipes.0.samplng: unknown key; did you mean 'sampling'?"],
        ),
        (
            "    - name: table",
            "    - name: table\n      conformance:\n        requird: {}",
            ["defs.yaml:12  recipes.0.conformance.requird: unknown key; did you mean 'required'?"],
        ),
        (
            "    - name: table",
            "    - name: table\n      conformance: nowhere.rules:check",
            ["defs.yaml:11  recipes.0.conformance: ", "'nowhere.rules:check' cannot be imported"],
        ),
        ("    type: vllm", "    type: vllm\n    contextlength: 9", ["did you mean 'context_length'?"]),
        ("    model: synth-tiny", "    model: synth-tiny\n  contextlength: 9", ["unknown key; check its spelling"]),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  mixture:\n    weights:\n      table: 1\n      fax: 1",
            ["defs.yaml:17  mixture.weights.fax: ", "python-docs, table"],
        ),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  quality:\n    faqq: {}",
            ["defs.yaml:15  quality.faqq: ", "there are: table"],
        ),
        ("    model: synth-tiny", "    model: synth-tiny\n  budget:\n    cost: 3", ["defs.yaml:15  budget.cost: "]),
        (
            "    model: synth-tiny",
            "    model: synth-tiny\n  quality:\n    table:\n      min_judge_score: 3",
            ["defs.yaml:16  quality.table.min_judge_score: ", "needs a judge"],
        ),
        ("    - name: table", "    - name: table\n    - name: table", ["defs.yaml:11  recipes.1.name: two recipes"]),
        (
            "    - name: table",
            "    - name: table\n      sources:\n        - nowhere",
            ["defs.yaml:12  recipes.0.sources.0: "],
        ),
        ("    - name: table", "    - name: python-docs", ["defs.yaml:10  recipes.0.name: "]),
        (
            "    - name: table",
            "    - table",
            ["defs.yaml:10  recipes.0: is no mapping; write a list: - name: table"],
        ),
        ("    - name: table", "    table: {}", ["defs.yaml:9  recipes: is no list; write a list: - name: table"]),
        ("    - name: table", "    name: table", ["recipes: is no list; write a list: put '- ' before its first key"]),
        ("  name: demo", "  name: demo\n  owners: team:me", ["owners: is no list; write a list: [team:me]"]),
        ("  name: demo", "  name: demo\n  tags: x", ["tags: is no mapping; write keys and values"]),
        ("  name: demo", "  name: demo\n  cadence: week", ["cadence: is no mapping; ", "every, cron, at, start"]),
        ("  name: demo", "  name: demo\n  judge_engine: vllm", ["is no mapping; write below it: type: vllm"]),
        (SOURCES, "  sources: playground\n", ["defs.yaml:4  sources: is no list; write a list: - type: playground"]),
        (SOURCES, "  sources: [playground]\n", ["sources.0: is no mapping; write a list: - type: playground"]),
        (SOURCES, "  sources: [a.jsonl]\n", ["- type: TYPE (one of files, python-docs, playground)"]),
        (SOURCES, "  sources:\n", ["defs.yaml:4  sources: is no list; write a list: - type: "]),
        (SOURCES, "  sources:\n    - [type]\n", ["defs.yaml:5  sources.0: is no mapping; ", "without the '- '"]),
        (SOURCES, "  sources:\n    - documents: 5\n", ["defs.yaml:5  sources.0: has no type; use one of"]),
        ("type: playground", "type: playgruond", ["sources.0.type: ", "did you mean 'playground'? use one of: files"]),
        ("attributes:", "attribute:", ["the dataset spec is empty", "defs.yaml:1", "`attributes:`"]),
        ("type: synth_platform.dataset.DatasetComponent", "type: other", ["unknown component type 'other'"]),
    ],
)
def test_mistakes_are_named_with_line_and_fix(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    message = explain(tmp_path, GOOD.replace(old, new, 1))
    for words in expected:
        assert words in message
    assert "Traceback" not in message


def test_dates_and_times_are_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    times = "{from: 12:30, until: 20:00:00.5, at: 2026-01-05 10:00:00, numbers: [1_000, 0x1f, 1.5]}"
    path.write_text(GOOD + f"    arguments: {times}\n  cadence: {{every: week, start: 2026-01-05}}\n", "utf-8")
    spec = load_spec(path)
    assert spec.cadence is not None and spec.cadence.start == "2026-01-05"
    assert isinstance(spec.engine, VllmEngine) and spec.engine.arguments == {
        "from": "12:30", "until": "20:00:00.5", "at": "2026-01-05 10:00:00", "numbers": [1000, 31, 1.5],
    }  # fmt: skip


def test_missing_file_and_other_bytes(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such file"):
        load_spec(tmp_path / "defs.yaml")
    (tmp_path / "defs.yaml").write_bytes(b"name: \xff")
    with pytest.raises(SpecError, match="UTF-8"):
        load_spec(tmp_path / "defs.yaml")
