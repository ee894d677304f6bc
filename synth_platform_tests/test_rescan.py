"""A new test set in a running deployment: the release is scanned again, the hit shows, and a patch leaves it out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.test_utils import create_run_for_test

from synth_platform.dataset.definitions import benchmark_definitions, dataset_definitions
from synth_platform.dataset.spec import DatasetSpec, load_spec
from synth_platform.digest import digest_file
from synth_platform.ops.launch import run_dataset
from synth_platform.ops.rescan import patch_job_name, rescan_job_name
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.snapshots.accounting import account
from synth_platform.snapshots.verify import verify
from synth_platform.workspace import Workspace
from synth_platform_tests.conftest import write_jsonl
from synth_platform_tests.pipeline import copied, dataset, mock_engine, opened, perfect_answers, write_spec

pytestmark = pytest.mark.xdist_group("rescan")  # what they start from is made once


class Deployment:
    """A dataset whose spec may change between runs, as an edited file and a reloaded code location."""

    def __init__(self, workspace: Workspace, instance: dg.DagsterInstance, folder: Path, attributes: dict[str, Any]):
        self.workspace, self.instance, self.folder, self.attributes = workspace, instance, folder, attributes

    @property
    def spec(self) -> DatasetSpec:
        return load_spec(write_spec(self.folder, self.attributes))

    def run(self, job: str | None = None) -> None:
        ended = run_dataset(self.spec, self.folder, self.workspace, self.instance, job=job)
        assert ended.success, ended.problems

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for when it looks for the first time."""
        return list(self.look(None).run_requests or [])

    def look(self, cursor: str | None) -> Any:
        """What comes of a look of the sensor, with the cursor of the one before."""
        spec = self.spec
        resources = {"workspace": WorkspaceResource(home=str(self.workspace.home))}
        definitions = dg.Definitions.merge(
            dataset_definitions(spec, self.folder),
            benchmark_definitions([(spec, self.folder)]),
            dg.Definitions(resources=resources),
        )
        sensor = definitions.resolve_sensor_def(rescan_job_name(spec.name))
        context = dg.build_sensor_context(
            instance=self.instance, definitions=definitions, resources=resources, cursor=cursor
        )
        return sensor.evaluate_tick(context)

    def head(self, asset: str):
        found = self.workspace.snapshots.head(f"small/{asset}", None)
        assert found is not None, asset
        return found


