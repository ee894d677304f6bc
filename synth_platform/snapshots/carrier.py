"""Files on their way from one store to another."""

import contextlib
import uuid
from pathlib import Path

from synth_platform.snapshots.store import AlreadyExists, Store


class Carrier:
    """Carries one file after the other.

    Args:
        source: from where.
        target: to where.
        folder: local folder for what is on its way.
    """

    def __init__(self, source: Store, target: Store, folder: Path) -> None:
        self.source, self.target, self.folder = source, target, folder
        self.carried: dict[str, int] = {}
        """Bytes of what has arrived, by name."""

    def carry(self, name: str, *, over: bool = False) -> None:
        """Bring a file; whoever brought one of that name meanwhile was faster.

        Args:
            name: of the file, on both sides.
            over: whether it takes the place of the one that is there.

        Raises:
            FileNotFoundError: the source does not have it, or no more.
            StorageError: either side refused.
        """
        with contextlib.suppress(AlreadyExists):
            self.put(name, self.fetch(name), over=over)

    def fetch(self, name: str) -> Path:
        """A local copy of a file; raises as `carry` does."""
        local = self.folder / uuid.uuid4().hex
        self.source.fetch(name, local)
        return local

    def put(self, name: str, local: Path, *, over: bool = False) -> None:
        """Move a local file to the target; raises `AlreadyExists` if the name is taken and it must not be."""
        size = local.stat().st_size
        try:
            if over:
                self.target.copy_in(name, local)
            else:
                self.target.move_in(name, local)
        finally:
            local.unlink(missing_ok=True)
        self.carried[name] = size
