"""Accounting between two stages: which keys got lost, which came from nowhere, which are there twice."""

from dataclasses import dataclass, field

import polars as pl

_EXAMPLES = 3


@dataclass(frozen=True)
class Reconciliation:
    """How the keys of a child table match those of its parent."""

    parents: int
    children: int
    missing: int
    """Keys of the parent without a row in the child."""
    strays: int
    """Keys of the child that the parent does not have."""
    doubled: int
    """Rows of the child beyond the first of each key."""
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def unaccounted(self) -> int:
        """Rows that the books cannot explain."""
        return self.missing + self.strays + self.doubled

    @property
    def closes(self) -> bool:
        """Whether every key of the parent has exactly one row, and there are no others."""
        return self.unaccounted == 0

    def describe(self) -> str:
        """The counts as Markdown."""
        lines = [
            f"{self.parents:,} in, {self.children:,} out: {self.missing:,} missing, {self.strays:,} strays,"
            f" {self.doubled:,} doubled"
        ]
        lines += [f"- {kind}: {', '.join(keys)}" for kind, keys in self.examples.items() if keys]
        return "\n".join(lines)


def reconcile(parents: pl.LazyFrame, children: pl.LazyFrame, *, parent: str, child: str) -> Reconciliation:
    """Match two tables by key.

    Args:
        parents: what went in; its keys are unique.
        children: what came out.
        parent: key column of the first.
        child: key column of the second.
    """
    keys = parents.select(pl.col(parent).alias("key"))
    found = children.select(pl.col(child).alias("key"))
    missing = keys.join(found, on="key", how="anti")
    strays = found.join(keys, on="key", how="anti").unique()
    doubled = found.group_by("key").len().filter(pl.col("len") > 1)
    counts = pl.collect_all(
        [
            keys.select(pl.len()),
            found.select(pl.len()),
            missing.select(pl.len()),
            strays.select(pl.len()),
            doubled.select((pl.col("len") - 1).sum()),
        ]
    )
    numbers = [int(frame.item() or 0) for frame in counts]
    tables = {"missing": missing, "strays": strays, "doubled": doubled.select("key")}
    examples = {
        kind: [str(key) for key in table.sort("key").head(_EXAMPLES).collect()["key"]]
        for (kind, table), number in zip(tables.items(), numbers[2:], strict=True)
        if number
    }
    went_in, came_out, lost, unknown, twice = numbers
    return Reconciliation(went_in, came_out, lost, unknown, twice, examples)
