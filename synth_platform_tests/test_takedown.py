"""A document is taken down: out of every release, kept out of later ones, and erased from the disk."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml

from synth_platform.dataset.spec import load_spec
from synth_platform.digest import digest_file
from synth_platform.errors import SnapshotError, SynthError
from synth_platform.ops.launch import run_dataset
from synth_platform.ops.takedown import Report, Request, take_down
from synth_platform.prompts.schema import PROMPTS
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.tombstones import TakenDown, read_tombstones
from synth_platform.snapshots.tracing import trace
from synth_platform.snapshots.verify import verify
from synth_platform.sources.schema import DOCUMENTS as DOCUMENTS_SCHEMA
from synth_platform.workspace import Workspace
from synth_platform_tests.pipeline import dataset, mock_engine, opened, perfect_answers, recipes_of, synth, write_spec
from synth_platform_tests.snapshots.handmade import table, version

pytestmark = pytest.mark.xdist_group("takedown")  # what they start from is made once

DOCUMENTS = 16
DATASETS = ("small", "other")


class Deployment:
    """Two datasets on the same sources, made once; each test works on a copy."""

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance) -> None:
        self.workspace, self.instance = workspace, instance
        self.snapshots = workspace.snapshots

    def run(self, name: str, job: str | None = None, partition: str | None = None) -> None:
        path, spec = self.workspace.datasets / name, load_spec(self.workspace.datasets / name / "defs.yaml")
        ended = run_dataset(spec, path, self.workspace, self.instance, job=job, partition=partition)
        assert ended.success, ended.problems

    def take_down(
        self, *documents: str, urls: tuple[str, ...] = (), datasets: tuple[str, ...] = (), **options: Any
    ) -> Report:
        request = Request(documents, urls, "asked by its author", "officer", datasets)
        return take_down(request, self.workspace, self.instance, **options)

    def head(self, asset: str, partition: str | None = None) -> Snapshot:
        found = self.snapshots.head(asset, partition)
        assert found is not None, asset
        return found

    def heads(self) -> list[Snapshot]:
        """The current version of every asset."""
        heads = [self.snapshots.head(asset, part) for asset, part in self.snapshots.assets()]
        return [head for head in heads if head is not None]

    @property
    def published(self) -> Path:
        """Where `small` is published."""
        return self.workspace.datasets / "small" / "published"

    def pointer(self) -> str:
        """The version that readers of it take."""
        return json.loads((self.published / "current.json").read_text())["version"]

    def victims(self, count: int) -> list[str]:
        """Documents of which both releases have generated rows."""
        made = [
            set(self.head(f"{name}/release").scan().filter(pl.col("origin") == "synthetic").collect()["document_id"])
            for name in DATASETS
        ]
        return sorted(made[0] & made[1])[:count]


def _attributes(url: str, tokenizer: Path, name: str) -> dict[str, Any]:
    attributes = dataset(url, tokenizer, name=name, release={"rows_per_file": 10})
    attributes["sources"][0] |= {"documents": DOCUMENTS, "planted": 0}
    attributes["sources"][1]["select"] = {"sample": {"documents": 6}}
    attributes["recipes"] = recipes_of("table", "math") if name == "small" else recipes_of("table", "math", "faq")
    if name == "small":
        attributes["recipes"][0] = {
            **attributes["recipes"][0],
            "judge": {"rubric": "It must follow from the document."},
        }
        attributes["release"]["publish"] = [{"type": "folder", "path": "published"}]
    return attributes


@pytest.fixture(scope="module")
def first(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of two datasets that were made; the engine goes on as long as the tests do."""
    folder = tmp_path_factory.mktemp("first")
    workspace = Workspace(folder / "home")
    with mock_engine(folder, perfect_answers(DOCUMENTS)) as engine, opened(workspace) as instance:
        for name in DATASETS:
            write_spec(workspace.datasets / name, _attributes(engine.url, tokenizer_folder, name))
        for name in DATASETS:
            Deployment(workspace, instance).run(name)
        yield workspace.home


@pytest.fixture
def deployment(first: Path, tmp_path: Path) -> Iterator[Deployment]:
    workspace = Workspace(shutil.copytree(first, tmp_path / "home"))
    with opened(workspace) as instance:
        yield Deployment(workspace, instance)


