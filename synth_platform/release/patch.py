"""A patch of a release: the same rows without those that something speaks against since it was made."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from synth_platform.errors import SnapshotError
from synth_platform.snapshots import Snapshot, Snapshots
from synth_platform.snapshots.catalog import input_of, kind_of, ref_of
from synth_platform.snapshots.findings import FINDINGS, rows_against
from synth_platform.snapshots.manifest import InputRef


@dataclass(frozen=True)
class Patch:
    """What a patch is made of.

    Args:
        replaced: the release that it replaces.
        findings: what speaks against rows of it: a scan that found test items, a takedown, or both. None: the same
            rows are released anew.
    """

    replaced: Snapshot
    findings: tuple[Snapshot, ...]

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Ids of the rows that the patch leaves out."""
        if not self.findings:
            return ()
        rows = pl.concat([rows_against(one) for one in self.findings]).unique().sort("id").collect()
        return tuple(rows["id"])

    def parts(self, table: str) -> Iterator[pl.DataFrame]:
        """The rows that stay, one frame per file of the release: files without a removed row keep their bytes."""
        for file in self.replaced.files(table):
            yield pl.read_parquet(file, glob=False).filter(~pl.col("id").is_in(list(self.removed)))

    def rows(self) -> pl.LazyFrame:
        """All rows that stay."""
        return self.replaced.scan().filter(~pl.col("id").is_in(list(self.removed)))

    def describe(self) -> str:
        """One sentence for the card."""
        said = "; ".join(_describe(one) for one in self.findings) or "its rows are the same"
        return f"This version replaces {self.replaced.manifest.snapshot_id}: {said}."


def find_patch(
    snapshots: Snapshots,
    release_asset: str,
    finding_assets: Sequence[str],
    partition: str | None,
    mixture: InputRef,
    is_as_wanted: Callable[[Snapshot], bool],
) -> Patch | None:
    """The patch that the current release of this mixture needs, or is; None: the mixture is right as it is.

    Args:
        snapshots: all versions.
        release_asset: the release.
        finding_assets: assets that may speak against its rows.
        partition: the cycle.
        mixture: what is released.
        is_as_wanted: whether a release was made by the settings of today.
    """
    judged = [asset for asset in finding_assets if snapshots.current_ref(asset, partition) is not None]
    try:
        inputs = snapshots.inputs_of_current(release_asset, partition)
        mixed = ref_of("mixture", inputs)
        if mixed is None or mixed.digest != mixture.digest:
            return None
        if not judged and ref_of("release", inputs) is None:
            return None  # as most are: no manifest has to be read
        release = snapshots.head(release_asset, partition)
    except SnapshotError:  # it is gone: what is made now takes its place
        return None
    if release is None:
        return None
    heads = [snapshots.head(asset, partition) for asset in judged]
    findings = tuple(one for one in heads if one is not None and speaks_against(one, release))
    if findings:
        return Patch(release, findings)
    made_by = _made_by(snapshots, release)
    if made_by is not None and made_by.replaced.removal is not None and not is_as_wanted(release):
        return Patch(release, ())  # the rows that it was made from are gone
    return made_by


def speaks_against(finding: Snapshot, release: Snapshot) -> bool:
    """Whether a finding is about this very release, and names rows of it."""
    if input_of(finding, "release") != release.ref or not finding.manifest.rows:
        return False
    return not rows_against(finding).head(1).collect().is_empty()


def _made_by(snapshots: Snapshots, release: Snapshot) -> Patch | None:
    """The patch that a release is, if it is one."""
    refs = {kind_of(ref.asset): ref for ref in release.manifest.inputs}
    if "release" not in refs:
        return None
    findings = tuple(snapshots.require(refs[kind]) for kind in FINDINGS if kind in refs)
    return Patch(snapshots.require(refs["release"]), findings)


def _describe(finding: Snapshot) -> str:
    rows = rows_against(finding).select(pl.len()).collect().item()
    if kind_of(finding.manifest.asset) == "takedown":
        return f"{rows:,} rows were taken out on request (takedown {', '.join(finding.manifest.settings['takedowns'])})"
    hits = finding.scan("contamination").filter(pl.col("verdict") == "contaminated")
    named = hits.select(pl.col("eval").unique().sort()).collect()["eval"].to_list()
    return f"{rows:,} rows were taken out in which items of {', '.join(named)} were found after it was released"
