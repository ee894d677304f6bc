"""Work that was begun under other settings: never used, but said aloud, with what is different."""

import json
from collections.abc import Iterator

from synth_platform.snapshots.changes import compare, facts_of
from synth_platform.snapshots.identity import Identity, asset_folder
from synth_platform.snapshots.repository import Snapshots

IDENTITY_FILE = "identity.json"


def identity_record(identity: Identity) -> bytes:
    """What a writer leaves in the folder of its unfinished snapshot."""
    return json.dumps(facts_of(identity), sort_keys=True).encode()


def unfinished_elsewhere(snapshots: Snapshots, identity: Identity) -> Iterator[str]:
    """A line for each unfinished snapshot of the same asset that this identity must not go on with."""
    root = asset_folder(identity.asset, identity.partition)
    wanted = facts_of(identity)
    for name in snapshots.store.folders(root):
        if name in (identity.snapshot_id, "refs"):
            continue
        try:
            begun = json.loads(snapshots.store.read(f"{root}/{name}/{IDENTITY_FILE}"))
        except (FileNotFoundError, ValueError):
            continue
        changes = "; ".join(change.describe() for change in compare(begun, wanted)) or "it was asked for anew"
        yield (
            f"{identity.asset}: unfinished work under other settings ({name}) is not used, a new version is begun."
            f" Different now: {changes}"
        )
