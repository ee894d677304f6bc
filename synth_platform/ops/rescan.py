"""The sensor that scans released versions again when a test set is added or changes, and asks for patches."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_platform.contamination.assets import RELEASE_SCAN
from synth_platform.contamination.config import BenchmarkSpec
from synth_platform.contamination.evals import benchmark_settings
from synth_platform.contamination.releases import newer_test_sets, replaced_releases
from synth_platform.digest import digest
from synth_platform.errors import SynthError
from synth_platform.naming import EVALS_GROUP, group_name
from synth_platform.ops.cycles import cycles_made, left_out, partitions_of, some_of
from synth_platform.ops.regenerate import is_running
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import DATASET_TAG, run_tags
from synth_platform.release.patch import speaks_against
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.identity import dataset_of

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

_SECONDS = 300
_SECONDS_OF_A_LOOK = 3.0
"""A tick that takes longer goes on with the next one: with thousands of cycles each has a release to look at."""


def rescan_job_name(dataset: str) -> str:
    """Name of the job that scans a release against test sets that are newer than it."""
    return f"{group_name(dataset)}_rescan"


def patch_job_name(dataset: str) -> str:
    """Name of the job that releases a patch."""
    return f"{group_name(dataset)}_patch"


def rescan_sensor(spec: "DatasetSpec", base: Path, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Watches the test sets of a dataset and the scans of its releases, and requests runs of the given jobs."""

    def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
        return _look(context.instance, workspace.open().at_rest().snapshots, spec, base, context.cursor)

    sensor = dg.sensor(
        name=rescan_job_name(spec.name),
        jobs=list(jobs),
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Scans released versions of {spec.name} again when a test set is added or changes"
        + (", and releases patches." if spec.contamination.rescan.patch == "automatic" else ", and proposes patches."),
    )
    return sensor(watch)


def uncovered(snapshots: Snapshots, release: Snapshot, benchmarks: Mapping[str, str | None]) -> list[str]:
    """Test sets that a release has not been scanned against in their current version.

    Args:
        snapshots: all versions.
        release: the release, be it the current one or one that was replaced.
        benchmarks: digest by asset of each test set; None: its current version is not yet materialized.
    """
    newer = newer_test_sets(snapshots, release, benchmarks)
    rescan = snapshots.head(RELEASE_SCAN.format(dataset_of(release.manifest.asset)), release.manifest.partition)
    if rescan is None or release.manifest.snapshot_id not in rescan.manifest.details["releases"]:
        return newer
    seen = {(ref.asset, ref.digest) for ref in rescan.manifest.inputs}
    return [asset for asset in newer if (asset, benchmarks[asset]) not in seen]


@dataclass(frozen=True)
class _Round:
    """One look at all releases.

    Args:
        state: digest of what there was to look at.
        next: place of the first cycle that has not been looked at.
        open: cycles that have a run to wait for.
    """

    state: str
    next: int = 0
    open: tuple[str | None, ...] = ()

    @classmethod
    def load(cls, cursor: str | None, state: str) -> "_Round":
        """The round that a cursor tells of; a new one if something has changed since."""
        known = json.loads(cursor) if cursor else {}
        if known.get("state") != state or "open" not in known:
            return cls(state)
        return cls(state, known["next"], tuple(known["open"]))

    def dump(self) -> str:
        return json.dumps(asdict(self))


