"""What names a version stays what it was: homes that exist would otherwise make everything anew."""

from dataclasses import replace
from typing import Any

import pytest

from synth_platform.digest import digest
from synth_platform.snapshots import Identity
from synth_platform.snapshots.identity import Fingerprints
from synth_platform.snapshots.manifest import InputRef

INPUTS = (
    InputRef(asset="d/b", partition=None, snapshot_id="1", digest="b"),
    InputRef(asset="d/a", partition="2026-01-01", snapshot_id="2", digest="a"),
)
SETTINGS: list[dict[str, Any]] = [
    {},
    {"seed": 1, "b": {"y": 1, "x": [1.0, None, True]}, "a": 'ünï "quoted" \\ \n'},
    {"": "", "text": "\ud800 half a pair", "large": 1 << 70, "small": 1e-30, "inf": 1e16},
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize(("partition", "inputs"), [(None, ()), ("2026-01-01", INPUTS)])
def test_a_fingerprint_is_the_digest_of_all_that_determines_a_version(
    settings: dict[str, Any], partition: str | None, inputs: tuple[InputRef, ...]
) -> None:
    identity = Identity("d/x", partition, "3", settings, inputs, attempt=2)
    by_content = sorted((ref.asset, ref.partition or "", ref.digest) for ref in inputs)
    assert identity.fingerprint == digest("d/x", partition, "3", settings, by_content, 2)
    seeded = replace(identity, settings={**settings, "seed": 7})
    assert Fingerprints().snapshot_id(seeded, settings) == seeded.snapshot_id == seeded.fingerprint[:16]


def test_the_fingerprint_of_yesterday_is_that_of_today() -> None:
    identity = Identity("d/x", "2026-01-01", "3", SETTINGS[1], INPUTS)
    assert identity.fingerprint == "0384be7311d04eacb4fa0db676d55017"


def test_cycles_share_what_is_the_very_same_and_nothing_else() -> None:
    shared = {"x": [1, 2]}
    known = Fingerprints()
    for day, value in enumerate((1, 1.0, True, "1", "1", {"1": 1}, {"1": 1.0}, None, 1), start=1):
        settings = {"shared": shared, "value": value, "a": 1}
        for asset in ("d/x", "d/y"):
            for seed in (day, 2**62 + day):  # two cycles whose settings are the same object
                identity = Identity(asset, f"2026-01-0{day}", "3", {**settings, "seed": seed})
                assert known.snapshot_id(identity, settings) == identity.snapshot_id