def stored_texts(root: Path) -> str:
    """Every string in every file below a root, Parquet files read."""
    found: list[str] = []
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        if path.suffix == ".parquet":
            found.append(json.dumps(pl.read_parquet(path).to_dicts(), default=str, ensure_ascii=False))
        else:
            found.append(path.read_text("utf-8", errors="replace"))
    return "\n".join(found)


def test_documents_leave_all_current_releases_and_everything_else_stays_as_it_is(deployment: Deployment) -> None:
    victims = deployment.victims(3)
    before = {name: deployment.head(f"{name}/release") for name in DATASETS}
    kept = pl.DataFrame()
    texts = {row for one in before.values() for row in _texts_of(one, victims)}
    report = deployment.take_down(*victims)
    assert report.problems == [] and {one.dataset for one in report.releases} == set(DATASETS)
    for name, old in before.items():
        patch = deployment.head(f"{name}/release")
        kept = old.scan().filter(~pl.col("document_id").is_in(victims)).collect()
        assert patch.scan().collect().equals(kept) and 0 < kept.height < old.manifest.rows
        touched = [bool(set(victims) & set(pl.read_parquet(file)["document_id"])) for file in old.files()]
        after = {digest_file(file) for file in patch.files()}
        assert not all(touched)
        assert [digest_file(file) in after for file in old.files()] == [not change for change in touched]
        written = stored_texts(Path(patch.location))
        assert not any(text in written for text in texts) and not any(victim in written for victim in victims)
        assert "asked by its author" not in written and f"takedown {report.takedown}" in written
        books = account(deployment.snapshots, patch)
        assert books is not None and books.closes
    assert verify(deployment.snapshots, [deployment.head(f"{name}/release") for name in DATASETS]).problems == []
    for victim in victims:
        found = trace(deployment.snapshots, victim)
        assert found.taken_down[0]["id"] == report.takedown and found.descendants["release"] == []
    other = next(row for row in kept["document_id"] if row not in victims)
    assert trace(deployment.snapshots, other).taken_down == []


def _texts_of(release: Snapshot, victims: list[str]) -> list[str]:
    return release.scan().filter(pl.col("document_id").is_in(victims)).collect()["text"].to_list()


def test_a_patch_stays_when_it_is_made_again_and_a_second_takedown_patches_the_patch(deployment: Deployment) -> None:
    one, two = deployment.victims(2)
    deployment.take_down(one)
    patch = deployment.head("small/release")
    deployment.run("small", "small_patch")
    assert deployment.head("small/release").ref == patch.ref
    assert deployment.take_down(one).releases == [], "nothing is left of it"
    assert len(read_tombstones(deployment.snapshots)) == 1
    report = deployment.take_down(two)
    assert report.problems == [] and {one.release for one in report.releases} >= {patch.manifest.snapshot_id}
    second = deployment.head("small/release")
    assert patch.ref in second.manifest.inputs
    assert not {one, two} & set(second.scan().collect()["document_id"])


def test_what_was_taken_down_does_not_come_in_again(deployment: Deployment) -> None:
    (victim,) = deployment.victims(1)
    deployment.take_down(victim)
    deployment.run("small")
    documents = deployment.head("small/documents")
    assert victim not in set(documents.scan().collect()["id"])
    skipped = documents.scan("skipped").filter(pl.col("document_id") == victim).collect()
    assert skipped["reason"].to_list() == ["taken_down"]
    assert victim not in set(deployment.head("small/release").scan().collect()["document_id"])
    made = documents.ref
    deployment.run("small")
    assert deployment.head("small/documents").ref == made


def test_a_tombstone_of_documents_that_a_dataset_never_had_does_not_make_it_stale(deployment: Deployment) -> None:
    before = deployment.head("small/documents").ref
    nobodys = {"urls": ("https://example.org/private/*",)}
    with pytest.raises(SynthError, match=r"ever had, web/none-of-ours, https://example.org/private/\*"):
        deployment.take_down("web/none-of-ours", **nobodys)
    assert read_tombstones(deployment.snapshots) == [], "a slip of the pen bars nothing"
    report = deployment.take_down("web/none-of-ours", **nobodys, in_advance=True)
    assert report.releases == [] and report.documents == [] and report.problems == []
    assert report.notes == ["nothing here has web/none-of-ours: barred in advance"]
    deployment.run("small", "small_prompts")
    assert deployment.head("small/documents").ref == before


