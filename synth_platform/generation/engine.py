"""The engine of a spec: what it is known by, what it costs, and how it makes what a plan asks for."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from synth_platform.errors import EngineError
from synth_platform.generation.config import EndpointEngine, EngineSpec, RayEngine, VllmEngine
from synth_platform.generation.identity import vllm_digest
from synth_platform.generation.run.generate import Plan, Sampled, generate, sample
from synth_platform.generation.servers.environment import require
from synth_platform.generation.servers.fleet import run_fleet, units
from synth_platform.generation.servers.hosts import Host, external_hosts
from synth_platform.snapshots.identity import dataset_of
from synth_platform.workspace import Workspace


class Engine(Protocol):
    """An engine that is ready to be started."""

    @property
    def digest(self) -> str:
        """Digest of all that decides what it writes."""
        ...

    @property
    def units(self) -> float:
        """GPUs that are paid for while it runs; servers, where there are no GPUs."""
        ...

    def generate(self, plan: Plan) -> None:
        """Make what is missing; raises as `generate.generate`."""
        ...

    def sample(self, plan: Plan, rows: int) -> dict[str, Sampled]:
        """Make some rows of each job; see `generate.sample`."""
        ...


def find_engine(
    spec: VllmEngine | RayEngine | EndpointEngine,
    workspace: Workspace,
    dataset: str,
    *,
    variables: Mapping[str, str],
    tell: Callable[[str], None],
) -> Engine:
    """Look at the engine without starting it; servers that others run are asked what they serve.

    Args:
        spec: its settings.
        workspace: where its environment and its logs are.
        dataset: for which it works.
        variables: environment variables, one of which may hold an endpoint's key.
        tell: hears how far a start is.

    Raises:
        EngineError: it is not installed, cannot be reached, or does not serve the model.
    """
    if isinstance(spec, EndpointEngine):
        hosts, digest = external_hosts(spec, variables)
        return _LocalEngine(digest, len(hosts), lambda: _as_they_are(hosts))
    if isinstance(spec, RayEngine):
        if find_spec("ray") is None:
            raise EngineError(
                "Ray is not installed",
                where="engine.type: ray",
                fix="pip install 'synth_platform[ray]', on every machine",
            )
        from synth_platform.generation.cluster.ray_data import find_cluster  # takes a second, and comes with an extra

        return find_cluster(spec, workspace, dataset, tell)
    environment = require(workspace.engine)
    return _LocalEngine(
        vllm_digest(spec, environment.described, workspace.file_digests.digest),
        units(spec, environment),
        lambda: run_fleet(spec, environment, workspace.engine_logs(dataset), tell),
    )


@dataclass(frozen=True)
class _LocalEngine:
    """Servers that this process speaks with itself."""

    digest: str
    units: float
    running: Callable[[], AbstractContextManager[Sequence[Host]]]

    def generate(self, plan: Plan) -> None:
        with self.running() as hosts:
            generate(plan, hosts)

    def sample(self, plan: Plan, rows: int) -> dict[str, Sampled]:
        with self.running() as hosts:
            return sample(plan, hosts, rows)


@contextmanager
def _as_they_are(hosts: Sequence[Host]) -> Iterator[Sequence[Host]]:
    yield hosts


@dataclass(frozen=True)
class LastEngine:
    """The engine that made the last version, where the present one cannot be looked at."""

    digest: str
    assumed: str


def known_engine(spec: EngineSpec, workspace: Workspace, stage: str) -> Engine | LastEngine:
    """The engine, or the one that made the newest version if that was of the same model.

    Raises:
        EngineError: it cannot be looked at, and has made nothing yet.
    """
    try:
        return find_engine(spec, workspace, dataset_of(stage), variables=os.environ, tell=lambda line: None)
    except EngineError as error:
        for asset in workspace.snapshots.below(stage):
            made = workspace.snapshots.newest(asset)
            if made is not None and made.manifest.settings.get("model") == spec.model:
                assumed = f"the engine is taken to be the one of the last version, since {error.what}"
                return LastEngine(str(made.manifest.settings["engine"]), assumed)
        raise
