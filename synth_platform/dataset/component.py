"""The Dagster component: a `defs.yaml` of type `synth_platform.dataset.DatasetComponent` becomes a graph."""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel

from synth_platform.dataset.definitions import dataset_definitions
from synth_platform.dataset.spec import SPEC_FILE, DatasetSpec, load_spec


class DatasetComponent(dg.Component):
    """One dataset: sources, recipes, engine, gates, benchmarks, mixture, cadence and seed in one file."""

    def __init__(self, spec: DatasetSpec, base: Path) -> None:
        self.spec, self.base = spec, base

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The model of the attributes, for `dg` to check and document."""
        return DatasetSpec

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> "DatasetComponent":
        """Read the file anew: its own reader is stricter than YAML, and its errors name file and line."""
        return cls(load_spec(context.path / SPEC_FILE), context.path)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Assets, checks, job and schedule of the dataset."""
        return dataset_definitions(self.spec, self.base)