def test_a_pattern_of_addresses_takes_mixed_in_documents_down(deployment: Deployment) -> None:
    mixed_in = deployment.head("small/release").scan().filter(pl.col("url").is_not_null()).collect()
    url = mixed_in["url"][0]
    report = deployment.take_down(urls=(f"{url[:-3]}*",))
    assert set(report.documents) >= set(mixed_in.filter(pl.col("url") == url)["document_id"])
    left = deployment.head("small/release").scan().collect()
    assert left.height < deployment.head("small/mixture").manifest.rows and url not in set(left["url"])


def test_a_dry_run_changes_nothing(deployment: Deployment) -> None:
    (victim,) = deployment.victims(1)
    before = sorted(Path(deployment.snapshots.store.url).rglob("*"))
    report = deployment.take_down(victim, "web/none-of-ours", dry_run=True)
    assert report.notes == ["nothing here has web/none-of-ours: barred in advance"]
    assert report.takedown is None and len(report.releases) == 2 and report.held
    assert sorted(Path(deployment.snapshots.store.url).rglob("*")) == before


def test_erasing_leaves_nothing_of_the_documents_and_everything_can_still_be_explained(deployment: Deployment) -> None:
    victims = deployment.victims(2)
    documents = deployment.head("small/documents").scan().filter(pl.col("id").is_in(victims)).collect()
    generated = deployment.head("other/release").scan().filter(pl.col("document_id").is_in(victims)).collect()
    needles = {line for text in [*documents["text"], *generated["text"]] for line in text.split("\n") if len(line) > 60}
    others = deployment.head("small/documents").scan().filter(~pl.col("id").is_in(victims)).collect()["text"]
    needles -= {line for line in needles for text in others if line in text}
    root, old = Path(deployment.snapshots.store.url), deployment.head("small/release")
    written = stored_texts(root)
    assert needles and any(json.dumps(needle, ensure_ascii=False)[1:-1] in written for needle in needles)

    begun = Identity("small/generations/faq", None, "1", {"left": "by a dead process"})
    tables = {"generations": generated.schema}
    dead = SnapshotWriter(deployment.snapshots, begun, tables, scratch=deployment.workspace.scratch)
    dead.commit_shard("generations", 0, generated)
    (deployment.workspace.scratch / "left.txt").write_text(documents["text"][0])

    report = deployment.take_down(*victims, erase=True)
    assert not deployment.workspace.scratch.exists() or not list(deployment.workspace.scratch.iterdir())
    assert report.problems == [] and report.erased_bytes > 0 and all(one.erased for one in report.held)
    assert report.rows["judgements"] and any(one.asset.startswith("small/judgements/") for one in report.held)
    written = stored_texts(root)
    written += stored_texts(deployment.published)
    assert [one for one in needles if json.dumps(one, ensure_ascii=False)[1:-1] in written or one in written] == []
    assert report.withdrawn == [f"{old.manifest.snapshot_id} at published"]
    assert deployment.pointer() == deployment.head("small/release").manifest.snapshot_id

    heads = [deployment.head(f"{name}/release") for name in DATASETS]
    found = verify(deployment.snapshots, heads)
    assert found.problems == [] and any("was taken down" in line for line in found.removed)
    (tombstone,) = read_tombstones(deployment.snapshots)
    assert all(set(victims) <= tombstone.ids_in(name) for name in DATASETS)
    gone = trace(deployment.snapshots, generated["generation_id"].drop_nulls()[0])
    assert gone.kind == "taken down" and gone.taken_down[0]["by"] == "officer"
    with pytest.raises(SnapshotError, match="no row has the id"):
        trace(deployment.snapshots, "never-was")
    with pytest.raises(SnapshotError, match="was taken down"):
        deployment.head("small/documents").scan()

    third = deployment.victims(1)
    again = deployment.take_down(*third, erase=True)
    assert again.problems == [] and len(again.releases) == 2, "a patch needs nothing that was erased"
    patch = deployment.head("small/release")
    deployment.run("small", "small_patch")
    assert deployment.head("small/release").ref == patch.ref
    path = deployment.workspace.datasets / "small"
    attributes = yaml.safe_load((path / "defs.yaml").read_text())["attributes"]
    write_spec(path, {**attributes, "release": {**attributes["release"], "title": "Another title"}})
    deployment.run("small", "small_patch")
    renamed = deployment.head("small/release")
    assert "# Another title" in renamed.read_file("README.md").decode()
    assert renamed.ref != patch.ref and renamed.scan().collect().equals(patch.scan().collect())
    assert verify(deployment.snapshots, [renamed]).problems == []
    deployment.run("small")
    assert not {*victims, *third} & set(deployment.head("small/release").scan().collect()["document_id"])
    assert verify(deployment.snapshots, [deployment.head("small/release")]).problems == []


