"""The jobs of a dataset: all of it, parts of it, and what watches its releases."""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.naming import group_name
from synth_platform.ops.rescan import patch_job_name, rescan_job_name
from synth_platform.ops.tags import dataset_tags


def job_name(dataset: str) -> str:
    """Name of the job that materializes a whole dataset."""
    return group_name(dataset)


def prompts_job_name(dataset: str) -> str:
    """Name of the job that goes as far as the prompts."""
    return f"{group_name(dataset)}_prompts"


def screen_job_name(dataset: str) -> str:
    """Name of the job that judges stored generations anew, and releases what is accepted."""
    return f"{group_name(dataset)}_screen"


def tune_job_name(dataset: str) -> str:
    """Name of the job that makes the engine profile."""
    return f"{group_name(dataset)}_tune"


def publish_job_name(dataset: str) -> str:
    """Name of the job that publishes the current release."""
    return f"{group_name(dataset)}_publish"


class DatasetJobs:
    """Makes the jobs of one dataset.

    Args:
        spec: the dataset.
        partitions: its cycles.
    """

    def __init__(self, spec: DatasetSpec, partitions: dg.PartitionsDefinition[Any] | None) -> None:
        self._dataset, self._partitions, self._tags = spec.name, partitions, dataset_tags(spec)
        self._about = spec.description

    def whole(self, assets: Sequence[dg.AssetKey]) -> Any:
        """From the sources to the release."""
        about = f"Materializes {self._dataset} from its sources to its [release]({self._release}), with all checks."
        return self._job(job_name, assets, f"{about}\n\n{self._about}")

    def prompts(self, assets: Sequence[dg.AssetKey]) -> Any:
        """As far as the prompts."""
        about = f"Materializes {self._dataset} as far as its prompts: to look at them, or to estimate the rest."
        return self._job(prompts_job_name, assets, about)

    def screen(self, assets: Sequence[dg.AssetKey]) -> Any:
        """From the stored generations on."""
        about = f"Judges the stored generations of {self._dataset} by the spec as it is now; no engine is started."
        return self._job(screen_job_name, assets, about)

    def tune(self, assets: Sequence[dg.AssetKey]) -> Any:
        """The engine profile, which belongs to no cycle."""
        about = f"Finds the fastest settings of the engine on the prompts of {self._dataset}."
        return self._job(tune_job_name, assets, about, partitioned=False)

    def rescan(self, assets: Sequence[dg.AssetKey]) -> Any:
        """The scan of releases."""
        about = f"Scans the releases of {self._dataset} against test sets that were added or changed since."
        return self._job(rescan_job_name, assets, about)

    def publish(self, assets: Sequence[dg.AssetKey]) -> Any:
        """The destinations alone."""
        about = f"Publishes the current release of {self._dataset} again, where it is not there or not whole."
        return self._job(publish_job_name, assets, about)

    def patch(self, assets: Sequence[dg.AssetKey]) -> Any:
        """The release, and where it goes to."""
        about = f"Releases {self._dataset} again without the rows that a later scan or a takedown speaks against."
        return self._job(patch_job_name, assets, about)

    @property
    def _release(self) -> str:
        """Page of the release in the interface."""
        return f"/assets/{self._dataset}/release"

    def _job(self, name: Any, assets: Sequence[dg.AssetKey], about: str, *, partitioned: bool = True) -> Any:
        return dg.define_asset_job(
            name(self._dataset),
            selection=dg.AssetSelection.assets(*assets),
            description=about,
            partitions_def=self._partitions if partitioned else None,
            tags=self._tags,
        )
