"""What a run would make, and why, found out without running it: from the manifests, stage by stage.

The identities are those of the stages themselves: each is built as for a run, and compared with the version that is
there. Where a stage before it is still to be made its input is not known yet; then it is said whether it will be
made for certain, or only if that input turns out to be another one.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeVar

from synth_platform.errors import SynthError
from synth_platform.generation.answers.earlier import earlier_answers
from synth_platform.generation.schema import GENERATIONS
from synth_platform.naming import EVALS_GROUP
from synth_platform.ops.guard import Upstream
from synth_platform.ops.stage import BuildStage, Stage, StageAsset, identity_of
from synth_platform.snapshots import Identity, Snapshot, SnapshotWriter
from synth_platform.snapshots.at_rest import SnapshotsAtRest
from synth_platform.snapshots.catalog import kind_of
from synth_platform.snapshots.changes import INPUTS, SETTINGS, Change, changes_since
from synth_platform.snapshots.identity import Fingerprints
from synth_platform.snapshots.manifest import InputRef
from synth_platform.workspace import WorkspaceAtRest

A = TypeVar("A")
B = TypeVar("B")

State = Literal["current", "stale", "follows", "missing", "unknown"]
"""Of an asset: as it would be made; something of its own has changed; something before it is to be made; there is
none; it cannot be told."""
Work = Literal["none", "reuse", "check", "make"]
"""For a run: nothing; an equal version is there and taken; made if an input turns out to be another one; made."""

_BEFORE_ENGINES = ("documents", "prompts", "judge_prompts")
"""Kinds of assets for which no engine has to be there, and whose settings show mistakes before they are made."""
_PROMPTS_OF = {"generations": "prompts", "judgements": "judge_prompts"}
"""Kinds of assets that an engine makes, and of what."""

_READERS = 16
"""Cycles that are looked at side by side where each look is a request."""


@dataclass(frozen=True)
class Step:
    """One asset in a plan.

    Args:
        asset: key path.
        state: what it is.
        work: what a run would do.
        why: the reasons, in words.
        version: id of the current version.
    """

    asset: str
    state: State
    work: Work
    why: tuple[str, ...] = ()
    version: str | None = None


@dataclass(frozen=True)
class Asked:
    """Prompts of a recipe that the engine would be asked, or those of its judge.

    Args:
        recipe: its name; of the judge's: `judging_of` it.
        prompts: how many; None: they are not rendered yet.
        certain: whether they will be asked, or only if the prompts turn out to be others.
    """

    recipe: str
    prompts: int | None
    certain: bool


def judging_of(recipe: str) -> str:
    """How the judge's work on a recipe's answers is called in plans and estimates."""
    return f"{recipe}, judged"


@dataclass(frozen=True)
class CyclePlan:
    """What a run of one cycle (or of a dataset without cycles) would do, in the order of the pipeline."""

    partition: str | None
    steps: tuple[Step, ...]
    asked: tuple[Asked, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether a run would change nothing."""
        return all(step.work == "none" for step in self.steps)

    @property
    def makes_something(self) -> bool:
        """Whether a run would change something for certain."""
        return any(step.work in ("make", "reuse") for step in self.steps)

    @property
    def is_new(self) -> bool:
        """Whether the dataset was never made as far as its release in this cycle."""
        return any(step.state == "missing" for step in self.steps if kind_of(step.asset) == "release")

    def describe(self) -> str:
        """One line: how much is to be done, what comes first, and why."""
        if self.is_current:
            return "everything is current"
        count = Counter(step.work for step in self.steps)
        words = {"make": "to be made", "check": "to be checked", "reuse": "to be taken from an earlier version"}
        parts = [f"{count[work]} {said}" for work, said in words.items() if count[work]]
        roots = [step for step in self.steps if step.state in ("stale", "missing")]
        first = f"; first {roots[0].asset}: {', '.join(roots[0].why)}" if roots else ""
        prompts, certain = (sum(one.prompts or 0 for one in some) for some in (self.asked, self._asked_for_certain))
        at_most = "" if certain == prompts else "at most "
        engine = f"; {at_most}{prompts:,} prompts for the engine" if self.asked else "; nothing for the engine"
        return ", ".join(parts) + first + engine

    @property
    def _asked_for_certain(self) -> list[Asked]:
        return [one for one in self.asked if one.certain]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "is_current": self.is_current}


@dataclass
class _Result:
    """What a step leaves to those after it.

    Args:
        version: what they will read, if it is known.
        other: whether it is another one than before, for certain.
    """

    version: InputRef | None
    other: bool = False