def test_releases_are_published_described_and_pointed_back_to(deployment: Deployment) -> None:
    first = deployment.head("small/release")
    assert deployment.pointer() == first.manifest.snapshot_id
    described = deployment.published / "versions" / first.manifest.snapshot_id / "croissant.json"
    _check_croissant(described, first)
    prov = json.loads(first.read_file("prov.json"))
    made = next(name for name in prov["entity"] if first.manifest.snapshot_id in name)
    used = {one["prov:entity"] for one in prov["used"].values() if one["prov:activity"] == f"{made}/making"}
    assert used == {f"synth:{ref.asset}/{ref.snapshot_id}" for ref in first.manifest.inputs}
    assert {one["prov:usedEntity"] for one in prov["wasDerivedFrom"].values()} <= set(prov["entity"])

    (victim,) = deployment.victims(1)
    home = deployment.workspace.home
    rows = first.scan().filter(pl.col("document_id") != victim).collect()
    deployment.take_down(victim)
    patch = deployment.head("small/release")
    assert deployment.pointer() == patch.manifest.snapshot_id
    kept = deployment.published / "versions" / patch.manifest.snapshot_id
    assert pl.read_parquet(sorted((kept / "data").glob("*.parquet"))).equals(rows)
    linked = [path for path in (kept / "data").iterdir() if path.stat().st_nlink > 1]
    assert linked, "files that stay are not sent again"

    back = synth("publish", "small", "--version", first.manifest.snapshot_id, home=home)
    assert back.returncode and "taken down" in back.err
    assert deployment.pointer() == patch.manifest.snapshot_id

    deployment.take_down(*deployment.victims(1))
    latest = deployment.head("small/release").manifest.snapshot_id
    shutil.rmtree(deployment.published)
    assert synth("publish", "small", home=home).returncode == 0
    assert deployment.pointer() == latest


def test_readers_are_pointed_back_by_the_command(deployment: Deployment) -> None:
    first = deployment.head("small/release")
    path = deployment.workspace.datasets / "small"
    spec = load_spec(path / "defs.yaml")
    changed = spec.model_copy(update={"release": spec.release.model_copy(update={"title": "Another title"})})
    ended = run_dataset(changed, path, deployment.workspace, deployment.instance, job="small_patch")
    assert ended.success, ended.problems
    second = deployment.head("small/release").manifest.snapshot_id
    assert deployment.pointer() == second != first.manifest.snapshot_id
    for wanted in (first.manifest.snapshot_id, second):
        done = synth("publish", "small", "--version", wanted, "--json", home=deployment.workspace.home)
        assert done.returncode == 0, done.err
        assert deployment.pointer() == wanted
    wrong = synth("publish", "small", "--version", "f" * 16, home=deployment.workspace.home)
    assert wrong.returncode and "has no version" in wrong.err


