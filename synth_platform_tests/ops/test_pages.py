"""What the pages of assets, checks and runs say: headings of gates, meanings of columns, groups in order, tags."""

from itertools import chain
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from synth_platform.contamination import checks as contamination_checks
from synth_platform.contamination.schema import CONTAMINATION, EVAL_ITEMS, INDEX_PARTS
from synth_platform.dataset.definitions import benchmark_definitions, dataset_definitions
from synth_platform.dataset.installed import SHIPPED
from synth_platform.dataset.spec import load_spec
from synth_platform.dataset.stage_gates import STAGE_GATES
from synth_platform.generation.schema import GENERATIONS
from synth_platform.generation.tuning.profile import TRIALS
from synth_platform.judging.schema import ASKED
from synth_platform.mixing.schema import MIXTURE
from synth_platform.ops.columns import meaning_of
from synth_platform.ops.dataset_context import DatasetContext
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG, RECIPES_TAG, SPEC_TAG
from synth_platform.prompts.schema import PROMPTS
from synth_platform.quality.accept import ACCEPTED
from synth_platform.quality.schema import QUALITY
from synth_platform.quality.subjects import OWN, SUBJECTS, subject_of
from synth_platform.release.publish import PUBLISHED
from synth_platform.review.config import NearDuplicatesSpec
from synth_platform.review.minhash import sketch_schema
from synth_platform.sources.schema import DOCUMENTS

CYCLE = "2026-01-05"
TABLES = [
    *(DOCUMENTS, PROMPTS, GENERATIONS, ASKED, QUALITY, EVAL_ITEMS, INDEX_PARTS, CONTAMINATION, ACCEPTED, MIXTURE),
    *(PUBLISHED, TRIALS, sketch_schema(NearDuplicatesSpec())),
]


def test_every_gate_stands_under_one_heading() -> None:
    gates = {gate.name for gate in chain(*STAGE_GATES.values(), contamination_checks.BENCHMARK_GATES)}
    listed = [name for subject in SUBJECTS for name in subject.gates]
    assert sorted(listed) == sorted(gates), "each gate once, and none that does not exist"
    assert subject_of("of_my_suite") is OWN


@pytest.mark.parametrize("schema", TABLES)
def test_every_column_has_a_meaning(schema: pl.Schema) -> None:
    assert not [name for name in schema if meaning_of(name) is None]


@pytest.fixture(scope="module")
def graph() -> Any:
    """The assets of the dataset that comes with the platform."""
    base = SHIPPED / "quickstart"
    spec = load_spec(base / "defs.yaml")
    resources = dg.Definitions(resources={"workspace": WorkspaceResource(home=str(base))})
    both = dg.Definitions.merge(dataset_definitions(spec, base), benchmark_definitions([(spec, base)]), resources)
    return both.resolve_asset_graph()


def test_groups_sort_as_the_pipeline_runs(graph: Any) -> None:
    groups = {key.to_user_string(): graph.get(key).group_name for key in graph.materializable_asset_keys}
    assert groups["quickstart/documents"] == "quickstart_1_documents"
    assert groups["quickstart/review"] == groups["quickstart/contamination/release"] == groups["quickstart/release"]
    assert groups["evals/playground"] == "evals" and graph.get(dg.AssetKey(["evals", "playground"])).kinds >= {"evals"}
    for key in graph.materializable_asset_keys:
        here = groups[key.to_user_string()]
        before = {groups[one.to_user_string()] for one in graph.get(key).parent_keys} - {"evals", here}
        assert all(group < here for group in before if here != "quickstart_engine"), f"{key} comes before {before}"


def test_every_asset_and_check_is_described(graph: Any) -> None:
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        assert node.description and len(node.kinds) == 3, key
        assert key.path[0] == "evals" or node.owners, key
    for key in graph.asset_check_keys:
        said = graph.get(key).description
        assert said.startswith(f"**{subject_of(key.name).title}.** ") and "**Where it does not pass:** " in said, key


def test_runs_that_nobody_tagged_say_what_they_are_about(tmp_path: Path) -> None:
    tags = {DATASET_TAG: "d", RECIPES_TAG: "faq", SPEC_TAG: "0123"}
    context = DatasetContext("d", 0, tmp_path, run_tags=tags)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def tagged(*keys: str, **before: str) -> dict[str, str]:
            selection = frozenset(dg.AssetKey(key.split("/")) for key in keys)
            run = instance.run_storage.add_run(dg.DagsterRun("__ASSET_JOB", asset_selection=selection, tags=before))
            context.tag_run(instance, run, CYCLE)
            found = instance.get_run_by_id(run.run_id)
            assert found is not None
            return dict(found.tags)

        assert tagged("d/documents", "evals/gsm8k") == {**tags, CYCLE_TAG: CYCLE}
        assert tagged("d/documents", "e/documents") == {}, "of two datasets"
        assert tagged("d/documents", **{SPEC_TAG: "by its job"}) == {**tags, SPEC_TAG: "by its job", CYCLE_TAG: CYCLE}
