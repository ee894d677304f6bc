"""Search texts for test items by every method, and say of each text whether it is clean, suspect or contaminated."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from synth_platform.contamination.code import LEAST_INFORMATION, CodeStream, looks_like_code, normalise
from synth_platform.contamination.config import ExactSpec, Method
from synth_platform.contamination.eval_index import EvalIndex
from synth_platform.contamination.exact import ExactMatcher, Match
from synth_platform.contamination.paraphrase import ParaphraseMatcher, Resemblance
from synth_platform.contamination.schema import CONTAMINATION
from synth_platform.contamination.word_index import Index
from synth_platform.contamination.words import Words, shorten, split_words
from synth_platform.encoder import Encode
from synth_platform.errors import SynthError
from synth_platform.parallel import in_parallel, text_blocks
from synth_platform.progress import track

VERDICTS = ("clean", "suspect", "contaminated")
"""From good to bad."""
_BLOCK_BYTES = 400_000
"""Text that is looked at together: as much as a processor keeps near."""
_SPAN_CHARACTERS, _EVAL_SPAN_CHARACTERS = 160, 80
_CODE_STRETCH = 1e9
"""A stretch of a long program is nothing: no number of nats makes it suspect."""


@dataclass(frozen=True)
class _Hit:
    """An item found in a text of the block."""

    text: int
    eval: str
    eval_id: str
    method: Method
    score: float
    span: str
    eval_span: str
    start: int
    end: int
    verdict: str


class Scanner:
    """Searches batches of texts for the items of an index; may be used by several threads at once.

    Args:
        index: the test items.
        exact: what counts as a copy.
        methods: how to look.
        encode: the encoder; needed for rewordings.
    """

    def __init__(
        self, index: EvalIndex, exact: ExactSpec, methods: Sequence[Method], encode: Encode | None = None
    ) -> None:
        self._index, self._spec, self._methods = index, exact, methods
        self._parts = Index(index.parts)
        self._exact = ExactMatcher(self._parts, exact)
        self._programs = Index(index.programs, english=False)
        self._code = ExactMatcher(
            self._programs,
            exact.model_copy(update={"least_information": LEAST_INFORMATION, "long_stretch": _CODE_STRETCH}),
        )
        if "paraphrase" in methods and (encode is None or index.calibration is None):
            raise SynthError("the paraphrase method needs an encoder and a calibration", fix="use the exact method")
        self._encode = encode
        self._prepare()

    def scan(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of `CONTAMINATION` for a batch with the columns ``row_id`` and ``text``."""
        words = split_words(rows["text"])
        hits: list[_Hit] = []
        if "exact" in self._methods:
            hits += [self._copy(words, match) for match in self._exact.find(words)]
        if "code" in self._methods and len(self._programs.lengths):
            hits += self._find_programs(rows["text"])
        if self._paraphrase is not None:
            hits += [self._rewording(words, found) for found in self._paraphrase.find(words)]
        return _rows(rows["row_id"], hits)

    @cached_property
    def _paraphrase(self) -> ParaphraseMatcher | None:
        index = self._index
        if index.segments.is_empty() or self._encode is None or index.calibration is None:
            return None
        return ParaphraseMatcher(index.segments, self._encode, index.calibration.suspect.threshold)

    def _prepare(self) -> None:
        """Compute now what several threads would otherwise compute at once."""
        for index in (self._parts, self._programs):
            if len(index.lengths):
                _ = index.anchors, index.masses, index.asked_masses, index.anchors.buckets
        _ = self._paraphrase

    def _copy(self, words: Words, match: Match) -> _Hit:
        start, end = words.place(match.first, match.last)
        part = self._parts.parts.row(match.part, named=True)
        # A passage or an answer may be known from elsewhere; what must not be in the data is the question.
        strong = match.score >= self._spec.contaminated and part["part"] == "question"
        return _Hit(
            match.text,
            part["eval"],
            part["eval_id"],
            "exact",
            min(match.score, 1.0),
            words.excerpt(match.first, match.last, _SPAN_CHARACTERS),
            _eval_span(part, match),
            start,
            end,
            VERDICTS[1 + strong],
        )

    def _find_programs(self, texts: pl.Series) -> list[_Hit]:
        places = np.flatnonzero(looks_like_code(texts).to_numpy())
        if not len(places):
            return []
        streams = [normalise(texts[int(place)]) for place in places]
        found = self._code.find(split_words([stream.text for stream in streams]))
        bounds = np.cumsum([0, *(len(stream.starts) for stream in streams)])
        return [
            self._program(match, int(places[match.text]), texts, streams[match.text], int(bounds[match.text]))
            for match in found
        ]

    def _program(self, match: Match, text: int, texts: pl.Series, stream: CodeStream, bound: int) -> _Hit:
        part = self._programs.parts.row(match.part, named=True)
        start, end = stream.starts[match.first - bound], stream.ends[match.last - bound]
        source = texts[text]
        return _Hit(
            text,
            part["eval"],
            part["eval_id"],
            "code",
            min(match.score, 1.0),
            shorten(source[start:end], _SPAN_CHARACTERS),
            f"operations {match.part_first + 1}-{match.part_last + 2}",
            len(source[:start].encode()),
            len(source[:end].encode()),
            VERDICTS[1 + (match.score >= self._spec.contaminated)],
        )

    def _rewording(self, words: Words, found: Resemblance) -> _Hit:
        assert self._index.calibration is not None
        start, end = words.place(found.first, found.last)
        segment = self._index.segments.row(found.segment, named=True)
        return _Hit(
            found.text,
            segment["eval"],
            segment["eval_id"],
            "paraphrase",
            round(found.score, 4),
            words.excerpt(found.first, found.last, _SPAN_CHARACTERS),
            shorten(segment["text"], _EVAL_SPAN_CHARACTERS),
            start,
            end,
            VERDICTS[1 + (found.score >= self._index.calibration.contaminated.threshold)],
        )


