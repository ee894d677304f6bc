"""Find test items that were reworded: rare words lead to candidates, a sentence encoder and the numbers judge them.

Word n-grams cannot see a reworded question (Yang et al. 2023, "Rethinking Benchmark and Contamination for Language
Models with Rephrased Samples"); an encoder alone takes every question of the same kind for the same question.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from synth_platform.contamination.agreement import Facts, facts_of, name_agreement, number_agreement
from synth_platform.contamination.lexical import LexicalIndex
from synth_platform.contamination.windows import Windows, make_windows, windows_around
from synth_platform.contamination.words import Words, split_words
from synth_platform.encoder import Encode

_LEAST_COSINE, _SHORT_COSINE = 0.24, 1.6
"""Least TF-IDF cosine of a window and a segment. Of the labelled rewordings 0.4% have less with their question."""
_LEAST_LENGTH = 0.45
"""A window of less than this of a segment's words is no rewording of it, nor one of which the segment is less."""
_AGREEING, _SILENT = 0.15, 0.12
"""What agreeing numbers add to the cosine, and what a pair without any gets, before it is worth encoding: of the
labelled rewordings that the encoder finds this loses 0.5%, and six of seven other math problems are never encoded."""
_REST_COSINE = 0.1
_SEGMENTS_PER_WINDOW = 5
_WINDOWS_PER_SEGMENT = 2
_PROMISING, _CLOSER = 0.65, 2
"""Score from which windows about a window are tried, and how many: a page cut blindly cuts through its questions."""
_LEXICAL_WEIGHT, _NUMBER_WEIGHT, _NAME_WEIGHT = 0.1, 0.15, 0.1
_SILENT_NUMBERS, _FULL_LENGTH = 0.05, 20
"""What a pair without numbers gets, so that one threshold does for both; in full for segments of so many words."""
_UNSEEN = 0.35
"""Score of a segment of which a text has no candidate at all."""


@dataclass(frozen=True)
class Resemblance:
    """A test item that a text seems to reword.

    Args:
        text: number of the text in the batch.
        item: number of the item.
        score: cosine of meaning, raised by shared rare words and numbers.
        first: first word of the batch of the window that resembles it most.
        last: last word.
        segment: number of the segment that this window resembles.
    """

    text: int
    item: int
    score: float
    first: int
    last: int
    segment: int


