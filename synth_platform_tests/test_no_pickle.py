"""Nothing is pickled or unpickled, because to unpickle is to run code: not by the source, nor by Dagster for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import synth_platform
from synth_platform.ops.resources import WorkspaceResource, resources

ROOT = Path(synth_platform.__file__).parent
_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
_CALLS = {"read_pickle", "to_pickle", "torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "yaml.full_load"}


def uses(path: Path) -> Iterator[str]:
    """What a file imports and calls, of what can run code from bytes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _MODULES:
            yield node.module or ""
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in _CALLS or called.split(".")[-1] in _CALLS:
                yield called
            yield from ("allow_pickle" for word in node.keywords if word.arg == "allow_pickle" and _true(word.value))


def _true(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and value.value is False)


def test_the_source_neither_pickles_nor_unpickles() -> None:
    found = {str(path.relative_to(ROOT)): names for path in ROOT.rglob("*.py") if (names := list(uses(path)))}
    assert found == {}


@pytest.mark.parametrize(
    "line", ["import pickle", "from joblib import load", "torch.load(f)", "np.load(f, allow_pickle=True)"]
)
def test_the_search_finds_what_it_looks_for(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(line)
    assert list(uses(tmp_path / "a.py"))


def test_no_asset_can_pickle_by_accident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    @dg.asset
    def careless() -> dict[str, int]:
        return {"rows": 1}

    @dg.asset
    def reader(careless: dict[str, int]) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=dict(careless))

    @dg.asset
    def careful() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"rows": 1})

    given = resources(WorkspaceResource(home=str(tmp_path / "home")))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert dg.materialize([careful], resources=given, instance=instance).success
        with pytest.raises(TypeError, match=r"careless returned a dict; write a snapshot"):
            dg.materialize([careless], resources=given, instance=instance)
        with pytest.raises(TypeError, match=r"careless cannot be loaded as an input"):
            dg.materialize([reader, dg.AssetSpec("careless")], resources=given, instance=instance)
        stored = [one.name for one in (tmp_path / "storage").iterdir()] if (tmp_path / "storage").exists() else []
    assert not {"careful", "careless", "reader"} & set(stored)