def scan(
    scanner: Scanner, batches: Iterable[pl.DataFrame], *, what: str, total: int | None = None
) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Rows with ``row_id`` and ``text``, some at a time, and `CONTAMINATION` for them, in order, on all cores.

    Only a few blocks are in memory at a time. Progress is told under ``what``.
    """
    with track(what, total) as task:
        for rows, found in in_parallel(scanner.scan, text_blocks(batches, "text", size=_BLOCK_BYTES)):
            yield rows, found
            task.advance(rows.height)


def _eval_span(part: dict[str, Any], match: Match) -> str:
    """The words of the item that were found, or their numbers where no text of it is kept."""
    if not part["text"]:
        return f"words {match.part_first + 1}-{match.part_last + 1}"
    return split_words([part["text"]]).excerpt(match.part_first, match.part_last, _EVAL_SPAN_CHARACTERS)


def _rows(row_ids: pl.Series, hits: Sequence[_Hit]) -> pl.DataFrame:
    """One row per text and item, by the method that says most; one with nulls for a clean text."""
    best: dict[tuple[int, str, str], _Hit] = {}
    for hit in hits:  # exact methods come first, and win where verdicts are equal
        key = (hit.text, hit.eval, hit.eval_id)
        if key not in best or VERDICTS.index(hit.verdict) > VERDICTS.index(best[key].verdict):
            best[key] = hit
    found = [best[key] for key in sorted(best)]
    columns = {name: [getattr(hit, name) for hit in found] for name in CONTAMINATION.names()[1:] if name != "origin"}
    hit_rows = pl.DataFrame(
        {"text": [hit.text for hit in found], **columns}, schema_overrides={"text": pl.Int64(), **CONTAMINATION}
    )
    texts = pl.DataFrame({"row_id": row_ids, "text": np.arange(len(row_ids))})
    return (
        texts.join(hit_rows, on="text", how="left", maintain_order="left_right")
        .with_columns(pl.col("verdict").fill_null("clean"), pl.lit(None, pl.String()).alias("origin"))
        .select(CONTAMINATION.names())
        .match_to_schema(CONTAMINATION)
    )
