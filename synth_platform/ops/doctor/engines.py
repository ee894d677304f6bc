"""Engine servers that a dead run left behind, and engine environments that do not work."""

from collections.abc import Iterator

from synth_platform.generation.servers.environment import find_broken
from synth_platform.generation.servers.vllm_server import orphans
from synth_platform.ops.doctor.finding import Finding
from synth_platform.workspace import Workspace


def orphan_engines(workspace: Workspace) -> Iterator[Finding]:
    """Servers of this host that still run although the process that started them is gone."""
    for orphan in orphans(workspace.logs / "engine"):
        if orphan.running:
            yield Finding(
                "orphan_engine",
                f"an engine server runs although the run that started it is gone (process {orphan.pid})",
                str(orphan.record),
                "it keeps memory and GPUs that the next run needs",
                "end it",
                orphan.end,
            )


def engine_environment(workspace: Workspace) -> Iterator[Finding]:
    """The engine's environment, where it is there and cannot be used."""
    for folder, problem in find_broken(workspace.engine):
        yield Finding(
            "engine_environment",
            f"the engine's environment cannot be used: {problem}",
            str(folder),
            "no dataset can generate with engines of its own",
            f"remove {folder}, then run: synth engine install",
        )