class ParaphraseMatcher:
    """Searches batches of texts for rewordings of test items.

    Args:
        segments: `INDEX_SEGMENTS`.
        encode: the encoder.
        least: score from which an item is reported.
    """

    def __init__(self, segments: pl.DataFrame, encode: Encode, least: float) -> None:
        self._item = segments["item"].to_numpy()
        self._view = segments["view"].to_numpy()
        self._share = segments["share"].to_numpy()
        self._texts = segments["text"].to_list()
        self._least = least
        words = split_words(segments["text"])
        self._length = np.maximum(np.diff(words.bounds), 1)
        self._lexical = LexicalIndex(words)
        self._encode = encode
        self._vectors: dict[int, np.ndarray] = {}
        if segments["vector"].null_count() < segments.height:
            for number, vector in enumerate(segments["vector"].to_list()):
                self._vectors[number] = np.asarray(vector, np.float32)
        self._facts: dict[int, Facts] = {}

    def find(self, words: Words) -> list[Resemblance]:
        """Items that texts of the batch resemble at least as much as is suspect, in order of text and item."""
        windows = make_windows(words)
        pairs = self._candidates(words, windows)
        if pairs.is_empty():
            return []
        scored = self._score(words, windows, pairs)
        closer, more = self._closer(words, windows, scored)
        if not more.is_empty():
            scored = pl.concat([scored, self._score(words, closer, more)])
        return self._judge(scored, closer)

    def _candidates(self, words: Words, windows: Windows) -> pl.DataFrame:
        """Pairs of a window and a segment to be compared: of each text and segment the best few windows."""
        window, segment, cosine = self._lexical.candidates(words, windows.first, windows.after)
        length = self._length[segment]
        ratio = (windows.after - windows.first)[window] / length
        alike = (ratio >= _LEAST_LENGTH) & (ratio <= 1 / _LEAST_LENGTH)
        enough = alike & (cosine >= _LEAST_COSINE + _SHORT_COSINE / length)
        enough[enough] = self._agree(words, windows, window[enough], segment[enough], cosine[enough])
        # The rest of a long item may share fewer words with the text once one of its segments is there.
        item = windows.text[window] * len(self._item) + self._item[segment]
        begun = alike & (self._share[segment] < 1) & (cosine >= _REST_COSINE) & np.isin(item, item[enough])
        kept = enough | begun
        window, segment, cosine = window[kept], segment[kept], cosine[kept]
        pairs = pl.DataFrame(
            {"text": windows.text[window], "window": window, "segment": segment.astype(np.int64), "lexical": cosine}
        )
        pairs = pairs.sort("window", "lexical", "segment", descending=[False, True, False])
        pairs = pairs.group_by("window", maintain_order=True).head(_SEGMENTS_PER_WINDOW)
        return (
            pairs.sort("text", "segment", "lexical", "window", descending=[False, False, True, False])
            .group_by("text", "segment", maintain_order=True)
            .head(_WINDOWS_PER_SEGMENT)
        )

    def _agree(
        self, words: Words, windows: Windows, window: np.ndarray, segment: np.ndarray, cosine: np.ndarray
    ) -> np.ndarray:
        """Which pairs have numbers enough in common to be worth encoding; those without numbers are."""
        facts = {number: facts_of(_text(words, windows, number)) for number in np.unique(window).tolist()}
        agree = np.zeros(len(window), bool)
        for pair, (number, other) in enumerate(zip(window.tolist(), segment.tolist(), strict=True)):
            numbers, evidence = number_agreement(self._facts_of(other), facts[number])
            likeness = cosine[pair] + _AGREEING * numbers * evidence + _SILENT * (1 - evidence)
            agree[pair] = likeness >= _LEAST_COSINE + _SILENT
        return agree

    def _score(self, words: Words, windows: Windows, pairs: pl.DataFrame) -> pl.DataFrame:
        wanted = pairs["window"].unique().sort().to_list()
        texts = [_text(words, windows, window) for window in wanted]
        row = {window: number for number, window in enumerate(wanted)}
        vectors = self._encode(texts)
        self._encode_segments(pairs["segment"].unique().sort().to_list())
        facts = [facts_of(text) for text in texts]
        scores = []
        for window, segment, lexical in pairs.select("window", "segment", "lexical").iter_rows():
            number = row[window]
            cosine = float(vectors[number] @ self._vectors[segment])
            scores.append(cosine + _LEXICAL_WEIGHT * lexical + self._agreement(segment, facts[number]))
        return pairs.with_columns(pl.Series("score", scores, dtype=pl.Float64()))

    def _closer(self, words: Words, windows: Windows, scored: pl.DataFrame) -> tuple[Windows, pl.DataFrame]:
        """Windows that fit promising segments better than those cut beforehand, and the pairs to be scored."""
        promising = scored.filter(pl.col("score") >= _PROMISING).unique(
            ["text", "segment"], keep="first", maintain_order=True
        )
        text, segment, spans = [], [], []
        for one, window, other in promising.select("text", "window", "segment").iter_rows():
            around = windows_around(
                words, int(windows.first[window]), int(windows.after[window]), int(self._length[other])
            )
            text += [one] * len(around)
            segment += [other] * len(around)
            spans += around
        first, after = np.asarray(spans, np.int64).reshape(-1, 2).T
        known = len(windows.text)
        pairs = pl.DataFrame(
            {
                "text": np.asarray(text, np.int64),
                "window": np.arange(known, known + len(first)),
                "segment": np.asarray(segment, np.int64),
                "lexical": self._lexical.compare(words, first, after, np.asarray(segment, np.int64)),
            },
            schema=scored.drop("score").schema,
        )
        pairs = pairs.sort("text", "segment", "lexical", "window", descending=[False, False, True, False])
        pairs = pairs.group_by("text", "segment", maintain_order=True).head(_CLOSER)
        return Windows(
            np.concatenate([windows.text, np.asarray(text, np.int64)]),
            np.concatenate([windows.first, first]),
            np.concatenate([windows.after, after]),
        ), pairs

    def _judge(self, scored: pl.DataFrame, windows: Windows) -> list[Resemblance]:
        """The items of each text: their segments' mean, each by its best window; of several views the best."""
        best = scored.sort("score", "window", descending=[True, False]).unique(
            ["text", "segment"], keep="first", maintain_order=True
        )
        segment = best["segment"].to_numpy()
        views = (
            best.with_columns(
                item=pl.Series(self._item[segment], dtype=pl.Int64()),
                view=pl.Series(self._view[segment]),
                share=pl.Series(self._share[segment]),
            )
            .group_by("text", "item", "view", maintain_order=True)
            .agg(
                ((pl.col("score") * pl.col("share")).sum() + (1 - pl.col("share").sum()) * _UNSEEN).alias("score"),
                pl.col("window").first(),
                pl.col("segment").first(),
            )
            .filter(pl.col("score") >= self._least)
            .sort("text", "item", "score", "view", descending=[False, False, True, False])
            .unique(["text", "item"], keep="first", maintain_order=True)
        )
        return [
            Resemblance(text, item, score, int(windows.first[window]), int(windows.after[window]) - 1, segment)
            for text, item, score, window, segment in views.select(
                "text", "item", "score", "window", "segment"
            ).iter_rows()
        ]

    def _encode_segments(self, wanted: list[int]) -> None:
        missing = [segment for segment in wanted if segment not in self._vectors]
        if missing:
            vectors = self._encode([self._texts[segment] for segment in missing])
            self._vectors.update(zip(missing, vectors, strict=True))

    def _agreement(self, segment: int, text: Facts) -> float:
        item = self._facts_of(segment)
        numbers, evidence = number_agreement(item, text)
        names, named = name_agreement(item, text)
        silent = (1 - evidence) * min(1.0, self._length[segment] / _FULL_LENGTH)
        return _NUMBER_WEIGHT * numbers * evidence + _NAME_WEIGHT * names * named + _SILENT_NUMBERS * silent

    def _facts_of(self, segment: int) -> Facts:
        if segment not in self._facts:
            self._facts[segment] = facts_of(self._texts[segment])
        return self._facts[segment]


def _text(words: Words, windows: Windows, window: int) -> str:
    return words.slice(int(windows.first[window]), int(windows.after[window]) - 1)
