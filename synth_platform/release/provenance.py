"""What a release proves about itself, read from the snapshots it was made from."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from synth_platform.contamination.calibration import Calibration
from synth_platform.contamination.report import hits_by_benchmark
from synth_platform.quality.profile import rejected_by_reason
from synth_platform.release.build import component_shares
from synth_platform.release.card import CardFacts, GateResult
from synth_platform.release.patch import Patch
from synth_platform.snapshots import Snapshot
from synth_platform.snapshots.catalog import kind_of

_COUNTED = [f"{v} {w}" for w in ("documents", "generations") for v in ("contaminated", "suspect")]
FILES_PATTERN = "data/train-*.parquet"


def gather_facts(
    dataset: str,
    description: str,
    lineage: Sequence[Snapshot],
    measured: Mapping[str, Any],
    gates: Sequence[GateResult],
    patch: Patch | None = None,
) -> CardFacts:
    """Everything that the card states.

    Args:
        dataset: name of the dataset.
        description: what it is for, in its owner's words.
        lineage: the mixture and all of its ancestors, and those of a patch.
        measured: what `measured_facts` gives.
        gates: how the gates on them judged.
        patch: what was taken out since an earlier release.
    """
    mixture = _of(lineage, "mixture")[0]
    released = mixture.scan("mixture") if patch is None else patch.rows()
    shares = component_shares(released, mixture.manifest)
    return CardFacts(
        dataset=dataset,
        description=description,
        cycle=mixture.manifest.partition,
        rows=sum(int(str(share["rows"])) for share in shares),
        tokens=sum(int(str(share["tokens"])) for share in shares),
        shares=shares,
        sources=measured["sources"],
        recipes={
            prompts.manifest.asset.split("/")[-1]: str(prompts.manifest.details.get("template", ""))
            for prompts in _of(lineage, "prompts")
        },
        model=_model(_of(lineage, "generations")),
        rejected=measured["rejected"],
        benchmarks=measured["benchmarks"],
        search=measured["search"],
        privacy=measured.get("privacy"),
        bias=measured.get("bias"),
        replaces=patch.describe() if patch else "",
        gates=gates,
        lineage=[
            {"asset": m.asset, "snapshot": m.snapshot_id, "digest": m.digest}
            for m in sorted((snapshot.manifest for snapshot in lineage), key=lambda m: m.asset)
        ],
        files=[FILES_PATTERN],
    )


def measured_facts(lineage: Sequence[Snapshot], patch: Patch | None) -> dict[str, Any]:
    """What the card says of sources, rejected rows, test items, personal data and bias, JSON-able.

    Where versions that a patch comes from were taken down, it is what the release before it said.
    """
    if patch is not None and any(one.removal for one in lineage):
        return dict(patch.replaced.manifest.details["facts"])
    return {
        "sources": [row for documents in _of(lineage, "documents") for row in _sources(documents)],
        "rejected": rejected_by_reason(_of(lineage, "accepted")),
        "benchmarks": benchmark_hits(lineage),
        "search": _search(lineage),
        "privacy": _privacy(lineage),
        "bias": next((one.manifest.details.get("bias") for one in _of(lineage, "review")), None),
    }


def provenance_json(lineage: Iterable[Snapshot]) -> bytes:
    """The manifests of all ancestors, without what differs between runs that made the same."""
    kept = [
        snapshot.manifest.model_dump(
            mode="json", include={"asset", "partition", "snapshot_id", "digest", "settings", "counts", "inputs"}
        )
        for snapshot in sorted(lineage, key=lambda snapshot: snapshot.manifest.asset)
    ]
    return json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True).encode()


def _of(lineage: Iterable[Snapshot], kind: str) -> list[Snapshot]:
    chosen = [snapshot for snapshot in lineage if kind_of(snapshot.manifest.asset) == kind]
    return sorted(chosen, key=lambda snapshot: snapshot.manifest.asset)


def _sources(documents: Snapshot) -> list[Mapping[str, Any]]:
    selected = dict(documents.scan("documents").group_by("source").len().collect().iter_rows())
    skipped = dict(documents.scan("skipped").group_by("source").len().collect().iter_rows())
    licenses = dict(
        documents.scan("documents")
        .group_by("source")
        .agg(pl.col("license").fill_null("not stated").unique().sort().str.join(", "))
        .collect()
        .iter_rows()
    )
    return [
        {
            "source": source["name"],
            "type": source["type"],
            "documents": selected.get(source["name"], 0),
            "skipped": skipped.get(source["name"], 0),
            "license": licenses.get(source["name"], ""),
        }
        for source in documents.manifest.settings["sources"]
    ]


def _model(generations: Sequence[Snapshot]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for snapshot in generations:
        settings = snapshot.manifest.settings
        recipe = snapshot.manifest.asset.split("/")[-1]
        facts |= {"model": settings["model"], "engine digest": settings["engine"]}
        sampling = {name: value for name, value in settings["sampling"].items() if value not in (None, [])}
        facts[f"sampling of {recipe}"] = json.dumps(sampling, sort_keys=True)
    return facts


def _privacy(lineage: Sequence[Snapshot]) -> dict[str, Any] | None:
    """What happened to personal data: the policies, and texts in which something was replaced."""
    for review in _of(lineage, "review"):
        spec = review.manifest.settings["privacy"]
        changed = {
            kind: sum(one.manifest.counts.get("redacted", 0) for one in _of(lineage, kind))
            for kind in ("documents", "accepted")
        }
        return {
            "policies": [
                {"personal data": entity, "in sources": policy, "in generated texts": spec["output"][entity]}
                for entity, policy in spec["source"].items()
            ],
            "redacted": changed,
            "persons": spec["ner"],
            "disclosure": [name for name in ("held_out", "canaries") if spec[name]],
        }
    return None


def benchmark_hits(lineage: Sequence[Snapshot]) -> list[Mapping[str, Any]]:
    """Per test set its items, and the documents and generations found to have one."""
    lineage = [one for one in lineage if one.removal is None]
    found: dict[str, dict[str, int]] = {}
    for snapshot in lineage:
        if "segments" in snapshot.manifest.tables:
            counted = snapshot.scan("parts").group_by("eval").agg(pl.col("eval_id").n_unique()).collect()
            for name, items in counted.iter_rows():
                found.setdefault(name, {})["items"] = items
    for snapshot in lineage:
        if "contamination" not in snapshot.manifest.tables:
            continue
        scanned = snapshot.manifest.asset.split("/")[-1]
        what = {"documents": "documents", "release": "released rows"}.get(scanned, "generations")
        for verdict in ("contaminated", "suspect"):
            for name, hits in hits_by_benchmark(snapshot.scan("contamination"), verdict).items():
                counts = found.setdefault(name, {})
                counts[f"{verdict} {what}"] = counts.get(f"{verdict} {what}", 0) + hits
    columns = list(dict.fromkeys(["items", *_COUNTED, *(name for counts in found.values() for name in counts)]))
    return [
        {"benchmark": name, **{column: counts.get(column, 0) for column in columns}}
        for name, counts in sorted(found.items())
    ]


def _search(lineage: Sequence[Snapshot]) -> list[str]:
    """How test items were looked for, and what that finds."""
    for snapshot in lineage:
        if "segments" in snapshot.manifest.tables:
            methods = snapshot.manifest.settings["contamination"]["methods"]
            stored = snapshot.scan("calibration").collect()["calibration"].to_list()
            expected = [Calibration.model_validate_json(text).describe() for text in stored]
            return [f"Test items were looked for by: {', '.join(methods)}.", *expected]
    return []
