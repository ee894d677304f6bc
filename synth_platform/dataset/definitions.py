"""What Dagster gets of the datasets: assets, checks, jobs, schedules and sensors."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg

from synth_platform.alerts.config import instance_channels
from synth_platform.contamination import assets as contamination_assets
from synth_platform.contamination import checks as contamination_checks
from synth_platform.dataset.graph import DatasetGraph
from synth_platform.dataset.installed import Refused, agreed_benchmarks
from synth_platform.dataset.jobs import DatasetJobs
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec
from synth_platform.dataset.stage_gates import own_suites, stage_gates
from synth_platform.digest import digest
from synth_platform.ops.alerts import alert_sensors
from synth_platform.ops.cycles import LoneCycle, partitions_of
from synth_platform.ops.plan_job import plan_job
from synth_platform.ops.regenerate import Regenerator
from synth_platform.ops.rescan import rescan_sensor
from synth_platform.quality.suites import Suites


def dataset_definitions(spec: DatasetSpec, base: Path, lone: LoneCycle | None = None) -> dg.Definitions:
    """The dataset's graph; its benchmarks are defined elsewhere, since datasets share them.

    Args:
        spec: the validated spec.
        base: folder that relative paths start from.
        lone: the only cycle that is of interest; None: those of the cadence.

    Raises:
        SpecError: the file of its expectations is wrong.
    """
    graph = DatasetGraph.of(spec, base, lone)
    make = DatasetJobs(spec, graph.context.partitions)
    whole = make.whole([*graph.asset_keys(), *graph.benchmark_keys()])
    jobs = [
        whole,
        make.prompts(graph.keys_of("documents", "prompts")),
        make.screen(graph.keys_of("quality", "accepted", "mixture", "review", "release", "published")),
    ]
    if graph.profile is not None:
        jobs.append(make.tune([*graph.profile.keys]))
    jobs.append(plan_job(spec, base, graph.stages, graph.context.partitions, *graph.keys_of("release")))
    loaded = _fingerprints(spec, graph.suites)
    regenerator = Regenerator(
        spec, base, graph.stages, partitions_of(spec.cadence), whole, loaded, lambda: _read_again(base)
    )
    sensors = [regenerator.sensor()] if spec.regenerate.on_change != "never" else []
    patch = make.patch(graph.keys_of("release", "published"))
    jobs.append(patch)
    if spec.release.publish:
        jobs.append(make.publish(graph.keys_of("published")))
    if graph.release_scan is not None:
        rescan = make.rescan([*graph.release_scan.keys, *graph.benchmark_keys()])
        watched = [rescan, patch]
        jobs.append(rescan)
        sensors.append(rescan_sensor(spec, base, watched))
    assets = graph.assets + [one for one in (graph.profile, graph.release_scan) if one is not None]
    return dg.Definitions(
        assets=[one.definition for one in assets],
        asset_checks=graph.checks,
        jobs=jobs,
        schedules=[regenerator.schedule()] if spec.cadence else [],
        sensors=sensors,
    )


def _fingerprints(spec: DatasetSpec, suites: Suites) -> dict[str, str]:
    """Of what is read when a dataset is loaded, and not again before it is reloaded."""
    return {"the spec": digest(spec), "the suites": digest(suites)}


def _read_again(base: Path) -> dict[str, str]:
    """The same of what the files hold now.

    Raises:
        SpecError: they cannot be used any more.
    """
    spec = load_spec(base / SPEC_FILE)
    return _fingerprints(spec, own_suites(base / spec.suites, stage_gates(spec.gates)))


def benchmark_definitions(specs: Iterable[tuple[DatasetSpec, Path]]) -> dg.Definitions:
    """Assets and checks of all benchmarks that datasets name, each once.

    Raises:
        SpecError: two datasets mean different test sets by the same name.
    """
    known = agreed_benchmarks(specs)
    return dg.Definitions(
        assets=[contamination_assets.benchmark_asset(benchmark, base).definition for benchmark, base in known.values()],
        asset_checks=[contamination_checks.benchmark_checks(name) for name in known],
    )


def alert_definitions(specs: Iterable[tuple[DatasetSpec, Path]], refused: Sequence[Refused] = ()) -> dg.Definitions:
    """The sensors that tell people what went wrong, where a spec or the environment names somebody.

    Args:
        specs: datasets, and the folders of their specs.
        refused: specs that cannot be used: only those hear of them whom the environment names.

    Raises:
        SpecError: the channels in the environment cannot be read.
    """
    everywhere = instance_channels()
    known = [spec for spec, _ in specs]
    channels = {spec.name: [*spec.alerts, *everywhere] for spec in known}
    cadences = {spec.name: spec.cadence for spec in known if spec.cadence is not None}
    reasons = {one.asset: one.error for one in refused}
    return dg.Definitions(sensors=alert_sensors(channels, cadences, everywhere, reasons))
