"""The cycles of a cadence: a dataset's partitions, when they are made, and until when they should be there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import TYPE_CHECKING

import dagster as dg
from dagster._utils.schedules import cron_string_iterator, reverse_cron_string_iterator

from synth_platform.errors import SpecError
from synth_platform.snapshots import Snapshots

if TYPE_CHECKING:
    from synth_platform.dataset.spec import CadenceSpec, DatasetSpec

_KEY = "%Y-%m-%d"
_KEY_WITH_TIME = "%Y-%m-%d-%H.%M"
_LOOKED_AT = timedelta(weeks=6)
"""Holds each week as it comes in a month; a cadence with fewer times in it is looked at for years."""
_LEAST_TIMES = 24
_NAMED = 3


@dataclass(frozen=True)
class LoneCycle:
    """A cycle by itself, whatever the cadence: releases outlive the cadence that they were made by.

    Args:
        name: of the cycle; None: it was made when the dataset had none.
    """

    name: str | None

    @property
    def partitions(self) -> dg.StaticPartitionsDefinition | None:
        """As those of a cadence."""
        return dg.StaticPartitionsDefinition([self.name]) if self.name is not None else None


def partitions_of(cadence: "CadenceSpec | None") -> dg.TimeWindowPartitionsDefinition | None:
    """The cycles of a cadence, each called by the time when it begins."""
    if cadence is None:
        return None
    fmt = _KEY_WITH_TIME if cadence.several_a_day else _KEY
    start = datetime.fromisoformat(cadence.start).strftime(fmt)
    return dg.TimeWindowPartitionsDefinition(
        start=start, fmt=fmt, cron_schedule=cadence.cycle_cron, timezone=cadence.timezone
    )


def newest_cycle(partitions: dg.TimeWindowPartitionsDefinition) -> str | None:
    """The last cycle that has ended by now."""
    return partitions.get_last_partition_key()


def cycles_made(
    snapshots: Snapshots, asset: str, partitions: dg.TimeWindowPartitionsDefinition | None
) -> tuple[list[str | None], list[str]]:
    """The cycles in which an asset was made, and those that the cadence had once and has no more.

    Dagster refuses to run the latter, and a dataset without cycles has none but one that is called None.
    """
    made = snapshots.partitions(asset)
    if partitions is None:
        return [None], made
    known = set(partitions.get_partition_keys())
    return [one for one in made if one in known], [one for one in made if one not in known]


def left_out(cycles: Sequence[str]) -> str:
    """Words for cycles that the cadence has no more; none, if there are none."""
    return f" Left out, since the cadence no longer has such cycles: {some_of(cycles)}." if cycles else ""


def some_of(names: Sequence[str]) -> str:
    """The first of some names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def check_cycle(spec: "DatasetSpec", partition: str | None) -> None:
    """Make sure that a cycle is given where there are cycles, and that it is one of them.

    Raises:
        SpecError: it is missing, too much, or not one that has ended.
    """
    partitions = partitions_of(spec.cadence)
    if partitions is None:
        if partition is not None:
            raise SpecError(
                f"the dataset {spec.name!r} has no cadence, so no partition {partition!r}",
                fix="leave --partition out, or give the dataset a cadence",
            )
        return
    newest = newest_cycle(partitions)
    if partition is None:
        raise SpecError(
            f"the dataset {spec.name!r} has a cadence: say which cycle to make",
            fix=f"add --partition{f', for example --partition {newest}' if newest else ''}",
        )
    if not partitions.has_partition_key(partition):
        raise SpecError(
            f"the dataset {spec.name!r} has no cycle {partition[:60]!r}",
            fix=f"the last one that has ended is {newest}" if newest else "none has ended yet",
        )


def freshness_of(cadence: "CadenceSpec") -> dg.FreshnessPolicy:
    """A new release in each period: late by the deadline is a failure, late by half of it a warning."""
    period, deadline = longest_period(cadence), deadline_of(cadence)
    return dg.FreshnessPolicy.time_window(fail_window=period + deadline, warn_window=period + deadline / 2)


def deadline_of(cadence: "CadenceSpec") -> timedelta:
    """How long after the schedule's time a release may take."""
    given = cadence.deadline_hours
    return longest_period(cadence) / 4 if given is None else timedelta(hours=given)


def due_cycle(cadence: "CadenceSpec", at: float) -> str | None:
    """The newest cycle whose release is late if it is not there at a time; None before the first.

    Args:
        cadence: of the dataset.
        at: the time, in seconds since 1970.
    """
    until = at - deadline_of(cadence).total_seconds()
    scheduled = next(reverse_cron_string_iterator(until, cadence.schedule_cron, cadence.timezone))
    partitions = partitions_of(cadence)
    assert partitions is not None
    with dg.partition_loading_context(effective_dt=scheduled):
        return newest_cycle(partitions)


def longest_period(cadence: "CadenceSpec") -> timedelta:
    """The longest time from one run of the schedule to the next."""
    start = datetime.fromisoformat(cadence.start).timestamp()
    ticks = cron_string_iterator(start, cadence.schedule_cron, cadence.timezone)
    first = next(ticks)
    until = first + _LOOKED_AT
    few, all_in = [first, *islice(ticks, _LEAST_TIMES)], takewhile(lambda tick: tick <= until, ticks)
    return max(later - earlier for earlier, later in pairwise([*few, *all_in]))