def test_the_retention_lets_old_versions_go_and_nothing_that_is_used(deployment: Deployment) -> None:
    """Of three releases of one mixture the first is published again, so the second goes."""
    path = deployment.workspace.datasets / "small"
    attributes = yaml.safe_load((path / "defs.yaml").read_text())["attributes"]
    releases = [deployment.head("small/release").manifest.snapshot_id]
    for title in ("Second", "Third"):
        attributes["release"]["title"] = title
        write_spec(path, {**attributes, "retention": {"keep_versions": 1}})
        deployment.run("small", "small_patch")
        releases.append(deployment.head("small/release").manifest.snapshot_id)
    home = deployment.workspace.home
    assert synth("publish", "small", "--version", releases[0], home=home).returncode == 0
    scratch = deployment.workspace.scratch / "left"
    scratch.mkdir(parents=True)
    os.utime(scratch, (0, 0))

    def collected(*arguments: str) -> dict[str, Any]:
        done = synth("gc", *arguments, "--json", home=home)
        assert done.returncode == 0, done.err
        return json.loads(done.out)

    shown = collected()
    assert {one["where"].rsplit("/", 1)[1] for one in shown["garbage"] if "/release/" in one["where"]} == {releases[1]}
    assert str(scratch) in {one["where"] for one in shown["garbage"]} and shown["freed"] == 0
    busy = deployment.instance.create_run_for_job(dg.job(name="busy")(lambda: None), status=dg.DagsterRunStatus.STARTED)
    refused = synth("gc", "--apply", home=home)
    assert refused.returncode and "while something is being made" in refused.err
    deployment.instance.delete_run(busy.run_id)
    assert collected("--apply")["freed"] == shown["bytes"] and not scratch.exists()
    assert collected()["garbage"] == []
    kept = [deployment.snapshots.open("small/release", None, one) is not None for one in releases]
    assert kept == [True, False, True]
    before = deployment.heads()
    assert verify(deployment.snapshots, before).problems == []
    deployment.run("small")
    assert deployment.heads() == before, "nothing is made anew for what was collected"


def _check_croissant(described: Path, release: Snapshot) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    loaded = croissant.Dataset(jsonld=described)
    assert loaded.metadata.issues.errors == set()
    rows = list(loaded.records("train"))
    assert {row["train/id"].decode() for row in rows} == set(release.scan().collect()["id"])


