"""The engine of a spec: what it is known by, what it costs, and its servers while it runs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from synth_platform.generation.config import EndpointEngine, VllmEngine
from synth_platform.generation.environment import require
from synth_platform.generation.fleet import run_fleet, units
from synth_platform.generation.hosts import Host, external_hosts
from synth_platform.generation.identity import vllm_digest


@dataclass(frozen=True)
class Engine:
    """An engine that is ready to be started.

    Args:
        digest: of all that decides what it writes.
        units: GPUs that are paid for while it runs; servers, where there are no GPUs.
        running: its servers, while the context lasts.
    """

    digest: str
    units: float
    running: Callable[[], AbstractContextManager[Sequence[Host]]]


def find_engine(
    spec: VllmEngine | EndpointEngine,
    *,
    environments: Path,
    logs: Path,
    variables: Mapping[str, str],
    tell: Callable[[str], None],
) -> Engine:
    """Look at the engine without starting it; servers that others run are asked what they serve.

    Args:
        spec: its settings.
        environments: folder of the engine's own Python environments.
        logs: folder for logs of servers.
        variables: environment variables, one of which may hold an endpoint's key.
        tell: hears how far a start is.

    Raises:
        EngineError: it is not installed, cannot be reached, or does not serve the model.
    """
    if isinstance(spec, EndpointEngine):
        hosts, digest = external_hosts(spec, variables)
        return Engine(digest, len(hosts), lambda: _as_they_are(hosts))
    environment = require(environments)
    version = f"{environment.package} {environment.version}"
    return Engine(
        vllm_digest(spec, version),
        units(spec, environment),
        lambda: run_fleet(spec, environment, logs, tell),
    )


@contextmanager
def _as_they_are(hosts: Sequence[Host]) -> Iterator[Sequence[Host]]:
    yield hosts
