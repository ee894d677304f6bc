"""A mistake in one spec concerns its own dataset; it is shown where the dataset would be, and the others go on."""

import shutil
import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from synth_platform.cli import app
from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.installed import find_installed
from synth_platform.dataset.spec import DatasetSpec, load_spec
from synth_platform.definitions import defs
from synth_platform.errors import SpecError
from synth_platform.naming import REFUSED_GROUP
from synth_platform.ops.doctor.datasets import spec_findings
from synth_platform.ops.launch import find_dataset
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import write_spec

ATTRIBUTES = {
    "sources": [{"type": "playground", "documents": 5}],
    "recipes": [{"name": "table"}],
    "engine": {"type": "vllm", "model": "synth-tiny"},
}
TEST_SET = {"name": "exam", "path": "/data/exam.jsonl"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one good dataset."""
    monkeypatch.setenv("SYNTH_HOME", str(tmp_path))
    monkeypatch.delenv("SYNTH_DATASETS", raising=False)
    add(tmp_path, "good")
    return tmp_path


def add(home: Path, folder: str, **changes: Any) -> Path:
    return write_spec(home / "datasets" / folder, {"name": folder, **ATTRIBUTES, **changes})


def shown(folder: str) -> str:
    """What the interface says of a spec that cannot be used; the good dataset is whole."""
    repository = defs().get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs()}
    assert {"good", "good_plan", "quickstart"} <= jobs
    graph = repository.asset_graph
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    assert "good/release" in keys and not any(key.startswith(f"{folder}/") for key in keys)
    (node,) = (node for node in graph.asset_nodes if node.key.path[-1].startswith(folder))
    assert node.group_name == REFUSED_GROUP and node.description is not None
    return node.description


def test_a_spec_with_a_mistake_is_shown_with_its_line(home: Path) -> None:
    path = add(home, "bad", seed="many")
    text = shown("bad")
    assert str(path) in text and "defs.yaml:" in text and "seed" in text


def test_a_file_that_is_no_yaml_is_shown_by_its_folder(home: Path) -> None:
    path = home / "datasets" / "my texts (old)" / "defs.yaml"
    path.parent.mkdir()
    path.write_text("type: [", "utf-8")
    assert str(path) in shown("my_texts__old__")


@pytest.mark.parametrize(
    "line",
    ["seed: !env SEED", "seed: =", "<<: {seed: 1}", "seed: !!int many", "seed: " + "[" * 5000, "? [a]\n  : b"],
)
def test_what_only_yaml_understands_is_shown(home: Path, line: str) -> None:
    path = add(home, "bad")
    path.write_text(f"{path.read_text()}  {line}\n", "utf-8")
    assert str(path) in shown("bad")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cadence": {"cron": "0 0 31 4 *", "start": "2026-01-01"}}, "never comes"),
        ({"owners": ["ops@localhost"]}, "ops@localhost"),
    ],
)
def test_what_only_dagster_objects_to_is_shown(home: Path, changes: dict[str, Any], said: str) -> None:
    add(home, "bad", **changes)
    assert said in shown("bad")


def test_what_nobody_foresaw_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(spec: DatasetSpec, base: Path) -> dg.Definitions:
        if spec.name == "bad":
            raise ZeroDivisionError("never thought of")
        return dataset_definitions(spec, base)

    monkeypatch.setattr("synth_platform.definitions.dataset_definitions", build)
    add(home, "bad")
    assert "ZeroDivisionError: never thought of" in shown("bad")


def test_a_gate_that_does_not_exist_is_shown(home: Path) -> None:
    path = add(home, "bad", gates={"documents": {"beauty": {"min": 1}}})
    said = next(line for line in shown("bad").splitlines() if "beauty" in line)
    lines = path.read_text("utf-8").splitlines()
    assert f"defs.yaml:{1 + next(at for at, line in enumerate(lines) if 'beauty' in line)}" in said
    workspace = Workspace(home)
    assert [one.path for one in find_installed(workspace).refused] == [path]
    with pytest.raises(SpecError, match=r"use one of finephrase, good, quickstart,"):
        find_dataset("worse", workspace)
    for command in ("plan", "materialize"):
        assert said in str(CliRunner().invoke(app, [command, "bad", "--home", str(home)]).exception)


def test_a_module_that_cannot_be_imported_is_shown(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "broken_models.py").write_text("class Answer(BaseModel): ...\n", "utf-8")
    monkeypatch.syspath_prepend(str(home))
    add(home, "bad", recipes=[{"name": "table", "answer_schema": "broken_models:Answer"}])
    assert "name 'BaseModel' is not defined" in shown("bad")


def test_to_make_it_says_what_is_wrong(home: Path) -> None:
    add(home, "bad", seed="many")
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            defs()
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance, asset_selection=[dg.AssetKey([REFUSED_GROUP, "bad"])], raise_on_error=False
            )
        )
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    data = failed.step_failure_data.user_failure_data
    assert not result.success and data is not None and "seed" in (data.description or "")


def test_of_two_datasets_with_one_name_neither_is_taken(home: Path) -> None:
    """A copy of a folder must not take the place of the dataset that it was copied from."""
    for folder in ("a-copy", "twice"):
        add(home, folder, name="twice")
    installed = find_installed(Workspace(home))
    assert set(installed.own) == {"good"}
    assert {one.path.parent.name for one in installed.refused} == {"a-copy", "twice"}
    assert "a-copy" in shown("twice") and "twice" in shown("a-copy")
    shutil.copytree(home / "datasets" / "a-copy", home / "datasets" / "a_copy")
    assert "a-copy" in shown("a_copy")


def test_a_shipped_name_is_taken(home: Path) -> None:
    add(home, "mine", name="quickstart")
    assert "shipped" in shown("mine")
    with pytest.raises(SpecError, match="shipped"):
        find_dataset("quickstart", Workspace(home))


def test_a_name_that_is_the_same_in_dagster_is_taken(home: Path) -> None:
    add(home, "a-b")
    add(home, "a_b")
    assert "'a-b' and 'a_b' have one name" in shown("a_b")
    add(home, "good_prompts")
    assert "needs the name 'good_prompts' in Dagster, which the dataset 'good' has" in shown("good_prompts")
    found = spec_findings(Workspace(home))
    assert {Path(one.where).parent.name for one in found} == {"a_b", "good_prompts"}


@pytest.mark.parametrize("name", ["evals", REFUSED_GROUP])
def test_first_parts_of_other_keys_are_no_names_of_datasets(home: Path, name: str) -> None:
    add(home, "mine", name=name)
    assert name in shown("mine")


def test_of_two_meanings_of_a_test_set_the_first_holds(home: Path) -> None:
    add(home, "one", benchmarks=[TEST_SET])
    add(home, "two", benchmarks=[TEST_SET])
    add(home, "three", benchmarks=[{**TEST_SET, "path": "/data/other.jsonl"}])
    installed = find_installed(Workspace(home))
    assert set(installed.own) == {"good", "one", "two"}
    assert "mean different test sets by 'exam'" in shown("three")
    (home / "data" / "three" / "documents").mkdir(parents=True)
    assert set(find_installed(Workspace(home)).own) == {"good", "three"}, "what was made before holds"


def test_of_two_test_sets_that_are_one_in_dagster_the_first_holds(home: Path) -> None:
    add(home, "one", benchmarks=[{**TEST_SET, "name": "my-exam"}])
    add(home, "two", benchmarks=[{**TEST_SET, "name": "my_exam"}])
    assert "'my-exam' and 'my_exam' have one name" in shown("two")


def test_commands_of_other_datasets_go_on(home: Path) -> None:
    add(home, "bad", seed="many")
    workspace = Workspace(home)
    assert find_dataset("good", workspace)[0].name == "good"
    with pytest.raises(SpecError, match="seed"):
        find_dataset("bad", workspace)
    with pytest.raises(SpecError, match="there is no dataset 'worse'"):
        find_dataset("worse", workspace)
    (home / "datasets" / "bad" / "defs.yaml").write_text("type: [", "utf-8")
    with pytest.raises(SpecError, match=r"unless one of these is meant: .*bad"):
        find_dataset("worse", workspace)


def test_a_folder_whose_file_has_another_name_is_named(home: Path) -> None:
    path = add(home, "misname", name="other")
    broken = add(home, "bad", seed="many")
    with pytest.raises(SpecError, match="in the folder of that name names itself 'other'") as caught:
        find_dataset("misname", Workspace(home))
    assert caught.value.where == str(path) and "name: misname" in caught.value.fix
    assert str(broken) not in str(caught.value)
    assert find_dataset("other", Workspace(home))[1] == path.parent


def test_a_folder_where_one_works_takes_no_datasets_place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    (home / "quickstart").mkdir()
    write_spec(home / "good", {"name": "another", **ATTRIBUTES})
    write_spec(home / "alone", {"name": "alone", **ATTRIBUTES})
    assert find_dataset("quickstart", Workspace(home))[0].name == "quickstart"
    assert find_dataset("good", Workspace(home))[0].name == "good"
    assert find_dataset("./good", Workspace(home))[0].name == "another"
    with pytest.raises(SpecError, match=r"there is no dataset 'alone'\n  fix:   write \./alone for the folder"):
        find_dataset("alone", Workspace(home))


def test_a_collection_names_the_spec_of_which_nothing_goes(home: Path) -> None:
    path = add(home, "bad", seed="many")
    collected = CliRunner().invoke(app, ["gc", "--json", "--home", str(home)])
    assert collected.exit_code == 1 and f'"path": "{path}"' in collected.stdout and "seed" in collected.stdout
    assert CliRunner().invoke(app, ["gc", "good", "--home", str(home)]).exit_code == 0


def test_users_see_no_warnings_of_what_the_platform_has_chosen(home: Path) -> None:
    path = add(home, "daily", cadence={"every": "day", "start": "2026-01-01"})
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        dataset_definitions(load_spec(path), path.parent)
    assert not [one for one in seen if issubclass(one.category, dg.PreviewWarning | dg.BetaWarning)]


def test_a_partition_of_a_dataset_without_cadence_is_refused_with_a_fix(home: Path) -> None:
    result = CliRunner().invoke(app, ["plan", "good", "--partition", "2026-01-01", "--home", str(home)])
    assert isinstance(result.exception, SpecError) and "has no cadence" in result.exception.what
    assert result.exception.fix == "leave --partition out, or give the dataset a cadence"
