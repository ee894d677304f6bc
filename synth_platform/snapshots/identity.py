"""What determines a version, and the folder that it lies in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from synth_platform.config import check_name
from synth_platform.digest import canonical, canonical_text, digest_canonical
from synth_platform.errors import SnapshotError
from synth_platform.snapshots.manifest import InputRef

UNPARTITIONED = "unpartitioned"
SEED = "seed"
"""The one setting that every asset has, and each cycle another value of."""
SHORTEST_PREFIX = 6
"""Characters of an id, at least, that stand for all of it."""


@dataclass(frozen=True)
class Identity:
    """All that determines a snapshot's content; equal identities may share work, different ones never.

    Args:
        asset: asset key path, such as ``quickstart/prompts/table``.
        partition: the cycle, or None.
        code_version: version of the stage's code.
        settings: the part of the spec that the stage reads, JSON-able.
        inputs: the snapshots it reads.
        attempt: raised to make the same thing anew.
    """

    asset: str
    partition: str | None
    code_version: str
    settings: Mapping[str, Any]
    inputs: tuple[InputRef, ...] = ()
    attempt: int = 0

    @property
    def fingerprint(self) -> str:
        """Digest of the identity; inputs count by content, not by where they lie."""
        return self.fingerprint_with(canonical(dict(self.settings)))

    def fingerprint_with(self, settings: str) -> str:
        """The same, where the canonical text of the settings is known."""
        text = canonical_text
        read = sorted([(ref.asset, ref.partition or "", ref.digest) for ref in self.inputs])
        inputs = ",".join([f"[{text(asset)},{text(partition)},{text(content)}]" for asset, partition, content in read])
        made = f"{text(self.asset)},{text(self.partition)},{text(self.code_version)}"
        return digest_canonical(f"[{made},{settings},[{inputs}],{self.attempt}]")

    @property
    def snapshot_id(self) -> str:
        """Folder name of the snapshot."""
        return id_of(self.fingerprint)

    @property
    def folder(self) -> str:
        """Path of the snapshot's folder below the root."""
        return version_folder(self.asset, self.partition, self.snapshot_id)


class Fingerprints:
    """Fingerprints of thousands of cycles, whose settings are for the most part the very same objects.

    They, or else their values, are written as JSON once, for as long as the asset's next cycle has that very object,
    not an equal one: 1 and 1.0 are equal, and have other digests.
    """

    def __init__(self) -> None:
        self._around: dict[str, tuple[Mapping[str, Any], str, str]] = {}
        self._written: dict[tuple[str, str], tuple[Any, str]] = {}

    def snapshot_id(self, identity: Identity, settings: Mapping[str, Any]) -> str:
        """As the identity itself would say.

        Args:
            identity: of one cycle.
            settings: the identity's, as they are but for the seed.
        """
        around = self._around.get(identity.asset)
        if around is None or around[0] is not settings:
            around = self._around[identity.asset] = settings, *self._around_seed(identity.asset, settings)
        _, before, after = around
        return id_of(identity.fingerprint_with(f'{{{before}"{SEED}":{identity.settings[SEED]}{after}}}'))

    def _around_seed(self, asset: str, settings: Mapping[str, Any]) -> tuple[str, str]:
        """What stands before and after the seed, where the keys are in their order."""
        texts = {name: self._text((asset, name), settings[name]) for name in sorted(settings)}
        before = "".join([f"{text}," for name, text in texts.items() if name < SEED])
        return before, "".join([f",{text}" for name, text in texts.items() if name > SEED])

    def _text(self, key: tuple[str, str], value: Any) -> str:
        if type(value) is str:  # digests: others for each cycle
            return f"{canonical_text(key[1])}:{canonical_text(value)}"
        written = self._written.get(key)
        if written is None or written[0] is not value:
            written = self._written[key] = value, canonical({key[1]: value})[1:-1]
        return written[1]


def id_of(fingerprint: str) -> str:
    """The part of a fingerprint that names the version."""
    return fingerprint[:16]


@lru_cache(maxsize=1024)
def _checked_partition(partition: str) -> str:
    return check_name(partition, "partition")


@lru_cache(maxsize=1024)
def _checked_asset(asset: str) -> str:
    for part in asset.split("/"):
        check_name(part, "asset name")
    return asset


def dataset_of(asset: str) -> str:
    """The dataset that an asset is of: the first part of its key path."""
    return asset.split("/", 1)[0]


def asset_folder(asset: str, partition: str | None) -> str:
    """Path of one partition of an asset below the root.

    Raises:
        SpecError: a part of the name could leave the root.
    """
    return f"{_checked_asset(asset)}/{_checked_partition(partition) if partition else UNPARTITIONED}"


def version_folder(asset: str, partition: str | None, snapshot_id: str) -> str:
    """Path of a version's folder below the root.

    Raises:
        SpecError: a part of the name could leave the root.
    """
    return f"{asset_folder(asset, partition)}/{check_name(snapshot_id, 'snapshot id')}"


def partition_of(folder: str) -> str | None:
    """The partition that a folder between an asset and its versions stands for."""
    return None if folder == UNPARTITIONED else folder


def complete_id(given: str, ids: Iterable[str]) -> str | None:
    """The id that was given, whole or only its beginning; None if there is none.

    Raises:
        SnapshotError: several begin so.
    """
    found = sorted({one for one in ids if one.startswith(given)})
    if given in found:
        return given
    if len(given) < SHORTEST_PREFIX or not found:
        return None
    if len(found) > 1:
        raise SnapshotError(f"{len(found):,} versions begin with {given!r}: {', '.join(found)}", fix="give more of it")
    return found[0]
