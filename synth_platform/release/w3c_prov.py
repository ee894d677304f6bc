"""The lineage of a release in the words of W3C PROV: versions are entities, and what made each is an activity."""

import json
from collections.abc import Iterable
from typing import Any

from synth_platform.snapshots import Identity, InputRef, Manifest, Snapshot

_PREFIX = {"synth": "urn:synth:"}


def prov_json(release: Identity, lineage: Iterable[Snapshot]) -> bytes:
    """PROV-JSON of a release and its ancestors.

    Args:
        release: what is being released.
        lineage: everything that it was made from.
    """
    made = sorted((one.manifest for one in lineage), key=lambda m: (m.asset, m.partition or "", m.snapshot_id))
    document: dict[str, Any] = {"prefix": _PREFIX, "entity": {}, "activity": {}}
    document |= {"wasGeneratedBy": {}, "used": {}, "wasDerivedFrom": {}}
    for manifest in made:
        _add(document, _name_of(manifest), manifest, {"synth:digest": manifest.digest, "synth:rows": manifest.rows})
    _add(document, _name(release.asset, release.partition, release.snapshot_id), release, {})
    return json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True).encode()


def _add(document: dict[str, Any], name: str, made: Manifest | Identity, facts: dict[str, Any]) -> None:
    """An entity, the activity that made it, and what that used."""
    making = f"{name}/making"
    document["entity"][name] = {"prov:label": made.asset, **facts}
    document["activity"][making] = {"prov:label": f"make {made.asset}", "synth:code_version": made.code_version}
    document["wasGeneratedBy"][f"_:generated {name}"] = {"prov:entity": name, "prov:activity": making}
    for ref in made.inputs:
        used = _name_of(ref)
        document["used"][f"_:used {name} {used}"] = {"prov:activity": making, "prov:entity": used}
        derived = {"prov:generatedEntity": name, "prov:usedEntity": used, "prov:activity": making}
        document["wasDerivedFrom"][f"_:derived {name} {used}"] = derived


def _name_of(made: Manifest | InputRef) -> str:
    return _name(made.asset, made.partition, made.snapshot_id)


def _name(asset: str, partition: str | None, snapshot_id: str) -> str:
    return f"synth:{asset}{f'/{partition}' if partition else ''}/{snapshot_id}"
