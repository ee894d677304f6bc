"""What versions were made from, kept on disk: the manifests of thousands of cycles are read once."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from synth_platform.digest import digest
from synth_platform.snapshots.head_cache import WORTH_WRITING, write_aside
from synth_platform.snapshots.manifest import InputRef

_Key = tuple[str, str | None, str]
"""Asset, partition and id of a version."""
_COLUMNS: dict[str, type[pl.DataType]] = dict.fromkeys(("asset", "partition", "snapshot_id", "inputs"), pl.String)
_INPUTS = TypeAdapter(list[InputRef])


class InputCache:
    """The inputs of versions: they belong to what a version's id stands for, so they stay true for good.

    A cache only: where its file is missing, unreadable or cannot be written, manifests are read themselves.

    Args:
        folder: for files of this kind.
        url: of the store whose versions they are.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._file = folder / "inputs" / f"{digest(url)[:16]}.parquet"
        self._new = 0

    def inputs(self, key: _Key) -> Sequence[InputRef] | None:
        """Of a version; None if they are not known."""
        text = self._known.get(key)
        try:
            return _INPUTS.validate_json(text) if text is not None else None
        except ValidationError:
            return None

    def keep(self, key: _Key, inputs: Sequence[InputRef]) -> None:
        """Remember them."""
        self._known[key] = _INPUTS.dump_json(list(inputs)).decode()
        self._new += 1

    def save(self) -> None:
        """Write what is known, if much of it is new."""
        if self._new >= WORTH_WRITING:
            rows = [(*key, text) for key, text in self._known.items()]
            if write_aside(pl.DataFrame(rows, schema=_COLUMNS, orient="row"), self._file):
                self._new = 0

    @cached_property
    def _known(self) -> dict[_Key, str]:
        try:
            frame = pl.read_parquet(self._file, schema=_COLUMNS)
        except (OSError, pl.exceptions.PolarsError):
            return {}
        return {(asset, partition, snapshot_id): text for asset, partition, snapshot_id, text in frame.iter_rows()}
