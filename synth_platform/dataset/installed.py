"""The datasets of an installation: those that are shipped, the user's own, and specs that cannot be used, with why."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from synth_platform.contamination.config import BenchmarkSpec
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec
from synth_platform.digest import digest
from synth_platform.errors import SpecError, SynthError
from synth_platform.naming import REFUSED_GROUP, names_alike
from synth_platform.workspace import Workspace

SHIPPED = Path(__file__).parent.parent / "defs"
Known = tuple[DatasetSpec, Path]
"""A spec, and the folder that its relative paths start from."""


@dataclass(frozen=True)
class Refused:
    """A spec that cannot be used.

    Args:
        path: its file.
        error: why.
        name: of its dataset, as far as it could be read.
    """

    path: Path
    error: SynthError
    name: str | None = None

    @classmethod
    def because_of(cls, error: Exception, path: Path, name: str | None = None) -> "Refused":
        """A spec that an error was raised for."""
        if not isinstance(error, SynthError):
            error = SpecError(f"{type(error).__name__}: {error}", where=str(path))
        return cls(path, error, name)

    @property
    def asset(self) -> str:
        """Key path of what stands for it in Dagster: by its folder, since the name may be what cannot be read."""
        folder = self.path.parent.name
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", folder)
        return f"{REFUSED_GROUP}/{safe}" + (f"_{digest(folder)[:8]}" if safe != folder else "")


@dataclass(frozen=True)
class Installed:
    """What an installation has. A mistake in one spec concerns its dataset only; all others stay as they are.

    Args:
        shipped: datasets of the platform, by name.
        own: datasets of the user, by name.
        refused: specs of the user that cannot be used.
    """

    shipped: Mapping[str, Known]
    own: Mapping[str, Known]
    refused: tuple[Refused, ...] = ()

    @property
    def datasets(self) -> dict[str, Known]:
        """All that can be used."""
        return {**self.shipped, **self.own}


def find_installed(workspace: Workspace) -> Installed:
    """Read all specs.

    Args:
        workspace: has the folder with the user's own datasets, a folder each.
    """
    shipped = {spec.name: (spec, path.parent) for path in _files(SHIPPED) for spec in [load_spec(path)]}
    refused: list[Refused] = []
    named: dict[str, list[Known]] = defaultdict(list)
    for path in _files(workspace.datasets):
        try:
            spec = load_spec(path)
        except Exception as error:  # foreseen or not: a mistake in one spec must not stop the other datasets
            refused.append(Refused.because_of(error, path))
        else:
            named[spec.name].append((spec, path.parent))
    single: list[Known] = []
    for name, some in named.items():
        if (error := _why_ambiguous(name, some, shipped)) is None:
            single += some
        else:
            refused += [Refused(base / SPEC_FILE, error, name) for _, base in some]
    own, at_odds = _without_conflicts(single, shipped)
    if at_odds:  # what has been made holds, whatever is put beside it
        single.sort(key=lambda one: not workspace.snapshots.below(one[0].name))
        own, at_odds = _without_conflicts(single, shipped)
    return Installed(shipped, own, (*refused, *at_odds))


def agreed_benchmarks(specs: Iterable[Known]) -> dict[str, tuple[BenchmarkSpec, Path]]:
    """The test sets that datasets name, each once, with the folder that its paths start from.

    Raises:
        SpecError: two datasets mean different test sets by the same name, or by names that are the same in Dagster.
    """
    known: dict[str, tuple[BenchmarkSpec, Path, str]] = {}
    for spec, base in specs:
        for benchmark in spec.benchmarks:
            found, where, owner = known.setdefault(benchmark.name, (benchmark, base, spec.name))
            same_place = all("://" in path or Path(path).is_absolute() for path in benchmark.paths) or where == base
            same_items = found.model_copy(update={"description": benchmark.description}) == benchmark
            if not same_items or not same_place:
                raise SpecError(
                    f"the datasets {owner!r} and {spec.name!r} mean different test sets by {benchmark.name!r}",
                    where=str(base / SPEC_FILE),
                    fix=f"give it another name here, such as {benchmark.name}-{spec.name}: they are shared by name",
                )
    if alike := names_alike(known):
        raise SpecError(f"the test sets {alike}", fix="rename one of them")
    return {name: (benchmark, base) for name, (benchmark, base, _) in known.items()}


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob(f"*/{SPEC_FILE}"))


def _why_ambiguous(name: str, some: list[Known], shipped: Mapping[str, Known]) -> SpecError | None:
    """Why it cannot be told which dataset a name means: then it means none."""
    files = " and ".join(str(base / SPEC_FILE) for _, base in some)
    if len(some) > 1:
        return SpecError(f"two datasets are called {name!r}", where=files, fix="give one of them another name")
    if name in shipped:
        what = f"the dataset {name!r} is shipped with the platform; a dataset of your own needs another name"
        return SpecError(what, where=files)
    return None


def _without_conflicts(some: Iterable[Known], shipped: Mapping[str, Known]) -> tuple[dict[str, Known], list[Refused]]:
    """Datasets that can be defined side by side: of two that cannot, the first."""
    chosen: dict[str, Known] = {}
    refused: list[Refused] = []
    for spec, base in some:
        try:
            if alike := names_alike([*shipped, *chosen, spec.name]):
                raise SpecError(f"the datasets {alike}", where=str(base / SPEC_FILE), fix="rename one of them")
            agreed_benchmarks([*shipped.values(), *chosen.values(), (spec, base)])
        except SpecError as error:
            refused.append(Refused(base / SPEC_FILE, error, spec.name))
        else:
            chosen[spec.name] = (spec, base)
    return chosen, refused