def _look(
    instance: dg.DagsterInstance, snapshots: Snapshots, spec: "DatasetSpec", base: Path, cursor: str | None
) -> dg.SensorResult:
    """Look at the releases, from where the last tick had to stop; at none, if all is as it was at the last look."""
    asset, scan = f"{spec.name}/release", RELEASE_SCAN.format(spec.name)
    cycles, others = cycles_made(snapshots, asset, partitions_of(spec.cadence))
    heads = [(cycle, _head_id(snapshots, asset, cycle), _head_id(snapshots, scan, cycle)) for cycle in cycles]
    if not any(release for _, release, _ in heads):
        return dg.SensorResult(skip_reason=f"There is no release yet.{left_out(others)}", cursor=cursor)
    current = {f"{EVALS_GROUP}/{one.name}": _current(snapshots, one, base) for one in spec.benchmarks}
    state = digest(current, spec.contamination.rescan, heads)
    looked = _Round.load(cursor, state)
    until = time.monotonic() + _SECONDS_OF_A_LOOK
    requests: list[dg.RunRequest] = []
    for cycle in cycles[looked.next :]:
        if time.monotonic() > until:
            return dg.SensorResult(run_requests=requests, cursor=looked.dump())
        found = list(_requests(snapshots, spec, cycle, current))
        requests += found
        looked = replace(looked, next=looked.next + 1, open=(*looked.open, *([cycle] if found else [])))
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=looked.dump())
    said = _say(instance, spec, looked.open) + left_out(others)
    return dg.SensorResult(skip_reason=said, cursor=looked.dump())


def _say(instance: dg.DagsterInstance, spec: "DatasetSpec", waiting: Sequence[str | None]) -> str:
    """How it stands with the releases, of which some wait for a run that was asked for before.

    A run that failed is told of and is for people to look at, as elsewhere; it is not asked for again by itself.
    """
    if not waiting:
        return "Every release was scanned against the test sets as they are."
    named = some_of([cycle or "the release" for cycle in waiting])
    said = f"Not scanned against the test sets as they are, or not patched: {named}."
    if is_running(instance, tags={DATASET_TAG: spec.name}):
        return f"{said} A run of the dataset is under way."
    jobs = f"{rescan_job_name(spec.name)} or {patch_job_name(spec.name)}"
    return f"{said} The run that was asked for has not done it: see why, mend it, and launch {jobs}."


def _head_id(snapshots: Snapshots, asset: str, partition: str | None) -> str | None:
    record = snapshots.current_ref(asset, partition)
    return record.snapshot_id if record is not None else None


def _requests(
    snapshots: Snapshots, spec: "DatasetSpec", partition: str | None, current: Mapping[str, tuple[str | None, str]]
) -> Iterator[dg.RunRequest]:
    dataset, asset = spec.name, f"{spec.name}/release"
    release = snapshots.head(asset, partition)
    if release is None:
        return
    digests = {name: found for name, (found, _) in current.items()}
    replaced = [snapshots.open(asset, partition, one) for one in replaced_releases(snapshots, asset, partition)]
    missing = {
        one.manifest.snapshot_id: names
        for one in (release, *replaced)
        if one is not None and (names := uncovered(snapshots, one, digests))
    }
    if missing:
        wanted = digest([(one, [(name, current[name][1]) for name in names]) for one, names in missing.items()])
        changed = sorted({name for names in missing.values() for name in names})
        yield dg.RunRequest(
            run_key=f"rescan {dataset} {partition} {wanted}",
            job_name=rescan_job_name(dataset),
            partition_key=partition,
            tags=run_tags(spec, partition, f"test sets changed: {', '.join(changed)}"),
        )
        return
    found = snapshots.head(RELEASE_SCAN.format(dataset), partition)
    automatic = spec.contamination.rescan.patch == "automatic"
    if automatic and found is not None and speaks_against(found, release):
        yield dg.RunRequest(
            run_key=f"patch {dataset} {partition} {found.manifest.snapshot_id}",
            job_name=patch_job_name(dataset),
            partition_key=partition,
            tags=run_tags(spec, partition, "a scan of the release found test items"),
        )


def _current(snapshots: Snapshots, benchmark: BenchmarkSpec, base: Path) -> tuple[str | None, str]:
    """Digest of the materialized version of a test set, None if its files say something else; and what they say.

    A test set that cannot be read now counts as unchanged: its own asset will say what is wrong with it.
    """
    head = snapshots.head(f"{EVALS_GROUP}/{benchmark.name}", None)
    try:
        settings = benchmark_settings(benchmark, base)
    except SynthError:
        return (head.manifest.digest, "") if head is not None else (None, "unreadable")
    said = digest(settings)
    same = head is not None and all(head.manifest.settings.get(key) == value for key, value in settings.items())
    return (head.manifest.digest if head is not None and same else None), said
