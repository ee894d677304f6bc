"""What is different between what a version was made of and what it would be made of now."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synth_platform.snapshots.identity import Identity
from synth_platform.snapshots.manifest import Manifest

SETTINGS, INPUTS, CODE = "settings", "inputs", "code_version"
_LONGEST = 60
_DIGEST_LENGTH = 32


@dataclass(frozen=True)
class Change:
    """One fact that differs.

    Args:
        path: where it stands: ``("settings", "recipe", "samples")``, ``("inputs", ASSET)``, ``("code_version",)``.
        before: its value then; None: there was none.
        after: its value now; None: there is none.
    """

    path: tuple[str, ...]
    before: Any
    after: Any

    def describe(self) -> str:
        """A few words: what it is, and from what to what."""
        name = {SETTINGS: "", INPUTS: "input ", CODE: "code version"}[self.path[0]] + ".".join(self.path[1:])
        if self.before is None and self.after is not None and self.path[0] == INPUTS:
            return f"{name} is new"
        if self.after is None and self.path[0] == INPUTS:
            return f"{name} is no longer read"
        if all(value is None or _is_digest(value) for value in (self.before, self.after)):
            return f"{name} has changed"
        return f"{name} {_short(self.before)} -> {_short(self.after)}"


def facts_of(identity: Identity) -> dict[str, Any]:
    """All that determines a version, as JSON gives it back; whoever made it, and at which attempt."""
    inputs = {ref.asset: ref.digest for ref in identity.inputs}
    facts = {CODE: identity.code_version, SETTINGS: dict(identity.settings), INPUTS: inputs}
    return json.loads(json.dumps(facts))


def changes_since(manifest: Manifest, identity: Identity) -> list[Change]:
    """What is different now from what a version was made of; nothing if it would be made as it is."""
    if is_made_of(manifest, identity):
        return []
    made = {
        CODE: manifest.code_version,
        SETTINGS: manifest.settings,
        INPUTS: {ref.asset: ref.digest for ref in manifest.inputs},
    }
    return list(compare(made, facts_of(identity)))


def is_made_of(manifest: Manifest, identity: Identity) -> bool:
    """Whether all facts are literally the same; some that are not may still be the same as JSON."""
    return (
        manifest.code_version == identity.code_version
        and manifest.settings == identity.settings
        and {ref.asset: ref.digest for ref in manifest.inputs} == {ref.asset: ref.digest for ref in identity.inputs}
    )


def compare(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[Change]:
    """The differences between two trees of plain values."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            yield from compare(old.get(key), new.get(key), (*path, str(key)))
    elif _by_name(old) and _by_name(new):
        yield from compare({one["name"]: one for one in old}, {one["name"]: one for one in new}, path)
    else:
        yield Change(path, old, new)


def _by_name(value: Any) -> bool:
    """Whether a list has things with names: then what changed is said of each, not of the list."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and "name" in one for one in value)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == _DIGEST_LENGTH and set(value) <= set("0123456789abcdef")


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
