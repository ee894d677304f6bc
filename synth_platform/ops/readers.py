"""Readers of published releases, where documents are taken down: what they have, and what they are to have instead."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import polars as pl
from pydantic import TypeAdapter, ValidationError

from synth_platform.dataset.spec import DatasetSpec
from synth_platform.errors import SpecError, SynthError
from synth_platform.ops.launch import find_dataset
from synth_platform.ops.publishing import check_gates
from synth_platform.release.config import DestinationSpec, FolderDestination
from synth_platform.release.destinations import Destination, open_destination
from synth_platform.release.publish import publish
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.descent import has_rows
from synth_platform.snapshots.findings import taken_down_rows
from synth_platform.snapshots.tombstones import TakenDown, Tombstone
from synth_platform.workspace import Workspace

Specs = Mapping[str, tuple[DatasetSpec, Path]]
"""Specs that are not among the workspace's own, and the folders of their files."""

_DESTINATION: TypeAdapter[DestinationSpec] = TypeAdapter(DestinationSpec)
_ERRORS = (SynthError, OSError, ValidationError, pl.exceptions.PolarsError)


@dataclass(frozen=True)
class Outlet:
    """A destination of a dataset.

    Args:
        dataset: the dataset.
        spec: the destination.
        base: folder that a relative path starts from; None: the dataset has no spec any more.
        named: whether the dataset's spec still names it.
    """

    dataset: str
    spec: DestinationSpec
    base: Path | None
    named: bool

    def __str__(self) -> str:
        return f"{self.dataset} at {self.spec.name}{'' if self.named else ', which its spec does not name any more'}"

    @property
    def folder(self) -> Path:
        """Where relative paths start.

        Raises:
            SpecError: nobody knows.
        """
        if self.base is None and isinstance(self.spec, FolderDestination) and not Path(self.spec.path).is_absolute():
            raise SpecError("its folder starts from that of a spec that is gone", fix="give the spec with --spec")
        return self.base or Path()

    def open(self) -> Destination:
        """The destination itself."""
        return open_destination(self.spec, self.folder)


@dataclass(frozen=True)
class Reading:
    """What readers of a destination had when it was looked at.

    Args:
        outlet: the destination.
        cycle: whose readers; None: those who take the current version.
        version: id of the version.
        is_clean: whether it has no row of a document that was taken down.
        is_head: whether it was the current release then.
    """

    outlet: Outlet
    cycle: str | None
    version: str
    is_clean: bool
    is_head: bool

    def __str__(self) -> str:
        return f"{self.outlet}{f', cycle {self.cycle}' if self.cycle else ''}"


@dataclass
class Readers:
    """Readers of a destination whose version had rows of the documents."""

    dataset: str
    destination: str
    cycle: str | None
    """Whose version it was; None: the current one."""
    release: str
    became: str | None = None
    """The version that they have now."""


