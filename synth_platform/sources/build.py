"""Build the documents of a dataset from all of its sources."""

from collections.abc import Iterator, Sequence
from pathlib import Path

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
        selected = skipped = 0
        with track(f"documents · {source.name}") as task:
            for table, rows in selection.select(read_rows(source, base=base, seed=own_seed)):
                selected += rows.height if table == "documents" else 0
                skipped += rows.height if table == "skipped" else 0
                task.advance(rows.height, tokens=int(rows["tokens"].sum()) if table == "documents" else 0)
                yield table, rows
        if not selected and not source.allow_empty:
            raise SourceError(
                f"the source {source.name!r} gives no document ({skipped:,} rows read, all skipped)",
                where=source.name,
                fix="loosen its selection, check its files, or set allow_empty: true",
            )
