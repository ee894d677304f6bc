"""Errors written for people: what is wrong, where, and what to do about it."""

from synth_platform.secrecy import scrub


class SynthError(Exception):
    """A problem the user can act on; shown as a message, never as a traceback, and without secrets.

    Args:
        what: the problem in one sentence.
        where: file, key, line or address it was found at.
        fix: what to do about it.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = scrub(what), scrub(where), scrub(fix)
        lines = [self.what]
        if where:
            lines.append(f"  where: {self.where}")
        if fix:
            lines.append(f"  fix:   {self.fix}")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix)


def _rebuild(kind: type[SynthError], what: str, where: str, fix: str) -> SynthError:
    return kind(what, where=where, fix=fix)


class SpecError(SynthError):
    """A dataset spec, template or option is invalid."""


class SourceError(SynthError):
    """A source is missing, unreadable, damaged or empty."""


class EngineError(SynthError):
    """The generation engine could not be installed, started or reached."""


class SnapshotError(SynthError):
    """A snapshot is missing, damaged, or two writers disagree about it."""


class RemovedError(SnapshotError):
    """The files of a version were removed on purpose: by a takedown, or by the retention."""


class StorageError(SynthError):
    """The disk or object store refused a read or a write."""
