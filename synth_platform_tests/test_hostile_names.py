"""Names that lead elsewhere are refused before anything is read or written: in commands, specs, manifests and SQL."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from synth_platform.dataset.spec import load_spec
from synth_platform.errors import SnapshotError, SpecError
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.catalog import Catalog, diff
from synth_platform.snapshots.identity import asset_folder
from synth_platform.snapshots.manifest import FileEntry, PartEntry
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import dataset, synth, write_spec

BAD_NAMES = ("../x", "a\nb", "x" * 300, "", "a/../b", "a\0b", ".hidden", "Ünder", "a b", "$(id)")
COMMANDS = {
    "cycle": ("materialize", "quickstart", "--partition"),
    "screened cycle": ("screen", "quickstart", "--partition"),
    "versions": ("versions",),
    "verify": ("verify",),
    "status": ("status",),
    "version": ("diff", "0123456789abcdef"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["../x", "a\nb", "x" * 300])
def test_names_on_the_command_line_are_checked_before_anything_is_touched(
    command: str, name: str, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    ended = synth(*COMMANDS[command], name, home=home)
    assert ended.returncode == 2 and "error: invalid" in ended.err and "Traceback" not in ended.err
    assert not home.exists(), "something was written"


@pytest.mark.parametrize("name", ["a\nb", "x" * 300, "../x\n"])
def test_a_datasets_name_is_checked_before_it_is_looked_for(name: str, tmp_path: Path) -> None:
    ended = synth("materialize", name, home=tmp_path / "home")
    assert ended.returncode == 2 and "error: invalid dataset name" in ended.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("where", ["dataset", "recipe", "source", "benchmark"])
def test_names_in_a_spec(name: str, where: str, tmp_path: Path) -> None:
    attributes = dataset("http://127.0.0.1:9/v1", tmp_path)
    if where == "dataset":
        attributes["name"] = name
    else:
        attributes[f"{where}s"][0] |= {"name": name}
    with pytest.raises(SpecError, match=r"invalid name|control characters|cannot be read|not allowed|unacceptable"):
        load_spec(write_spec(tmp_path, attributes))


@pytest.mark.parametrize("name", [one for one in BAD_NAMES if one])
def test_names_of_versions_cannot_leave_the_root(name: str, workspace: Workspace) -> None:
    with pytest.raises(SpecError, match="invalid"):
        asset_folder(f"d/{name}", None)
    with pytest.raises(SpecError, match="invalid"):
        asset_folder("d/documents", name)
    with pytest.raises(SpecError, match="invalid"):
        workspace.snapshots.open("d/documents", None, name)
    with pytest.raises(SpecError, match="invalid"):
        workspace.snapshots.assets(name)
    assert not workspace.home.exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "../../../etc/passwd", "data/../../x.parquet", "a\nb"])
def test_a_manifest_names_only_files_of_its_own_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="leads out of the snapshot's folder"):
        PartEntry(path=path, rows=1, bytes=1, digest="x")
    with pytest.raises(ValidationError, match="leads out of the snapshot's folder"):
        FileEntry(path=path, bytes=1, digest="x")


def version(workspace: Workspace, rows: pl.DataFrame, attempt: int = 0) -> Snapshot:
    """A version of `d/documents`."""
    identity = Identity("d/documents", None, "1", {}, attempt=attempt)
    writer = SnapshotWriter(
        workspace.snapshots, identity, {"documents": rows.schema}, scratch=workspace.scratch, run_id="run"
    )
    writer.write("documents", rows)
    return writer.commit()


HOSTILE_FOLDERS = ("it's", "a'); COPY (SELECT 1) TO 'out.csv'; --", "*", "[ab]", 'say "hi"')


@pytest.mark.parametrize("folder", HOSTILE_FOLDERS)
def test_queries_read_their_parts_whatever_the_folder_is_called(folder: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "home", str(tmp_path / folder))
    column = 'we"ird); DROP VIEW documents; --'
    before = version(workspace, pl.DataFrame({"id": ["a", "b"], "tokens": [1, 2], column: ["x", "y"]}))
    after = version(workspace, pl.DataFrame({"id": ["b", "c"], "tokens": [2, 3], column: ["z", "y"]}), attempt=1)
    assert Catalog([before]).trace("a").document is not None
    found = diff(before, after)
    assert (found.added, found.removed, found.changed) == (1, 1, 1)
    assert not list(tmp_path.rglob("out.csv"))


def test_a_query_can_read_nothing_but_its_parts_and_write_nothing(workspace: Workspace, tmp_path: Path) -> None:
    catalog = Catalog([version(workspace, pl.DataFrame({"id": ["a"], "tokens": [1]}))])
    secret, target = tmp_path / "secret.csv", tmp_path / "written.csv"
    secret.write_text("a,b\n1,2\n")
    for sql in (
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        f"SELECT * FROM '{secret}'",
        f"SELECT * FROM read_blob('{tmp_path}/*')",
        f"SELECT * FROM glob('{tmp_path}/*')",
        f"SELECT * FROM documents, read_text('{secret}')",
    ):
        with pytest.raises(Exception, match=r"Permission Error|does not exist"):
            catalog.query(sql)
    for sql in (
        f"COPY (SELECT 1) TO '{target}'",
        f"SELECT 1; COPY (SELECT 1) TO '{target}'",
        f"ATTACH '{target}'",
        f"EXPORT DATABASE '{target}'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DROP VIEW documents",
    ):
        with pytest.raises(ValueError, match="not one SELECT"):
            catalog.query(sql)
    assert not target.exists()


def test_a_row_id_is_a_value_and_never_sql(workspace: Workspace) -> None:
    catalog = Catalog([version(workspace, pl.DataFrame({"id": ["a"], "tokens": [1]}))])
    for row_id in ("' OR 1=1 --", "a'; DROP VIEW documents; --", "\0", "../x"):
        with pytest.raises(SnapshotError, match="no row has the id"):
            catalog.trace(row_id)
    assert catalog.trace("a").document is not None
