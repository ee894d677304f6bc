"""Which settings make the engine fastest on a dataset's own prompts: successive halving over candidates.

Every candidate is measured on few prompts, the best third on three times as many, and so on; the engine as it is runs
in every round, so that the gain is measured on the same prompts. (Jamieson and Talwalkar 2016, with thirds.)
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synth_platform.digest import digest
from synth_platform.errors import EngineError

Settings = Mapping[str, Any]
"""Arguments of vLLM by name, on top of those of the spec."""

_KEEP = 3
"""One of so many candidates goes on to the next round, which has so many times the prompts."""
_ROUNDS = 3
SPECULATIVE: tuple[dict[str, Any] | None, ...] = (
    None,
    {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4, "prompt_lookup_min": 2},
    {"method": "suffix", "num_speculative_tokens": 8},
)


@dataclass(frozen=True)
class Measured:
    """What a candidate did with some prompts."""

    output_tokens: int
    seconds: float
    startup_seconds: float


@dataclass(frozen=True)
class Trial:
    """A candidate in one round; without ``measured`` it failed, and ``failure`` says why."""

    round: int
    settings: Settings
    prompts: int
    tokens_per_second: float = 0.0
    measured: Measured | None = None
    failure: str | None = None

    def describe(self) -> str:
        """One line: round, settings, speed or failure."""
        ended = f"{self.tokens_per_second:,.0f} tokens/s" if self.failure is None else "failed"
        return f"round {self.round}, {self.prompts} prompts: {say(self.settings)}: {ended}"


def default_space(gpus: int) -> dict[str, list[Any]]:
    """Values worth trying on a machine with so many GPUs; None is the engine's own default."""
    if not gpus:
        return {
            "max_num_seqs": [None, 16, 64, 256],
            "max_num_batched_tokens": [None, 1024, 8192],
            "speculative_config": list(SPECULATIVE),
        }
    return {
        "max_num_seqs": [None, 128, 512, 1024],
        "max_num_batched_tokens": [None, 4096, 16384],
        "gpu_memory_utilization": [None, 0.95],
        "speculative_config": list(SPECULATIVE),
        "tensor_parallel_size": [None, *(2**n for n in range(1, gpus.bit_length()) if 2**n <= gpus)],
    }


def candidates(space: Mapping[str, Sequence[Any]], fixed: Settings, most: int, seed: int) -> list[Settings]:
    """Settings to try: the engine as it is, each value alone, then combinations at random.

    Args:
        space: values by argument; what is ``fixed`` by the spec is left as it is.
        fixed: arguments of the spec.
        most: how many.
        seed: decides which combinations.
    """
    free = {name: values for name, values in space.items() if name not in fixed}
    alone = [{name: value} for name, values in free.items() for value in values if value is not None]
    every = [_without_defaults(free, values) for values in itertools.product(*free.values())]
    combined = [one for one in every if len(one) > 1]
    random.Random(seed).shuffle(combined)
    found: dict[str, Settings] = {}
    for one in [{}, *alone, *combined]:
        found.setdefault(digest(one), one)
    return list(found.values())[:most]


def rounds(prompts: int) -> list[int]:
    """Prompts of each round."""
    return [max(prompts // _KEEP**back, 1) for back in reversed(range(_ROUNDS))]


def planned(tried: int) -> int:
    """Trials of a search at most."""
    total = left = tried
    for _ in range(1, _ROUNDS):
        left = -(-left // _KEEP) + 1
        total += left
    return total


def search(
    tried: Sequence[Settings],
    prompts: int,
    measure: Callable[[Settings, int], Measured],
    units: Callable[[Settings], int],
    tell: Callable[[str], None],
) -> Iterator[Trial]:
    """Run the rounds; the last trials are those of the last round.

    Args:
        tried: candidates, the engine as it is first.
        prompts: of the last round.
        measure: runs a candidate on so many prompts; raises EngineError if it cannot.
        units: GPUs (or servers) that a candidate needs; speed counts per one of them.
        tell: hears what failed, and why.

    Raises:
        EngineError: not one candidate ran.
    """
    left = list(tried)
    for number, count in enumerate(rounds(prompts), 1):
        trials: list[Trial] = []
        for settings in left:
            trial = _try(number, settings, count, measure, units)
            if trial.failure is not None:
                tell(f"tuning: skipped {say(settings)}: {first_words(trial.failure)}")
            trials.append(trial)
            yield trial
        ran = sorted((one for one in trials if one.measured), key=lambda one: -one.tokens_per_second)
        if not ran:
            raise EngineError(
                f"no settings of the engine work; the last: {trials[-1].failure}",
                where="engine.arguments",
                fix="have the dataset materialized as it is first, then tune it",
            )
        best = [trial.settings for trial in ran[: max(-(-len(left) // _KEEP), 1)]]
        as_it_is = tried[0]
        left = [as_it_is, *(one for one in best if one != as_it_is)]


def best_of(trials: Sequence[Trial]) -> tuple[Trial, Trial | None]:
    """The fastest of the last round, and the engine as it is in that round; None if it does not run."""
    last = [trial for trial in trials if trial.round == trials[-1].round and trial.measured]
    as_it_is = next((trial for trial in last if not trial.settings), None)
    return max(last, key=lambda one: one.tokens_per_second), as_it_is


def say(settings: Settings) -> str:
    """Settings for people."""
    shown = (f"{name}={value.get('method') if isinstance(value, dict) else value}" for name, value in settings.items())
    return ", ".join(shown) or "the engine as it is"


def first_words(failure: str) -> str:
    """The line of a failure that says most: the last one of the log that names an error, else the first."""
    lines = [line.strip() for line in failure.splitlines() if line.strip()]
    named = [line for line in lines[1:] if "Error" in line or "rror:" in line]
    return (named[-1] if named else lines[0])[:200]


def _try(
    number: int,
    settings: Settings,
    prompts: int,
    measure: Callable[[Settings, int], Measured],
    units: Callable[[Settings], int],
) -> Trial:
    try:
        measured = measure(settings, prompts)
    except EngineError as error:
        return Trial(number, settings, prompts, failure=error.what)
    speed = measured.output_tokens / measured.seconds / units(settings)
    return Trial(number, settings, prompts, speed, measured)


def _without_defaults(space: Mapping[str, Sequence[Any]], values: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(space, values, strict=True) if value is not None}
