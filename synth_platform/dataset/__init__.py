"""One YAML file per dataset: its models, and the Dagster component that turns it into a graph."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_platform.dataset.component import DatasetComponent

__all__ = ["DatasetComponent"]


def __getattr__(name: str) -> Any:
    """The component, only when it is asked for: commands that look at specs need not wait for all of Dagster."""
    if name != "DatasetComponent":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from synth_platform.dataset.component import DatasetComponent

    return DatasetComponent


def __dir__() -> list[str]:
    return [*globals(), *__all__]
