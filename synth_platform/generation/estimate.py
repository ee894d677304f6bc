"""What a run will take before it is started: prompts, tokens, engine hours, money, and what that rests on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from synth_platform.snapshots import Snapshot

_HOUR = 3600.0

PUBLISHED_ANSWER_SHARE = 486e9 / (339e6 * 4) / 2048
"""Mean answer length as a share of max_tokens: FinePhrase wrote 486B tokens in 339M x 4 answers of at most 2,048."""
PUBLISHED_DOCUMENT_TOKENS = 1030
"""Mean length of a FineWeb-Edu document: 9.7M documents make 10B tokens in its sample-10BT."""
_PUBLISHED_SPEED = 9220.0
"""Output tokens per second of SmolLM2-1.7B on one H100 with tuned vLLM (FinePhrase; 135M: 45,540)."""
_PUBLISHED_SIZE = 1.7e9
_SPEED_EXPONENT = 0.63
"""How speed falls with size between the two published models: (1.7B / 135M) ** 0.63 = 45,540 / 9,220."""
_LEAST_SECONDS = 5.0
"""Shorter measurements say nothing of an engine's speed."""
_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*([MB])(?![a-z])", re.I)


@dataclass(frozen=True)
class RecipeLoad:
    """What one recipe asks of the engine.

    Args:
        recipe: its name.
        prompts: how many.
        prompt_tokens: mean length of a prompt.
        output_tokens: mean length of an answer.
    """

    recipe: str
    prompts: int
    prompt_tokens: float
    output_tokens: float


@dataclass(frozen=True)
class Speed:
    """Output tokens per second of one GPU (one server, where there is none), and where the figure is from."""

    tokens_per_second: float
    basis: str


@dataclass(frozen=True)
class Estimate:
    """A bill with its assumptions. Hours are of one GPU (one server, where there is none)."""

    loads: tuple[RecipeLoad, ...]
    speed: Speed | None
    price_per_hour: float | None
    assumptions: tuple[str, ...]

    @property
    def prompts(self) -> int:
        """Over all recipes."""
        return sum(load.prompts for load in self.loads)

    @property
    def prompt_tokens(self) -> float:
        """Over all recipes."""
        return sum(load.prompts * load.prompt_tokens for load in self.loads)

    @property
    def output_tokens(self) -> float:
        """Over all recipes."""
        return sum(load.prompts * load.output_tokens for load in self.loads)

    @property
    def engine_hours(self) -> float | None:
        """None while the engine's speed is not known."""
        return None if self.speed is None else self.output_tokens / self.speed.tokens_per_second / _HOUR

    @property
    def cost(self) -> float | None:
        """None without a price or a speed."""
        hours = self.engine_hours
        return None if hours is None or self.price_per_hour is None else hours * self.price_per_hour

    @property
    def cost_per_million(self) -> float | None:
        """Cost per million output tokens."""
        return None if self.cost is None or not self.output_tokens else self.cost / self.output_tokens * 1e6

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "recipes": [asdict(load) for load in self.loads],
            "prompts": self.prompts,
            "prompt_tokens": round(self.prompt_tokens),
            "output_tokens": round(self.output_tokens),
            "tokens_per_second": None if self.speed is None else round(self.speed.tokens_per_second, 1),
            "engine_hours": self.engine_hours,
            "price_per_hour": self.price_per_hour,
            "cost": self.cost,
            "cost_per_million_tokens": self.cost_per_million,
            "assumptions": list(self.assumptions),
        }

    def describe(self) -> str:
        """One line."""
        parts = [f"{self.prompts:,} prompts", f"{self.prompt_tokens:,.0f} prompt tokens"]
        parts.append(f"about {self.output_tokens:,.0f} output tokens")
        if self.engine_hours is not None:
            parts.append(f"{self.engine_hours:,.2f} engine hours")
        if self.cost is not None:
            parts.append(f"{self.cost:,.2f} in money")
        return ", ".join(parts)


def answer_tokens(made: Snapshot | None, model: str, fields: Mapping[str, Any]) -> tuple[float, str]:
    """Mean length of an answer, and what the figure rests on.

    Args:
        made: an earlier version of the same recipe's generations; counts if model and sampling were the same.
        model: name of the model.
        fields: what requests say beside their messages.
    """
    if made is not None and made.manifest.rows and _same(made, model, fields):
        length = float(made.scan().select(pl.col("completion_tokens").mean()).collect().item() or 0.0)
        return length, f"{length:,.0f} tokens per answer, as in the {made.manifest.rows:,} of the last version"
    length = PUBLISHED_ANSWER_SHARE * int(fields["max_tokens"])
    share = f"{PUBLISHED_ANSWER_SHARE:.0%} of max_tokens, as in FinePhrase (published)"
    return length, f"{length:,.0f} tokens per answer, {share}"


def known_speed(made: Sequence[Snapshot | None], model: str) -> Speed | None:
    """The engine's speed in earlier versions, else a guess from published runs; None if neither is to be had."""
    tokens, seconds = 0, 0.0
    for version in made:
        if version is not None and version.manifest.rows and version.manifest.settings.get("model") == model:
            tokens += int(version.scan().select(pl.col("completion_tokens").sum()).collect().item() or 0)
            seconds += float(version.manifest.details.get("busy_seconds", 0.0))
    if seconds < _LEAST_SECONDS or not tokens:
        return published_speed(model)
    return Speed(
        tokens / seconds, f"{tokens / seconds:,.0f} output tokens/s per GPU or server, as measured in the last version"
    )


def _same(made: Snapshot, model: str, fields: Mapping[str, Any]) -> bool:
    settings = made.manifest.settings
    return settings.get("model") == model and settings.get("sampling") == dict(fields)


def published_speed(model: str) -> Speed | None:
    """A guess from published runs, by the size in a model's name; None where the name has none."""
    if (size := model_size(model)) is None:
        return None
    speed = _PUBLISHED_SPEED * (_PUBLISHED_SIZE / size) ** _SPEED_EXPONENT
    return Speed(
        speed,
        f"{speed:,.0f} output tokens/s per GPU: published for tuned vLLM on an H100 (SmolLM2-1.7B 9,220, 135M 45,540),"
        f" scaled to {size / 1e9:g}B parameters",
    )


def model_size(model: str) -> float | None:
    """Parameters, read from a name such as SmolLM2-1.7B-Instruct."""
    found = _SIZE.search(model.rsplit("/", 1)[-1].replace("-", " ").replace("_", " "))
    return float(found[1]) * {"M": 1e6, "B": 1e9}[found[2].upper()] if found else None


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0
