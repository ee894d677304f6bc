"""Dagster's database: whether it is there, whole, and of the schema that this Dagster wants."""

from collections.abc import Iterator

import dagster as dg

from synth_platform.errors import SynthError
from synth_platform.ops.doctor.finding import Finding
from synth_platform.workspace import Workspace


def schema_findings(workspace: Workspace, instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Whether the database was made by another version of Dagster."""
    storages = {
        "runs": instance.run_storage.alembic_version(),
        "events": instance.event_log_storage.alembic_version(),
        "schedules": instance.schedule_storage.alembic_version() if instance.schedule_storage else None,
    }
    behind = {name: version for name, version in storages.items() if version and version[0] != version[1]}
    if behind:
        revisions = ", ".join(f"{name} {now or 'none'} (wanted: {wanted})" for name, (now, wanted) in behind.items())
        yield Finding(
            "dagster_schema",
            f"Dagster's database has another schema than Dagster {dg.__version__} wants: {revisions}",
            str(workspace.dagster_home),
            "runs and checks may be read wrongly, or not at all",
            f"stop everything that uses it, copy the folder, then run:"
            f" DAGSTER_HOME={workspace.dagster_home} dagster instance migrate; if the database is the newer one,"
            " upgrade Dagster instead",
        )


def unusable_database(error: SynthError) -> Finding:
    """The finding for a database that cannot be opened."""
    return Finding(
        "dagster_database",
        error.what,
        error.where,
        "nothing runs, and neither runs nor gates can be looked at",
        error.fix or "mend what the message says",
    )
