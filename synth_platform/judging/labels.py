"""Answers that people have judged, for a judge to be measured by."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth_platform.digest import digest
from synth_platform.errors import SourceError
from synth_platform.sources.json_rows import BadRow
from synth_platform.sources.locations import SourceFile, find_files
from synth_platform.sources.readers import read_records, suffixes_of

LEAST = 20
"""Fewer good, or fewer bad answers than this say nothing of a judge."""
_TRUE, _FALSE = ("true", "1", "yes", "good"), ("false", "0", "no", "bad")


@dataclass(frozen=True)
class LabelledAnswer:
    """An answer that somebody has judged."""

    source: str
    answer: str
    good: bool

    @property
    def id(self) -> str:
        """Digest of its texts."""
        return digest("label", self.source, self.answer)


def read_labels(path: str, base: Path) -> list[LabelledAnswer]:
    """All labelled answers of a file, folder or glob, each once: several people may have judged it alike.

    Args:
        path: relative to ``base``, or of an object store.
        base: folder of the spec.

    Raises:
        SourceError: a row cannot be read, two verdicts on one answer differ, or there are too few of either kind to
            measure a judge.
    """
    found = _each_once(_rows(path, base))
    good = sum(one.good for one in found)
    if min(good, len(found) - good) < LEAST:
        raise SourceError(
            f"{good} good and {len(found) - good} bad answers are too few to measure a judge by",
            where=path,
            fix=f"label at least {LEAST} of each",
        )
    return found


def labels_stamp(path: str, base: Path) -> str:
    """What changes at least when the labels do; no file is read for it.

    Raises:
        SourceError: there is none.
    """
    return digest([(file.name, file.stamp()) for file in _files(path, base)])


def _files(path: str, base: Path) -> list[SourceFile]:
    return find_files([path], base, suffixes_of("auto"))


def _each_once(rows: Iterable[tuple[str, LabelledAnswer]]) -> list[LabelledAnswer]:
    """Answers in the order in which they first come."""
    first: dict[str, tuple[str, LabelledAnswer]] = {}
    for location, labelled in rows:
        before, same = first.setdefault(labelled.id, (location, labelled))
        if same.good != labelled.good:
            raise SourceError(
                "two verdicts on the same answer differ",
                where=f"{before} and {location}",
                fix="agree on one of them, or leave the answer out",
            )
    return [labelled for _, labelled in first.values()]


def _rows(path: str, base: Path) -> Iterator[tuple[str, LabelledAnswer]]:
    for file in _files(path, base):
        for records in read_records(file):
            for location, row in records.rows:
                yield location, _labelled(location, row)


def _labelled(location: str, row: dict[str, Any] | BadRow) -> LabelledAnswer:
    if isinstance(row, BadRow):
        raise SourceError(f"a labelled answer cannot be read: {row.reason} {row.detail}".rstrip(), where=location)
    for name in ("source", "answer"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise SourceError(f"a labelled answer has no {name!r}", where=location, fix="give it as a text")
    return LabelledAnswer(row["source"], row["answer"], _verdict(location, row.get("good")))


def _verdict(location: str, given: Any) -> bool:
    said = str(given).strip().lower()
    if said not in _TRUE + _FALSE:
        raise SourceError(f"a labelled answer has {given!r} as 'good'", where=location, fix="write true or false")
    return said in _TRUE
