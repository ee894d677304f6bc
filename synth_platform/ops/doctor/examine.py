"""Look at everything, and mend what may be mended."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import dagster as dg

from synth_platform.errors import StorageError, SynthError
from synth_platform.ops.doctor.database import schema_findings, unusable_database
from synth_platform.ops.doctor.datasets import dataset_findings, spec_findings
from synth_platform.ops.doctor.engines import engine_environment
from synth_platform.ops.doctor.finding import Finding
from synth_platform.ops.doctor.home import home_findings
from synth_platform.ops.doctor.runs import living_runs
from synth_platform.ops.doctor.storage import circumstances, storage_findings
from synth_platform.ops.sweep import startup_findings
from synth_platform.workspace import Workspace


@dataclass(frozen=True)
class Examined:
    """A finding, and what became of it.

    Args:
        finding: what was found.
        mended: whether it is right now.
        failure: why it could not be mended, if that was tried.
    """

    finding: Finding
    mended: bool = False
    failure: str = ""

    @property
    def wrong(self) -> bool:
        """Whether something is still to be done."""
        return not self.mended and not self.finding.note

    def as_json(self) -> dict[str, Any]:
        """The finding with what became of it, as one JSON object."""
        return {**self.finding.as_json(), "mended": self.mended, "failure": self.failure}


def examine(
    workspace: Workspace, opening: AbstractContextManager[dg.DagsterInstance], *, deep: bool = False, fix: bool = False
) -> list[Examined]:
    """Everything that is wrong with an installation.

    Args:
        workspace: the installation.
        opening: opens its Dagster instance, raising a `SynthError` if that cannot be done.
        deep: compare the digests of all stored files, not only their sizes.
        fix: mend what may be mended.
    """
    of_home = (*home_findings(workspace), *engine_environment(workspace), *spec_findings(workspace))
    found = [_settle(one, fix=fix) for one in of_home]
    living = 0
    if workspace.dagster_home.is_dir():
        try:
            with opening as instance:
                for one in _of_instance(workspace, instance):
                    found.append(_settle(one, fix=fix))
                living = len(living_runs(instance))
        except SynthError as error:
            found.append(Examined(unusable_database(error)))
            living = 1  # nobody knows: nothing is certainly dead
    return found + [_settle(one, fix=fix) for one in _of_storage(workspace, living, deep=deep)]


def _of_instance(workspace: Workspace, instance: dg.DagsterInstance) -> Iterator[Finding]:
    yield from schema_findings(workspace, instance)
    yield from startup_findings(workspace, instance)
    yield from dataset_findings(workspace, instance)


def _of_storage(workspace: Workspace, living: int, *, deep: bool) -> Iterator[Finding]:
    try:
        yield from storage_findings(workspace, circumstances(workspace, living), deep=deep)
    except StorageError as error:
        yield Finding("storage", error.what, error.where, "no version can be read or written", error.fix)


def _settle(finding: Finding, *, fix: bool) -> Examined:
    if not fix or finding.mend is None:
        return Examined(finding)
    try:
        finding.mend()
    except (SynthError, OSError) as error:
        return Examined(finding, failure=str(error).splitlines()[0])
    return Examined(finding, mended=True)
