"""A takedown and what it cannot take for granted: what readers have, damaged versions, runs that come in between."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from synth_platform.mixing.schema import MIXTURE
from synth_platform.ops import erasure, readers, takedown
from synth_platform.ops.launch import Launched
from synth_platform.ops.takedown import Report, Request, take_down
from synth_platform.release.config import FolderDestination
from synth_platform.release.publish import PUBLISHED, publish
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.removal import remove
from synth_platform.snapshots.tombstones import read_tombstones
from synth_platform.sources.schema import DOCUMENTS
from synth_platform.workspace import Workspace
from synth_platform_tests.clock import jump
from synth_platform_tests.pipeline import dataset, write_spec
from synth_platform_tests.snapshots.handmade import table, version

SECRET, HARMLESS = "s/1", "s/2"


class Shop:
    """A dataset whose releases are made by hand, and the places that they are published at."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.workspace, self.instance = Workspace(folder / "home"), instance
        self.snapshots = self.workspace.snapshots
        self.folder = self.workspace.datasets / "ds"

    def spec(self, *places: dict[str, Any]) -> None:
        write_spec(self.folder, dataset("http://127.0.0.1:9/v1", Path("none"), name="ds", release={"publish": places}))

    def release(self, *documents: str, cycle: str | None = None) -> Snapshot:
        texts = [f"text of {one}" for one in documents]
        rows = table(MIXTURE, id=list(documents), text=texts, document_id=documents, origin=["original"] * len(texts))
        settings = {"of": documents}
        return version(self.workspace, "ds/release", {"train": rows}, partition=cycle, folder="data", settings=settings)

    def publish(self, release: Snapshot, place: str = "shelf", *, noted: bool = False) -> None:
        destination = FolderDestination(type="folder", path=place)
        publish(self.snapshots, release, [destination], self.folder, lambda line: None, back=True)
        if noted:
            settings = {"destinations": [destination.model_dump(mode="json")]}
            version(self.workspace, "ds/published", {"published": pl.DataFrame(schema=PUBLISHED)}, settings=settings)

    def take_down(self, *documents: str, **options: Any) -> Report:
        return take_down(Request(documents or (SECRET,)), self.workspace, self.instance, **options)

    def pointer(self, place: str = "shelf", cycle: str | None = None) -> str:
        name = f"cycles/{cycle}.json" if cycle else "current.json"
        return json.loads((self.folder / place / name).read_text())["version"]

    def texts(self, place: str = "shelf") -> set[str]:
        """All texts that anybody can read there."""
        files = (self.folder / place).rglob("*.parquet")
        return {text for file in files for text in pl.read_parquet(file)["text"]}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with dg.DagsterInstance.ephemeral() as instance:
        made = Shop(tmp_path, instance)
        made.spec({"type": "folder", "path": "shelf"})
        yield made


@pytest.fixture
def open_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "check_gates", lambda *about: None)


def id_of(release: Snapshot) -> str:
    return release.manifest.snapshot_id


def test_readers_of_an_earlier_release_get_the_current_one(shop: Shop, open_gates: None) -> None:
    first, second = shop.release(SECRET, HARMLESS), shop.release(HARMLESS)
    shop.publish(first)
    seen = shop.take_down(dry_run=True)
    assert [(one.release, one.became) for one in seen.readers] == [(id_of(first), None)]
    assert shop.pointer() == id_of(first)
    report = shop.take_down()
    assert report.problems == [] and report.releases == []
    assert [(one.destination, one.release, one.became) for one in report.readers] == [
        ("shelf", id_of(first), id_of(second))
    ]
    assert shop.pointer() == id_of(second) and "which was not the current release" in report.notes[0]
    assert shop.take_down().readers == []


