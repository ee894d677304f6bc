"""What a version of the generations may cost, and what it has cost so far."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from synth_platform.errors import SynthError
from synth_platform.generation.config import BudgetSpec

_HOUR = 3600.0


class BudgetSpent(SynthError):
    """The budget is used up. What was made is kept; with a larger budget the same run goes on."""


@dataclass(frozen=True)
class Spent:
    """What was spent, exactly for tokens, and by the clock for hours."""

    output_tokens: int = 0
    engine_seconds: float = 0.0
    """Seconds times GPUs (times servers, where there are none)."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.output_tokens + other.output_tokens, self.engine_seconds + other.engine_seconds)


@dataclass(frozen=True)
class Share:
    """What one of several workers may spend; tokens come as loans, see `Budget.allow`."""

    engine_seconds: float | None
    tokens_are_lent: bool


class Budget:
    """Guards the limits of a spec while requests are sent.

    Args:
        spec: the limits; None where there is none.
        spent: what earlier runs spent on the same version.
        units: GPUs (or servers) that are paid for while this run lasts.
        price_per_hour: of one of them.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        spec: BudgetSpec | None = None,
        spent: Spent | None = None,
        *,
        units: float = 1.0,
        price_per_hour: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._spec, self._before = spec or BudgetSpec(), spent or Spent()
        self.units, self.price_per_hour, self._clock = units, price_per_hour, clock
        self._started = clock()
        self._tokens, self._reserved = 0, 0
        self._most_tokens = self._spec.output_tokens
        self._seconds_allowed = self._allowed_seconds()

    @property
    def spent(self) -> Spent:
        """All that was spent on this version by now."""
        return self._before + Spent(self._tokens, self.session_seconds * self.units)

    @property
    def session_seconds(self) -> float:
        """Seconds since this run began to pay."""
        return self._clock() - self._started

    def refuses(self, most_tokens: int) -> BudgetSpent | None:
        """Why a request with so long an answer may not be sent now; None if it may."""
        limit = self._most_tokens
        before = self._before.output_tokens + self._tokens
        if limit is not None and before + self._reserved + most_tokens > limit:
            return _spent(
                "output_tokens", f"{before:,} of {limit:,} tokens are written, and the next answer may not fit"
            )
        if self._seconds_allowed is not None and self.spent.engine_seconds >= self._seconds_allowed:
            hours = self.spent.engine_seconds / _HOUR
            key = "cost" if self._allowed_by_cost() == self._seconds_allowed else "engine_hours"
            price = f", {hours * self.price_per_hour:,.2f} in money" if self.price_per_hour is not None else ""
            return _spent(key, f"{hours:,.3f} engine hours are used{price}")
        return None

    def reserve(self, most_tokens: int) -> None:
        """A request was sent."""
        self._reserved += most_tokens

    def settle(self, most_tokens: int, used: int) -> None:
        """A request came back, with so many tokens."""
        self._reserved -= most_tokens
        self._tokens += used

    @property
    def tokens_left(self) -> int | None:
        """Tokens that may still be written; None: as many as there are."""
        limit = self._most_tokens
        return None if limit is None else limit - self._before.output_tokens - self._tokens

    def allow(self, tokens: int) -> None:
        """Move the limit of tokens, where there is one."""
        if self._most_tokens is not None:
            self._most_tokens += tokens

    def cost_of(self, engine_hours: float) -> float | None:
        """What so many hours cost in money; None without a price."""
        return None if self.price_per_hour is None else round(engine_hours * self.price_per_hour, 4)

    def share(self, workers: int) -> "Share":
        """The part of one of several workers: time is divided, tokens are lent."""
        allowed = self._seconds_allowed
        left = None if allowed is None else max(allowed - self.spent.engine_seconds, 0.0) / workers
        return Share(left, self._most_tokens is not None)

    @classmethod
    def of_share(cls, share: "Share", *, units: float, price_per_hour: float | None) -> "Budget":
        """A worker's own budget."""
        budget = cls(units=units, price_per_hour=price_per_hour)
        budget._seconds_allowed = share.engine_seconds
        budget._most_tokens = 0 if share.tokens_are_lent else None
        return budget

    def _allowed_seconds(self) -> float | None:
        hours = self._spec.engine_hours
        limits = [hours * _HOUR if hours is not None else None, self._allowed_by_cost()]
        return min((limit for limit in limits if limit is not None), default=None)

    def _allowed_by_cost(self) -> float | None:
        if self._spec.cost is None or not self.price_per_hour:
            return None
        return self._spec.cost / self.price_per_hour * _HOUR


def engine_cost(details: Mapping[str, Any]) -> float | None:
    """What the engine cost for a version of generations, by its manifest's details; None without a price."""
    price = details.get("price_per_hour")
    return None if price is None else float(details.get("engine_seconds", 0.0)) / _HOUR * float(price)


def per_accepted_million(details: Mapping[str, Any], accepted_tokens: int) -> dict[str, float]:
    """Engine hours, and money where there is a price, per million tokens that were accepted."""
    if not accepted_tokens:
        return {}
    millions = accepted_tokens / 1e6
    hours, cost = float(details.get("engine_seconds", 0.0)) / _HOUR, engine_cost(details)
    found = {"engine_hours_per_accepted_million_tokens": round(hours / millions, 6)}
    return found if cost is None else found | {"cost_per_accepted_million_tokens": round(cost / millions, 6)}


def _spent(key: str, what: str) -> BudgetSpent:
    return BudgetSpent(
        f"the budget is used up: {what}",
        where=f"budget.{key}",
        fix="all answers are kept; raise the budget and run again to go on, or leave it as it is",
    )