class Planner:
    """Plans of one dataset.

    Args:
        stages: what makes its assets, in the order of the pipeline.
        workspace: where its versions are; only looked at.
    """

    def __init__(self, stages: Sequence[StageAsset], workspace: WorkspaceAtRest) -> None:
        self._stages, self._workspace = stages, workspace
        self._shared: dict[str, tuple[Step, _Result]] = {}
        self._fingerprints = Fingerprints()

    def plan(self, partition: str | None) -> CyclePlan:
        """The plan of one cycle."""
        walk = _Walk(self._workspace, partition, self._shared, self._fingerprints)
        for stage in self._stages:
            for asset, build in stage.builds.items():
                walk.add(asset, build, stage)
        return CyclePlan(partition, tuple(walk.steps), tuple(walk.asked))

    def plans(self, partitions: Iterable[str | None]) -> Iterator[CyclePlan]:
        """The plans of several cycles, in their order."""
        return look_at_each(self._workspace.snapshots, self.plan, partitions)

    def obstacles(self, partition: str | None) -> list[str]:
        """Why documents or prompts of a cycle could not be made, as far as that shows before a run begins."""
        found: list[str] = []
        for stage in self._stages:
            for asset, build in stage.builds.items():
                if kind_of(asset) in _BEFORE_ENGINES:
                    try:
                        build(self._workspace, stage.partition(partition))
                    except SynthError as error:
                        found.append(str(error))
        return list(dict.fromkeys(found))

    def cycles_made(self) -> list[str]:
        """Cycles of which something was made: each begins with the first of the dataset's assets."""
        own = [asset for stage in self._stages if stage.dataset.partitions is not None for asset in stage.builds]
        return self._workspace.snapshots.partitions(own[0]) if own else []


def look_at_each(snapshots: SnapshotsAtRest, look: Callable[[A], B], cycles: Iterable[A]) -> Iterator[B]:
    """What is found at each of some cycles, in their order; what is found out of their versions is kept.

    Args:
        snapshots: what is looked at.
        look: looks at one.
        cycles: which.
    """
    if snapshots.store.local is None:
        with ThreadPoolExecutor(_READERS) as readers:
            yield from readers.map(look, cycles)
    else:
        with _no_collections():
            yield from map(look, cycles)
    snapshots.keep_found()