def test_readers_of_an_earlier_cycle_are_found_where_no_spec_names_the_place_any_more(
    shop: Shop, open_gates: None
) -> None:
    """The patch of that cycle was published elsewhere since; readers of the current version never had the document."""
    january, february = "2026-01-01", "2026-02-01"
    first, patched = shop.release(SECRET, HARMLESS, cycle=january), shop.release(HARMLESS, cycle=january)
    newest = shop.release(HARMLESS, cycle=february)
    shop.publish(first, "old", noted=True)
    shop.publish(newest, "old")
    shop.spec()
    seen = shop.take_down(dry_run=True)
    assert [(one.cycle, one.release, one.became) for one in seen.readers] == [(january, id_of(first), None)]
    report = shop.take_down(erase=True)
    assert [(one.cycle, one.became) for one in report.readers] == [(january, id_of(patched))]
    assert report.problems == [] and report.withdrawn == [f"{id_of(first)} at old"]
    assert shop.pointer("old", january) == id_of(patched) and shop.pointer("old") == id_of(newest)
    assert shop.texts("old") == {"text of s/2"}


def test_readers_whose_release_has_no_successor_are_a_problem(shop: Shop) -> None:
    """The gates of the current release are closed: it was never judged."""
    first = shop.release(SECRET, HARMLESS)
    shop.publish(first)
    shop.release(HARMLESS)
    report = shop.take_down(erase=True)
    assert "still get rows of the documents" in report.problems[0] and "never passed the gates" in report.problems[0]
    assert "is the current version" in report.problems[1] and report.withdrawn == []
    assert shop.pointer() == id_of(first)


def test_a_release_that_readers_were_pointed_back_to_stays_theirs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, first = shop.release(HARMLESS), shop.release(SECRET, HARMLESS)
    shop.publish(clean)

    def patch(*arguments: Any, **options: Any) -> Launched:
        shop.publish(shop.release(HARMLESS, "s/3"))
        return Launched("run", True)

    monkeypatch.setattr(takedown, "run_dataset", patch)
    report = shop.take_down()
    assert [one.release for one in report.releases] == [id_of(first)] and report.problems == []
    assert shop.pointer() == id_of(clean)
    assert report.notes == [f"ds at shelf: readers keep {id_of(clean)}, which is not the current release"]


def test_what_only_a_destination_still_has_is_withdrawn(shop: Shop, open_gates: None) -> None:
    first, second = shop.release(SECRET, HARMLESS), shop.release(HARMLESS)
    for release in (second, first):
        shop.publish(release)
    remove(shop.snapshots, first, "collected")
    report = shop.take_down()
    assert shop.pointer() == id_of(second) and shop.texts() == {"text of s/1", "text of s/2"}
    report = shop.take_down(erase=True)
    assert report.problems == [] and report.withdrawn == [f"{id_of(first)} at shelf"]
    assert shop.texts() == {"text of s/2"}


def test_versions_without_what_is_erased_stay_published_whatever_else_was_taken_down(
    shop: Shop, open_gates: None
) -> None:
    """An earlier takedown was about both documents; of the third version only its published files are left."""
    first, second, third = shop.release(SECRET, HARMLESS), shop.release("s/3", HARMLESS), shop.release("s/3", "s/4")
    for release in (first, second, third, shop.release(HARMLESS)):
        shop.publish(release)
    remove(shop.snapshots, third, "collected")
    shop.take_down("s/3", SECRET)
    assert shop.texts() == {"text of s/1", "text of s/2", "text of s/3", "text of s/4"}
    seen = shop.take_down(dry_run=True, erase=True)
    assert seen.problems == [] and seen.withdrawn == [f"{id_of(first)} at shelf"]
    report = shop.take_down(erase=True)
    assert report.problems == [] and report.withdrawn == seen.withdrawn
    assert shop.texts() == {"text of s/2", "text of s/3", "text of s/4"}
    report = shop.take_down("s/3", erase=True)
    assert report.withdrawn == sorted(f"{id_of(one)} at shelf" for one in (second, third))
    assert shop.texts() == {"text of s/2"}


