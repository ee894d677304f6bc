"""What the wiring of every stage knows of its dataset, and how it describes an asset to Dagster."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import dagster as dg

from synth_platform.digest import digest_int
from synth_platform.naming import EVALS_GROUP, group_name
from synth_platform.ops.guard import Upstream
from synth_platform.ops.tags import CYCLE_TAG, DATASET_TAG
from synth_platform.quality.suites import Suites
from synth_platform.snapshots.catalog import kind_of

_SPEC_FILE = "defs.yaml"
_GROUPS = (
    ("documents",),
    ("prompts",),
    ("generations",),
    ("judgements", "judge_prompts"),
    ("quality",),
    ("contamination",),
    ("accepted",),
    ("mixture",),
    ("release", "review", "published"),
)
"""Stages by group, in the order of the pipeline; the first of each names it."""
_NO_RECIPES = frozenset(["documents", "index", "release"])
"""Last parts of the keys of contamination that name no recipe."""


@dataclass(frozen=True)
class DatasetContext:
    """What the wiring of every stage knows of its dataset."""

    name: str
    seed: int
    base: Path
    """Folder that relative paths in the spec start from."""
    owners: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    partitions: dg.PartitionsDefinition[str] | None = None
    suites: Suites = field(default_factory=dict)
    """Expectations of the dataset's own, by stage."""
    run_tags: Mapping[str, str] = field(default_factory=dict)
    """What every run that makes something of it is tagged with."""

    def asset(self, *parts: str) -> str:
        """Key path of one of the dataset's assets."""
        return "/".join((self.name, *parts))

    def cycle_seed(self, partition: str | None) -> int:
        """Seed of a cycle: another cycle, another seed; the same everywhere for the same cycle."""
        return self.seed if partition is None else _seed(self.seed, partition)

    def spec(
        self,
        asset: str,
        upstreams: Sequence[Upstream],
        *,
        description: str,
        kinds: set[str],
        code_version: str,
        **options: Any,
    ) -> dg.AssetSpec:
        """The asset's spec with the dataset's group, owners, tags and partitions, and links to what it reads.

        Groups are the stages, in the order of the pipeline; the stage is also among the kinds, because the interface
        shows only the last part of a key on each box.
        """
        return dg.AssetSpec(
            key=asset.split("/"),
            deps=[self._dep(upstream) for upstream in upstreams],
            description=_linked(description, upstreams),
            group_name=_group_of(asset),
            kinds={_stage_of(asset), *kinds},
            owners=list(self.owners),
            tags={**self.tags, **_tags_of(asset)},
            metadata={"dagster/code_references": self._spec_file()},
            partitions_def=self.partitions,
            code_version=code_version,
            **options,
        )

    def tag_run(self, instance: dg.DagsterInstance, run: dg.DagsterRun, cycle: str | None) -> None:
        """Give a run the tags that it lacks because none of the dataset's jobs, nor the daemon, started it.

        Backfills and assets that were chosen by hand run in Dagster's own job. A run of several datasets gets none.
        """
        datasets = {key.path[0] for key in run.asset_selection or ()} - {EVALS_GROUP}
        wanted = {**self.run_tags, **({CYCLE_TAG: cycle} if cycle else {})}
        missing = {name: value for name, value in wanted.items() if name not in run.tags}
        if self.run_tags and missing and len(datasets) <= 1:
            instance.add_run_tags(run.run_id, missing)

    def _spec_file(self) -> dg.CodeReferencesMetadataValue:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.BetaWarning)  # said once for every asset
            reference = dg.LocalFileCodeReference(file_path=str(self.base / _SPEC_FILE), label="the dataset's spec")
            return dg.CodeReferencesMetadataValue(code_references=[reference])

    def _dep(self, upstream: Upstream) -> dg.AssetDep:
        return dg.AssetDep(dg.AssetKey(upstream.asset.split("/")))


def _linked(description: str, upstreams: Sequence[Upstream]) -> str:
    """A description that ends with links to the pages of the assets it reads."""
    links = ", ".join(f"[{one.asset}](/assets/{one.asset})" for one in upstreams)
    return f"{description}\n\nMade from {links}." if links else description


def _stage_of(asset: str) -> str:
    """What kind of thing an asset is: its stage; test sets, which are called by their names, have none."""
    first, second = asset.split("/")[:2]
    return first if first == EVALS_GROUP else second


def _group_of(asset: str) -> str:
    """A dataset's name and the number of its stage, so that groups sort as the pipeline runs."""
    dataset, stage, *rest = asset.split("/")
    if dataset == EVALS_GROUP:
        return dataset
    if rest == ["release"]:  # the scans of releases come after them
        stage = "release"
    for number, (name, *others) in enumerate(_GROUPS, 1):
        if stage in (name, *others):
            return f"{group_name(dataset)}_{number}_{name}"
    return f"{group_name(dataset)}_{stage}"


def _tags_of(asset: str) -> dict[str, str]:
    """Tags to search the catalog by: which dataset, which stage, which recipe."""
    dataset, *rest = asset.split("/")
    tags = {DATASET_TAG: dataset}
    if stage := kind_of(asset):
        tags["synth/stage"] = stage
    if len(rest) > 1 and rest[-1] not in _NO_RECIPES:
        tags["synth/recipe"] = rest[-1]
    return tags


@lru_cache
def _seed(seed: int, partition: str) -> int:
    return digest_int(seed, partition)