@dataclass
class Outcome:
    """What was found and done at destinations."""

    readers: list[Readers] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Published:
    """What there is at all destinations that datasets have, or had.

    Args:
        workspace: where everything lies.
        instance: of Dagster; it knows which gates passed.
        specs: datasets that are not among the workspace's own.
        tombstones: all takedowns.
        erased: takedowns whose documents are erased now.
        concerned: datasets that have, or had, any of the documents.
        tell: hears what is being done.
    """

    def __init__(
        self,
        workspace: Workspace,
        instance: dg.DagsterInstance,
        specs: Specs,
        tombstones: Sequence[Tombstone],
        erased: Sequence[Tombstone],
        concerned: frozenset[str],
        tell: Callable[[str], None],
    ) -> None:
        self._workspace, self._snapshots, self._instance = workspace, workspace.snapshots, instance
        self._given, self._concerned, self._tell = specs, concerned, tell
        self._tombstones, self._erased = list(tombstones), list(erased)
        self._clean: dict[str, bool] = {}
        self._places: dict[str, dict[str, tuple[str, str | None]]] = {}
        self.outcome = Outcome()

    def look(self) -> list[Reading]:
        """What readers of each destination have now."""
        found: list[Reading] = []
        for outlet in self._outlets:
            try:
                found += self._read(outlet)
            except _ERRORS as error:
                self._complain(f"{outlet}: what its readers have is not known: {error}")
        self.outcome.readers += [
            Readers(one.outlet.dataset, one.outlet.spec.name, one.cycle, one.version)
            for one in found
            if not one.is_clean
        ]
        return found

    def settle(self, readings: Sequence[Reading]) -> None:
        """After the patches: readers get back what they had, or, if that has such rows, what takes its place."""
        self._places.clear()
        # Those of the current version last: what a cycle's readers get may have become the current one.
        for one in sorted(readings, key=lambda reading: reading.cycle is None):
            try:
                before = one.outlet.open().pointers().get(one.cycle)
                if one.is_clean and before == one.version:
                    continue
                version = self._version_for(one)
                if before != version.manifest.snapshot_id:
                    spec, back = one.outlet.spec, one.cycle is None
                    publish(self._snapshots, version, [spec], one.outlet.folder, self._tell, back=back)
            except _ERRORS as error:
                what = "may not have what they had" if one.is_clean else "still get rows of the documents"
                self._complain(f"{one}: readers of {one.version} {what}: {error}")
                continue
            self._say(one, version.manifest.snapshot_id)

    def withdraw(self, *, dry_run: bool = False) -> None:
        """Remove all versions with rows of what is erased from where they were published, or only name them."""
        for outlet in self._outlets:
            try:
                destination = outlet.open()
                versions = destination.versions()
            except _ERRORS as error:
                self._complain(f"{outlet}: its versions are not known: {error}")
                continue
            for version in versions:
                where = f"{version} at {outlet.spec.name}"
                try:
                    is_to_go = self._has(self._erased, outlet.dataset, version, destination)
                    if is_to_go and (dry_run or destination.withdraw(version)):
                        self.outcome.withdrawn.append(where)
                except _ERRORS as error:
                    self._complain(f"{where}: {error}")

    def _read(self, outlet: Outlet) -> Iterator[Reading]:
        destination = outlet.open()
        pointers = destination.pointers()
        for cycle, version in pointers.items():
            if cycle is not None and version == pointers.get(None):
                continue  # whatever takes the place of the current version is its cycle's too
            is_clean = self._is_clean(outlet.dataset, version, destination)
            yield Reading(outlet, cycle, version, is_clean, self._is_head(outlet.dataset, version))

    @cached_property
    def _outlets(self) -> list[Outlet]:
        """Destinations of the specs, and those that only the history knows."""
        assets = [asset.split("/") for asset, _ in self._snapshots.assets()]
        datasets = sorted({parts[0] for parts in assets if parts[1:] in (["release"], ["published"])})
        return [outlet for dataset in datasets for outlet in self._outlets_of(dataset)]

    def _outlets_of(self, dataset: str) -> Iterator[Outlet]:
        named: Sequence[DestinationSpec] = ()
        base = None
        try:
            spec, base = self._spec(dataset)
            named = spec.release.publish
        except SynthError as error:
            if dataset in self._concerned:
                self._complain(f"{dataset}: only destinations of earlier runs are known: {error}")
        yield from (Outlet(dataset, one, base, True) for one in named)
        earlier = {one.name: one for one in self._earlier(dataset)}
        for name in sorted(earlier.keys() - {one.name for one in named}):
            yield Outlet(dataset, earlier[name], base, False)

    def _earlier(self, dataset: str) -> Iterator[DestinationSpec]:
        """Destinations that releases have been brought to."""
        asset = f"{dataset}/published"
        for partition in [part for name, part in self._snapshots.assets(dataset) if name == asset]:
            try:
                ids = dict.fromkeys(record.snapshot_id for record in self._snapshots.history(asset, partition))
                found = [self._snapshots.recall(asset, partition, one) for one in ids]
                settings = [one.manifest.settings for one in found if one is not None]
                yield from [
                    _DESTINATION.validate_python(one) for some in settings for one in some.get("destinations", ())
                ]
            except _ERRORS as error:
                self._complain(f"{asset}: where earlier releases were published is not known: {error}")

    def _spec(self, dataset: str) -> tuple[DatasetSpec, Path]:
        return self._given.get(dataset) or find_dataset(dataset, self._workspace)

    def _is_clean(self, dataset: str, version: str, destination: Destination) -> bool:
        if version not in self._clean:
            self._clean[version] = not self._has(self._tombstones, dataset, version, destination)
        return self._clean[version]

    def _has(self, tombstones: list[Tombstone], dataset: str, version: str, destination: Destination) -> bool:
        """Whether a version has rows that are taken down: by its files here, or by those at the destination."""
        here = self._release(dataset, version)
        if here is not None and here.removal is None:
            with suppress(*_ERRORS):  # damaged: what was published may not be
                return bool(taken_down_rows(here, tombstones).height)
        if here is not None and here.removal is not None and here.removal.takedown in {one.id for one in tombstones}:
            return True
        self._workspace.scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="published-", dir=self._workspace.scratch) as folder:
            files = destination.tables(version, Path(folder))
            wanted = TakenDown.of(tombstones, dataset)
            return any(has_rows(pl.scan_parquet(file, glob=False), wanted) for file in files)

    def _release(self, dataset: str, version: str) -> Snapshot | None:
        """A release, even if only its manifest is left."""
        if dataset not in self._places:
            self._places[dataset] = dict(self._find_places(dataset))
        place = self._places[dataset].get(version)
        return self._snapshots.recall(*place, version) if place is not None else None

    def _find_places(self, dataset: str) -> Iterator[tuple[str, tuple[str, str | None]]]:
        """Asset and partition of every release."""
        for place in self._snapshots.assets(f"{dataset}/release"):
            try:
                yield from [(record.snapshot_id, place) for record in self._snapshots.history(*place)]
            except _ERRORS as error:
                self._complain(f"{place[0]}: its history could not be read: {error}")

    def _is_head(self, dataset: str, version: str) -> bool:
        places = self._snapshots.assets(f"{dataset}/release")
        heads = (self._snapshots.current_ref(*place) for place in places)
        return version in {head.snapshot_id for head in heads if head is not None}

    def _version_for(self, one: Reading) -> Snapshot:
        """What readers are to have: what they had, or the current release of its cycle.

        Raises:
            SynthError: there is none that they may have.
        """
        asset = f"{one.outlet.dataset}/release"
        had = self._release(one.outlet.dataset, one.version)
        if had is not None and had.removal is None and one.is_clean:
            return had
        head = self._snapshots.newest(asset) if had is None else self._snapshots.head(asset, had.manifest.partition)
        if head is None or head.removal is not None:
            raise SynthError("no release is there to take its place", fix=f"synth materialize {one.outlet.dataset}")
        if taken_down_rows(head, self._tombstones).height:
            raise SynthError(f"the current release {head.manifest.snapshot_id} has such rows too")
        check_gates(*self._spec(one.outlet.dataset), self._instance, head)
        return head

    def _say(self, one: Reading, now: str) -> None:
        for readers in self.outcome.readers:
            place = (readers.dataset, readers.destination, readers.cycle)
            if place == (one.outlet.dataset, one.outlet.spec.name, one.cycle):
                readers.became = now
        if now == one.version:
            self.outcome.notes.append(f"{one}: readers keep {now}, which is not the current release")
        elif not one.is_head:
            note = f"readers had {one.version}, which was not the current release; they have {now} now"
            self.outcome.notes.append(f"{one}: {note}")

    def _complain(self, problem: str) -> None:
        self.outcome.problems.append(problem)
