"""One YAML file per dataset: its models, and the Dagster component that turns it into a graph."""

from synth_platform.dataset.component import DatasetComponent

__all__ = ["DatasetComponent"]
