"""What versions were made from, kept on disk: the manifests of thousands of cycles are read once."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from synth_platform.snapshots.cache_file import CacheFile
from synth_platform.snapshots.manifest import InputRef

_Key = tuple[str, str | None, str]
"""Asset, partition and id of a version."""
_COLUMNS: dict[str, type[pl.DataType]] = dict.fromkeys(("asset", "partition", "snapshot_id", "inputs"), pl.String)
_INPUTS = TypeAdapter(list[InputRef])


class InputCache:
    """The inputs of versions: they belong to what a version's id stands for, so they stay true for good.

    Args:
        folder: for files of this kind.
        url: of the store whose versions they are.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self._file = CacheFile(folder / "inputs", url, _COLUMNS)
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
        if self._new and self._file.keep(((*key, text) for key, text in self._known.items()), new=self._new):
            self._new = 0

    @cached_property
    def _known(self) -> dict[_Key, str]:
        return {(asset, partition, snapshot_id): text for asset, partition, snapshot_id, text in self._file.rows()}
