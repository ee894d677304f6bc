"""Work that was begun under other settings: never used, but said aloud, with what is different."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from synth_platform.snapshots.repository import Identity, Snapshots, asset_folder

IDENTITY_FILE = "identity.json"
_LONGEST = 60


def identity_record(identity: Identity) -> bytes:
    """What a writer leaves in the folder of its unfinished snapshot."""
    inputs = {ref.asset: ref.digest for ref in identity.inputs}
    facts = {"code_version": identity.code_version, "settings": dict(identity.settings), "inputs": inputs}
    return json.dumps(facts, sort_keys=True).encode()


def unfinished_elsewhere(snapshots: Snapshots, identity: Identity) -> Iterator[str]:
    """A line for each unfinished snapshot of the same asset that this identity must not go on with."""
    root = asset_folder(identity.asset, identity.partition)
    wanted = json.loads(identity_record(identity))
    for name in snapshots.store.folders(root):
        if name in (identity.snapshot_id, "refs"):
            continue
        try:
            begun = json.loads(snapshots.store.read(f"{root}/{name}/{IDENTITY_FILE}"))
        except (FileNotFoundError, ValueError):
            continue
        changes = "; ".join(_changes("", begun, wanted)) or "it was asked for anew"
        yield (
            f"{identity.asset}: unfinished work under other settings ({name}) is not used, a new version is begun."
            f" Different now: {changes}"
        )


def _changes(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from _changes(f"{where}.{key}" if where else str(key), old.get(key), new.get(key))
    elif old != new:
        yield f"{where} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
