"""Apply a source's selection to its rows: every row becomes a document or a skipped row with its reason."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from synth_platform.digest import digest_int, digest_texts
from synth_platform.errors import SourceError
from synth_platform.privacy.config import PrivacySpec
from synth_platform.privacy.protect import protect
from synth_platform.snapshots.tombstones import NOTHING, RAW_DIGEST, TakenDown
from synth_platform.sources import filters
from synth_platform.sources.config import SelectionSpec
from synth_platform.sources.dedup import ExactDuplicates, HashMap, NearDuplicates, hash_texts
from synth_platform.sources.fields import Skip, skipped_frame
from synth_platform.sources.filters import CountTokens, Filter, Verdict
from synth_platform.sources.rows import RowBatch
from synth_platform.sources.schema import DOCUMENTS

Batch = tuple[str, pl.DataFrame]
"""Table name, ``documents`` or ``skipped``, and rows for it."""


class Selection:
    """The selection of one source.

    Args:
        source: name of the source, which begins each document's id.
        spec: what to select.
        seed: draws the sample.
        count_tokens: the generator's tokenizer.
        used: ids of documents that earlier cycles used.
        taken_down: documents that must not be used.
        privacy: what happens to personal data.
        scratch: folder for temporary files; others may use it at the same time.
    """

    def __init__(
        self,
        source: str,
        spec: SelectionSpec,
        *,
        seed: int,
        count_tokens: CountTokens,
        used: frozenset[str],
        taken_down: TakenDown = NOTHING,
        privacy: PrivacySpec,
        scratch: Path,
    ) -> None:
        self._privacy, self._taken_down = privacy, taken_down
        self._source, self._spec, self._seed = source, spec, seed
        self._count_tokens, self._used, self._scratch = count_tokens, used, scratch
        self._ids = _Ids(source)

    def select(self, batches: Iterable[RowBatch]) -> Iterator[Batch]:
        """Documents and skipped rows; each given row comes out exactly once."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix="selection-", dir=self._scratch) as folder, ExitStack() as stack:
            checks = self._checks(stack, Path(folder))
            chosen = (self._filter(rows, bad, checks) for rows, bad in batches)
            if self._spec.sample is None:
                for rows, skips in chosen:
                    yield "documents", rows.select(DOCUMENTS.names())
                    yield "skipped", skipped_frame(skips, self._source)
            else:
                yield from _Sample(self._source, self._spec, self._seed, Path(folder)).draw(chosen)

    def _checks(self, stack: ExitStack, folder: Path) -> list[Filter]:
        spec = self._spec
        checks: list[Filter] = [filters.required_columns]
        if spec.score:
            checks.append(filters.score_range(spec.score))
        if spec.languages:
            checks.append(filters.language(spec))
        if spec.min_tokens is not None or spec.max_tokens is not None:
            checks.append(filters.length(spec))
        if spec.heuristics:
            checks.append(filters.heuristics(spec.heuristics))
        if spec.exact_dedup:
            exact = ExactDuplicates(folder / "texts")
            stack.callback(exact.close)
            checks.append(lambda rows: [_same(kept) for kept in exact.check(_texts(rows), rows["id"].to_list())])
        if spec.near_dedup:
            near = NearDuplicates(spec.near_dedup, folder / "sketches")
            stack.callback(near.close)
            checks.append(lambda rows: [_near(nearest) for nearest in near.check(_texts(rows), rows["id"].to_list())])
        if self._used:
            checks.append(lambda rows: [("used_in_earlier_cycle", "") if i in self._used else None for i in rows["id"]])
        if self._taken_down:
            # After the duplicates: a copy of a document that was taken down must not take its place.
            checks.append(lambda rows: [("taken_down", "") if hit else None for hit in self._is_taken_down(rows)])
        return checks

    def _is_taken_down(self, rows: pl.DataFrame) -> list[bool]:
        return rows.select(self._taken_down.matches()).to_series().to_list()

    def _filter(self, rows: pl.DataFrame, bad: list[Skip], checks: list[Filter]) -> tuple[pl.DataFrame, list[Skip]]:
        rows, skips = self._protect(self._ids.assign(rows))
        skips += bad
        rows = rows.with_columns(
            pl.Series("tokens", self._count_tokens(_texts(rows)), dtype=pl.Int64()),
            pl.lit(self._source).alias("source"),
        )
        if self._spec.languages:
            rows = filters.with_language(rows)
        for check in checks:
            verdicts = check(rows) if rows.height else []
            skips += _skips(rows, verdicts)
            rows = rows.filter(pl.Series([verdict is None for verdict in verdicts], dtype=pl.Boolean()))
        return rows, skips

    def _protect(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Skip]]:
        """Rows with placeholders for personal data, and rows that have to go for what is in them.

        Ids and digests are made before: they do not change with the policies.
        """
        safe = protect(rows["text"], self._privacy.source, self._privacy)
        rows = rows.with_columns(safe.texts.alias("text"), safe.redacted.cast(pl.Int32()).alias("redacted"))
        skips = _skips(rows, [("privacy", ", ".join(kinds)) if kinds else None for kinds in safe.rejected.to_list()])
        return rows.filter(safe.rejected.list.len() == 0), skips