@pytest.fixture(scope="module")
def first(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The home of a dataset that was made, and its attributes; the engine goes on as long as the tests do."""
    folder = tmp_path_factory.mktemp("first")
    workspace = Workspace(folder / "home")
    with mock_engine(folder, perfect_answers(24, planted=2)) as engine:
        attributes = dataset(engine.url, tokenizer_folder)
        attributes["release"] = {**attributes.get("release", {}), "rows_per_file": 10}
        with opened(workspace) as instance:
            Deployment(workspace, instance, folder / "spec", attributes).run()
        yield folder, attributes


@pytest.fixture
def deployment(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Deployment]:
    folder, attributes = first
    with copied(folder, tmp_path) as (workspace, instance):
        yield Deployment(workspace, instance, tmp_path / "spec", dict(attributes))


def add_test_set(deployment: Deployment, *texts: str) -> None:
    """A test set that asks what some released rows say."""
    questions = [{"id": f"late-{number}", "question": text} for number, text in enumerate(texts)]
    write_jsonl(deployment.folder / "late.jsonl", questions)
    deployment.attributes["benchmarks"] = [
        {"name": "playground", "builtin": "playground"},
        {"name": "late", "path": "late.jsonl"},
    ]


def some_sentence(text: str) -> str:
    return max(text.split("\n"), key=lambda line: len(line.split()))[:300]


def test_a_new_test_set_leads_to_a_patch_without_the_rows_that_have_its_items(deployment: Deployment) -> None:
    assert deployment.tick() == [], "a fresh release was scanned when it was made"
    release = deployment.head("release")
    rows = release.scan().collect()
    victim = rows.filter(pl.col("origin") == "synthetic").row(12, named=True)
    add_test_set(deployment, some_sentence(victim["text"]))

    (request,) = deployment.tick()
    assert request.job_name == rescan_job_name("small")
    deployment.run(request.job_name)
    assert deployment.tick() == [], "a release is scanned once against a version of a test set"

    scan = deployment.head("contamination/release")
    hits = scan.scan().filter(pl.col("verdict") == "contaminated").collect()
    assert victim["id"] in set(hits["row_id"]) and set(hits["eval"]) == {"late"}
    assert scan.manifest.details["scanned_against"] == ["evals/late"]
    assert account(deployment.workspace.snapshots, scan).closes  # type: ignore[union-attr]
    event = deployment.instance.get_latest_materialization_event(dg.AssetKey(["small", "contamination", "release"]))
    assert event is not None and event.asset_materialization is not None
    shown = event.asset_materialization.metadata
    assert "Materialize `small/release`" in str(shown["proposal"].value) and "late-0" in str(shown["hits"].value)

    removed = set(hits["row_id"])
    deployment.run(patch_job_name("small"))
    patch = deployment.head("release")
    kept = patch.scan().collect()
    assert patch.manifest.snapshot_id != release.manifest.snapshot_id
    assert kept.equals(rows.filter(~pl.col("id").is_in(list(removed))))
    assert {ref.snapshot_id for ref in patch.manifest.inputs} >= {
        release.manifest.snapshot_id,
        scan.manifest.snapshot_id,
    }
    assert account(deployment.workspace.snapshots, patch).closes  # type: ignore[union-attr]
    assert verify(deployment.workspace.snapshots, [patch, scan]).problems == []
    card = patch.read_file("README.md").decode()
    assert f"replaces {release.manifest.snapshot_id}: {len(removed)} row" in card and f"{kept.height:,} rows" in card

    before, after = ([digest_file(file) for file in one.files()] for one in (release, patch))
    touched = [bool(removed & set(pl.read_parquet(file)["id"])) for file in release.files()]
    assert len(before) > 2 and not all(touched)
    assert [one in after for one in before] == [not change for change in touched]


def test_a_release_whose_scan_failed_is_not_said_to_be_scanned(deployment: Deployment) -> None:
    add_test_set(deployment, "a question that no row has anything to do with at all")
    asked = deployment.look(None)
    (request,) = asked.run_requests
    run = create_run_for_test(
        deployment.instance, job_name=request.job_name, tags=request.tags, status=dg.DagsterRunStatus.STARTED
    )
    running = deployment.look(asked.cursor)
    deployment.instance.report_run_failed(run)
    failed = deployment.look(running.cursor)
    assert not running.run_requests and not failed.run_requests
    for said in (running.skip_message, failed.skip_message):
        assert said.startswith("Not scanned against the test sets as they are, or not patched: the release.")
    assert "is under way" in running.skip_message
    assert "has not done it" in failed.skip_message and "launch small_rescan" in failed.skip_message

    deployment.run(request.job_name)
    assert "Every release was scanned" in deployment.look(failed.cursor).skip_message


def test_a_patch_stays_when_it_is_made_and_scanned_again(deployment: Deployment) -> None:
    text = deployment.head("release").scan().filter(pl.col("origin") == "synthetic").collect()["text"][3]
    add_test_set(deployment, some_sentence(text))
    deployment.run(rescan_job_name("small"))
    deployment.run(patch_job_name("small"))
    patch = deployment.head("release")
    deployment.run(patch_job_name("small"))
    assert deployment.head("release").manifest.snapshot_id == patch.manifest.snapshot_id
    deployment.run(rescan_job_name("small"))
    assert "contaminated" not in set(deployment.head("contamination/release").scan().collect()["verdict"])
    deployment.run(patch_job_name("small"))
    assert deployment.head("release").manifest.snapshot_id == patch.manifest.snapshot_id


def test_releases_that_were_replaced_are_scanned_too(deployment: Deployment) -> None:
    first = deployment.head("release")
    victim = first.scan().filter(pl.col("origin") == "synthetic").collect().row(5, named=True)
    recipes = deployment.attributes["recipes"]
    gone = [one for one in recipes if one["name"] != victim["recipe"]]
    assert len(gone) == len(recipes) - 1
    deployment.attributes["recipes"] = gone
    deployment.run()
    assert deployment.tick() == [], "both releases were scanned when they were made"

    add_test_set(deployment, some_sentence(victim["text"]))
    (request,) = deployment.tick()
    deployment.run(request.job_name)
    assert deployment.tick() == []
    scan, current = deployment.head("contamination/release"), deployment.head("release")
    assert current.manifest.snapshot_id != first.manifest.snapshot_id
    assert scan.manifest.details["releases"] == [current.manifest.snapshot_id, first.manifest.snapshot_id]
    replaced = scan.scan("replaced").filter(pl.col("verdict") == "contaminated").collect()
    assert set(replaced["release"]) == {first.manifest.snapshot_id} and victim["id"] in set(replaced["row_id"])
    event = deployment.instance.get_latest_materialization_event(dg.AssetKey(["small", "contamination", "release"]))
    assert event is not None and event.asset_materialization is not None
    count = replaced["row_id"].n_unique()
    shown = str(event.asset_materialization.metadata["replaced"].value)
    assert f"| {first.manifest.snapshot_id} | {count} | late |" in shown


def test_a_patch_is_released_by_itself_where_the_spec_says_so(deployment: Deployment) -> None:
    text = deployment.head("release").scan().filter(pl.col("origin") == "synthetic").collect()["text"][3]
    add_test_set(deployment, some_sentence(text))
    deployment.attributes["contamination"] = {"rescan": {"patch": "automatic"}}
    deployment.run(deployment.tick()[0].job_name)
    (request,) = deployment.tick()
    assert request.job_name == patch_job_name("small")
    deployment.run(request.job_name)
    assert deployment.tick() == []


def test_a_changed_test_set_is_noticed(deployment: Deployment) -> None:
    add_test_set(deployment, "Which of the seven towers of Grimsdal was built by the blind mason of Orrery?")
    deployment.run(rescan_job_name("small"))
    assert deployment.tick() == []
    first = deployment.workspace.snapshots.head("evals/late", None)
    add_test_set(deployment, "Which of the nine bridges of Grimsdal was sold to the clockmakers of Orrery?")
    (request,) = deployment.tick()
    deployment.run(request.job_name)
    second = deployment.workspace.snapshots.head("evals/late", None)
    assert first is not None and second is not None and first.manifest.digest != second.manifest.digest
    assert deployment.tick() == []
