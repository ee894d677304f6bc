"""What things are called in Dagster."""

from collections.abc import Iterable

EVALS_GROUP = "evals"
"""First part of the keys of test sets, which belong to no dataset."""
REFUSED_GROUP = "refused_specs"
"""First part of the keys of what stands for specs that cannot be used."""


def group_name(name: str) -> str:
    """A name as Dagster allows it for groups and jobs."""
    return name.replace("-", "_").replace(".", "_")


def names_alike(names: Iterable[str]) -> str | None:
    """Two different names that would be one in Dagster, in words, if there are any."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(group_name(name), name)) != name:
            return f"{other!r} and {name!r} have one name in Dagster, where - . and _ are the same"
    return None


def node_name(asset: str) -> str:
    """Dagster's name for what makes or checks an asset."""
    return group_name(asset.replace("/", "__"))