class _Ids:
    """Ids that are unique within a source: its own, or the digest of the text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._own, self._texts = HashMap(), HashMap()

    def assign(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows with ids, and the digests of their texts.

        Raises:
            SourceError: two rows have the same id in the source's own id column.
        """
        own = rows.filter(pl.col("id").is_not_null())
        self._refuse_doubles(own)
        repeated = _note(self._texts, hash_texts(_texts(rows)))
        digests = digest_texts(_texts(rows))
        # A text that comes twice, where duplicates are allowed, is told apart by its place.
        placed = digest_texts(_texts(rows), rows["location"].to_list())
        ids = [
            f"{self._source}/{given or (there if twice else text)}"
            for given, text, there, twice in zip(rows["id"], digests, placed, repeated, strict=True)
        ]
        return rows.with_columns(
            pl.Series("id", ids, dtype=pl.String()), pl.Series(RAW_DIGEST, digests, dtype=pl.String())
        )

    def _refuse_doubles(self, own: pl.DataFrame) -> None:
        doubled = own.filter(pl.Series(_note(self._own, hash_texts(own["id"].to_list())), dtype=pl.Boolean()))
        if doubled.height:
            examples = ", ".join(f"{row} at {place}" for row, place in doubled.select("id", "location").head(3).rows())
            raise SourceError(
                f"ids of the source {self._source!r} are not unique: {examples}",
                where=doubled["location"][0],
                fix="name another column as columns.id, or none: then the digest of the text is the id",
            )


def _note(seen: HashMap, hashes: np.ndarray) -> list[bool]:
    """Whether each hash came before, in this call or an earlier one."""
    again = np.ones(len(hashes), dtype=bool)
    again[np.unique(hashes, return_index=True)[1]] = False
    again |= seen.contains(hashes)
    fresh = hashes[~again]
    seen.add(fresh, np.zeros(len(fresh), dtype=np.uint32))
    return again.tolist()


class _Sample:
    """A seeded uniform sample: rows in the order of their hash until a budget is spent."""

    def __init__(self, source: str, spec: SelectionSpec, seed: int, folder: Path) -> None:
        assert spec.sample is not None
        self._source, self._budget, self._seed, self._folder = source, spec.sample, seed, folder

    def draw(self, batches: Iterable[tuple[pl.DataFrame, list[Skip]]]) -> Iterator[Batch]:
        """Documents of the sample, and all others as skipped rows."""
        parts: list[Path] = []
        keys: list[pl.DataFrame] = []
        for rows, skips in batches:
            yield "skipped", skipped_frame(skips, self._source)
            if rows.height:
                parts.append(self._folder / f"{len(parts):06}.parquet")
                rows.write_parquet(parts[-1])
                hashes = [digest_int(self._seed, row) for row in rows["id"]]
                keys.append(rows.select("number", "tokens").with_columns(pl.Series("key", hashes, dtype=pl.Int64())))
        chosen = self._choose(pl.concat(keys)) if keys else set()
        for part in parts:
            rows = pl.read_parquet(part, glob=False)
            drawn = pl.Series([number in chosen for number in rows["number"]], dtype=pl.Boolean())
            yield "documents", rows.filter(drawn).select(DOCUMENTS.names())
            left = rows.filter(~drawn)
            yield "skipped", skipped_frame(_skips(left, [("not_sampled", "")] * left.height), self._source)
            part.unlink()

    def _choose(self, keys: pl.DataFrame) -> set[int]:
        ordered = keys.sort("key", "number")
        if self._budget.documents is not None:
            ordered = ordered.head(self._budget.documents)
        if self._budget.tokens is not None:
            ordered = ordered.filter(pl.col("tokens").cum_sum() <= self._budget.tokens)
        return set(ordered["number"])


def _skips(rows: pl.DataFrame, verdicts: list[Verdict]) -> list[Skip]:
    columns = rows.select("number", "id", "location", "url").iter_rows()
    return [
        Skip(number, row, location, *verdict, url=url)
        for (number, row, location, url), verdict in zip(columns, verdicts, strict=True)
        if verdict is not None
    ]


def _same(kept: str | None) -> Verdict:
    return None if kept is None else ("duplicate", kept)


def _near(nearest: tuple[float, str] | None) -> Verdict:
    return None if nearest is None else ("near_duplicate", f"similarity {nearest[0]:.2f} to {nearest[1]}")


def _texts(rows: pl.DataFrame) -> list[str]:
    return rows["text"].to_list()
