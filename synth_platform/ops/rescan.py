"""The sensor that scans released versions again when a test set is added or changes, and asks for patches."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from synth_platform.ops.long_look import LongLook
from synth_platform.ops.plan import look_at_each
from synth_platform.ops.regenerate import is_running
from synth_platform.ops.resources import WorkspaceResource
from synth_platform.ops.tags import DATASET_TAG, run_tags
from synth_platform.release.patch import speaks_against
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.identity import dataset_of
from synth_platform.workspace import WorkspaceAtRest

if TYPE_CHECKING:
    from synth_platform.dataset.spec import DatasetSpec

_SECONDS = 300


def rescan_job_name(dataset: str) -> str:
    """Name of the job that scans a release against test sets that are newer than it."""
    return f"{group_name(dataset)}_rescan"


def patch_job_name(dataset: str) -> str:
    """Name of the job that releases a patch."""
    return f"{group_name(dataset)}_patch"


def rescan_sensor(spec: "DatasetSpec", base: Path, jobs: Sequence[Any]) -> dg.SensorDefinition:
    """Watches the test sets of a dataset and the scans of its releases, and requests runs of the given jobs."""
    look = LongLook[_Found]()

    def watch(context: dg.SensorEvaluationContext, workspace: WorkspaceResource) -> dg.SensorResult:
        last = _Round.load(context.cursor)
        found = look.result(last.dump(), lambda: _look(workspace.open().at_rest(), spec, base, last))
        if found is None:
            said = "The releases are still being looked at; a later look tells what was found."
            return dg.SensorResult(skip_reason=said, cursor=context.cursor)
        if found.looked is None:
            return dg.SensorResult(skip_reason=f"There is no release yet.{found.left_out}", cursor=context.cursor)
        if found.requests:
            return dg.SensorResult(run_requests=list(found.requests), cursor=found.looked.dump())
        said = _say(context.instance, spec, found.looked.waiting) + found.left_out
        return dg.SensorResult(skip_reason=said, cursor=found.looked.dump())

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
    """One look at all releases, as the next one remembers it.

    Args:
        state: digest of what there was to look at.
        waiting: cycles that have a run to wait for.
    """

    state: str = ""
    waiting: tuple[str | None, ...] = ()

    @classmethod
    def load(cls, cursor: str | None) -> "_Round":
        """The round that a cursor tells of; none, if an older version wrote it."""
        known = json.loads(cursor) if cursor else {}
        return cls(known["state"], tuple(known["waiting"])) if "waiting" in known else cls()

    def dump(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class _Found:
    """What a look found.

    Args:
        looked: what the next look has to know; None: there is no release.
        left_out: words for cycles that were not looked at.
        requests: runs to ask for.
    """

    looked: _Round | None
    left_out: str
    requests: Sequence[dg.RunRequest] = ()


def _look(workspace: WorkspaceAtRest, spec: "DatasetSpec", base: Path, last: _Round) -> _Found:
    """Look at the releases; at none, if all is as it was at the last look."""
    snapshots, asset, scan = workspace.snapshots, f"{spec.name}/release", RELEASE_SCAN.format(spec.name)
    cycles, others = cycles_made(snapshots, asset, partitions_of(spec.cadence))

    def versions(cycle: str | None) -> tuple[str | None, str | None, str | None]:
        return cycle, _head_id(snapshots, asset, cycle), _head_id(snapshots, scan, cycle)

    heads = list(look_at_each(snapshots, versions, cycles))
    if not any(release for _, release, _ in heads):
        return _Found(None, left_out(others))
    current = {f"{EVALS_GROUP}/{one.name}": _current(workspace, one, base) for one in spec.benchmarks}
    state = digest(current, spec.contamination.rescan, heads)
    if state == last.state:
        return _Found(last, left_out(others))
    wanted = look_at_each(snapshots, lambda cycle: list(_requests(snapshots, spec, cycle, current)), cycles)
    requests = [(cycle, one) for cycle, some in zip(cycles, wanted, strict=True) for one in some]
    waiting = tuple(dict.fromkeys(cycle for cycle, _ in requests))
    return _Found(_Round(state, waiting), left_out(others), [one for _, one in requests])


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


def _current(workspace: WorkspaceAtRest, benchmark: BenchmarkSpec, base: Path) -> tuple[str | None, str]:
    """Digest of the materialized version of a test set, None if its files say something else; and what they say.

    A test set that cannot be read now counts as unchanged: its own asset will say what is wrong with it.
    """
    head = workspace.snapshots.head(f"{EVALS_GROUP}/{benchmark.name}", None)
    try:
        settings = benchmark_settings(benchmark, base, workspace.file_digests.digest)
    except SynthError:
        return (head.manifest.digest, "") if head is not None else (None, "unreadable")
    said = digest(settings)
    same = head is not None and all(head.manifest.settings.get(key) == value for key, value in settings.items())
    return (head.manifest.digest if head is not None and same else None), said