def test_destinations_that_left_the_spec_are_not_forgotten(
    shop: Shop, open_gates: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    first, second = shop.release(SECRET, HARMLESS), shop.release(HARMLESS)
    shop.publish(first, "old", noted=True)
    hub = {"destinations": [{"type": "huggingface", "repo": "owner/gone"}]}
    version(shop.workspace, "ds/published", {"published": pl.DataFrame(schema=PUBLISHED)}, settings=hub)
    shop.spec()
    report = shop.take_down(erase=True)
    assert shop.pointer("old") == id_of(second) and shop.texts("old") == {"text of s/2"}
    assert report.withdrawn == [f"{id_of(first)} at old"]
    assert report.problems and all(
        "hub:owner/gone, which its spec does not name any more" in one for one in report.problems
    )


@pytest.mark.parametrize("damaged", ["part", "manifest", "history", "tombstone"])
def test_the_tombstone_is_written_whatever_is_damaged(damaged: str, shop: Shop) -> None:
    version(shop.workspace, "ds/documents", {"documents": table(DOCUMENTS, id=[SECRET], text=["text of s/1"])})
    other = Path(shop.release(HARMLESS).location)
    path = {
        "part": next(other.rglob("*.parquet")),
        "manifest": other / "manifest.json",
        "history": next((other.parent / "refs").iterdir()),
        "tombstone": Path(shop.snapshots.store.url) / "_takedowns" / "20250101-x.json",
    }[damaged]
    path.parent.mkdir(exist_ok=True)
    path.write_text("{")
    report = shop.take_down(erase=True)
    assert report.problems and [one.erased for one in report.held] == [True]
    if damaged == "tombstone":
        path.unlink()
    assert [one.id for one in read_tombstones(shop.snapshots)] == [report.takedown]


@pytest.mark.parametrize("days_off", [-1, 0, 365])
def test_runs_that_come_in_between_are_named_whatever_the_clock_said(
    days_off: int, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    jump(monkeypatch, "ops.takedown", "ops.erasure", "snapshots.removal", "snapshots.retention", days=[days_off])
    version(shop.workspace, "ds/documents", {"documents": table(DOCUMENTS, id=[SECRET], text=["text of s/1"])})

    def busy(status: dg.DagsterRunStatus) -> dg.DagsterRun:
        return shop.instance.create_run_for_job(dg.job(name="busy")(lambda: None), status=status)

    def meanwhile(*arguments: Any) -> int:
        busy(dg.DagsterRunStatus.SUCCESS)
        return remove(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(takedown.Published, "look", lambda self: [busy(dg.DagsterRunStatus.STARTED)][:0])
        waits = shop.take_down(erase=True)
    assert "run it again" in waits.problems[0] and waits.erased_bytes == 0
    for run in shop.instance.get_runs():
        shop.instance.delete_run(run.run_id)
    monkeypatch.setattr(erasure, "remove", meanwhile)
    report = shop.take_down(erase=True)
    assert "something was being made meanwhile: busy" in report.problems[0] and report.erased_bytes
    assert shop.take_down(erase=True).problems == []


def test_unfinished_work_on_them_goes_and_other_work_stays(shop: Shop) -> None:
    folders = {}
    for partition, document in (("2025-01-01", SECRET), ("2025-01-02", HARMLESS)):
        begun = Identity("ds/documents", partition, "1", {})
        writer = SnapshotWriter(
            shop.snapshots, begun, {"documents": DOCUMENTS}, scratch=shop.workspace.scratch, rows_per_part=1
        )
        writer.write("documents", table(DOCUMENTS, id=[document], text=[f"text of {document}"]))
        folders[document] = Path(shop.snapshots.store.url) / begun.folder
        assert list(folders[document].rglob("*.parquet"))
    report = shop.take_down(erase=True)
    assert report.problems == [] and report.erased_bytes
    assert not folders[SECRET].exists() and folders[HARMLESS].exists()