@pytest.mark.parametrize("removals", [0, 2, 5])
def test_a_takedown_that_died_is_finished_by_the_same_command(
    removals: int, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dies when the first patch is to be made, and again after some versions were erased."""
    (victim,) = deployment.victims(1)
    text = deployment.head("small/documents").scan().filter(pl.col("id") == victim).collect()["text"][0]
    needle = json.dumps(max(text.split("\n"), key=len), ensure_ascii=False)[1:-1]
    left = removals

    def dying(*arguments: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return remove(*arguments)

    with monkeypatch.context() as mortal:
        mortal.setattr("synth_platform.ops.takedown.run_dataset", _die)
        with pytest.raises(KeyboardInterrupt):
            deployment.take_down(victim, erase=True)
    with monkeypatch.context() as mortal:
        mortal.setattr("synth_platform.ops.erasure.remove", dying)
        with pytest.raises(KeyboardInterrupt):
            deployment.take_down(victim, erase=True)
    report = deployment.take_down(victim, erase=True)
    assert report.problems == [] and len(read_tombstones(deployment.snapshots)) == 1
    assert needle not in stored_texts(Path(deployment.snapshots.store.url))
    assert all(
        victim not in set(deployment.head(f"{name}/release").scan().collect()["document_id"]) for name in DATASETS
    )
    assert verify(deployment.snapshots, [deployment.head("small/release")]).problems == []


def _die(*arguments: Any, **options: Any) -> None:
    raise KeyboardInterrupt


def test_what_another_host_may_be_making_is_kept_and_said(tmp_path: Path) -> None:
    """Two installations share the versions; runs of the other one are not seen."""
    here, elsewhere = (Workspace(tmp_path / name, str(tmp_path / "data")) for name in ("here", "elsewhere"))
    rows = pl.DataFrame({"id": ["web/1"], "text": ["a secret"], "url": ["https://a.org"]})

    def begin(workspace: Workspace, asset: str) -> SnapshotWriter:
        identity, tables = Identity(asset, None, "1", {}), {"rows": rows.schema}
        writer = SnapshotWriter(workspace.snapshots, identity, tables, scratch=workspace.scratch, rows_per_part=1)
        writer.write("rows", pl.concat([rows, rows]))
        return writer

    def erase() -> Report:
        with opened(here) as instance:
            return take_down(Request(("web/1",), (), "why", "officer"), here, instance, erase=True)

    here.snapshots.set_head(begin(here, "small/documents").commit(), "run")
    lately, long_ago = begin(elsewhere, "small/quality/faq"), begin(elsewhere, "small/quality/table")
    for path in here.snapshots.store.files("small/quality/table"):
        os.utime(tmp_path / "data" / path, (0, 0))
    (problem,) = erase().problems
    assert lately.identity.folder in problem and "again in 24 hours" in problem
    assert here.snapshots.store.files(long_ago.identity.folder) == []
    assert lately.commit().is_whole()
    assert erase().problems == []


def test_nothing_is_taken_down_while_a_run_is_active(deployment: Deployment) -> None:
    deployment.instance.create_run_for_job(dg.job(name="busy")(lambda: None), status=dg.DagsterRunStatus.STARTED)
    with pytest.raises(SynthError, match="while something is being made"):
        deployment.take_down("any")


@pytest.fixture
def namesakes(tmp_path: Path) -> Iterator[Deployment]:
    """Three datasets with a document `web/17`: in two of them the same one, in the third something else."""
    workspace = Workspace(tmp_path / "home")
    with opened(workspace) as instance:
        for name, text in (("alpha", "a secret"), ("beta", "of no interest"), ("gamma", "a secret")):
            rows = table(DOCUMENTS_SCHEMA, id=["web/17", f"web/{name}"], text=[text, f"of {name}"])
            documents = version(workspace, f"{name}/documents", {"documents": rows})
            asked = table(PROMPTS, id=["p"], document_id=["web/17"], source_text=[text])
            version(workspace, f"{name}/prompts/faq", {"prompts": asked}, documents.ref)
        yield Deployment(workspace, instance)


def test_an_id_is_that_of_one_document_only_within_its_dataset(namesakes: Deployment) -> None:
    with pytest.raises(SynthError, match=r"different texts: web/17 in alpha, beta, gamma(.|\n)*--dataset"):
        namesakes.take_down("web/17", erase=True)
    assert read_tombstones(namesakes.snapshots) == []
    report = namesakes.take_down("web/17", datasets=("alpha",), erase=True)
    assert report.problems == [] and all(one.erased for one in report.held)
    assert {one.asset for one in report.held} == {
        f"{name}/{kind}" for name in ("alpha", "gamma") for kind in ("documents", "prompts/faq")
    }
    assert namesakes.head("beta/documents").scan().collect()["text"].to_list() == ["of no interest", "of beta"]
    assert namesakes.head("beta/prompts/faq").is_whole()
    tombstones = read_tombstones(namesakes.snapshots)
    rows = namesakes.head("beta/documents").scan().collect()
    assert rows.filter(TakenDown.of(tombstones, "beta").matches()).is_empty()
    for name in ("alpha", "gamma"):
        assert rows.filter(TakenDown.of(tombstones, name).matches())["id"].to_list() == ["web/17"]
    shown = trace(namesakes.snapshots, "web/17")
    assert shown.document is not None and shown.document["text"] == "of no interest" and shown.taken_down == []
    assert trace(namesakes.snapshots, "web/17", "alpha").kind == "taken down"
    assert trace(namesakes.snapshots, "p", "gamma").kind == "taken down"


def test_an_id_that_names_other_texts_may_be_meant_of_several_datasets(namesakes: Deployment) -> None:
    report = namesakes.take_down("web/17", datasets=("alpha", "beta"))
    assert {one.asset.split("/")[0] for one in report.held} == {"alpha", "beta", "gamma"}
    (tombstone,) = read_tombstones(namesakes.snapshots)
    assert tombstone.datasets == ("alpha", "beta") and report.rows["prompts"] == 3
    assert namesakes.take_down("web/17", datasets=("beta", "alpha")).takedown == tombstone.id


def test_a_dataset_says_whose_ids_are_meant(namesakes: Deployment) -> None:
    with pytest.raises(SynthError, match="ever had, web/alpha of beta"):
        namesakes.take_down("web/alpha", datasets=("beta",))
    with pytest.raises(SynthError, match="--dataset says whose ids are meant"):
        namesakes.take_down(urls=("https://a.org/*",), datasets=("beta",))
    assert namesakes.take_down("web/alpha").documents == ["web/alpha"]


def test_who_has_no_name_can_take_down_too(namesakes: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs as any user."""

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    assert take_down(Request(("web/beta",)), namesakes.workspace, namesakes.instance).problems == []
    assert [one.by for one in read_tombstones(namesakes.snapshots)] == [str(os.getuid())]


def test_the_command_says_what_it_did(deployment: Deployment) -> None:
    (victim,) = deployment.victims(1)
    done = synth("takedown", "--document", victim, "--reason", "why", "--json", home=deployment.workspace.home)
    assert done.returncode == 0, done.err
    said = json.loads(done.out)
    assert len(said["releases"]) == 2 and all(one["patch"] for one in said["releases"])


CYCLES = ("2026-01-01", "2026-01-02")


@pytest.fixture
def daily(tokenizer_folder: Path, tmp_path: Path) -> Iterator[Deployment]:
    """A dataset of which two cycles were made and published, each of documents of its own."""
    workspace = Workspace(tmp_path / "home")
    with mock_engine(tmp_path) as engine, opened(workspace) as instance:
        attributes = dataset(
            engine.url,
            tokenizer_folder,
            name="daily",
            sources=[{"type": "python-docs", "roles": ["rewrite", "mix_in"], "select": {"sample": {"documents": 6}}}],
            recipes=[{"name": "faq", "chunk_tokens": "fit", "max_chunks": 1, "sampling": {"max_tokens": 300}}],
            benchmarks=None,
            cadence={"every": "day", "start": CYCLES[0]},
            release={"publish": [{"type": "folder", "path": "published"}]},
        )
        write_spec(workspace.datasets / "daily", attributes)
        made = Deployment(workspace, instance)
        for cycle in CYCLES:
            made.run("daily", partition=cycle)
        yield made


def test_cycles_that_the_cadence_has_no_more_are_patched_too(daily: Deployment) -> None:
    """Their releases are current ones all the same, and have readers."""
    path = daily.workspace.datasets / "daily"
    attributes = yaml.safe_load((path / "defs.yaml").read_text())["attributes"]
    for cadence in ({"every": "day", "start": CYCLES[1]}, None):
        write_spec(path, {**attributes, "cadence": cadence})
        before = {cycle: daily.head("daily/release", cycle).scan().collect() for cycle in CYCLES}
        victims = [rows["document_id"][0] for rows in before.values()]
        report = daily.take_down(*victims, erase=True)
        assert report.problems == [] and [one.partition for one in report.releases] == [*CYCLES]
        for cycle, rows in before.items():
            patch = daily.head("daily/release", cycle)
            assert patch.scan().collect().equals(rows.filter(~pl.col("document_id").is_in(victims)))
            pointer = json.loads((path / "published" / "cycles" / f"{cycle}.json").read_text())
            assert pointer["version"] == patch.manifest.snapshot_id
        newest = json.loads((path / "published" / "current.json").read_text())
        assert newest["version"] == daily.head("daily/release", CYCLES[1]).manifest.snapshot_id
        assert not any(victim in stored_texts(path / "published") for victim in victims)


def test_what_was_released_before_there_were_cycles_is_patched_too(deployment: Deployment) -> None:
    (victim,) = deployment.victims(1)
    path = deployment.workspace.datasets / "small"
    attributes = yaml.safe_load((path / "defs.yaml").read_text())["attributes"]
    write_spec(path, {**attributes, "cadence": {"every": "day", "start": CYCLES[0]}})
    assert deployment.take_down(victim).problems == []
    assert victim not in set(deployment.head("small/release").scan().collect()["document_id"])


@pytest.mark.parametrize(
    ("pattern", "hits"),
    [
        ("https://a.org/x", ["https://a.org/x"]),
        ("https://a.org/*", ["https://a.org/x", "https://a.org/y.z/1", "https://a.org/x?q=1"]),
        ("*a.org/x*", ["https://a.org/x", "https://a.org/x?q=1"]),
        ("https://a.org/y.z/*", ["https://a.org/y.z/1"]),
        ("https://aXorg/x", []),
    ],
)
def test_patterns_match_whole_addresses(pattern: str, hits: list[str]) -> None:
    urls = ["https://a.org/x", "https://a.org/y.z/1", "https://b.org", None, "https://a.org/x?q=1"]
    rows = pl.DataFrame({"id": [str(number) for number in range(5)], "url": urls})
    assert rows.filter(TakenDown(frozenset(), (pattern,)).matches())["url"].to_list() == hits
    assert rows.filter(TakenDown().matches()).is_empty()