@contextmanager
def _no_collections() -> Iterator[None]:
    """Plans form no cycles of objects: to look for some, again and again, would take a quarter of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@dataclass
class _Walk:
    """One walk along the pipeline."""

    workspace: WorkspaceAtRest
    cycle: str | None
    shared: dict[str, tuple[Step, _Result]]
    fingerprints: Fingerprints
    steps: list[Step] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    results: dict[str, _Result] = field(default_factory=dict)
    partitions: dict[str, str | None] = field(default_factory=dict)

    def add(self, asset: str, build: BuildStage, stage_asset: StageAsset) -> None:
        """Look at the next asset; at a test set once, since all cycles share it."""
        partition = self.partitions[asset] = stage_asset.partition(self.cycle)
        if asset in self.shared:
            self._step(*self.shared[asset])
            return
        self._look(asset, partition, build, stage_asset)
        if is_test_set(asset):
            self.shared[asset] = self._from_now_on(self.steps[-1]), self.results[asset]

    def _from_now_on(self, step: Step) -> Step:
        """The same step for later cycles: what one cycle takes from an earlier version is current for the next."""
        return replace(step, state="current", work="none", why=()) if step.work == "reuse" else step

    def _look(self, asset: str, partition: str | None, build: BuildStage, stage_asset: StageAsset) -> None:
        current = self.workspace.snapshots.current_ref(asset, partition)
        try:
            stage = build(self.workspace, partition) if current is not None or kind_of(asset) in _PROMPTS_OF else None
        except SynthError as error:
            self._unknown(asset, current, error)
            return
        if stage is None:
            self._missing(asset)
            return
        identity = identity_of(stage, stage_asset.dataset, self._inputs(stage), partition)
        if current is None:
            self._missing(asset)
        elif self._is_made(current, identity, stage) and not any(map(self._is_open, stage.upstreams)):
            self._current(stage, current)  # as most are: no manifest has to be read
        else:
            self._compare(stage, identity)
        self._ask(asset, identity)

    def _is_made(self, current: InputRef, identity: Identity, stage: Stage) -> bool:
        return current.snapshot_id == self.fingerprints.snapshot_id(identity, stage.settings)

    def _current(self, stage: Stage, version: InputRef) -> None:
        assumed = (stage.assumed,) if stage.assumed else ()
        self._step(Step(stage.asset, "current", "none", assumed, version.snapshot_id), _Result(version))

    def _missing(self, asset: str) -> None:
        self._step(Step(asset, "missing", "make", ("there is no version yet",)), _Result(None, other=True))

    def _unknown(self, asset: str, current: InputRef | None, error: SynthError) -> None:
        """What cannot be looked up may have changed."""
        if current is None:
            why = ("there is no version yet", error.what)
            self._step(Step(asset, "missing", "make", why), _Result(None, other=True))
        else:
            why = (f"it cannot be told: {error.what}",)
            self._step(Step(asset, "unknown", "check", why, current.snapshot_id), _Result(None))
        self._ask(asset, None)

    def _compare(self, stage: Stage, identity: Identity) -> None:
        """Compare the version that is there with what would be made, fact by fact."""
        head = self.workspace.snapshots.head(identity.asset, identity.partition)
        assert head is not None
        open_inputs = [one.asset for one in stage.upstreams if self._is_open(one)]
        changes = [one for one in changes_since(head.manifest, identity) if not _is_of(one, open_inputs)]
        changes += [Change((INPUTS, one), None, "") for one in open_inputs if one not in _inputs_of(head)]
        version, assumed = head.manifest.snapshot_id, (stage.assumed,) if stage.assumed else ()
        other = [name for name in open_inputs if self.results[name].other]
        rows = head.manifest.rows > 0
        if changes:
            why = tuple(change.describe() for change in changes)
            found = self._made_before(identity) if not open_inputs else None
            if found is not None:
                self.workspace.snapshots.suppose(found)
            certain = rows and any(_goes_into_ids(change, stage) for change in changes)
            work: Work = "make" if found is None else "reuse"
            step = Step(stage.asset, "stale", work, (*why, *assumed), version)
            self._step(step, _Result(found.ref if found is not None else None, certain))
        elif other:
            why = tuple(f"{name} will be another one" for name in other)
            certain = rows and bool(stage.ids_from & set(other))
            self._step(Step(stage.asset, "follows", "make", (*why, *assumed), version), _Result(None, certain))
        elif open_inputs:
            why = tuple(f"only if {name} turns out to be another one" for name in open_inputs)
            self._step(Step(stage.asset, "follows", "check", (*why, *assumed), version), _Result(None))
        else:
            self._current(stage, head.ref)

    def _made_before(self, identity: Identity) -> Snapshot | None:
        return self.workspace.snapshots.open(identity.asset, identity.partition, identity.snapshot_id)

    def _ask(self, asset: str, identity: Identity | None) -> None:
        """Count what an engine would be asked; exactly, where prompts and engine are known."""
        work = self.steps[-1].work
        if work not in ("make", "check") or (kind := kind_of(asset)) not in _PROMPTS_OF:
            return
        recipe = asset.rsplit("/", 1)[-1]
        prompts = asset.replace(f"/{kind}/", f"/{_PROMPTS_OF[kind]}/")
        rendered = self.workspace.snapshots.head(prompts, self.partitions[prompts])
        left = rendered.manifest.rows if rendered is not None else None
        if rendered is not None and self.results[prompts].version is not None and identity is not None:
            left = self._left(rendered, identity)
        self.asked.append(Asked(recipe if kind == "generations" else judging_of(recipe), left, work == "make"))

    def _left(self, prompts: Snapshot, identity: Identity) -> int:
        """Prompts without an answer: neither in work that was begun nor in the version before."""
        snapshots = self.workspace.snapshots
        writer = SnapshotWriter(
            snapshots, identity, {"generations": GENERATIONS}, scratch=self.workspace.scratch, run_id="plan"
        )
        left = prompts.manifest.rows - writer.shard_rows("generations")
        earlier = earlier_answers(snapshots, identity)
        return left if earlier is None else min(left, earlier.unanswered(prompts, identity))

    def _inputs(self, stage: Stage) -> list[InputRef]:
        """The versions that the stage would read, as far as they are known; else those that are there."""
        found = (self._input(upstream) for upstream in stage.upstreams)
        return [version for version in found if version is not None]

    def _input(self, upstream: Upstream) -> InputRef | None:
        result = self.results.get(upstream.asset)
        if result is not None and result.version is not None:
            return result.version
        snapshots = self.workspace.snapshots
        return snapshots.current_ref(upstream.asset, upstream.cycle(snapshots, self.cycle))

    def _is_open(self, upstream: Upstream) -> bool:
        """Whether an input is not known before it is made."""
        result = self.results.get(upstream.asset)
        return result is not None and result.version is None

    def _step(self, step: Step, result: _Result) -> None:
        self.steps.append(step)
        self.results[step.asset] = result


def is_test_set(asset: str) -> bool:
    """Whether an asset is a test set, which belongs to no dataset."""
    return asset.startswith(f"{EVALS_GROUP}/")


def _is_of(change: Change, inputs: Sequence[str]) -> bool:
    return change.path[0] == INPUTS and change.path[1] in inputs


def _inputs_of(version: Snapshot) -> set[str]:
    return {ref.asset for ref in version.manifest.inputs}


def _goes_into_ids(change: Change, stage: Stage) -> bool:
    """Whether all rows are others after a change."""
    if change.path[0] == INPUTS:
        return change.path[1] in stage.ids_from
    dotted = ".".join(change.path[1:])
    return change.path[0] == SETTINGS and any(
        dotted == name or dotted.startswith(name + ".") for name in stage.ids_from
    )
