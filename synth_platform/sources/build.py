"""Build the documents of a dataset from all of its sources."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from synth_platform.digest import digest_int
from synth_platform.errors import SourceError
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.protect import DEFAULT_PRIVACY
from synth_platform.progress import track
from synth_platform.snapshots.tombstones import NOTHING, TakenDown
from synth_platform.sources.config import SourceSpec
from synth_platform.sources.filters import CountTokens
from synth_platform.sources.rows import read_rows, source_fingerprint
from synth_platform.sources.selection import Batch, Selection

__all__ = ["build_documents", "source_fingerprint"]


def build_documents(
    sources: Sequence[SourceSpec],
    *,
    base: Path,
    seed: int,
    count_tokens: CountTokens,
    used: frozenset[str],
    scratch: Path,
    taken_down: TakenDown = NOTHING,
    privacy: PrivacySpec = DEFAULT_PRIVACY,
) -> Iterator[Batch]:
    """Documents and skipped rows of all sources, in their order; every row that is read is in one of the two.

    Args:
        sources: the spec's sources.
        base: folder that relative paths start from.
        seed: decides samples, and what the playground is about.
        count_tokens: the generator's tokenizer.
        used: ids of documents that are not to be used again.
        scratch: folder for temporary files.
        taken_down: documents that must not be used.
        privacy: what happens to personal data.

    Raises:
        SourceError: a source is missing, damaged, or gives no document.
    """
    for source in sources:
        own_seed = digest_int(seed, source.name)
        selection = Selection(
            source.name,
            source.select,
            seed=own_seed,
            count_tokens=count_tokens,
            used=used,
            taken_down=taken_down,
            privacy=privacy,
            scratch=scratch,
        )
        selected, skipped = 0, _Reasons()
        with track(f"documents · {source.name}") as task:
            for table, rows in selection.select(read_rows(source, base=base, seed=own_seed)):
                selected += rows.height if table == "documents" else 0
                if table == "skipped":
                    skipped.add(rows)
                task.advance(rows.height, tokens=int(rows["tokens"].sum()) if table == "documents" else 0)
                yield table, rows
        if not selected and not source.allow_empty:
            raise SourceError(
                f"the source {source.name!r} gives no document: {skipped.describe()}",
                where=source.name,
                fix="loosen its selection, check its files, or set allow_empty: true",
            )


@dataclass
class _Reasons:
    """Why rows of a source were skipped, and an example of each reason."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, skipped: pl.DataFrame) -> None:
        """Count some more."""
        for reason, detail, count in skipped.group_by("reason", maintain_order=True).agg(
            pl.col("detail").first(), pl.len()
        ).iter_rows():  # fmt: skip
            self.counts[reason] += count
            self.examples.setdefault(reason, detail or "")

    def describe(self) -> str:
        """How many, and for what reasons, the most frequent first."""
        if not self.counts:
            return "it has no rows"
        reasons = (
            f"{reason} {count:,}" + (f" ({self.examples[reason]})" if self.examples[reason] else "")
            for reason, count in self.counts.most_common(3)
        )
        return f"{self.counts.total():,} rows read, all skipped: {', '.join(reasons)}"
